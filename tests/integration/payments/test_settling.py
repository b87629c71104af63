"""From what a gateway says to what the ledger has: once, whatever the order, and only what fits."""

import asyncio
import itertools
from uuid import UUID, uuid4

import psycopg
import pytest

from ledger.errors import AccountInDebt
from ledger.writer import LedgerWriter
from tests.builders import charge, expire_lot, open_account
from tests.ledger_state import check_everything
from tests.payments import CREDIT, NOW_US, dispute_of, paid, place_order, refund_of
from workers.payments.context import PaymentContext
from workers.payments.facts import DisputeStatus, Fact, NotYet, PaymentFact, PaymentStatus, RefundStatus
from workers.payments.money import Money
from workers.payments.payments import read_payment
from workers.payments.settling import settle
from workers.payments.taking_back import Unsettleable

ALL = 1_000 * CREDIT


async def settle_all(context: PaymentContext, *facts: Fact) -> None:
    for fact in facts:
        await settle(context, "plain", fact)


def available(url: str) -> int:
    (account,) = check_everything(url)
    return account.available


def mismatches(url: str) -> list[tuple[str, bool]]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT reason, resolved_at IS NOT NULL FROM payment_mismatches ORDER BY payment_id")
        return [(row[0], row[1]) for row in rows]


async def test_a_payment_told_five_times_at_once_is_credited_once(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    fact = paid(place_order(database_url, account_id))
    settled = await asyncio.gather(*(settle(context, "plain", fact) for _ in range(5)))
    assert sorted(settled).count("credited") == 1
    assert available(database_url) == ALL


async def test_a_payment_told_at_two_times_with_another_second_is_credited_once(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    first = paid(place_order(database_url, account_id, expires_after="30 days"))
    second = paid(first.order_id, payment_id=first.payment_id, at_us=NOW_US + 1_000_000)
    await asyncio.gather(*(settle(context, "plain", fact) for fact in (first, second)))
    assert available(database_url) == ALL


async def test_every_order_of_one_payments_facts_leads_to_one_state(
    context: PaymentContext, writer: LedgerWriter, database_url: str
) -> None:
    ends: set[int] = set()
    told = 0
    for order in itertools.permutations(range(5)):
        account_id = uuid4()
        await writer.submit(open_account(account_id))
        payment = paid(place_order(database_url, account_id))
        refund = refund_of(payment, 250, RefundStatus.pending)
        facts: tuple[Fact, ...] = (
            paid(payment.order_id, payment_id=payment.payment_id, status=PaymentStatus.pending),
            payment,
            refund,
            refund_of(payment, 250, RefundStatus.succeeded, refund_id=refund.refund_id),
            refund_of(payment, 100),
        )
        await settle_all(context, *(facts[place] for place in order))
        told += 1
    ends = {account.available for account in check_everything(database_url)}
    assert told == 120
    assert ends == {650 * CREDIT}


async def test_every_order_of_a_disputes_facts_leads_to_one_state(
    context: PaymentContext, writer: LedgerWriter, database_url: str
) -> None:
    for order in itertools.permutations(range(4)):
        account_id = uuid4()
        await writer.submit(open_account(account_id))
        payment = paid(place_order(database_url, account_id))
        facts: tuple[Fact, ...] = (
            payment,
            dispute_of(payment, DisputeStatus.opened),
            dispute_of(payment, DisputeStatus.withdrawn),
            dispute_of(payment, DisputeStatus.won),
        )
        await settle_all(context, *(facts[place] for place in order))
    assert {account.available for account in check_everything(database_url)} == {ALL}


async def test_a_payment_before_its_order_is_credited_once_it_is_there(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    order_id = uuid4()
    fact = paid(order_id)
    with pytest.raises(NotYet):
        await settle(context, "plain", fact)
    assert mismatches(database_url) == [("order", False)]
    place_order(database_url, account_id, id=order_id)
    assert await settle(context, "plain", fact) == "credited"
    assert available(database_url) == ALL
    assert mismatches(database_url) == [("order", True)]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"price": Money(999, "USD")}, "amount"),
        ({"price": Money(1_001, "USD")}, "amount"),
        ({"price": Money(1_000, "EUR")}, "currency"),
        ({"account_id": uuid4()}, "account"),
        ({"order_id": None}, "order"),
    ],
)
async def test_a_payment_that_does_not_fit_is_listed_and_credits_nothing(
    context: PaymentContext, account_id: UUID, database_url: str, changes: dict[str, object], reason: str
) -> None:
    fact = paid(place_order(database_url, account_id))
    strange = paid(**{"order_id": fact.order_id, **changes})  # pyright: ignore[reportArgumentType] - fields of a fact
    assert await settle(context, "plain", strange) == "mismatch"
    assert await settle(context, "plain", strange) == "mismatch"
    assert available(database_url) == 0
    assert mismatches(database_url) == [(reason, False)]
    assert await settle(context, "plain", fact) == "credited"


async def test_a_payment_by_another_gateway_than_the_orders_credits_nothing(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    fact = paid(place_order(database_url, account_id, gateway="stripe"))
    assert await settle(context, "plain", fact) == "mismatch"
    assert available(database_url) == 0


async def test_a_second_payment_for_the_same_order_is_listed(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    order_id = place_order(database_url, account_id)
    settled = await asyncio.gather(*(settle(context, "plain", paid(order_id)) for _ in range(3)))
    assert sorted(settled) == ["credited", "mismatch", "mismatch"]
    assert available(database_url) == ALL


async def test_tax_on_top_of_a_price_is_no_part_of_what_was_asked_for(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    order_id = place_order(database_url, account_id, tax_inclusive=False)
    fact = paid(order_id, price=Money(1_190, "USD"), tax=Money(190, "USD"))
    assert await settle(context, "plain", fact) == "credited"


async def test_what_is_not_paid_credits_nothing(context: PaymentContext, account_id: UUID, database_url: str) -> None:
    order_id = place_order(database_url, account_id)
    for status in (PaymentStatus.pending, PaymentStatus.failed):
        assert await settle(context, "plain", paid(order_id, status=status)) == "noted"
    assert available(database_url) == 0


@pytest.fixture
async def payment(context: PaymentContext, account_id: UUID, database_url: str) -> PaymentFact:
    fact = paid(place_order(database_url, account_id))
    await settle(context, "plain", fact)
    return fact


async def test_two_refunds_of_sixty_percent_at_once_never_exceed_the_payment(
    context: PaymentContext, payment: PaymentFact, database_url: str
) -> None:
    await asyncio.gather(*(settle(context, "plain", refund_of(payment, 600)) for _ in range(2)))
    assert available(database_url) == 0


async def test_a_refund_told_many_times_at_once_takes_its_share_once(
    context: PaymentContext, payment: PaymentFact, database_url: str
) -> None:
    refund = refund_of(payment, 300)
    await asyncio.gather(*(settle(context, "plain", refund) for _ in range(5)))
    assert available(database_url) == 700 * CREDIT


async def test_refunds_that_fail_later_give_back_what_they_took(
    context: PaymentContext, payment: PaymentFact, database_url: str
) -> None:
    first, second = refund_of(payment, 333, RefundStatus.pending), refund_of(payment, 334)
    await settle_all(context, first, second)
    assert available(database_url) == 333 * CREDIT
    await settle(context, "plain", refund_of(payment, 333, RefundStatus.failed, refund_id=first.refund_id))
    assert available(database_url) == 666 * CREDIT
    await settle(context, "plain", first)
    assert available(database_url) == 666 * CREDIT


async def test_a_chargeback_of_spent_credits_is_a_debt_that_winning_restores_to_the_microcredit(
    context: PaymentContext, writer: LedgerWriter, account_id: UUID, payment: PaymentFact, database_url: str
) -> None:
    await writer.submit(charge(950 * CREDIT - 1, account_id))
    await settle(context, "plain", dispute_of(payment, DisputeStatus.opened))
    assert available(database_url) == 50 * CREDIT + 1
    await settle(context, "plain", dispute_of(payment, DisputeStatus.withdrawn))
    assert available(database_url) == -(950 * CREDIT - 1)
    with pytest.raises(AccountInDebt):
        await writer.submit(charge(1, account_id, command_key="refused"))
    await settle(context, "plain", dispute_of(payment, DisputeStatus.won))
    assert available(database_url) == 50 * CREDIT + 1


async def test_a_dispute_opened_won_then_refunded_takes_exactly_the_refund(
    context: PaymentContext, payment: PaymentFact, database_url: str
) -> None:
    await settle_all(context, dispute_of(payment, DisputeStatus.withdrawn), dispute_of(payment, DisputeStatus.won))
    assert available(database_url) == ALL
    await settle(context, "plain", refund_of(payment, 400))
    assert available(database_url) == 600 * CREDIT


async def test_a_refund_while_a_dispute_runs_takes_nothing_twice_and_stays_when_it_is_won(
    context: PaymentContext, payment: PaymentFact, database_url: str
) -> None:
    await settle(context, "plain", dispute_of(payment, DisputeStatus.withdrawn))
    await settle(context, "plain", refund_of(payment, 600))
    assert available(database_url) == 0
    await settle(context, "plain", dispute_of(payment, DisputeStatus.won))
    assert available(database_url) == 400 * CREDIT


async def test_a_lost_dispute_keeps_what_it_took(
    context: PaymentContext, payment: PaymentFact, database_url: str
) -> None:
    await settle_all(context, dispute_of(payment, DisputeStatus.lost), dispute_of(payment, DisputeStatus.withdrawn))
    assert available(database_url) == 0


async def test_a_refund_of_an_expired_lot_costs_the_customer_nothing_a_second_time(
    context: PaymentContext, writer: LedgerWriter, account_id: UUID, database_url: str
) -> None:
    fact = paid(place_order(database_url, account_id, expires_after="1 second"))
    await settle(context, "plain", fact)
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT number FROM lots WHERE account_id = %s", [account_id]).fetchone()
    assert row is not None
    await writer.submit(expire_lot(row[0], account_id))
    await settle(context, "plain", refund_of(fact, 1_000))
    (account,) = check_everything(database_url)
    assert (account.available, account.expired, account.reversed) == (0, 0, ALL)


async def test_a_refund_in_another_currency_is_left_to_a_person(
    context: PaymentContext, payment: PaymentFact, database_url: str
) -> None:
    with pytest.raises(Unsettleable):
        await settle(context, "plain", refund_of(payment, 100, amount=Money(100, "EUR")))
    assert available(database_url) == ALL


async def test_messages_tell_of_what_came_and_what_went_back(
    context: PaymentContext, payment: PaymentFact, database_url: str
) -> None:
    refund = refund_of(payment, 100)
    await settle_all(context, payment, refund, refund, dispute_of(payment, DisputeStatus.withdrawn))
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT kind FROM messages ORDER BY kind").fetchall()
    assert [row[0] for row in rows] == ["dispute", "receipt", "refund"]


async def test_a_dispute_that_is_won_while_its_loss_is_worked_out_takes_nothing(
    context: PaymentContext, payment: PaymentFact, database_url: str
) -> None:
    for _ in range(20):
        disputed = paid(place_order(database_url, (await account_of(context, payment))))
        await settle(context, "plain", disputed)
        facts = [dispute_of(disputed, DisputeStatus.withdrawn), dispute_of(disputed, DisputeStatus.won)]
        await asyncio.gather(*(settle(context, "plain", fact) for fact in facts))
    assert available(database_url) == 21 * ALL


async def account_of(context: PaymentContext, payment: PaymentFact) -> UUID:
    found = await read_payment(context.database, "plain", payment.payment_id)
    assert found is not None
    assert found.account_id is not None
    return found.account_id
