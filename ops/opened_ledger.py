"""The ledger, opened for the length of one command."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from ledger import statements
from ledger.database import Database
from ledger.writer import LedgerWriter
from ops.endpoints import reached_database
from ops.errors import CheckFailed
from ops.instance import DataDirectory

sql: Final = statements.load("ops")

ACTOR: Final = "cli"
"""What the ledger records as the actor of what was done by hand; never personal data."""


class OpenedLedger(msgspec.Struct, frozen=True):
    """The means to read and write."""

    database: Database
    writer: LedgerWriter

    async def account_id(self, account: str) -> UUID:
        """Find an account by its id or by its owner.

        Raises:
            CheckFailed: nobody of that name owns one. An id is taken as it is.
        """
        with contextlib.suppress(ValueError):
            return UUID(account)
        async with self.database.connection() as connection:
            row = await (await connection.execute(sql.FIND_ACCOUNT_BY_OWNER, {"owner": account})).fetchone()
        if row is None:
            raise CheckFailed(f"no account has the id or owner {account!r}")
        return row[0]


@contextlib.asynccontextmanager
async def opened_ledger(data_dir: Path) -> AsyncGenerator[OpenedLedger]:
    """Open the ledger that the environment or the data directory leads to; see `reached_database`."""
    async with reached_database(DataDirectory(data_dir)) as endpoints:
        database = Database(endpoints.database_url, name="holdfast cli", max_size=2)
        async with database, LedgerWriter(endpoints.database_url, lanes=1) as writer:
            yield OpenedLedger(database, writer)
