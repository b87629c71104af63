"""Means of payment that gateways keep for the owners of accounts, and let us charge."""

from typing import Final
from uuid import UUID

from ledger import statements
from ledger.batch import Statement
from ledger.database import Database
from ledger.rows import from_us
from workers.payments.facts import SavedMethod

sql: Final = statements.load("workers.payments.auto_top_up")


def remember_method(account_id: UUID, gateway: str, method: SavedMethod, *, saved_at_us: int) -> Statement:
    """Return the statement that keeps a means of payment; a rider, or to be run by itself.

    Of two at one gateway the newer one stays.
    """
    return sql.UPSERT_SAVED_METHOD, {
        "account_id": account_id,
        "gateway": gateway,
        "customer_id": method.customer_id,
        "method_id": method.method_id,
        "label": method.label,
        "saved_at": from_us(saved_at_us),
    }


async def find_method(database: Database, account_id: UUID, gateway: str) -> SavedMethod | None:
    """Return what a gateway keeps for the owner of an account, if it does."""
    parameters = {"account_id": account_id, "gateway": gateway}
    async with database.autocommit() as connection:
        row = await (await connection.execute(sql.FIND_SAVED_METHOD, parameters)).fetchone()
    return None if row is None else SavedMethod(customer_id=row[0], method_id=row[1], label=row[2])
