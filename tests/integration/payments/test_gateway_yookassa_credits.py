"""From YooKassa's notifications to credits, through the API, the inbox and the ledger: each payment once."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from uuid import UUID, uuid4

import psycopg
import pytest

from ledger.database import Database
from ledger.writer import LedgerWriter
from tests.api_in_process import Api, api_in_process
from tests.fakes.scripted_server import Cut, no_answer
from tests.fakes.yookassa_objects import internal_error
from tests.fakes.yookassa_server import FakeYooKassa
from tests.fakes.yookassa_shop import Notification, notification
from tests.ledger_state import check_everything
from tests.payments import CREDIT, payments_in, place_order
from tests.yookassa_calls import a_purchase, gateway_of, new_order_id, rubles
from workers.payments import inbox
from workers.payments.context import PaymentContext
from workers.payments.gateway import Purchase
from workers.payments.gateways.yookassa.gateway import YooKassa
from workers.payments.processing import InboxProcessor

ALL = 1_000 * CREDIT


@pytest.fixture
async def server() -> AsyncIterator[FakeYooKassa]:
    async with FakeYooKassa() as server:
        yield server


@pytest.fixture
async def gateway(server: FakeYooKassa) -> AsyncIterator[YooKassa]:
    gateway = gateway_of(server)
    yield gateway
    await gateway.aclose()


@pytest.fixture
def context(database: Database, writer: LedgerWriter, gateway: YooKassa) -> PaymentContext:
    context = payments_in(database, writer)
    context.gateways.put(gateway)
    return context


def ordered(url: str, account_id: UUID, order_id: UUID | None = None) -> Purchase:
    """An order of ours for 1,000 credits, as YooKassa is to know it."""
    price = rubles("990.00")
    placed = place_order(
        url,
        account_id,
        id=order_id or new_order_id(),
        gateway="yookassa",
        amount_minor=price.minor,
        currency=price.currency,
    )
    return a_purchase(placed, account_id=account_id, price=price)


async def take(context: PaymentContext, gateway: YooKassa, sent: Sequence[Notification]) -> None:
    """Take notifications in, all at once, and process what is due."""
    for each in sent:
        event = await gateway.verify(each.headers, each.body, remote_address=each.remote_address, now_s=0)
        await inbox.keep(
            context.database, "yookassa", event, headers=each.headers, body=each.body, request_id="request"
        )
    await asyncio.gather(*(InboxProcessor(context).work() for _ in range(3)))


def available(url: str) -> int:
    (account,) = check_everything(url)
    return account.available


def undone(url: str) -> list[tuple[int, str | None]]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT tries, last_error FROM payment_inbox WHERE state <> 1").fetchall()


def time_passes(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE payment_inbox SET due_at = clock_timestamp() WHERE state = 0")


async def test_a_payment_told_five_times_at_once_is_credited_once(
    database_url: str, redis_url: str, context: PaymentContext, account_id: UUID, server: FakeYooKassa
) -> None:
    here = gateway_of(server, YOOKASSA_TRUSTED_NETWORKS="127.0.0.1")
    started = await here.start_purchase(ordered(database_url, account_id))
    (sent,) = server.pay(started.gateway_id)

    async with api_in_process(database_url, redis_url) as api:
        api.application.routed.services.gateways.put(here)
        answers = await asyncio.gather(*(told(api, sent) for _ in range(5)))
        await asyncio.gather(*(InboxProcessor(context).work() for _ in range(3)))

    assert answers == [200] * 5
    assert available(database_url) == ALL
    assert not undone(database_url)
    await here.aclose()


async def test_a_notification_from_elsewhere_is_not_even_kept(
    database_url: str, redis_url: str, gateway: YooKassa, server: FakeYooKassa
) -> None:
    sent = notification("payment.succeeded", server.payments[server.add_payment()])

    async with api_in_process(database_url, redis_url) as api:
        api.application.routed.services.gateways.put(gateway)
        assert await told(api, sent) == 400

    assert not undone(database_url)
    assert not server.calls


async def told(api: Api, sent: Notification) -> int:
    answer = await api.client.post("/webhooks/yookassa", content=sent.body, headers=sent.headers)
    return answer.status_code


@pytest.mark.parametrize("seed", range(6))
async def test_payment_and_refunds_in_any_order_come_to_the_same(
    context: PaymentContext, gateway: YooKassa, account_id: UUID, database_url: str, server: FakeYooKassa, seed: int
) -> None:
    started = await gateway.start_purchase(ordered(database_url, account_id))
    sent = [
        *server.pay(started.gateway_id),
        *server.refund(started.gateway_id, "99.00"),
        *server.refund(started.gateway_id, "198.00"),
    ]
    random.Random(seed).shuffle(sent)

    for each in (*sent, *sent):
        await take(context, gateway, [each])
    time_passes(database_url)
    await InboxProcessor(context).work()

    assert available(database_url) == 700 * CREDIT
    assert not undone(database_url)


async def test_a_payment_told_before_its_order_is_committed_is_credited_once(
    context: PaymentContext, gateway: YooKassa, account_id: UUID, database_url: str, server: FakeYooKassa
) -> None:
    purchase = a_purchase(account_id=account_id, price=rubles("990.00"))
    sent = server.pay((await gateway.start_purchase(purchase)).gateway_id)
    await take(context, gateway, sent)
    assert available(database_url) == 0

    ordered(database_url, account_id, purchase.order_id)
    time_passes(database_url)
    await InboxProcessor(context).work()

    assert available(database_url) == ALL
    assert not undone(database_url)


async def test_a_notification_ahead_of_the_api_is_credited_when_the_api_agrees(
    context: PaymentContext, gateway: YooKassa, account_id: UUID, database_url: str, server: FakeYooKassa
) -> None:
    started = await gateway.start_purchase(ordered(database_url, account_id))
    early = notification("payment.succeeded", server.payments[started.gateway_id])
    await take(context, gateway, [early])
    assert available(database_url) == 0

    await take(context, gateway, server.pay(started.gateway_id))
    time_passes(database_url)
    await InboxProcessor(context).work()

    assert available(database_url) == ALL
    assert not undone(database_url)


async def test_a_payment_is_credited_once_yookassa_answers_again(
    context: PaymentContext, gateway: YooKassa, account_id: UUID, database_url: str, server: FakeYooKassa
) -> None:
    started = await gateway.start_purchase(ordered(database_url, account_id))
    sent = server.pay(started.gateway_id)
    server.script(internal_error(), no_answer(Cut()), internal_error())
    await take(context, gateway, sent)
    ((tries, error),) = undone(database_url)
    assert tries == 1
    assert error is not None
    assert "status 500" in error

    time_passes(database_url)
    await InboxProcessor(context).work()

    assert available(database_url) == ALL
    assert not undone(database_url)


@pytest.mark.parametrize("seen", ["amount", "currency", "account"])
async def test_a_payment_that_does_not_fit_its_order_is_listed_and_not_credited(
    context: PaymentContext, gateway: YooKassa, account_id: UUID, database_url: str, server: FakeYooKassa, seen: str
) -> None:
    purchase = ordered(database_url, account_id)
    payment_id = server.add_payment(
        "990.00" if seen != "amount" else "9.90",
        currency="RUB" if seen != "currency" else "USD",
        metadata={
            "order_id": str(purchase.order_id),
            "account_id": str(account_id if seen != "account" else uuid4()),
        },
    )

    await take(context, gateway, [notification("payment.succeeded", server.payments[payment_id])])

    assert available(database_url) == 0
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT reason FROM payment_mismatches").fetchall() == [(seen,)]
