"""Plans that gateways renew: what is credited for which period, and what a subscription is after all that was told."""

import asyncio
import itertools
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest

from ledger.commands import Command
from ledger.writer import LedgerWriter
from tests.builders import charge, open_account
from tests.ledger_state import check_everything
from tests.payments import CREDIT, paid
from tests.subscribed import (
    FEBRUARY,
    JANUARY,
    MARCH,
    at,
    lots_of,
    messages_of,
    offer_plans,
    order_plan,
    payment_for,
    subscription,
)
from tests.waiting import eventually
from workers.payments.context import PaymentContext
from workers.payments.facts import Fact, NotYet, PaymentFact, Period, SubscriptionFact, SubscriptionStatus
from workers.payments.money import Money
from workers.payments.settling import settle
from workers.payments.subscriptions import UnknownSubscription, expecting
from workers.payments.subscriptions.rows import subscription_of
from workers.payments.subscriptions.subscription import Subscription

FUTURE = Period(at(2126, 1, 31, 12), at(2126, 2, 28, 12))
"""Lots of past periods are gone; where what is left of them matters, they are of a time to come."""

LATER = Period(at(2126, 2, 28, 12), at(2126, 3, 31, 12))


async def settle_all(context: PaymentContext, *facts: Fact) -> list[str]:
    return [await settle(context, "plain", fact) for fact in facts]


async def ordered(
    context: PaymentContext, account_id: UUID, period: Period, **plans: str
) -> tuple[SubscriptionFact, PaymentFact]:
    """Offer plans and have `basic` ordered; return what its gateway says then: a subscription and its first payment."""
    await offer_plans(context.database, **plans)
    order_id = order_plan(context.database.url, account_id)
    begun = subscription(order_id, account_id)
    return begun, paid(order_id, account_id, subscription_id=begun.subscription_id, period=period)


async def subscribed(
    context: PaymentContext, account_id: UUID, period: Period = JANUARY, **plans: str
) -> SubscriptionFact:
    """The subscription to `basic` of somebody who has paid for one period."""
    begun, first = await ordered(context, account_id, period, **plans)
    await settle_all(context, begun, first)
    return begun


async def known(context: PaymentContext, account_id: UUID) -> Subscription:
    found = await subscription_of(context.database, account_id)
    assert found is not None
    return found


def mismatches(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT reason FROM payment_mismatches WHERE resolved_at IS NULL ORDER BY payment_id")
        return [row[0] for row in rows]


def bought(url: str) -> int:
    """All credits that ever came in, in whole credits; everything about the ledger is checked too."""
    (account,) = check_everything(url)
    return account.credited // CREDIT


async def test_each_paid_period_is_credited_once_and_expires_with_it(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    begun, first = await ordered(context, account_id, FUTURE)
    second = payment_for(LATER, begun.subscription_id)

    for _ in range(3):
        await settle_all(context, begun, first, second)

    assert bought(database_url) == 2_000
    assert lots_of(database_url, account_id) == [(1_000, FUTURE.ends_us), (1_000, LATER.ends_us)]


async def test_a_renewal_told_five_times_at_once_is_credited_once(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    begun = await subscribed(context, account_id, FUTURE, rollover_cap_credits="100")
    second = payment_for(LATER, begun.subscription_id)

    settled = await asyncio.gather(*(settle(context, "plain", second) for _ in range(5)))

    assert sorted(settled) == ["credited", *["known"] * 4]
    assert bought(database_url) == 2_000
    assert mismatches(database_url) == []


async def test_a_renewal_told_twice_at_once_is_credited_once_although_only_one_teller_sees_what_it_cuts(
    context: PaymentContext, account_id: UUID, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, first = await ordered(context, account_id, FUTURE, rollover_cap_credits="100")
    second = payment_for(LATER, begun.subscription_id)
    await settle_all(context, begun)
    cuts_of, seen = expecting.lots_over_cap, list[int]()
    may_go_on = [asyncio.Event(), asyncio.Event()]

    async def slowly(*arguments: Any, **options: Any) -> tuple[Command, ...]:
        found = await cuts_of(*arguments, **options)
        if second.payment_id in arguments:
            seen.append(len(found))
            await may_go_on[len(seen) - 1].wait()
        return found

    monkeypatch.setattr(expecting, "lots_over_cap", slowly)
    async with asyncio.TaskGroup() as tellers:
        sees_none = tellers.create_task(settle(context, "plain", second))
        await eventually(lambda: seen == [0])
        await settle_all(context, first)
        sees_one = tellers.create_task(settle(context, "plain", second))
        await eventually(lambda: seen == [0, 1])
        may_go_on[0].set()
        assert await sees_none == "credited"
        may_go_on[1].set()
        assert await sees_one == "known"

    assert bought(database_url) == 2_000
    assert mismatches(database_url) == []


async def test_a_second_payment_for_the_same_period_is_listed_and_not_credited(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    begun, first = await ordered(context, account_id, JANUARY)
    again = payment_for(JANUARY, begun.subscription_id)
    renewals = [payment_for(FEBRUARY, begun.subscription_id) for _ in range(3)]
    silent = payment_for(None, begun.subscription_id, at_us=at(2026, 3, 10))

    settled = await settle_all(context, begun, first, again)
    settled += await asyncio.gather(*(settle(context, "plain", fact) for fact in renewals))
    settled += await settle_all(context, silent)

    assert sorted(settled) == ["credited", "credited", *["mismatch"] * 4, "noted"]
    assert bought(database_url) == 2_000
    assert mismatches(database_url) == ["order"] * 4


async def test_every_order_of_what_is_told_leads_to_one_state(
    context: PaymentContext, writer: LedgerWriter, database_url: str
) -> None:
    await offer_plans(context.database)
    ends: set[tuple[Any, ...]] = set()
    for order in itertools.permutations(range(5)):
        account_id = uuid4()
        await writer.submit(open_account(account_id))
        order_id = order_plan(database_url, account_id)
        begun = subscription(order_id, account_id)
        facts: list[Fact] = [
            begun,
            paid(order_id, account_id, subscription_id=begun.subscription_id, period=JANUARY),
            msgspec.structs.replace(begun, period=FEBRUARY, asked_at_us=begun.asked_at_us + 10),
            payment_for(FEBRUARY, begun.subscription_id),
            msgspec.structs.replace(begun, status=SubscriptionStatus.ended, asked_at_us=begun.asked_at_us + 20),
        ]
        waiting = [facts[place] for place in order]
        for _ in range(3):
            later: list[Fact] = []
            for fact in waiting:
                try:
                    await settle(context, "plain", fact)
                except (NotYet, UnknownSubscription):
                    later.append(fact)
            waiting = later
        assert waiting == []
        found = await known(context, account_id)
        with psycopg.connect(database_url) as connection:
            credited = connection.execute("SELECT credited FROM accounts WHERE id = %s", [account_id]).fetchone()
        ends.add((found.status, found.plan, credited))

    assert mismatches(database_url) == []
    assert len(ends) == 1
    assert {end[2] for end in ends} == {(2_000 * CREDIT,)}


async def test_a_payment_of_another_amount_or_currency_or_account_is_listed(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    begun = await subscribed(context, account_id)

    settled = await settle_all(
        context,
        payment_for(FEBRUARY, begun.subscription_id, price=Money(999, "USD")),
        payment_for(FEBRUARY, begun.subscription_id, price=Money(1_000, "EUR")),
        payment_for(FEBRUARY, begun.subscription_id, account_id=uuid4()),
    )

    assert settled == ["mismatch"] * 3
    assert sorted(mismatches(database_url)) == ["account", "amount", "currency"]
    assert bought(database_url) == 1_000


async def test_a_payment_for_a_subscription_that_nobody_knows_waits(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    await offer_plans(context.database)
    begun = subscription(None, account_id)
    renewal = payment_for(FEBRUARY, begun.subscription_id)

    with pytest.raises(NotYet):
        await settle(context, "plain", renewal)
    await settle(context, "plain", begun)

    assert await settle(context, "plain", renewal) == "credited"
    assert bought(database_url) == 1_000
    assert mismatches(database_url) == []


async def test_a_subscription_of_an_order_that_is_not_here_waits_for_it(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    await offer_plans(context.database)
    order_id = uuid4()
    begun = subscription(order_id, account_id)

    with pytest.raises(UnknownSubscription):
        await settle(context, "plain", begun)
    with pytest.raises(UnknownSubscription):
        await settle(context, "plain", subscription(None, None))
    with pytest.raises(UnknownSubscription):
        await settle(context, "plain", subscription(None, uuid4()))
    order_plan(database_url, account_id, id=order_id)
    await settle(context, "plain", begun)

    assert (await known(context, account_id)).order_id == order_id


async def test_a_payment_that_names_only_its_order_meets_its_subscription_later(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    await offer_plans(context.database)
    order_id = order_plan(database_url, account_id)
    begun = subscription(order_id, account_id)

    await settle(context, "plain", paid(order_id, account_id, at_us=JANUARY.begins_us))
    before = await known(context, account_id)
    await settle(context, "plain", begun)
    after = await known(context, account_id)
    settled = await settle_all(context, payment_for(FEBRUARY, begun.subscription_id))

    assert (before.id, before.is_ours, before.due_us) == (str(order_id), True, JANUARY.ends_us)
    assert (after.id, after.is_ours, after.due_us) == (begun.subscription_id, False, None)
    assert settled == ["credited"]


async def test_what_rolls_over_is_cut_to_the_cap_with_the_next_payment(
    context: PaymentContext, writer: LedgerWriter, account_id: UUID, database_url: str
) -> None:
    begun = await subscribed(context, account_id, FUTURE, rollover_cap_credits="300")
    await writer.submit(charge(100 * CREDIT, account_id))

    await settle(context, "plain", payment_for(LATER, begun.subscription_id))

    assert lots_of(database_url, account_id) == [(300, LATER.ends_us), (1_000, at(2126, 4, 30, 12))]
    (account,) = check_everything(database_url)
    assert account.expired == 600 * CREDIT


async def test_less_than_the_cap_rolls_over_whole(
    context: PaymentContext, writer: LedgerWriter, account_id: UUID, database_url: str
) -> None:
    begun = await subscribed(context, account_id, FUTURE, rollover_cap_credits="300")
    await writer.submit(charge(700 * CREDIT, account_id))

    await settle(context, "plain", payment_for(LATER, begun.subscription_id))

    assert [left for left, _ in lots_of(database_url, account_id)] == [300, 1_000]
    (account,) = check_everything(database_url)
    assert account.expired == 0


async def test_a_change_of_plan_at_once_keeps_what_is_left_and_gives_what_it_promises(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    await offer_plans(context.database, rollover_cap_credits="300", change_grant_credits="50")
    order_id = order_plan(database_url, account_id)
    begun = subscription(order_id, account_id, period=FUTURE)
    await settle_all(context, begun, paid(order_id, subscription_id=begun.subscription_id, period=FUTURE))
    changed = Period(at(2126, 2, 10), at(2126, 3, 10))
    upgrade = payment_for(changed, begun.subscription_id, price=Money(3_000, "USD"))

    # The payment may be told before the change is.
    assert await settle(context, "plain", upgrade) == "mismatch"
    moved = msgspec.structs.replace(begun, price_key="pro:1:us", period=changed, asked_at_us=begun.asked_at_us + 1)
    await settle(context, "plain", moved)
    assert [await settle(context, "plain", upgrade) for _ in range(2)] == ["credited", "known"]

    assert sorted(left for left, _ in lots_of(database_url, account_id)) == [50, 1_000, 4_000]
    assert messages_of(database_url, account_id) == ["plan_changed"]
    assert mismatches(database_url) == []


async def test_a_late_payment_for_the_former_plan_is_credited_as_that(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    begun = await subscribed(context, account_id)
    moved = msgspec.structs.replace(begun, price_key="pro:1:us", period=MARCH, asked_at_us=begun.asked_at_us + 1)
    await settle(context, "plain", moved)

    settled = await settle_all(
        context,
        payment_for(MARCH, begun.subscription_id, price=Money(3_000, "USD")),
        payment_for(FEBRUARY, begun.subscription_id),
    )

    assert settled == ["credited", "credited"]
    assert bought(database_url) == 6_000


async def test_the_answer_to_the_later_question_counts_and_an_end_is_for_ever(
    context: PaymentContext, account_id: UUID
) -> None:
    await offer_plans(context.database)
    begun = subscription(None, account_id, asked_at_us=100)
    past_due = msgspec.structs.replace(begun, status=SubscriptionStatus.past_due, asked_at_us=200)
    ended = msgspec.structs.replace(begun, status=SubscriptionStatus.ended, asked_at_us=150)

    await settle_all(context, begun, past_due, msgspec.structs.replace(begun, asked_at_us=199))
    assert (await known(context, account_id)).status is SubscriptionStatus.past_due
    await settle_all(context, ended, msgspec.structs.replace(begun, asked_at_us=300))

    found = await known(context, account_id)
    assert (found.status, found.revision) == (SubscriptionStatus.ended, 3)


async def test_an_owner_is_told_of_each_change_once(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    await offer_plans(context.database)
    begun = subscription(None, account_id, asked_at_us=1)
    told = [
        begun,
        msgspec.structs.replace(begun, status=SubscriptionStatus.past_due, asked_at_us=2),
        msgspec.structs.replace(begun, asked_at_us=3),
        msgspec.structs.replace(begun, price_key="pro:1:us", asked_at_us=4),
        msgspec.structs.replace(begun, price_key="pro:1:us", ends_at_period_end=True, asked_at_us=5),
        msgspec.structs.replace(begun, price_key="pro:1:us", status=SubscriptionStatus.ended, asked_at_us=6),
    ]

    for _ in range(2):
        for fact in told:
            await settle(context, "plain", fact)

    assert messages_of(database_url, account_id) == ["payment_failed", "plan_changed", "plan_cancelled"]
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT revision, changes FROM subscription_changes ORDER BY revision").fetchall()
    assert rows == [
        (1, ["began"]), (2, ["past_due"]), (3, ["active"]), (4, ["plan"]), (5, ["cancelled"]),
        (6, ["ended"]),
    ]  # fmt: skip


async def test_a_subscription_told_five_times_at_once_is_one(context: PaymentContext, account_id: UUID) -> None:
    await offer_plans(context.database)
    begun = subscription(None, account_id)

    await asyncio.gather(*(settle(context, "plain", begun) for _ in range(5)))

    assert (await known(context, account_id)).revision == 1


async def test_a_second_payment_of_the_first_order_is_listed(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    await offer_plans(context.database)
    order_id = order_plan(database_url, account_id)

    settled = await settle_all(
        context,
        paid(order_id, subscription_id="sub_a", period=JANUARY),
        paid(order_id, subscription_id="sub_b", period=JANUARY),
        paid(order_id, subscription_id="sub_b", period=FEBRUARY),
        paid(order_id, subscription_id="sub_a", period=FEBRUARY),
    )

    assert settled == ["credited", "mismatch", "mismatch", "credited"]
    assert bought(database_url) == 2_000


async def test_a_first_payment_and_its_subscription_told_at_once_become_one(
    context: PaymentContext, writer: LedgerWriter, database_url: str
) -> None:
    await offer_plans(context.database, daily_free_credits="1")

    async def begin() -> None:
        account_id = uuid4()
        await writer.submit(open_account(account_id))
        order_id = order_plan(database_url, account_id)
        begun = subscription(order_id, account_id)
        first = paid(order_id, account_id, at_us=JANUARY.begins_us)
        await asyncio.gather(*(settled_in_the_end(context, fact) for fact in [begun, first, begun, first]))
        assert (await known(context, account_id)).id == begun.subscription_id
        assert await settle(context, "plain", payment_for(FEBRUARY, begun.subscription_id)) == "credited"

    await asyncio.gather(*(begin() for _ in range(10)))

    assert {account.credited for account in check_everything(database_url)} == {2_000 * CREDIT}
    assert mismatches(database_url) == []


async def settled_in_the_end(context: PaymentContext, fact: Fact) -> None:
    """Settle as the inbox does: what fails is tried again."""
    for _ in range(5):
        try:
            await settle(context, "plain", fact)
        except psycopg.errors.ForeignKeyViolation:
            # The subscription got its gateway's id between the look at it and the ledger's transaction.
            continue
        return
    raise AssertionError("it never settles")
