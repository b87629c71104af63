"""Orders and facts for tests of what is above the gateways."""

import itertools
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Final
from uuid import UUID

import msgspec
import psycopg
from uuid_utils.compat import uuid7

from ledger.database import Database
from ledger.writer import LedgerWriter
from workers.payments.context import PaymentContext
from workers.payments.facts import (
    DisputeFact,
    DisputeStatus,
    Fact,
    PaymentFact,
    PaymentStatus,
    RefundFact,
    RefundStatus,
    SubscriptionFact,
)
from workers.payments.gateway import (
    Purchase,
    RenewedBy,
    SavedCharge,
    StartedPurchase,
    UnknownObject,
    WebhookEvent,
    WebhookForged,
)
from workers.payments.gateways.registry import Gateways
from workers.payments.money import Money

NOW_US: Final = 1_790_000_000_000_000
CREDIT: Final = 1_000_000
PRICE: Final = Money(1_000, "USD")

_numbers = itertools.count(1)
_encode = msgspec.json.Encoder(enc_hook=str).encode


def payments_in(database: Database, writer: LedgerWriter) -> PaymentContext:
    """What settling works with, with one gateway that is a `PlainGateway`."""
    gateways = Gateways({})
    gateways.put(PlainGateway())
    return PaymentContext(database, writer, gateways)


def place_order(url: str, account_id: UUID, **fields: object) -> UUID:
    """Write an order for a pack: 1,000 credits for ten dollars, unless the fields say otherwise."""
    row: dict[str, object] = {
        "id": uuid7(),
        "account_id": account_id,
        "gateway": "plain",
        "purpose": "pack",
        "product": "starter",
        "product_version": 1,
        "region": "us",
        "amount_minor": PRICE.minor,
        "currency": PRICE.currency,
        "tax_inclusive": True,
        "credits": 1_000 * CREDIT,
        "expires_after": None,
        **fields,
    }
    with psycopg.connect(url) as connection:
        connection.execute(
            """
            INSERT INTO payment_orders (id, account_id, gateway, purpose, product, product_version, region,
                amount_minor, currency, tax_inclusive, credits, expires_after)
            VALUES (%(id)s, %(account_id)s, %(gateway)s, %(purpose)s, %(product)s, %(product_version)s, %(region)s,
                %(amount_minor)s, %(currency)s, %(tax_inclusive)s, %(credits)s, %(expires_after)s)
            """,
            row,
        )
    order_id = row["id"]
    assert isinstance(order_id, UUID)
    return order_id


def paid(order_id: UUID | None, account_id: UUID | None = None, **fields: object) -> PaymentFact:
    """A payment that fits the order, unless the fields say otherwise."""
    fact = PaymentFact(
        payment_id=f"pay_{next(_numbers)}",
        order_id=order_id,
        account_id=account_id,
        price=PRICE,
        status=PaymentStatus.paid,
        at_us=NOW_US,
    )
    return msgspec.structs.replace(fact, **fields)


def refund_of(
    payment: PaymentFact, minor: int, status: RefundStatus = RefundStatus.succeeded, **fields: object
) -> RefundFact:
    """A refund of so much of a payment."""
    fact = RefundFact(
        refund_id=f"re_{next(_numbers)}",
        payment_id=payment.payment_id,
        amount=Money(minor, payment.price.currency),
        status=status,
        at_us=NOW_US + 1,
    )
    return msgspec.structs.replace(fact, **fields)


def dispute_of(payment: PaymentFact, status: DisputeStatus, **fields: object) -> DisputeFact:
    """The dispute of a payment, all of it."""
    fact = DisputeFact(
        dispute_id=f"dp_{payment.payment_id}",
        payment_id=payment.payment_id,
        amount=payment.price,
        status=status,
        at_us=NOW_US + 2,
    )
    return msgspec.structs.replace(fact, **fields)


def webhook_of(*facts: Fact) -> bytes:
    """The body of a webhook of the `PlainGateway` that says these."""
    return _encode([{"type": type(fact).__name__, "fact": msgspec.to_builtins(fact)} for fact in facts])


class PlainGateway:
    """A gateway whose webhooks say facts as they are. Signed with the word "genuine"."""

    name = "plain"
    renewed_by: RenewedBy = "nobody"

    async def verify(
        self, headers: Mapping[str, str], body: bytes, *, remote_address: str, now_s: float
    ) -> WebhookEvent:
        """Whatever says that it is genuine is."""
        del remote_address, now_s
        if headers.get("plain-signature") != "genuine":
            raise WebhookForged
        return WebhookEvent(event_id=headers["plain-id"], kind="facts", object_id=str(len(body)))

    async def facts(self, kind: str, headers: Mapping[str, str], body: bytes) -> Sequence[Fact]:
        """What the body says."""
        del kind, headers
        types = {kind.__name__: kind for kind in (PaymentFact, RefundFact, DisputeFact, SubscriptionFact)}
        return [msgspec.convert(item["fact"], types[item["type"]]) for item in msgspec.json.decode(body)]

    async def start_purchase(self, purchase: Purchase) -> StartedPurchase:
        """A page that is not there."""
        return StartedPurchase(gateway_id=f"plain_{purchase.order_id}", url="https://plain.invalid/pay")

    async def charge_saved(self, charge: SavedCharge) -> PaymentFact:
        """Always goes through."""
        return paid(charge.order_id, charge.account_id, price=charge.price, payment_id=f"saved_{charge.order_id}")

    async def refund(self, payment_id: str, amount: Money, *, key: str, reason: str) -> RefundFact:
        """Always goes through."""
        del reason
        return RefundFact(
            refund_id=key, payment_id=payment_id, amount=amount, status=RefundStatus.succeeded, at_us=NOW_US
        )

    async def subscription(self, subscription_id: str) -> SubscriptionFact:
        """There are none."""
        raise UnknownObject(self.name, subscription_id)

    async def change_plan(self, subscription_id: str, purchase: Purchase, *, at_once: bool) -> SubscriptionFact:
        """There are none."""
        raise UnknownObject(self.name, subscription_id)

    async def cancel_subscription(self, subscription_id: str, *, at_once: bool = False) -> SubscriptionFact:
        """There are none."""
        raise UnknownObject(self.name, subscription_id)

    async def resume_subscription(self, subscription_id: str) -> SubscriptionFact:
        """There are none."""
        raise UnknownObject(self.name, subscription_id)

    async def portal_url(self, customer_id: str, *, return_url: str) -> str:
        """There is none."""
        raise UnknownObject(self.name, customer_id)

    async def listed(self, *, since_us: int, until_us: int) -> AsyncGenerator[PaymentFact | RefundFact, None]:
        """Nothing."""
        del since_us, until_us
        for fact in list[PaymentFact]():
            yield fact

    async def aclose(self) -> None:
        """Nothing is open."""
