"""Writing orders: what somebody wants to buy, at the price that we offer, before a gateway hears of it."""

from typing import Self
from uuid import UUID

import psycopg
from msgspec import field
from uuid_utils.compat import uuid7

from ledger.batch import Statement
from ledger.database import Database
from ledger.errors import AccountNotFound
from workers.payments.catalogue import Offer, PackDefinition, PlanDefinition
from workers.payments.orders import Purpose, Terms, sql


class NewOrder(Terms, frozen=True, kw_only=True):
    """An order to be written."""

    id: UUID = field(default_factory=uuid7)
    expires_after_days: int | None = None
    """How long after the payment the credits can be spent; `None` for ever, or where the period of a plan decides."""
    language: str | None = None
    idempotency_sha256: bytes | None = None
    """Unique for the account: a second order under the same one is not written."""
    request_sha256: bytes | None = None

    @classmethod
    def of(
        cls, offer: Offer[PackDefinition] | Offer[PlanDefinition], *, account_id: UUID, gateway: str, purpose: Purpose
    ) -> Self:
        """Return the order for a pack or for a period of a plan, as it is offered."""
        product = offer.product.definition
        return cls(
            account_id=account_id,
            gateway=gateway,
            purpose=purpose,
            product=product.name,
            product_version=offer.product.version,
            region=offer.region,
            price=offer.price.money,
            tax_inclusive=offer.price.tax_inclusive,
            credits_microcredits=product.credits_microcredits,
            expires_after_days=product.expires_after_days if isinstance(product, PackDefinition) else None,
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
