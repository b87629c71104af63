"""Posting what was paid for plans: each period once and in order, also where no webhook told of the subscription."""

from uuid import UUID

import pytest

from ledger.database import Database
from ledger.writer import LedgerWriter
from tests.ledger_state import check_everything
from tests.payments import NOW_US, paid, payments_in
from tests.reconciling import ListingGateway, differing, reconciled
from tests.subscribed import at, lots_of, offer_plans, order_plan, payment_for, subscription
from workers.payments.context import PaymentContext
from workers.payments.facts import Period

PERIODS = [Period(at(2126, month, 10), at(2126, month + 1, 10)) for month in (1, 2, 3)]


@pytest.fixture
async def context(database: Database, writer: LedgerWriter) -> PaymentContext:
    await offer_plans(database)
    return payments_in(database, writer)


async def test_a_plan_that_no_webhook_told_of_is_posted_period_by_period(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    order_id = order_plan(database_url, account_id)
    begun = subscription(order_id, account_id, period=PERIODS[0])
    first = paid(order_id, account_id, subscription_id=begun.subscription_id, period=PERIODS[0], at_us=NOW_US)
    later = [
        payment_for(period, begun.subscription_id, at_us=NOW_US + number)
        for number, period in enumerate(PERIODS[1:], start=1)
    ]
    gateway = ListingGateway([first, *later], subscriptions=[begun])

    assert differing(await reconciled(database_url, gateway, context=context)) == {}
    assert differing(await reconciled(database_url, gateway, context=context)) == {}

    assert lots_of(database_url, account_id) == [(1_000, period.ends_us) for period in PERIODS]
    assert len(check_everything(database_url)) == 1


async def test_a_renewal_of_a_subscription_that_nobody_knows_here_is_asked_about(
    context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    begun = subscription(None, account_id, period=PERIODS[0])
    renewal = payment_for(PERIODS[1], begun.subscription_id, at_us=NOW_US)
    stray = payment_for(PERIODS[1], "sub_of_nobody", at_us=NOW_US)
    gateway = ListingGateway([renewal, stray], subscriptions=[begun])

    lines = await reconciled(database_url, gateway, context=context)

    assert differing(lines) == {stray.payment_id: "mismatch/order"}
    assert [line.problem for line in lines if not line.is_matched] == ["plain: no subscription sub_of_nobody"]
    assert lots_of(database_url, account_id) == [(1_000, PERIODS[1].ends_us)]
