"""From PayPal's webhooks to credits: once, whatever comes, in whatever order, however often."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable, Mapping
from uuid import UUID

import psycopg
import pytest

from ledger.database import Database
from ledger.writer import LedgerWriter
from tests.api_in_process import Api, api_in_process
from tests.builders import charge
from tests.fakes.paypal_server import FakePayPal
from tests.fakes.paypal_webhooks import Webhook
from tests.ledger_state import check_everything
from tests.payments import CREDIT, place_order
from tests.paypal import PRICE, purchase
from workers.payments import inbox
from workers.payments.context import PaymentContext
from workers.payments.gateways.paypal.certificates import MAX_BYTES
from workers.payments.gateways.registry import Gateways
from workers.payments.processing import InboxProcessor

ALL = 1_000 * CREDIT


@pytest.fixture
async def server() -> AsyncIterator[FakePayPal]:
    async with FakePayPal() as server:
        yield server


@pytest.fixture
async def context(server: FakePayPal, database: Database, writer: LedgerWriter) -> AsyncIterator[PaymentContext]:
    gateways = Gateways(server.environment())
    yield PaymentContext(database, writer, gateways)
    await gateways.aclose()


async def start(
    context: PaymentContext,
    url: str,
    account_id: UUID,
    *,
    is_written: bool = True,
    row: Mapping[str, object] | None = None,
) -> UUID:
    """Begin to buy 1,000 credits."""
    made = purchase(account_id=account_id)
    if is_written:
        fields = {"id": made.order_id, "amount_minor": PRICE.minor, "gateway": "paypal", **(row or {})}
        place_order(url, account_id, **fields)
    await context.gateways.get("paypal").start_purchase(made)
    return made.order_id


async def deliver(context: PaymentContext, server: FakePayPal, webhooks: Iterable[Webhook]) -> None:
    """Take webhooks in, as the API does, and process them in that order."""
    gateway = context.gateways.get("paypal")
    for webhook in webhooks:
        event = await gateway.verify(webhook.headers, webhook.body, remote_address="192.0.2.1", now_s=server.now_s)
        await inbox.keep(
            context.database, "paypal", event, headers=webhook.headers, body=webhook.body, request_id="request"
        )
        await InboxProcessor(context).work()


def available(url: str) -> int:
    (account,) = check_everything(url)
    return account.available


def payments_and_mismatches(url: str) -> tuple[int, int]:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM payments), (SELECT count(*) FROM payment_mismatches)"
        ).fetchone()
    assert row is not None
    return row[0], row[1]


async def test_approving_captures_and_credits_once(
    server: FakePayPal, context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    await start(context, database_url, account_id)
    approved = server.approve()
    await asyncio.gather(*(deliver(context, server, approved) for _ in range(5)))
    assert available(database_url) == ALL
    await asyncio.gather(*(deliver(context, server, server.sent) for _ in range(5)))
    assert available(database_url) == ALL
    assert (len(server.captures), payments_and_mismatches(database_url)) == (1, (1, 0))


async def test_the_events_of_a_payment_lead_to_one_state_in_any_order(
    server: FakePayPal, context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    for number, order in enumerate(itertools.permutations(range(4)), start=1):
        await start(context, database_url, account_id)
        # Either of the two tells of the payment.
        events = [server.pay()[number % 2]]
        events += server.refund(server.latest_capture, "2.10")
        events += server.dispute(value="1.05", stage="CHARGEBACK")
        events += server.win(list(server.disputes)[-1])
        await deliver(context, server, [events[at] for at in order])
        expected = number * ALL * 80 // 100
        assert available(database_url) == expected, order


async def test_a_lost_chargeback_of_spent_credits_is_debt_and_a_won_one_gives_them_back(
    server: FakePayPal, context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    await start(context, database_url, account_id)
    await deliver(context, server, server.pay())
    await context.writer.submit(charge(950 * CREDIT, account_id))
    await deliver(context, server, server.dispute(stage="CHARGEBACK"))
    assert available(database_url) == -950 * CREDIT
    await deliver(context, server, server.win(list(server.disputes)[-1]))
    assert available(database_url) == 50 * CREDIT
    await deliver(context, server, server.dispute(stage="CHARGEBACK"))
    await deliver(context, server, server.lose(list(server.disputes)[-1]))
    assert available(database_url) == -950 * CREDIT


async def test_a_claim_that_is_accepted_takes_its_part_once(
    server: FakePayPal, context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    await start(context, database_url, account_id)
    await deliver(context, server, server.pay())
    events = server.dispute(value="2.10", stage="CHARGEBACK")
    await deliver(context, server, events)
    assert available(database_url) == ALL * 80 // 100
    await deliver(context, server, server.accept(list(server.disputes)[-1]))
    assert available(database_url) == ALL * 80 // 100


async def test_a_payment_before_its_order_is_written_is_credited_once_it_is(
    server: FakePayPal, context: PaymentContext, account_id: UUID, database_url: str
) -> None:
    order_id = await start(context, database_url, account_id, is_written=False)
    await deliver(context, server, server.approve())
    assert available(database_url) == 0
    place_order(database_url, account_id, id=order_id, amount_minor=PRICE.minor, gateway="paypal")
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE payment_inbox SET due_at = clock_timestamp() WHERE state = 0")
    await InboxProcessor(context).work()
    assert available(database_url) == ALL


@pytest.mark.parametrize("row", [{"amount_minor": PRICE.minor + 1}, {"currency": "EUR"}, {"gateway": "stripe"}])
async def test_what_does_not_fit_the_order_is_listed_and_not_credited(
    server: FakePayPal, context: PaymentContext, account_id: UUID, database_url: str, row: dict[str, object]
) -> None:
    await start(context, database_url, account_id, row=row)
    await deliver(context, server, server.approve())
    assert available(database_url) == 0
    assert payments_and_mismatches(database_url)[1] == 1


@pytest.fixture
async def api(database_url: str, redis_url: str, context: PaymentContext) -> AsyncIterator[Api]:
    async with api_in_process(database_url, redis_url) as api:
        del api.client.headers["Authorization"]
        api.application.routed.services.gateways.put(context.gateways.get("paypal"))
        yield api


async def test_the_api_takes_what_paypal_sends_and_nothing_else(
    server: FakePayPal, context: PaymentContext, account_id: UUID, database_url: str, api: Api
) -> None:
    await start(context, database_url, account_id)
    (approved,) = server.approve()

    async def answered(body: bytes = approved.body, changed: Mapping[str, str] | None = None) -> int:
        headers = {**approved.headers, **(changed or {})}
        return (await api.client.post("/webhooks/paypal", content=body, headers=headers)).status_code

    server.certificate, certificate = b"", server.certificate
    assert await answered() == 400
    server.certificate = certificate
    assert await answered(changed={"paypal-cert-url": f"{server.url}/v1/notifications/certs/{'x' * 200}"}) == 400
    assert await answered(changed={"paypal-transmission-time": "2020-01-01T00:00:00Z"}) == 400
    assert await answered(approved.body + b" ") == 400
    assert await asyncio.gather(*(answered() for _ in range(5))) == [200] * 5
    await InboxProcessor(context).work()
    assert available(database_url) == ALL


async def test_a_webhook_whose_certificate_cannot_be_had_is_asked_to_come_again(
    server: FakePayPal, context: PaymentContext, account_id: UUID, database_url: str, api: Api
) -> None:
    await start(context, database_url, account_id)
    (approved,) = server.approve()
    served, server.certificate = server.certificate, b"x" * (MAX_BYTES + 1)
    answer = await api.client.post("/webhooks/paypal", content=approved.body, headers=approved.headers)
    assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
    server.certificate = served
    answer = await api.client.post("/webhooks/paypal", content=approved.body, headers=approved.headers)
    assert answer.status_code == 200
