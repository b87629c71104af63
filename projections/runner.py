"""Running read models: batches of sealed events, each in one transaction with the mark of how far the build is.

A build that meets an event it cannot take halts before it and says why. It never skips one: a read model that lacks an
event is wrong without anybody knowing. A halted build tries again from time to time: a newer version may run.
"""

from typing import Any, Final

import psycopg
import structlog
from psycopg import AsyncConnection

from ledger.database import Database
from projections.projection import Projection, read_batch, sql

HALT_RETRY_S: Final = 30.0
SHRINK: Final = 8
"""A batch that fails is tried again with so many times fewer events, down to the one that is at fault."""

_log = structlog.stdlib.get_logger(__name__)


async def advance_active(database: Database, projection: Projection) -> int:
    """Take the next batch into the build that is read; return how many events that was.

    Raises:
        psycopg.OperationalError: the database could not do it now.
    """
    async with database.connection() as connection:
        build = await active_build(connection, projection.name)
    return await advance(database, projection, build=build)


async def active_build(connection: AsyncConnection[Any], name: str) -> int:
    """Return which build of a projection is read."""
    row = await (await connection.execute(sql.READ_ACTIVE_BUILD, {"name": name})).fetchone()
    assert row is not None, "the migrations add every projection"
    return row[0]


async def built_seq(connection: AsyncConnection[Any], name: str, build: int) -> int:
    """Return how far a build is."""
    row = await (await connection.execute(sql.READ_BUILD_SEQ, {"name": name, "build": build})).fetchone()
    return 0 if row is None else row[0]


async def advance(database: Database, projection: Projection, *, build: int) -> int:
    """Take the next batch into one build; return how many events that was: none at the end of the log, or halted.

    Raises:
        psycopg.OperationalError: the database could not do it now.
    """
    limit = projection.batch_limit
    while True:
        try:
            async with database.connection() as connection:
                return await take_batch(connection, projection, build=build, limit=limit)
        except psycopg.OperationalError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever is wrong with an event, the build stops before it
            if limit > 1:
                limit = max(1, limit // SHRINK)
            else:
                await _halt(database, projection, build, error)
                return 0


async def take_batch(connection: AsyncConnection[Any], projection: Projection, *, build: int, limit: int) -> int:
    """Take up to `limit` events into a build, in the caller's transaction; return how many."""
    row = await (await connection.execute(sql.LOCK_BUILD, {"name": projection.name, "build": build})).fetchone()
    if row is None:
        return 0
    after_seq, halted_for_s = row
    if halted_for_s is not None:
        if halted_for_s < HALT_RETRY_S:
            return 0
        limit = 1
    upto_seq = min(await sealed_size(connection), after_seq + limit)
    if upto_seq == after_seq:
        return 0
    batch = await read_batch(connection, build=build, after_seq=after_seq, upto_seq=upto_seq)
    await projection.apply(connection, batch)
    await connection.execute(sql.ADVANCE_BUILD, {"name": projection.name, "build": build, "seq": upto_seq})
    return batch.size


async def sealed_size(connection: AsyncConnection[Any]) -> int:
    """Return how many events are sealed."""
    row = await (await connection.execute(sql.READ_SEALED_SIZE)).fetchone()
    return 0 if row is None else row[0]


async def _halt(database: Database, projection: Projection, build: int, error: Exception) -> None:
    async with database.connection() as connection:
        row = await (await connection.execute(sql.LOCK_BUILD, {"name": projection.name, "build": build})).fetchone()
        if row is None:
            return
        seq = row[0] + 1
        reason = _one_line(error)
        parameters = {"name": projection.name, "build": build, "seq": seq, "reason": reason}
        await connection.execute(sql.HALT_BUILD, parameters)
    _log.error("projection_halted", projection=projection.name, build=build, seq=seq, reason=reason)


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())[:500]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
