"""Orders: what we offered to whom, at which price. Written before a gateway hears of it; only the state changes."""

from datetime import datetime
from enum import IntEnum
from typing import Any, Final, Literal, Self, TypeAlias
from uuid import UUID

from msgspec import Struct

from ledger import statements
from ledger.batch import Rider
from ledger.database import Database
from workers.payments.expected import Expected
from workers.payments.money import Money

sql: Final = statements.load("workers.payments")

START_WITHIN_S: Final = 12 * 3600
"""Gateways remember an idempotency key for a day or so. After that a repetition could make a second object."""

Purpose: TypeAlias = Literal["pack", "plan", "renewal", "auto_top_up"]


class OrderState(IntEnum):
    """Where an order is, by the number it is stored under."""

    made = 0
    started = 1
    """Its customer was sent to the gateway."""
    paid = 2
    given_up = 3


class Terms(Struct, frozen=True, kw_only=True):
    """What somebody is to have, and at which price. It stays so, whatever becomes of the catalogue."""

    account_id: UUID
    gateway: str
    purpose: Purpose
    product: str
    product_version: int
    region: str
    price: Money
    tax_inclusive: bool
    credits_microcredits: int


class Order(Terms, frozen=True, kw_only=True):
    """One order."""

    id: UUID
    expires_after_us: int | None
    state: OrderState
    subscription_id: str | None
    created_at: datetime
    paid_at: datetime | None
    url: str | None
    """Where its customer goes to pay."""

    @classmethod
    def of_row(cls, row: tuple[Any, ...]) -> Self:
        """Read a row of `find_order.sql`."""
        return cls(
            id=row[0],
            account_id=row[1],
            gateway=row[2],
            purpose=row[3],
            product=row[4],
            product_version=row[5],
            region=row[6],
            price=Money(row[7], row[8]),
            tax_inclusive=row[9],
            credits_microcredits=row[10],
            expires_after_us=row[11],
            state=OrderState(row[12]),
            subscription_id=row[13],
            created_at=row[14],
            paid_at=row[15],
            url=row[16],
        )

    def expected(self, *, paid_at_us: int) -> Expected:
        """Return what a payment for it must be like. It can be paid for once."""
        return Expected(
            account_id=self.account_id,
            order_id=self.id,
            gateway=self.gateway,
            price=self.price,
            tax_inclusive=self.tax_inclusive,
            credits_microcredits=self.credits_microcredits,
            source=self.purpose,
            product=self.product,
            expires_at_us=None if self.expires_after_us is None else paid_at_us + self.expires_after_us,
            riders=(
                Rider(
                    guard=(sql.GUARD_ORDER, {"id": self.id}),
                    writes=((sql.PAY_ORDER, {"id": self.id}),),
                ),
            ),
        )


async def find_order(database: Database, order_id: UUID) -> Order | None:
    """Return an order; `None` if there is none, or not yet. One that did not get to its gateway in time is given up."""
    parameters = {"id": order_id, "start_within_s": START_WITHIN_S}
    async with database.autocommit() as connection:
        row = await (await connection.execute(sql.FIND_ORDER, parameters)).fetchone()
    return None if row is None else Order.of_row(row)
