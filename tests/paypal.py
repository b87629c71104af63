"""What tests of PayPal need: a gateway that talks to the fake, purchases, and taking in what the fake sends."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import msgspec

from tests.fakes.paypal_books import WEBHOOK_ID
from tests.fakes.paypal_server import CLIENT_ID, CLIENT_SECRET, FakePayPal
from tests.fakes.paypal_webhooks import Webhook
from workers.payments.facts import Fact
from workers.payments.gateway import Purchase
from workers.payments.gateways.paypal.gateway import PayPal
from workers.payments.money import Money

PRICE = Money(1_050, "USD")
HASTY_S = 1.5


def purchase(price: Money = PRICE, **fields: object) -> Purchase:
    """A pack for ten dollars and a half, unless the fields say otherwise."""
    made = Purchase(
        order_id=uuid4(),
        account_id=uuid4(),
        title="1,000 credits",
        price=price,
        return_url="https://app.example/paid",
    )
    return msgspec.structs.replace(made, **fields)


@asynccontextmanager
async def paypal_at(
    server: FakePayPal, *, answer_s: float = 10.0, client_secret: str = CLIENT_SECRET
) -> AsyncGenerator[PayPal]:
    """A gateway that talks to the fake."""
    gateway = PayPal(
        base_url=server.url,
        client_id=CLIENT_ID,
        client_secret=client_secret,
        webhook_ids=[WEBHOOK_ID],
        certificate_hosts=[server.url.removeprefix("http://")],
        answer_s=answer_s,
    )
    try:
        yield gateway
    finally:
        await gateway.aclose()


async def taken_in(gateway: PayPal, server: FakePayPal, webhooks: Iterable[Webhook]) -> list[Fact]:
    """What some webhooks say, one after the other, each of them verified."""
    facts: list[Fact] = []
    for webhook in webhooks:
        event = await gateway.verify(webhook.headers, webhook.body, remote_address="192.0.2.1", now_s=server.now_s)
        facts += await gateway.facts(event.kind, webhook.headers, webhook.body)
    return facts


async def bought(gateway: PayPal, server: FakePayPal, made: Purchase | None = None) -> tuple[UUID, str]:
    """Buy something; return our order's id and the id of the capture."""
    made = made or purchase()
    await gateway.start_purchase(made)
    server.pay()
    server.take_webhooks()
    return made.order_id, server.latest_capture
