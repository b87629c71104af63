"""One moment of the database, seen by any number of connections and processes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

from psycopg import AsyncClientCursor, AsyncConnection, IsolationLevel

from ledger import database, statements

sql: Final = statements.load("ops")

SETTINGS: Final = {
    "default_transaction_read_only": "on",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "work_mem": "64MB",
}
"""An audit writes nothing and takes as long as it takes. What it sorts is a range of the events, which fits."""

LOOKING_UP: Final = {"enable_hashjoin": "off", "enable_mergejoin": "off"}
"""For ranges that are small beside the whole: look their rows up, and never read a whole table for one of them."""


@contextlib.asynccontextmanager
async def one_moment(url: str) -> AsyncGenerator[tuple[AsyncConnection[Any], str]]:
    """Open a connection that sees one moment; return it, and the name by which `same_moment` sees the same."""
    async with await _connect(url, {}) as connection:
        row = await (await connection.execute(sql.EXPORT_SNAPSHOT)).fetchone()
        assert row is not None, "it returns one row"
        yield connection, row[0]
        await connection.rollback()


@contextlib.asynccontextmanager
async def same_moment(
    url: str, name: str, *, settings: Mapping[str, str] | None = None
) -> AsyncGenerator[AsyncConnection[Any]]:
    """Open a connection that sees what `one_moment` sees, for as long as that lasts."""
    async with await _connect(url, settings or {}) as connection:
        await AsyncClientCursor(connection).execute(sql.IMPORT_SNAPSHOT, {"name": name})
        yield connection
        await connection.rollback()


async def _connect(url: str, settings: Mapping[str, str]) -> AsyncConnection[Any]:
    connection = await database.connect(url, name="holdfast audit", settings={**SETTINGS, **settings})
    await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
    return connection
