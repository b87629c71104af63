"""One order of all events, without gaps, assigned once they are committed.

Positions are taken before commit. A reader that remembers the last position it saw can see 8 while 7 is in flight,
remember 8, and skip 7 for ever. So order is assigned afterwards, by a single sealer that knows from one snapshot to the
next what has become visible (the technique of PgQ, https://github.com/pgq/pgq).
"""

from typing import Any, Final

import psycopg
from psycopg import AsyncConnection

from ledger import statements

sql: Final = statements.load("ledger")


async def seal(connection: AsyncConnection[Any]) -> int:
    """Seal what became visible since the last tick and commit; return how many events that were.

    Two sealers at once cannot both seal: the second finds the tick taken, and has written nothing.
    """
    try:
        row = await (await connection.execute(sql.SEAL)).fetchone()
        await connection.commit()
    except psycopg.errors.UniqueViolation:
        await connection.rollback()
        return 0
    return 0 if row is None else row[0]


async def lag_s(connection: AsyncConnection[Any]) -> float:
    """Age, in seconds, of the oldest event that is not sealed; zero when all are."""
    row = await (await connection.execute(sql.READ_SEALER_LAG)).fetchone()
    return 0.0 if row is None or row[0] is None else max(0.0, row[0])
