"""Opening accounts: one per owner, however often it is asked for."""

from typing import Final
from uuid import UUID

from uuid_utils.compat import uuid7

from ledger import commands, statements
from ledger.database import Database
from ledger.writer import LedgerWriter

OPEN_KEY: Final = f"{commands.OWN_KEY_PREFIX}open"

sql: Final = statements.load("ledger")


async def open_account(
    database: Database, writer: LedgerWriter, *, owner: str, name: str = "", actor: str = ""
) -> tuple[UUID, bool]:
    """Return the owner's account, and whether it was opened by this call.

    The id is reserved for the owner first. A crash in between leaves a reservation that the next call completes.
    """
    account_id = await _reserve(database, owner)
    opening = commands.OpenAccount(account_id=account_id, command_key=OPEN_KEY, actor=actor, owner=owner, name=name)
    outcome = await writer.submit(opening)
    return account_id, not outcome.replayed


async def _reserve(database: Database, owner: str) -> UUID:
    async with database.connection() as connection:
        account_id = uuid7()
        cursor = await connection.execute(sql.INSERT_OWNER, {"owner": owner, "account_id": account_id})
        if await cursor.fetchone() is not None:
            return account_id
    # In a transaction of its own, which sees the row that was in the way.
    async with database.connection() as connection:
        row = await (await connection.execute(sql.READ_OWNER, {"owner": owner})).fetchone()
        assert row is not None, "owners are never deleted"
        return row[0]
