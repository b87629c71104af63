"""Which moment an export shows: one snapshot of the database, up to the last signed place the journal holds."""

import contextlib
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Any, Final

import msgspec
from psycopg import AsyncConnection, IsolationLevel

from ledger import database, statements

sql: Final = statements.load("projections.exports")

SETTINGS: Final = {"statement_timeout": "0", "datestyle": "ISO", "idle_in_transaction_session_timeout": "0"}
"""An export reads for as long as it takes."""


class NothingToExport(Exception):
    """Nothing is sealed, or the journal has taken nothing in yet."""

    def __init__(self) -> None:
        super().__init__("the journal holds nothing yet")


class Extent(msgspec.Struct, frozen=True):
    """What is exported: the first `seq` events, as the journal's build enters them, under the root of their tree."""

    build: int
    seq: int
    root: bytes | None
    sealed_at: datetime


@contextlib.asynccontextmanager
async def one_moment(url: str) -> AsyncGenerator[tuple[AsyncConnection[Any], Extent]]:
    """Open a connection that sees one moment of the database, and say how far the journal is in it.

    Raises:
        NothingToExport: there is no such place yet.
    """
    connection = await database.connect(url, name="holdfast export", settings=SETTINGS)
    async with connection:
        await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
        await connection.set_read_only(True)
        await connection.execute(sql.LOCK_TABLES)
        row = await (await connection.execute(sql.READ_EXTENT)).fetchone()
        if row is None:
            raise NothingToExport
        yield connection, Extent(*row)
