"""Telling people that their balance fell below what they chose: once, until it has risen again.

What was told is kept with the version of the account at which it was so. Two clocks that look at once lock the row, and
the later one finds that nothing has happened since.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from ledger import statements
from ledger.amounts import format_credits
from ledger.batch import Statement
from ledger.database import Database
from ledger.errors import AccountNotFound
from workers.messages.kinds import MessageKind
from workers.messages.outbox import queue_message
from workers.payments.context import PaymentContext

sql: Final = statements.load("workers.payments")

BATCH: Final = 200
INTERVAL_S: Final = 5.0


class LowBalance(Struct, frozen=True, kw_only=True):
    """Below which balance somebody is told, and when that was last; `None` for never."""

    threshold_microcredits: int | None
    told_at: datetime | None


async def set_low_balance(database: Database, account_id: UUID, *, threshold_microcredits: int) -> None:
    """Say below which balance the owner of an account is told. A balance that is below it already has to rise first.

    Raises:
        AccountNotFound: there is no such account.
    """
    parameters = {"account_id": account_id, "threshold": threshold_microcredits}
    async with database.autocommit() as connection:
        if await (await connection.execute(sql.LOW_BALANCE_UPSERT, parameters)).fetchone() is None:
            raise AccountNotFound(account_id)


async def read_low_balance(database: Database, account_id: UUID) -> LowBalance:
    """Return below which balance the owner of an account is told."""
    async with database.autocommit() as connection:
        row = await (await connection.execute(sql.LOW_BALANCE_READ, {"account_id": account_id})).fetchone()
    return LowBalance(threshold_microcredits=row[0] if row else None, told_at=row[1] if row else None)


async def forget_low_balance(database: Database, account_id: UUID) -> None:
    """Tell the owner of an account nothing of its balance any more."""
    async with database.autocommit() as connection:
        await connection.execute(sql.LOW_BALANCE_DELETE, {"account_id": account_id})


async def notice_low_balances(context: PaymentContext) -> int:
    """Tell up to `BATCH` owners that their balance fell; return how many balances were seen to.

    Messages commit with what was seen. Several at once do no harm, in one process or in many.
    """
    async with context.database.connection() as connection:
        rows = await (await connection.execute(sql.LOW_BALANCE_NOTICE_CROSSINGS, {"limit": BATCH})).fetchall()
        # A message locks its account until the end, and the ledger's writer locks accounts in this order too.
        for account_id, threshold, available, version, fell in sorted(rows):
            if fell:
                await connection.execute(*_message(account_id, threshold, available, version))
    return len(rows)


def _message(account_id: UUID, threshold: int, available: int, version: int) -> Statement:
    return queue_message(
        account_id,
        MessageKind.low_balance,
        key=f"low_balance:{version}",
        values={"available": format_credits(available), "threshold": format_credits(threshold)},
    )
