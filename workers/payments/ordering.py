"""Writing orders: what somebody wants to buy, at the price that we offer, before a gateway hears of it."""

from typing import Self
from uuid import UUID

import psycopg
from msgspec import Struct, field
from uuid_utils.compat import uuid7

from ledger.batch import Statement
from ledger.database import Database
from ledger.errors import AccountNotFound
from workers.payments.catalogue import Offer, PackDefinition, PlanDefinition
from workers.payments.money import Money
from workers.payments.orders import Purpose, sql


class NewOrder(Struct, frozen=True, kw_only=True):
    """An order to be written. What it costs and brings stays so, whatever becomes of the catalogue."""

    id: UUID = field(default_factory=uuid7)
    account_id: UUID
    gateway: str
    purpose: Purpose
    product: str
    product_version: int
    region: str
    price: Money
    tax_inclusive: bool
    credits_microcredits: int
    expires_after_days: int | None = None
    """How long after the payment the credits can be spent; `None` for ever, or where the period of a plan decides."""
    subscription_id: str | None = None
    language: str | None = None
    idempotency_sha256: bytes | None = None
    """Unique for the account: a second order under the same one is not written."""
    request_sha256: bytes | None = None

    @classmethod
    def of_pack(
        cls, offer: Offer[PackDefinition], *, account_id: UUID, gateway: str, purpose: Purpose = "pack"
    ) -> Self:
        """Return the order for a pack, as it is offered."""
        pack = offer.product.definition
        return cls(
            account_id=account_id,
            gateway=gateway,
            purpose=purpose,
            product=pack.name,
            product_version=offer.product.version,
            region=offer.region,
            price=offer.price.money,
            tax_inclusive=offer.price.tax_inclusive,
            credits_microcredits=pack.credits_microcredits,
            expires_after_days=pack.expires_after_days,
        )

    @classmethod
    def of_plan(
        cls, offer: Offer[PlanDefinition], *, account_id: UUID, gateway: str, purpose: Purpose = "plan"
    ) -> Self:
        """Return the order for a period of a plan, as it is offered."""
        plan = offer.product.definition
        return cls(
            account_id=account_id,
            gateway=gateway,
            purpose=purpose,
            product=plan.name,
            product_version=offer.product.version,
            region=offer.region,
            price=offer.price.money,
            tax_inclusive=offer.price.tax_inclusive,
            credits_microcredits=plan.credits_microcredits,
        )

    def statement(self) -> Statement:
        """Return what writes it; a rider, or to be run by itself. Running it again writes nothing."""
        return sql.INSERT_ORDER, {
            "id": self.id,
            "account_id": self.account_id,
            "gateway": self.gateway,
            "purpose": self.purpose,
            "product": self.product,
            "product_version": self.product_version,
            "region": self.region,
            "amount_minor": self.price.minor,
            "currency": self.price.currency,
            "tax_inclusive": self.tax_inclusive,
            "credits": self.credits_microcredits,
            "expires_after_days": self.expires_after_days,
            "subscription_id": self.subscription_id,
            "idempotency_sha256": self.idempotency_sha256,
            "request_sha256": self.request_sha256,
            "language": self.language,
        }


async def place_order(database: Database, order: NewOrder) -> bool:
    """Write an order; return whether it was not there yet, by its id or under its idempotency key.

    Raises:
        AccountNotFound: there is no such account.
    """
    try:
        async with database.connection() as connection:
            return await (await connection.execute(*order.statement())).fetchone() is not None
    except psycopg.errors.ForeignKeyViolation:
        raise AccountNotFound(order.account_id) from None
