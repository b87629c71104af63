"""Plans that no gateway renews: the clock charges, once for each period whatever breaks, and gives up after a while."""

import asyncio
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest

from ledger.database import Database
from ledger.writer import LedgerWriter
from tests.builders import open_account
from tests.ledger_state import check_everything
from tests.payments import CREDIT, paid
from tests.subscribed import CARD, FEBRUARY, JANUARY, MARCH, RenewedByUs, messages_of, offer_plans, order_plan
from workers.payments.context import PaymentContext
from workers.payments.errors import PaymentDeclined, PlanUnchanged, SubscriptionEnded, SubscriptionNotFound
from workers.payments.facts import PaymentFact, PaymentStatus, SubscriptionStatus
from workers.payments.gateway import Declined, GatewayError, SavedCharge
from workers.payments.gateways.registry import Gateways
from workers.payments.money import Money
from workers.payments.settling import settle
from workers.payments.subscriptions import changing, charging, renewing
from workers.payments.subscriptions.renewing import DAY_US, LEASE_US, Renewals
from workers.payments.subscriptions.rows import subscription_of
from workers.payments.subscriptions.subscription import Subscription

HOUR_US = 3_600_000_000


class Killed(BaseException):
    """The process is gone."""


class Till:
    """An account with `basic` since January, at a gateway that charges what it saved, and a clock."""

    def __init__(self, context: PaymentContext, gateway: RenewedByUs, account_id: UUID, url: str) -> None:
        self.context = context
        self.gateway = gateway
        self.account_id = account_id
        self.url = url

    async def tick(self, now_us: int) -> int:
        """Let a clock that has just begun see to what is due."""
        self.gateway.now_us = now_us
        return await Renewals({}, clock_us=lambda: now_us).run(self.context)

    async def subscription(self) -> Subscription:
        found = await subscription_of(self.context.database, self.account_id)
        assert found is not None
        return found

    def bought(self) -> int:
        """All credits that ever came in, in whole credits; everything about the ledger is checked too."""
        (account,) = check_everything(self.url)
        return account.credited // CREDIT

    def mismatches(self) -> int:
        with psycopg.connect(self.url) as connection:
            row = connection.execute("SELECT count(*) FROM payment_mismatches").fetchone()
        assert row is not None
        return row[0]


@pytest.fixture
async def till(database: Database, writer: LedgerWriter, database_url: str) -> Till:
    account_id, gateway, gateways = uuid4(), RenewedByUs(), Gateways({})
    gateways.put(gateway)
    context = PaymentContext(database, writer, gateways)
    await writer.submit(open_account(account_id))
    await offer_plans(database, daily_free_credits="1")
    order_id = order_plan(database_url, account_id)
    first = paid(order_id, account_id, at_us=JANUARY.begins_us, saved_method=CARD, payment_id="first")
    assert await settle(context, "plain", first) == "credited"
    return Till(context, gateway, account_id, database_url)


def declines(charge: SavedCharge) -> PaymentFact:
    raise Declined("plain", "no money", payment_id=f"declined_{charge.order_id}")


async def test_a_period_follows_the_other_each_paid_once(till: Till) -> None:
    assert await till.tick(JANUARY.ends_us - 1) == 0

    for now_us in (JANUARY.ends_us, JANUARY.ends_us + HOUR_US, FEBRUARY.ends_us + HOUR_US, FEBRUARY.ends_us + DAY_US):
        await till.tick(now_us)

    found = await till.subscription()
    assert (found.period, found.anchored_us, found.due_us) == (MARCH, JANUARY.begins_us, MARCH.ends_us)
    assert till.bought() == 3_000
    assert till.gateway.taken == [Money(1_000, "USD")] * 2
    assert messages_of(till.url, till.account_id) == []


async def test_several_clocks_and_the_webhook_renew_once(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    # Leases that are over at once: all of them take the subscription, and none knows of the others.
    monkeypatch.setattr(renewing, "LEASE_US", 0)

    for _ in range(3):
        await asyncio.gather(*(till.tick(JANUARY.ends_us) for _ in range(5)))
        for fact in till.gateway.charges.values():
            assert await settle(till.context, "plain", fact) == "known"

    assert len(till.gateway.charges) == 1
    assert till.bought() == 2_000
    assert till.mismatches() == 0


async def test_what_is_looked_at_too_early_is_left_alone(till: Till) -> None:
    with psycopg.connect(till.url) as connection:
        connection.execute("UPDATE subscriptions SET due_at = period_begins_at")

    assert await till.tick(JANUARY.ends_us - 1) == 1

    assert till.gateway.asked == []
    assert (await till.subscription()).due_us == JANUARY.ends_us


@pytest.mark.parametrize("step", ["place", "find_order", "charge", "charged", "settle", "settled"])
async def test_a_clock_that_is_killed_between_any_two_steps_renews_once(
    till: Till, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    die_at(monkeypatch, till, step)
    with pytest.raises(Killed):
        await till.tick(JANUARY.ends_us)
    monkeypatch.undo()

    assert await till.tick(JANUARY.ends_us + 1) == 0
    for late in (LEASE_US + 1, 2 * LEASE_US + 2):
        await till.tick(JANUARY.ends_us + late)

    assert (await till.subscription()).period == FEBRUARY
    assert len(till.gateway.taken) == 1
    assert till.bought() == 2_000
    assert till.mismatches() == 0


async def test_an_answer_that_was_lost_is_asked_for_again_and_charged_once(till: Till) -> None:
    def loses(charge: SavedCharge) -> PaymentFact:
        till.gateway.charges[charge.order_id] = till.gateway.pays(charge)
        raise GatewayError("plain", "timed out", retryable=True, ambiguous=True)

    till.gateway.answer = loses
    await till.tick(JANUARY.ends_us)
    assert (await till.subscription()).period == JANUARY
    await till.tick(JANUARY.ends_us + HOUR_US)

    assert (await till.subscription()).period == FEBRUARY
    assert len(till.gateway.asked) == 2
    assert till.bought() == 2_000


async def test_what_is_asked_for_again_is_the_same_whatever_plan_was_chosen_meanwhile(till: Till) -> None:
    def loses(charge: SavedCharge) -> PaymentFact:
        raise GatewayError("plain", "timed out", retryable=True, ambiguous=True)

    till.gateway.answer = loses
    await till.tick(JANUARY.ends_us)
    await changing.change_plan(till.context, till.account_id, "pro", at_once=False, now_us=JANUARY.ends_us + 1)
    till.gateway.answer = till.gateway.pays
    await till.tick(JANUARY.ends_us + HOUR_US)

    first, second = till.gateway.asked
    assert first == second
    assert (await till.subscription()).period == FEBRUARY


async def test_a_charge_that_is_pending_is_looked_at_again(till: Till) -> None:
    till.gateway.answer = lambda charge: msgspec.structs.replace(
        till.gateway.pays(charge), status=PaymentStatus.pending
    )
    await till.tick(JANUARY.ends_us)
    (order_id,) = till.gateway.charges
    assert (await till.subscription()).status is SubscriptionStatus.active
    till.gateway.charges[order_id] = msgspec.structs.replace(till.gateway.charges[order_id], status=PaymentStatus.paid)

    await till.tick(JANUARY.ends_us + HOUR_US)

    assert till.bought() == 2_000
    assert len(till.gateway.charges) == 1


async def test_a_card_that_declines_is_tried_on_some_days_and_then_it_ends(till: Till) -> None:
    till.gateway.answer = declines
    asked: list[int] = []

    for hour in range(24 * 8):
        before = len(till.gateway.asked)
        await till.tick(JANUARY.ends_us + hour * HOUR_US)
        asked += [hour] * (len(till.gateway.asked) - before)
        expected = SubscriptionStatus.past_due if hour < 5 * 24 else SubscriptionStatus.ended
        assert (await till.subscription()).status is expected

    assert asked == [0, 24, 3 * 24, 5 * 24]
    assert len({charge.order_id for charge in till.gateway.asked}) == 4
    assert messages_of(till.url, till.account_id) == [*["payment_failed"] * 4, "plan_cancelled"]
    assert till.bought() == 1_000
    with pytest.raises(SubscriptionEnded):
        await changing.resume(till.context, till.account_id, now_us=0)


async def test_a_card_that_pays_again_goes_on_as_if_nothing_had_been(till: Till) -> None:
    till.gateway.answer = declines
    await till.tick(JANUARY.ends_us)
    past_due = await till.subscription()
    till.gateway.answer = till.gateway.pays
    await till.tick(JANUARY.ends_us + DAY_US)

    found = await till.subscription()
    assert (past_due.status, past_due.tries, past_due.period) == (SubscriptionStatus.past_due, 1, JANUARY)
    assert (found.status, found.tries, found.period) == (SubscriptionStatus.active, 0, FEBRUARY)
    assert till.bought() == 2_000


async def test_after_a_long_stop_only_the_present_period_is_charged(till: Till) -> None:
    now_us = MARCH.ends_us + 5 * DAY_US
    await till.tick(now_us)
    await till.tick(now_us + HOUR_US)

    found = await till.subscription()
    assert found.period is not None
    assert (found.period.begins_us, found.anchored_us) == (now_us, now_us)
    assert till.bought() == 2_000


async def test_what_was_cancelled_ends_with_its_period_unless_it_is_resumed(till: Till) -> None:
    await changing.cancel(till.context, till.account_id, now_us=JANUARY.begins_us + 1)
    await changing.resume(till.context, till.account_id, now_us=JANUARY.begins_us + 2)
    await till.tick(JANUARY.ends_us)
    assert till.bought() == 2_000

    await changing.cancel(till.context, till.account_id, now_us=FEBRUARY.begins_us + 1)
    await till.tick(FEBRUARY.ends_us)
    await till.tick(MARCH.ends_us)

    assert (await till.subscription()).status is SubscriptionStatus.ended
    assert till.bought() == 2_000
    assert messages_of(till.url, till.account_id) == ["plan_cancelled"] * 2


async def test_what_is_past_due_ends_when_it_is_cancelled(till: Till) -> None:
    till.gateway.answer = declines
    await till.tick(JANUARY.ends_us)
    await changing.cancel(till.context, till.account_id, now_us=JANUARY.ends_us + 1)
    await till.tick(JANUARY.ends_us + 2 * DAY_US)

    assert (await till.subscription()).status is SubscriptionStatus.ended
    assert len(till.gateway.asked) == 1


async def test_another_plan_begins_with_the_next_period(till: Till) -> None:
    now_us = JANUARY.begins_us + HOUR_US
    await changing.change_plan(till.context, till.account_id, "pro", at_once=False, now_us=now_us)
    assert (await till.subscription()).next_plan == ("pro", 1)
    await till.tick(JANUARY.ends_us)

    found = await till.subscription()
    assert found.plan is not None
    assert (found.plan.name, found.next_plan, found.period) == ("pro", None, FEBRUARY)
    assert till.bought() == 5_000
    assert till.gateway.taken == [Money(3_000, "USD")]
    assert messages_of(till.url, till.account_id) == ["plan_changed"]
    with pytest.raises(PlanUnchanged):
        await changing.change_plan(till.context, till.account_id, "pro", at_once=False, now_us=now_us)


async def test_a_change_that_was_thought_better_of_is_none(till: Till) -> None:
    for plan in ("pro", "basic"):
        await changing.change_plan(till.context, till.account_id, plan, at_once=False, now_us=JANUARY.begins_us)

    await till.tick(JANUARY.ends_us)

    assert till.gateway.taken == [Money(1_000, "USD")]


async def test_another_plan_at_once_begins_a_new_period_when_it_is_paid(till: Till) -> None:
    now_us = JANUARY.begins_us + 10 * DAY_US
    till.gateway.now_us = now_us
    till.gateway.answer = declines
    for _ in range(2):
        with pytest.raises(PaymentDeclined):
            await changing.change_plan(till.context, till.account_id, "pro", at_once=True, now_us=now_us)
    assert (await till.subscription()).period == JANUARY

    till.gateway.answer = till.gateway.pays
    await changing.change_plan(till.context, till.account_id, "pro", at_once=True, now_us=now_us)
    await till.tick(JANUARY.ends_us)

    found = await till.subscription()
    assert found.plan is not None
    assert found.period is not None
    assert (found.plan.name, found.period.begins_us, found.anchored_us) == ("pro", now_us, now_us)
    assert len({charge.order_id for charge in till.gateway.asked}) == 3
    assert till.gateway.taken == [Money(3_000, "USD")]
    assert till.bought() == 5_000


async def test_what_was_paid_without_keeping_the_means_of_payment_ends_with_its_period(
    till: Till, writer: LedgerWriter
) -> None:
    account_id = uuid4()
    await writer.submit(open_account(account_id))
    order_id = order_plan(till.url, account_id)
    await settle(till.context, "plain", paid(order_id, account_id, at_us=JANUARY.begins_us))
    found = await subscription_of(till.context.database, account_id)
    assert found is not None
    assert found.ends_at_period_end

    await till.tick(JANUARY.ends_us)

    found = await subscription_of(till.context.database, account_id)
    assert found is not None
    assert found.status is SubscriptionStatus.ended


async def test_an_account_without_a_plan_has_nothing_to_change(till: Till, writer: LedgerWriter) -> None:
    with pytest.raises(SubscriptionNotFound):
        await changing.cancel(till.context, uuid4(), now_us=0)


def die_at(monkeypatch: pytest.MonkeyPatch, till: Till, step: str) -> None:
    """Have the process die before or after one of the steps of a renewal."""

    def kill(module: object, name: str, *, after: bool = False) -> None:
        real = getattr(module, name)

        async def dies(*given: object, **named: object) -> object:
            if after:
                await real(*given, **named)
            raise Killed

        monkeypatch.setattr(module, name, dies)

    match step:
        case "place":
            kill(renewing, "place")
        case "find_order":
            kill(charging, "find_order")
        case "charge":
            kill(till.gateway, "charge_saved")
        case "charged":
            kill(till.gateway, "charge_saved", after=True)
        case "settle":
            kill(renewing, "settle")
        case _:
            kill(renewing, "settle", after=True)
