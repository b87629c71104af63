"""Means of payment that are kept when something is paid for, and charges that a gateway takes its time over."""

import asyncio
from uuid import UUID

import msgspec
import pytest

from ledger.database import Database
from ledger.writer import LedgerWriter
from tests.payments import CREDIT, NOW_US, paid, payments_in, place_order
from tests.subscribed import CARD, RenewedByUs
from tests.wallets import Clock, offer_packs
from workers.payments.auto_top_up.methods import find_method
from workers.payments.auto_top_up.topping_up import top_up_accounts
from workers.payments.auto_top_up.wishes import AutoTopUpWish, set_auto_top_up, show_auto_top_up
from workers.payments.context import PaymentContext
from workers.payments.facts import PaymentFact, PaymentStatus
from workers.payments.gateway import SavedCharge
from workers.payments.money import Money
from workers.payments.settling import settle

MINUTES = 1 / 60


@pytest.fixture
def gateway() -> RenewedByUs:
    return RenewedByUs()


@pytest.fixture
def context(database: Database, writer: LedgerWriter, gateway: RenewedByUs) -> PaymentContext:
    context = payments_in(database, writer)
    context.gateways.put(gateway)
    return context


async def kept(context: PaymentContext, account_id: UUID) -> str | None:
    method = await find_method(context.database, account_id, "plain")
    return None if method is None else f"{method.method_id} {method.label}"


async def test_what_a_payment_saved_is_kept_with_it(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    await settle(context, "plain", paid(place_order(database_url, account_id)))
    assert await kept(context, account_id) is None

    await settle(context, "plain", paid(place_order(database_url, account_id), saved_method=CARD))
    assert await kept(context, account_id) == "card Visa •• 4242"


async def test_what_was_saved_is_kept_also_where_only_the_second_notice_says_so(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    fact = paid(place_order(database_url, account_id))
    await settle(context, "plain", fact)

    assert await settle(context, "plain", msgspec.structs.replace(fact, saved_method=CARD)) == "known"

    assert await kept(context, account_id) == "card Visa •• 4242"


async def test_a_method_is_kept_also_of_whoever_tells_of_a_payment_at_the_same_time(
    context: PaymentContext, database_url: str, account_id: UUID
) -> None:
    fact = paid(place_order(database_url, account_id))
    told = [msgspec.structs.replace(fact, saved_method=method) for method in (None, None, CARD, None)]

    settled = await asyncio.gather(*(settle(context, "plain", one) for one in told))

    assert sorted(settled) == ["credited", "known", "known", "known"]
    assert await find_method(context.database, account_id, "plain") == CARD


async def test_of_two_means_of_payment_the_one_that_was_saved_later_is_kept(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    later = msgspec.structs.replace(CARD, method_id="later", label="")
    for method, at_us in ((later, NOW_US + 1), (CARD, NOW_US)):
        await settle(context, "plain", paid(place_order(database_url, account_id), saved_method=method, at_us=at_us))

    assert await kept(context, account_id) == "later "


async def test_a_payment_that_fits_nothing_leaves_no_means_of_payment(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    fact = paid(place_order(database_url, account_id), saved_method=CARD, price=Money(1, "USD"))

    assert await settle(context, "plain", fact) == "mismatch"

    assert await kept(context, account_id) is None


@pytest.mark.parametrize(
    ("status", "credited", "declines"), [(PaymentStatus.paid, 100, 0), (PaymentStatus.failed, 0, 1)]
)
async def test_a_charge_that_a_gateway_takes_its_time_over_is_seen_to_once_it_says_more(
    context: PaymentContext,
    gateway: RenewedByUs,
    account_id: UUID,
    database_url: str,
    status: PaymentStatus,
    credited: int,
    declines: int,
) -> None:
    clock = Clock(NOW_US)
    await start(context, account_id, database_url, clock)
    gateway.answer = pending
    before = await available(context, account_id)

    await top_up_accounts(context, clock_us=clock)
    clock.pass_hours(2 * MINUTES)
    await top_up_accounts(context, clock_us=clock)
    (charged,) = gateway.charges.values()
    assert await available(context, account_id) == before
    await settle(context, "plain", msgspec.structs.replace(charged, status=status))
    clock.pass_hours(2 * MINUTES)
    await top_up_accounts(context, clock_us=clock)

    assert await available(context, account_id) == before + credited * CREDIT
    shown = await show_auto_top_up(context.database, account_id, now_us=clock.now_us)
    assert (shown.wish.in_flight, shown.wish.declines) == (False, declines)
    assert len(gateway.asked) == 2
    assert len({charge.order_id for charge in gateway.asked}) == 1


async def test_money_that_is_not_what_was_asked_for_suspends_and_is_listed(
    context: PaymentContext, gateway: RenewedByUs, account_id: UUID, database_url: str
) -> None:
    clock = Clock(NOW_US)
    await start(context, account_id, database_url, clock)
    gateway.answer = lambda charge: paid(charge.order_id, charge.account_id, price=Money(1, "USD"))

    for _ in range(3):
        await top_up_accounts(context, clock_us=clock)
        clock.pass_hours(24)

    shown = await show_auto_top_up(context.database, account_id, now_us=NOW_US)
    assert shown.wish.suspended_at is not None
    assert shown.charged_this_month == Money(200, "USD")
    assert len(gateway.asked) == 1


def pending(charge: SavedCharge) -> PaymentFact:
    return paid(charge.order_id, charge.account_id, price=charge.price, status=PaymentStatus.pending)


async def start(context: PaymentContext, account_id: UUID, url: str, clock: Clock) -> None:
    """A thousand credits, a card that is kept, and a threshold above that."""
    await offer_packs(context.database)
    await settle(context, "plain", paid(place_order(url, account_id), saved_method=CARD))
    wish = AutoTopUpWish(
        account_id=account_id,
        threshold_microcredits=1_050 * CREDIT,
        pack="small",
        target_microcredits=None,
        gateway="plain",
        monthly_cap=Money(1_000, "USD"),
    )
    await set_auto_top_up(context.database, context.gateways, wish, now_us=clock.now_us)


async def available(context: PaymentContext, account_id: UUID) -> int:
    async with context.database.connection() as connection:
        cursor = await connection.execute("SELECT available FROM accounts WHERE id = %s", [account_id])
        row = await cursor.fetchone()
    assert row is not None
    return row[0]
