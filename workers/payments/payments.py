"""Payments as we know them: what came, what it brought, and what went back."""

from typing import Any, Final, Self
from uuid import UUID

import msgspec

from ledger import statements
from ledger.database import Database
from workers.payments.clawback import Standing, Taken
from workers.payments.money import Money

sql: Final = statements.load("workers.payments")

_decode_standing: Final = msgspec.json.Decoder(tuple[Standing, ...]).decode


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """One payment. `command_key` is that of its top-up; `None` while nothing is credited."""

    gateway: str
    payment_id: str
    account_id: UUID | None
    price: Money
    credits: int
    """Microcredits."""
    revision: int
    command_key: str | None
    refunded_minor: int
    """On its way back or gone, by refunds that have not failed; never above the price."""
    disputed_minor: int
    """Gone by disputes that are not won; never above the price."""
    is_strange: bool
    """Whether any of that is in another currency."""
    standing: tuple[Standing, ...]
    last_number: int

    @classmethod
    def of_row(cls, gateway: str, payment_id: str, row: tuple[Any, ...]) -> Self:
        """Read a row of `read_payment.sql`."""
        return cls(
            gateway=gateway,
            payment_id=payment_id,
            account_id=row[0],
            price=Money(row[1], row[2]),
            credits=row[3],
            revision=row[4],
            command_key=row[5],
            refunded_minor=row[6],
            disputed_minor=row[7],
            is_strange=row[8],
            standing=_decode_standing(row[9]),
            last_number=row[10],
        )

    @property
    def taken(self) -> Taken:
        """What it brought, and how much of its money went back."""
        return Taken(self.credits, self.price.minor, self.refunded_minor, self.disputed_minor)


async def read_payment(database: Database, gateway: str, payment_id: str) -> Payment | None:
    """Return a payment; `None` if nobody has told us of it."""
    parameters = {"gateway": gateway, "payment_id": payment_id}
    async with database.autocommit() as connection:
        row = await (await connection.execute(sql.READ_PAYMENT, parameters)).fetchone()
    return None if row is None else Payment.of_row(gateway, payment_id, row)


async def has_gone_back(database: Database, gateway: str, payment_id: str) -> bool:
    """Whether anything of a payment was refunded or disputed."""
    parameters = {"gateway": gateway, "payment_id": payment_id}
    async with database.autocommit() as connection:
        row = await (await connection.execute(sql.HAS_GONE_BACK, parameters)).fetchone()
    return row is not None and row[0]
