"""What the tests of YooKassa ask of it."""

import base64
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import uuid_utils.compat

from tests.fakes.yookassa_server import FakeYooKassa
from tests.fakes.yookassa_shop import Notification
from workers.payments.facts import Fact, PaymentFact, RefundFact, SavedMethod
from workers.payments.gateway import Purchase, SavedCharge
from workers.payments.gateways.yookassa.gateway import YooKassa
from workers.payments.gateways.yookassa.http import Patience
from workers.payments.gateways.yookassa.settings import YooKassaSettings
from workers.payments.money import Money

QUICK = Patience(answer_s=5, total_s=10, pause_s=0.01)
HASTY = Patience(answer_s=0.5, total_s=10, pause_s=0.01, tries=1)
"""Does not wait for who does not answer, and asks once."""
ONCE = Patience(answer_s=5, total_s=10, tries=1)

ACCOUNT = UUID("0190a5d8-7b0a-7c9e-8f7c-000000000001")
RETURN_URL = "https://shop.example/back?order=1"


def gateway_of(server: FakeYooKassa, patience: Patience = QUICK, **more: str) -> YooKassa:
    """A gateway that talks to this server."""
    settings = YooKassaSettings.from_environment(server.environment(**more))
    return YooKassa(settings, asking=patience, making=patience)


def rubles(value: str) -> Money:
    return Money.parse(value, "RUB")


def new_order_id() -> UUID:
    return uuid_utils.compat.uuid7()


def order_id_of_long_ago(*, hours: float) -> UUID:
    """An id as an order got it some time ago."""
    made_ms = int((time.time() - hours * 3_600) * 1_000)
    return UUID(int=made_ms << 80 | 7 << 76 | 2 << 62 | uuid4().int & (1 << 62) - 1)


def a_purchase(order_id: UUID | None = None, **fields: Any) -> Purchase:
    values: dict[str, Any] = {
        "account_id": ACCOUNT,
        "title": "1,000 credits",
        "price": rubles("990.00"),
        "return_url": RETURN_URL,
        "email": "buyer@example.com",
    }
    return Purchase(order_id=order_id or new_order_id(), **{**values, **fields})


def a_charge(method: SavedMethod, order_id: UUID | None = None, **fields: Any) -> SavedCharge:
    values: dict[str, Any] = {
        "account_id": ACCOUNT,
        "title": "Plan Pro, renewal",
        "price": rubles("990.00"),
        "email": "buyer@example.com",
    }
    return SavedCharge(order_id=order_id or new_order_id(), method=method, **{**values, **fields})


async def told(gateway: YooKassa, notifications: Sequence[Notification]) -> list[Fact]:
    """What some notifications say, as they would be taken in and processed."""
    facts: list[Fact] = []
    for sent in notifications:
        event = await gateway.verify(sent.headers, sent.body, remote_address=sent.remote_address, now_s=time.time())
        facts += await gateway.facts(event.kind, sent.headers, sent.body)
    return facts


async def payment_told(gateway: YooKassa, notifications: Sequence[Notification]) -> PaymentFact:
    (fact,) = await told(gateway, notifications)
    assert isinstance(fact, PaymentFact)
    return fact


async def refund_told(gateway: YooKassa, notifications: Sequence[Notification]) -> RefundFact:
    (fact,) = await told(gateway, notifications)
    assert isinstance(fact, RefundFact)
    return fact


async def a_payment(gateway: YooKassa, server: FakeYooKassa, purchase: Purchase | None = None) -> PaymentFact:
    """A purchase that was paid for."""
    started = await gateway.start_purchase(purchase or a_purchase())
    return await payment_told(gateway, server.pay(started.gateway_id))


async def a_saved_method(gateway: YooKassa, server: FakeYooKassa) -> SavedMethod:
    """The means of payment that a plan's first payment saved."""
    fact = await a_payment(gateway, server, a_purchase(price_key="pro:1:ru", months=1))
    assert fact.saved_method is not None
    return fact.saved_method


def basic(shop_id: str, secret_key: str) -> str:
    return "Basic " + base64.b64encode(f"{shop_id}:{secret_key}".encode()).decode()
