"""Building a read model anew beside the one that is read, and then switching to it.

Readers look up which build is active in the statement that reads it, so there is no moment without an answer.
"""

import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection

from ledger import database as databases
from ledger.database import Database
from projections.lanes import fill
from projections.projection import Projection, sql
from projections.runner import active_build, advance, sealed_size, take_batch

CATCH_UP_LIMIT: Final = 10_000
"""A new build switches once it lacks at most so many events; the rest is taken in the transaction that switches."""

Progress = Callable[[int, int], None]
"""Told how many events are taken, and how many there are."""


class RebuildRunning(Exception):
    """Somebody else is rebuilding this projection now."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is being rebuilt by someone else")


class RebuildHalted(Exception):
    """The new build met an event that it cannot take; the build that is read stays as it was."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the new build of {name} halted; see the status of the projections")


async def rebuild(database: Database, projection: Projection, *, progress: Progress) -> int:
    """Build anew, switch, and empty what was read before; return the `seq` at which they switched.

    Interrupted, it leaves a build that nobody reads; the next rebuild begins again.

    Raises:
        RebuildRunning: another rebuild of this projection runs.
        RebuildHalted: an event cannot be taken.
        psycopg.OperationalError: the database could not do it now, or a reader holds on to the slot that is needed.
    """
    async with _alone(database, projection.name):
        old, new = await _build_beside(database, projection, progress)
        async with database.connection() as connection:
            seq = await _switch(connection, projection, old=old, new=new)
        await _empty(database, projection.name, old)
    return seq


@contextlib.asynccontextmanager
async def built_beside(
    database: Database, projection: Projection, *, progress: Progress
) -> AsyncGenerator[tuple[int, int]]:
    """Build anew without switching, to compare: yields the build that is read, and the new one, which goes afterwards.

    Raises:
        RebuildRunning, RebuildHalted, psycopg.OperationalError: see `rebuild`.
    """
    async with _alone(database, projection.name):
        old, new = await _build_beside(database, projection, progress)
        try:
            await _reach(database, projection, old=old, new=new)
            yield old, new
        finally:
            async with database.connection() as connection:
                await connection.execute(sql.REMOVE_BUILD, {"name": projection.name, "build": new})
            await _empty(database, projection.name, new)


async def hold_level(connection: AsyncConnection[Any], projection: Projection, *, old: int, new: int) -> None:
    """Bring two builds to the same `seq`, and have them stand still until the end of the caller's transaction.

    Raises:
        RebuildHalted: an event cannot be taken.
    """
    old_seq = await _locked_seq(connection, projection.name, old)
    new_seq = await _take_up_to(connection, projection, build=new, seq=old_seq)
    await _take_up_to(connection, projection, build=old, seq=new_seq)


async def _build_beside(database: Database, projection: Projection, progress: Progress) -> tuple[int, int]:
    async with database.connection() as connection:
        old = await active_build(connection, projection.name)
        size = await sealed_size(connection)
    new = 1 - old
    await _begin(database, projection.name, new)
    taken = 0
    if projection.in_any_order:
        try:
            await fill(database, projection, build=new, size=size, progress=lambda done: progress(done, size))
            taken = size
        except psycopg.OperationalError:
            raise
        except Exception:  # noqa: BLE001 - whatever is wrong with an event, the build stops before it
            # One after the other, then: that finds the event which is at fault, and says what is wrong with it.
            await _begin(database, projection.name, new)
    await _catch_up(database, projection, new, progress, taken=taken, size=size)
    return old, new


async def _begin(database: Database, name: str, build: int) -> None:
    async with database.connection() as connection:
        await connection.execute(sql.REMOVE_BUILD, {"name": name, "build": build})
        await connection.execute(sql.EMPTY_BUILD, {"name": name, "build": build})
        await connection.execute(sql.BEGIN_BUILD, {"name": name, "build": build})


async def _reach(database: Database, projection: Projection, *, old: int, new: int) -> None:
    """Bring the new build to where the old one is, without holding that up."""
    async with database.connection() as connection:
        target = await _locked_seq(connection, projection.name, old)
        reached = await _locked_seq(connection, projection.name, new)
    while reached < target:
        taken = await advance(database, projection, build=new)
        if not taken:
            raise RebuildHalted(projection.name)
        reached += taken


async def _empty(database: Database, name: str, build: int) -> None:
    """Empty the tables of a build that is over, unless somebody still reads them: then the next rebuild does."""
    with contextlib.suppress(psycopg.errors.LockNotAvailable):
        async with database.connection() as connection:
            await connection.execute(sql.EMPTY_BUILD, {"name": name, "build": build})


@contextlib.asynccontextmanager
async def _alone(database: Database, name: str) -> AsyncGenerator[None]:
    lock = await databases.connect(database.url, name="holdfast rebuild", autocommit=True)
    async with lock:
        row = await (await lock.execute(sql.LOCK_REBUILD, {"name": name})).fetchone()
        if row is None or not row[0]:
            raise RebuildRunning(name)
        try:
            yield
        finally:
            with contextlib.suppress(psycopg.Error):
                await lock.execute(sql.UNLOCK_REBUILD)


async def _catch_up(
    database: Database, projection: Projection, build: int, progress: Progress, *, taken: int, size: int
) -> None:
    """Take batches until all of the first `size` events are in, and of those that came meanwhile few are missing."""
    while taken < size or await _sealed(database) - taken > CATCH_UP_LIMIT:
        done = await advance(database, projection, build=build)
        if not done:
            raise RebuildHalted(projection.name)
        taken += done
        progress(taken, max(size, taken))


async def _sealed(database: Database) -> int:
    async with database.connection() as connection:
        return await sealed_size(connection)


async def _switch(connection: AsyncConnection[Any], projection: Projection, *, old: int, new: int) -> int:
    """Bring the new build to where the old one is, at least, and have it read; all in one transaction."""
    old_seq = await _locked_seq(connection, projection.name, old)
    new_seq = await _take_up_to(connection, projection, build=new, seq=old_seq)
    await connection.execute(sql.SWITCH_BUILD, {"name": projection.name, "build": new})
    await connection.execute(sql.REMOVE_BUILD, {"name": projection.name, "build": old})
    return new_seq


async def _take_up_to(connection: AsyncConnection[Any], projection: Projection, *, build: int, seq: int) -> int:
    """Bring a build to `seq`, at least, in the caller's transaction; return where it is."""
    while (reached := await _locked_seq(connection, projection.name, build)) < seq:
        try:
            taken = await take_batch(connection, projection, build=build, limit=seq - reached)
        except psycopg.OperationalError:
            raise
        except Exception as error:
            raise RebuildHalted(projection.name) from error
        if not taken:
            raise RebuildHalted(projection.name)
    return reached


async def _locked_seq(connection: AsyncConnection[Any], name: str, build: int) -> int:
    row = await (await connection.execute(sql.LOCK_BUILD, {"name": name, "build": build})).fetchone()
    assert row is not None, "a build that is switched from or to exists"
    return row[0]
