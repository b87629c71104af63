"""The fakes of all gateways behind one face: customers pay, money goes back, banks want it back, and what is sent."""

import contextlib
import json
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any, ClassVar, NamedTuple, Protocol

from tests.fakes.paddle_server import FakePaddle
from tests.fakes.paypal_server import FakePayPal
from tests.fakes.stripe_server import FakeStripe
from tests.fakes.yookassa_server import FakeYooKassa


class Delivery(NamedTuple):
    """A webhook on its way to our door."""

    headers: Mapping[str, str]
    body: bytes


class Till(Protocol):
    """One gateway, with a customer before it."""

    name: ClassVar[str]
    currency: ClassVar[str]
    sends_from: ClassVar[str]
    """The address that its webhooks come from."""

    @property
    def environment(self) -> dict[str, str]: ...

    def pay(self, gateway_id: str) -> list[Delivery]:
        """The customer pays all of it."""
        ...

    def refund(self, payment_id: str, amount: str | None = None) -> list[Delivery]:
        """So much of a payment goes back, or all that is left; it succeeds."""
        ...

    def charge_back(self, payment_id: str) -> list[Delivery]:
        """The customer's bank takes all of it."""
        ...

    def win(self) -> list[Delivery]:
        """The latest dispute is decided for us."""
        ...


LOCAL = "127.0.0.1"
NAMES = ("stripe", "yookassa", "paddle", "paypal")


def minor_of(amount: str) -> int:
    return round(float(amount) * 100)


class StripeTill:
    name: ClassVar[str] = "stripe"
    currency: ClassVar[str] = "EUR"
    sends_from: ClassVar[str] = LOCAL

    def __init__(self, server: FakeStripe) -> None:
        self.server = server
        self._dispute = ""

    @property
    def environment(self) -> dict[str, str]:
        return self.server.environment

    def pay(self, gateway_id: str) -> list[Delivery]:
        return deliveries(self.server.pay(gateway_id))

    def refund(self, payment_id: str, amount: str | None = None) -> list[Delivery]:
        return deliveries(self.server.refund(payment_id, None if amount is None else minor_of(amount)))

    def charge_back(self, payment_id: str) -> list[Delivery]:
        sent = self.server.dispute(payment_id)
        self._dispute = sent[0].about["id"]
        return deliveries(sent)

    def win(self) -> list[Delivery]:
        return deliveries(self.server.win(self._dispute))


class YooKassaTill:
    name: ClassVar[str] = "yookassa"
    currency: ClassVar[str] = "RUB"
    sends_from: ClassVar[str] = "185.71.76.5"

    def __init__(self, server: FakeYooKassa) -> None:
        self.server = server

    @property
    def environment(self) -> dict[str, str]:
        return self.server.environment()

    def pay(self, gateway_id: str) -> list[Delivery]:
        return deliveries(self.server.pay(gateway_id))

    def refund(self, payment_id: str, amount: str | None = None) -> list[Delivery]:
        return deliveries(self.server.refund(payment_id, amount))

    def charge_back(self, payment_id: str) -> list[Delivery]:
        """YooKassa tells of no disputes; a merchant sees a refund."""
        return self.refund(payment_id)

    def win(self) -> list[Delivery]:
        return []


class PaddleTill:
    name: ClassVar[str] = "paddle"
    currency: ClassVar[str] = "EUR"
    sends_from: ClassVar[str] = LOCAL

    def __init__(self, server: FakePaddle) -> None:
        self.server = server

    @property
    def environment(self) -> dict[str, str]:
        return self.server.environment

    def pay(self, gateway_id: str) -> list[Delivery]:
        return deliveries(self.server.pay(gateway_id))

    def refund(self, payment_id: str, amount: str | None = None) -> list[Delivery]:
        sent = self.server.refund(payment_id, None if amount is None else minor_of(amount))
        return deliveries([*sent, *self.server.approve()])

    def charge_back(self, payment_id: str) -> list[Delivery]:
        return deliveries(self.server.charge_back(payment_id))

    def win(self) -> list[Delivery]:
        return deliveries(self.server.reverse())


class PayPalTill:
    name: ClassVar[str] = "paypal"
    currency: ClassVar[str] = "EUR"
    sends_from: ClassVar[str] = LOCAL

    def __init__(self, server: FakePayPal) -> None:
        self.server = server
        self._dispute = ""

    @property
    def environment(self) -> dict[str, str]:
        return self.server.environment()

    def pay(self, gateway_id: str) -> list[Delivery]:
        return deliveries(self.server.pay(gateway_id))

    def refund(self, payment_id: str, amount: str | None = None) -> list[Delivery]:
        return deliveries(self.server.refund(payment_id, amount))

    def charge_back(self, payment_id: str) -> list[Delivery]:
        sent = self.server.dispute(payment_id, stage="CHARGEBACK")
        self._dispute = json.loads(sent[0].body)["resource"]["dispute_id"]
        return deliveries(sent)

    def win(self) -> list[Delivery]:
        return deliveries(self.server.win(self._dispute))


def deliveries(sent: Iterable[Any]) -> list[Delivery]:
    return [Delivery(webhook.headers, webhook.body) for webhook in sent]


@contextlib.asynccontextmanager
async def till_of(name: str) -> AsyncGenerator[Till]:
    """Open one."""
    match name:
        case "stripe":
            async with FakeStripe() as stripe:
                yield StripeTill(stripe)
        case "yookassa":
            async with FakeYooKassa() as yookassa:
                yield YooKassaTill(yookassa)
        case "paddle":
            async with FakePaddle() as paddle:
                yield PaddleTill(paddle)
        case _:
            async with FakePayPal() as paypal:
                yield PayPalTill(paypal)
