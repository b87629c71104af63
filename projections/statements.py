"""Statements: one line per ledger event, with what it changed and the balance after it, for support and finance."""

from typing import Any, Final

from psycopg import AsyncConnection

from projections.projection import Batch, Projection, UnknownKind, sql

BATCH_LIMIT: Final = 50_000


async def apply(connection: AsyncConnection[Any], batch: Batch) -> None:
    """Add the lines of a batch, in one statement.

    Raises:
        UnknownKind: an event is of a kind that this version does not know.
        psycopg.DataError: an event's body is not what it must be.
    """
    added = await batch.execute(connection, sql.INSERT_STATEMENT_LINES)
    if added.rowcount != batch.size:
        row = await (await batch.execute(connection, sql.READ_UNKNOWN_KIND)).fetchone()
        raise UnknownKind("that is missing from the log" if row is None else row[1])


STATEMENTS: Final = Projection("statements", apply, BATCH_LIMIT, in_any_order=True)
