"""Generations that end without an event of their own, taken into the analytics exactly once.

There is no event where a model is free, or where somebody else resolved the freeze. Postgres notes such an ending in
the transaction that ends the generation. Here it is given a place in the sealed order: that of the last event in the
build that is read. A build that is past this place counts it now, any other when it gets there, so builds at the same
`seq` are still equal, and a platform that has only free models is counted too.
"""

from typing import Any, Final

from psycopg import AsyncConnection

from ledger.database import Database
from projections.analytics import NAME, EndedGeneration, add_ended, sql

LIMIT: Final = 1_000
"""Endings placed in one transaction at most, while which no build of the analytics moves."""


async def place_unbilled(database: Database) -> int:
    """Give endings that wait for it their place, and count them; return how many.

    Called twice at once, each ending is placed once.

    Raises:
        psycopg.OperationalError: the database could not do it now.
    """
    async with database.connection() as connection:
        waiting = await (await connection.execute(sql.FIND_UNBILLED_ENDING)).fetchone()
        if waiting is None or not waiting[0]:
            return 0
        seq_of_build, active = await _stand_still(connection)
        seq = seq_of_build[active]
        if seq == 0:  # a place is that of an event, and there is none yet
            return 0
        rows = await (await connection.execute(sql.PLACE_UNBILLED_ENDINGS, {"seq": seq, "limit": LIMIT})).fetchall()
        ended = [EndedGeneration(*row) for row in rows]
        for build, build_seq in seq_of_build.items():
            if build_seq >= seq:
                await add_ended(connection, build, ended)
        return len(ended)


async def _stand_still(connection: AsyncConnection[Any]) -> tuple[dict[int, int], int]:
    """Lock every build, and keep others from beginning; return how far each is, and which is read.

    Builds first, then the projection, as a rebuild locks them when it switches. Between the two a build may have begun
    or gone, so they are asked for again.
    """
    await connection.execute(sql.LOCK_BUILDS, {"name": NAME})
    row = await (await connection.execute(sql.LOCK_PROJECTION, {"name": NAME})).fetchone()
    assert row is not None, "the migrations add every projection"
    builds = await (await connection.execute(sql.LOCK_BUILDS, {"name": NAME})).fetchall()
    return dict(builds), row[0]
