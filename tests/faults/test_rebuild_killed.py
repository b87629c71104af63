"""A rebuild that is killed half way leaves the build that is read, and the next one begins again."""

import asyncio
import signal
import sys
from pathlib import Path

import psycopg
import pytest

from ledger.database import Database
from ledger.writer import LedgerWriter
from projections.catalogue import PROJECTIONS
from projections.checking import count_differences
from projections.projection import Projection
from projections.rebuild import rebuild
from projections.status import BuildStatus, read_status
from tests.builders import NOW_US
from tests.projected import MovableClock, bring_up, lives

ROOT = Path(__file__).parent.parent.parent


async def builds_of(database: Database, name: str) -> list[BuildStatus]:
    async with database.connection() as connection:
        return [build for build in await read_status(connection) if build.name == name]


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda projection: projection.name)
async def test_a_rebuild_killed_half_way_changes_nothing_that_is_read_and_is_begun_again(
    database: Database, database_url: str, superuser_url: str, projection: Projection
) -> None:
    clock = MovableClock(NOW_US)
    async with LedgerWriter(database_url, clock_us=clock) as writer:
        await lives(writer, clock, seed=7, accounts=2, steps=300)
    await bring_up(database, projection)
    (before,) = await builds_of(database, projection.name)
    command = (sys.executable, "-m", "tests.faults.rebuilding_process", database_url, projection.name)
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"half way\n"

    process.send_signal(signal.SIGKILL)
    await process.wait()

    active, killed = await builds_of(database, projection.name)
    assert (active.build, active.seq, active.state) == (before.build, before.seq, "current")
    assert killed.state == "building"
    assert before.seq / 2 <= killed.seq < before.seq
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        # The server may notice only now that its client is gone.
        connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'holdfast rebuild'"
        )
    assert await rebuild(database, projection, progress=lambda taken, total: None) == before.seq
    assert [build.build for build in await builds_of(database, projection.name)] == [1 - before.build]
    assert await count_differences(database, projection, progress=lambda taken, total: None) == 0
