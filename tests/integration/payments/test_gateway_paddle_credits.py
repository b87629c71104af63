"""From Paddle's webhooks to the credits of a plan, through the inbox and the ledger: each paid period once."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from ledger.database import Database
from ledger.writer import LedgerWriter
from tests.fakes.paddle_webhooks import Webhook
from tests.ledger_state import check_everything
from tests.paddle_shop import Shop, purchase, us
from tests.payments import CREDIT, payments_in
from tests.subscribed import lots_of, offer_plans, order_plan
from workers.payments import inbox
from workers.payments.context import PaymentContext
from workers.payments.facts import PaymentFact
from workers.payments.gateway import Purchase
from workers.payments.money import Money
from workers.payments.processing import InboxProcessor

BEGIN = datetime(2126, 3, 10, 12, tzinfo=UTC)
"""Lots of past periods are gone, and these are to be looked at."""

BASIC, PRO = Money(1_000, "USD"), Money(3_000, "USD")


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with Shop() as shop:
        shop.now = BEGIN
        yield shop


@pytest.fixture
async def context(database: Database, writer: LedgerWriter, shop: Shop) -> PaymentContext:
    await offer_plans(database)
    context = payments_in(database, writer)
    context.gateways.put(shop.gateway)
    return context


def ordered(url: str, account_id: UUID, plan: str = "basic") -> Purchase:
    """An order of ours for a plan, as Paddle is to know it."""
    price = {"basic": BASIC, "pro": PRO}[plan]
    credits_of = {"basic": 1_000 * CREDIT, "pro": 4_000 * CREDIT}[plan]
    order_id = order_plan(url, account_id, gateway="paddle", product=plan, amount_minor=price.minor, credits=credits_of)
    return purchase(price, months=1, price_key=f"{plan}:1:us", order_id=order_id, account_id=account_id)


async def take(url: str, context: PaymentContext, shop: Shop, sent: Sequence[Webhook], seed: int = 0) -> None:
    """Take webhooks in, each of them three times and in some order, and process all that is due by several hands."""
    thrice = [*sent, *sent, *sent]
    random.Random(seed).shuffle(thrice)
    for each in thrice:
        event = await shop.gateway.verify(
            each.headers, each.body, remote_address="127.0.0.1", now_s=shop.now.timestamp()
        )
        await inbox.keep(context.database, "paddle", event, headers=each.headers, body=each.body, request_id="request")
    for _ in range(4):
        with psycopg.connect(url) as connection:
            connection.execute("UPDATE payment_inbox SET due_at = clock_timestamp() WHERE state = 0")
        await asyncio.gather(*(InboxProcessor(context).work() for _ in range(2)))
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT kind, last_error FROM payment_inbox WHERE state <> 1").fetchall() == []
        assert connection.execute("SELECT * FROM payment_mismatches WHERE resolved_at IS NULL").fetchall() == []


@pytest.mark.parametrize("seed", range(4))
async def test_a_plan_is_credited_for_each_period_that_is_paid_for(
    shop: Shop, context: PaymentContext, account_id: UUID, database_url: str, seed: int
) -> None:
    transaction_id = await shop.start(ordered(database_url, account_id))
    sent = shop.paddle.pay(transaction_id)
    subscription_id = shop.paddle.transactions[transaction_id]["subscription_id"]
    await take(database_url, context, shop, sent, seed)
    shop.now = BEGIN.replace(month=4)
    missed = shop.paddle.miss(subscription_id)
    await take(database_url, context, shop, missed, seed)
    shop.later(days=2)
    await take(database_url, context, shop, shop.paddle.recover(subscription_id), seed)

    check_everything(database_url)
    assert lots_of(database_url, account_id) == [
        (1_000, us(BEGIN.replace(month=4))),
        (1_000, us(BEGIN.replace(month=5))),
    ]


@pytest.mark.parametrize("seed", range(4))
async def test_a_change_at_once_is_credited_for_the_period_that_begins_with_it(
    shop: Shop, context: PaymentContext, account_id: UUID, database_url: str, seed: int
) -> None:
    transaction_id = await shop.start(ordered(database_url, account_id))
    await take(database_url, context, shop, shop.paddle.pay(transaction_id))
    subscription_id = shop.paddle.transactions[transaction_id]["subscription_id"]
    shop.later(days=10)
    changed_at = shop.now

    wanted = purchase(PRO, months=1, price_key="pro:1:us", account_id=account_id)
    await shop.gateway.change_plan(subscription_id, wanted, at_once=True)
    await take(database_url, context, shop, shop.paddle.take(), seed)
    shop.now = changed_at.replace(month=4)
    await take(database_url, context, shop, shop.paddle.renew(subscription_id), seed)

    check_everything(database_url)
    assert lots_of(database_url, account_id) == [
        (1_000, us(BEGIN.replace(month=4))),
        (4_000, us(changed_at.replace(month=4))),
        (4_000, us(changed_at.replace(month=5))),
    ]


async def test_what_is_listed_is_what_was_told(
    shop: Shop, context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    transaction_id = await shop.start(ordered(database_url, account_id))
    await take(database_url, context, shop, shop.paddle.pay(transaction_id))
    shop.now = BEGIN.replace(month=4)
    subscription_id = shop.paddle.transactions[transaction_id]["subscription_id"]
    await take(database_url, context, shop, shop.paddle.renew(subscription_id))

    listed = shop.gateway.listed(since_us=us(BEGIN), until_us=us(shop.now + timedelta(seconds=1)))
    found = {fact.payment_id async for fact in listed if isinstance(fact, PaymentFact)}

    with psycopg.connect(database_url) as connection:
        kept = connection.execute("SELECT payment_id FROM payments WHERE command_key IS NOT NULL").fetchall()
    assert {row[0] for row in kept} == found
