"""Read models run behind the log, halt rather than skip, and are rebuilt beside the one that is read."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest

from ledger.database import Database
from ledger.writer import LedgerWriter
from projections import runner
from projections.catalogue import PROJECTIONS, projection_named
from projections.journal import JOURNAL
from projections.projection import Batch, Projection, ProjectionNotFound
from projections.rebuild import RebuildHalted, RebuildRunning, rebuild
from projections.runner import advance_active
from projections.statements import STATEMENTS
from projections.status import BuildStatus, read_status
from tests.builders import NOW_US, charge, top_up
from tests.projected import MovableClock, bring_up, lives, opened, seal_all, submit
from workers import sweeps
from workers.context import GenerationContext


async def status_of(database: Database, name: str) -> BuildStatus:
    async with database.connection() as connection:
        return next(build for build in await read_status(connection) if build.name == name and build.is_active)


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()  # type: ignore[arg-type]  # written in this file


def ignore(taken: int, total: int) -> None:
    """Show no progress."""


async def some_history(database: Database, url: str, *, accounts: int = 3, steps: int = 120) -> list[UUID]:
    clock = MovableClock(NOW_US)
    async with LedgerWriter(url, clock_us=clock) as writer:
        ids = await lives(writer, clock, seed=accounts, accounts=accounts, steps=steps)
    await seal_all(database)
    return ids


async def test_a_statement_has_a_line_for_each_event_and_each_line_goes_on_from_the_one_before(
    database: Database, database_url: str
) -> None:
    await some_history(database, database_url)
    await bring_up(database, STATEMENTS)

    wrong = rows(
        database_url,
        """
        SELECT version FROM (
            SELECT *, lag(available_after, 1, 0::bigint) OVER account AS available_before,
                lag(frozen_after, 1, 0::bigint) OVER account AS frozen_before
            FROM statement_lines WINDOW account AS (PARTITION BY account_id ORDER BY version)
        ) AS lines
        WHERE available_before + available_change <> available_after OR frozen_before + frozen_change <> frozen_after
        """,
    )
    assert wrong == []
    assert rows(
        database_url,
        "SELECT account_id, version, kind, amount, available_after, frozen_after, recorded_at FROM statement_lines"
        " EXCEPT SELECT account_id, version, kind, amount, available_after, frozen_after, recorded_at FROM events",
    ) == []  # fmt: skip
    assert rows(database_url, "SELECT count(*) FROM statement_lines") == rows(
        database_url, "SELECT count(*) FROM events"
    )


async def test_a_statement_line_says_when_it_counts_and_what_it_is_for(
    database: Database, database_url: str, writer: LedgerWriter
) -> None:
    account_id = await opened(writer)
    await submit(writer, top_up(500, account_id, reference='a "quoted" приход', effective_at_us=NOW_US + 7))
    await bring_up(database, STATEMENTS)

    line = rows(
        database_url,
        "SELECT reference, (extract(epoch FROM effective_at) * 1000000)::bigint FROM statement_lines WHERE version = 2",
    )

    assert line == [('a "quoted" приход', NOW_US + 7)]


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda projection: projection.name)
async def test_a_projection_halts_before_an_event_of_a_kind_it_does_not_know(
    database: Database, superuser_url: str, writer: LedgerWriter, projection: Projection
) -> None:
    account_id = await opened(writer)
    for _ in range(20):
        await submit(writer, top_up(1, account_id))
    await seal_all(database)
    with psycopg.connect(superuser_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE events SET kind = 99 WHERE version = 12")

    while await advance_active(database, projection):
        pass

    status = await status_of(database, projection.name)
    assert (status.state, status.seq, status.halted_seq, status.behind) == ("halted", 11, 12, 10)
    assert "99" in (status.halt_reason or "")


async def test_a_projection_halts_before_an_event_whose_body_it_cannot_read(
    database: Database, superuser_url: str, writer: LedgerWriter
) -> None:
    account_id = await opened(writer)
    for _ in range(20):
        await submit(writer, top_up(1, account_id))
    await seal_all(database)
    with psycopg.connect(superuser_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE events SET body = 'no JSON' WHERE version = 7")

    while await advance_active(database, JOURNAL):
        pass

    status = await status_of(database, "journal")
    assert (status.state, status.seq, status.halted_seq) == ("halted", 6, 7)


async def test_a_halted_projection_goes_on_once_the_event_can_be_taken(
    database: Database, superuser_url: str, writer: LedgerWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    account_id = await opened(writer)
    await submit(writer, top_up(1, account_id))
    await seal_all(database)
    known = STATEMENTS.apply

    async def knows_nothing(connection: Any, batch: Batch) -> None:
        raise ValueError("what is this?")

    old_version = Projection("statements", knows_nothing, 100)
    assert await advance_active(database, old_version) == 0
    assert (await status_of(database, "statements")).halt_reason == "ValueError: what is this?"

    new_version = Projection("statements", known, 100)
    assert await advance_active(database, new_version) == 0, "not at once"
    monkeypatch.setattr(runner, "HALT_RETRY_S", 0.0)
    while await advance_active(database, new_version):
        pass

    status = await status_of(database, "statements")
    assert (status.state, status.seq, status.halt_reason) == ("current", 2, None)


async def test_the_clock_takes_what_is_sealed_into_every_read_model(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeps, "FULL_PROJECTION", 1)
    monkeypatch.setattr(sweeps, "PROJECTION_REST", 0.0)
    context = cast("GenerationContext", SimpleNamespace(database=database))
    await some_history(database, database_url)

    while await sweeps.project_events(context):
        pass

    async with database.connection() as connection:
        found = await read_status(connection)
    assert {build.name: build.state for build in found} == dict.fromkeys(
        (projection.name for projection in PROJECTIONS), "current"
    )


async def test_two_runners_take_every_event_once(database: Database, database_url: str) -> None:
    await some_history(database, database_url)
    small = Projection("statements", STATEMENTS.apply, 7)

    async def run() -> None:
        while await advance_active(database, small):
            pass

    await asyncio.gather(run(), run(), run())

    assert rows(database_url, "SELECT count(*) FROM statement_lines") == rows(
        database_url, "SELECT count(*) FROM events"
    )


TABLES = {
    "journal": "SELECT seq, line, account_id, version, booked_on, debit, credit, commodity, amount, lot"
    " FROM journal_lines",
    "balances": "SELECT account_id, version, seq, due_version, recorded_at, state FROM balance_snapshots",
    "statements": "SELECT account_id, version, seq, kind, amount, available_change, frozen_change, available_after,"
    " frozen_after, recorded_at, effective_at, freeze_id, reference, reason FROM statement_lines",
}


@pytest.mark.parametrize("name", sorted(TABLES))
async def test_a_rebuild_under_load_equals_the_old_build_and_no_read_fails_meanwhile(
    database: Database, database_url: str, name: str
) -> None:
    ids = await some_history(database, database_url, accounts=2, steps=600)
    projection = projection_named(name)
    smaller_batches = msgspec.structs.replace(projection, batch_limit=97)
    await bring_up(database, projection)
    old = rows(database_url, f"{TABLES[name]} WHERE build = 0 ORDER BY 1, 2")
    old_seq = (await status_of(database, name)).seq
    assert old
    finished = asyncio.Event()

    async def write(writer: LedgerWriter) -> None:
        while not finished.is_set():
            await submit(writer, top_up(3, ids[0]))
            await submit(writer, charge(1, ids[0]))
            await seal_all(database)
            await advance_active(database, projection)

    async def read() -> int:
        reads = 0
        while not finished.is_set() or not reads:
            found = await asyncio.to_thread(
                rows,
                database_url,
                f"SELECT count(*) FROM ({TABLES[name]} WHERE seq <= {old_seq}"
                f" AND build = (SELECT active FROM projections WHERE name = '{name}')) AS lines",
            )
            assert found == [(len(old),)]
            reads += 1
        return reads

    async with LedgerWriter(database_url) as writer, asyncio.TaskGroup() as group:
        group.create_task(write(writer))
        reading = group.create_task(read())
        switched_at = await rebuild(database, smaller_batches, progress=ignore)
        finished.set()

    assert switched_at >= old_seq
    assert reading.result() > 0
    status = await status_of(database, name)
    assert status.build == 1
    assert rows(database_url, f"{TABLES[name]} WHERE build = 1 AND seq <= {old_seq} ORDER BY 1, 2") == old
    assert rows(database_url, f"{TABLES[name]} WHERE build = 0") == []


async def test_a_rebuild_that_halts_leaves_the_build_that_is_read(database: Database, database_url: str) -> None:
    await some_history(database, database_url, accounts=1, steps=30)
    await bring_up(database, STATEMENTS)

    async def fails(connection: Any, batch: Batch) -> None:
        raise ValueError("a bug")

    with pytest.raises(RebuildHalted):
        await rebuild(database, Projection("statements", fails, 100), progress=ignore)

    status = await status_of(database, "statements")
    assert (status.build, status.state) == (0, "current")
    await rebuild(database, STATEMENTS, progress=ignore)
    assert (await status_of(database, "statements")).build == 1


async def test_what_is_filled_by_several_at_once_is_what_one_after_the_other_makes(
    database: Database, database_url: str
) -> None:
    await some_history(database, database_url, accounts=3, steps=200)
    one_by_one = msgspec.structs.replace(STATEMENTS, batch_limit=11, in_any_order=False)
    seen: list[tuple[int, int]] = []
    while await advance_active(database, one_by_one):
        pass
    kept = rows(database_url, f"{TABLES['statements']} ORDER BY 1, 2")

    at_once = msgspec.structs.replace(STATEMENTS, batch_limit=7)
    await rebuild(database, at_once, progress=taken(seen))

    assert rows(database_url, f"{TABLES['statements']} ORDER BY 1, 2") == kept
    marks = [done for done, _ in seen]
    assert marks == sorted(marks), "how far it is never goes back"
    assert len(set(marks)) > 10, "and is told on the way"


async def test_an_event_at_fault_halts_what_is_filled_by_several_at_once_before_it(
    database: Database, database_url: str, superuser_url: str
) -> None:
    await some_history(database, database_url, accounts=1, steps=60)
    await bring_up(database, STATEMENTS)
    with psycopg.connect(superuser_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE events SET kind = 99 WHERE version = 30")

    with pytest.raises(RebuildHalted):
        await rebuild(database, msgspec.structs.replace(STATEMENTS, batch_limit=7), progress=ignore)

    async with database.connection() as connection:
        new = next(
            build for build in await read_status(connection) if build.name == "statements" and not build.is_active
        )
    assert (new.state, new.seq, new.halted_seq) == ("halted", 29, 30)
    assert "99" in (new.halt_reason or "")
    assert (await status_of(database, "statements")).state == "current"


async def test_one_rebuild_of_a_projection_at_a_time(database: Database, database_url: str) -> None:
    await some_history(database, database_url, accounts=1, steps=30)
    await bring_up(database, STATEMENTS)
    refused: list[type[Exception]] = []

    async def apply_while_another_tries(connection: Any, batch: Batch) -> None:
        with pytest.raises(RebuildRunning) as raised:
            await rebuild(database, STATEMENTS, progress=ignore)
        refused.append(raised.type)
        await STATEMENTS.apply(connection, batch)

    await rebuild(database, Projection("statements", apply_while_another_tries, 1_000), progress=ignore)

    assert refused == [RebuildRunning]


def test_projections_are_found_by_their_names() -> None:
    assert [projection_named(projection.name) for projection in PROJECTIONS] == list(PROJECTIONS)
    with pytest.raises(ProjectionNotFound):
        projection_named(uuid4().hex)


def taken(seen: list[tuple[int, int]]) -> Callable[[int, int], None]:
    return lambda done, total: seen.append((done, total))


async def test_a_rebuild_tells_how_far_it_is(database: Database, database_url: str) -> None:
    await some_history(database, database_url, accounts=1, steps=30)
    await bring_up(database, STATEMENTS)
    seen: list[tuple[int, int]] = []

    await rebuild(database, STATEMENTS, progress=taken(seen))

    assert seen[-1][0] == seen[-1][1] == rows(database_url, "SELECT count(*) FROM events")[0][0]
