"""Postgres: reachable, of a known version, migrated, durable, and the application without power over the past."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection

import migrations
from ledger import statements
from ledger.database import connect
from ops.checks.finding import Finding, State, judge, unreachable
from ops.endpoints import Endpoints
from ops.errors import CannotReach
from ops.reach import postgres_version

sql: Final = statements.load("ops")

MOST_SKEW: Final = timedelta(seconds=1)


async def check_postgres(endpoints: Endpoints) -> AsyncIterator[Finding]:
    """Look at the database as the application sees it."""
    try:
        major = await postgres_version(endpoints.database_url)
        yield Finding("postgres", State.fine, f"version {major}")
        connection = await connect(endpoints.database_url, name="holdfast doctor", autocommit=True)
    except (CannotReach, psycopg.Error) as error:
        yield unreachable("postgres", error)
        return
    async with connection:
        yield await _durability(connection)
        yield await _clock(connection)
        migrated = await _migrated(connection)
        yield migrated
        if migrated.state is State.fine:
            yield await _event_powers(connection)


async def _durability(connection: AsyncConnection[Any]) -> Finding:
    fsync, synchronous_commit, full_page_writes = await _row(connection, sql.READ_DURABILITY)
    # All values but "off" wait at least for the server's own disk.
    return judge(
        "durable commits",
        fine=fsync == "on" and full_page_writes == "on" and synchronous_commit != "off",
        found=f"fsync {fsync}, synchronous_commit {synchronous_commit}, full_page_writes {full_page_writes}",
        mend="turn all three on: an answered command could be lost",
    )


async def _clock(connection: AsyncConnection[Any]) -> Finding:
    asked = time.monotonic()
    (theirs,) = await _row(connection, sql.READ_CLOCK)
    ours, travel = datetime.now(UTC), timedelta(seconds=time.monotonic() - asked)
    skew = abs(ours - theirs)
    return judge(
        "clock",
        fine=skew <= MOST_SKEW + travel,
        found=f"{skew.total_seconds():.3f} s apart from Postgres",
        mend="synchronise both clocks with NTP: leases and expiries depend on them",
    )


async def _migrated(connection: AsyncConnection[Any]) -> Finding:
    try:
        pending = await migrations.pending(connection)
    except migrations.MigrationChanged as changed:
        return Finding("migrations", State.wrong, str(changed), "run the version of the code that made this database")
    return judge(
        "migrations",
        fine=not pending,
        found=f"pending: {', '.join(one.name for one in pending)}" if pending else "all applied",
        mend="run `holdfast migrate`",
    )


async def _event_powers(connection: AsyncConnection[Any]) -> Finding:
    cursor = await connection.execute(sql.READ_EVENT_POWERS)
    powers = [power async for (power,) in cursor]
    return judge(
        "append-only events",
        fine=not powers,
        found=f"the application's role has: {', '.join(powers)}" if powers else "the application can only add events",
        mend="revoke these from holdfast_app, and enable the triggers of the table events",
    )


async def _row(connection: AsyncConnection[Any], statement: Any) -> tuple[Any, ...]:
    row = await (await connection.execute(statement)).fetchone()
    assert row is not None, "it selects from nothing, so there is a row"
    return row
