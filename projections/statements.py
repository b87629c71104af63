"""Statements: one line per ledger event, with what it changed and the balance after it, for support and finance.

An event never changes, so nothing of it is copied. What is kept of a line is what its event does not say: its place in
the sealed order, and what it changed. Those of `BLOCK_LINES` events of an account are one row, which makes a rebuild as
quick as reading the events. The view `statement_lines` has the lines.
"""

from typing import Any, Final

from psycopg import AsyncConnection

from projections.projection import Batch, Projection, UnknownKind, sql

BATCH_LIMIT: Final = 50_000

BLOCK_LINES: Final = 32
"""Lines in a row: the more, the fewer rows, but each of an account's next events writes its last row anew."""


def first_version_of_block(version: int) -> int:
    """Return the first version in the block that an account's event is in."""
    return version - (version - 1) % BLOCK_LINES


async def apply(connection: AsyncConnection[Any], batch: Batch) -> None:
    """Add the lines of a batch, in one statement.

    Raises:
        UnknownKind: an event is of a kind that this version does not know.
    """
    cursor = await batch.execute(connection, sql.ADD_STATEMENT_LINES, {"block_lines": BLOCK_LINES})
    row = await cursor.fetchone()
    assert row is not None, "an aggregate has a row"
    if row[0] != batch.size:
        unknown = await (await batch.execute(connection, sql.READ_UNKNOWN_KIND)).fetchone()
        raise UnknownKind("that is missing from the log" if unknown is None else unknown[1])


STATEMENTS: Final = Projection("statements", apply, BATCH_LIMIT, in_any_order=True)
