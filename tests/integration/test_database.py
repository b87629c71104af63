"""Borrowed connections: what commits when, and what becomes of those that the server has dropped."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from uuid import uuid4

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from ledger.batch import Statement
from ledger.database import WARM_UP_TIMES, Database
from tests.waiting import eventually
from workers import admission, claims


@pytest.fixture
async def single(database_url: str) -> AsyncIterator[Database]:
    """A pool of one connection, so that each borrower gets the one that the last left."""
    with psycopg.connect(database_url) as owner:
        owner.execute("CREATE TABLE notes (text text)")
        owner.execute("GRANT SELECT, INSERT ON notes TO holdfast_app")
    async with Database(database_url, max_size=1) as database:
        yield database


class Changed(Exception):
    """Of a mind."""


async def note_and_change_mind(borrow: Callable[[], AbstractAsyncContextManager[AsyncConnection[TupleRow]]]) -> None:
    async with borrow() as connection:
        await connection.execute("INSERT INTO notes VALUES ('noted')")
        raise Changed


async def noted(database: Database) -> list[str]:
    async with database.autocommit() as connection:
        return [row[0] for row in await (await connection.execute("SELECT text FROM notes")).fetchall()]


async def test_what_was_done_on_a_connection_rolls_back_on_an_error_whoever_had_it_before(single: Database) -> None:
    assert await noted(single) == []

    with pytest.raises(Changed):
        await note_and_change_mind(single.connection)

    assert await noted(single) == []


async def test_each_statement_commits_by_itself_where_that_was_asked_for(single: Database) -> None:
    with pytest.raises(Changed):
        await note_and_change_mind(single.autocommit)

    assert await noted(single) == ["noted"]


async def test_a_borrower_who_is_cancelled_leaves_a_connection_on_which_others_may_roll_back(
    single: Database, superuser_url: str
) -> None:
    async def sleep() -> None:
        async with single.autocommit() as connection:
            await connection.execute("SELECT pg_sleep(60)")

    sleeping = asyncio.create_task(sleep())
    with psycopg.connect(superuser_url, autocommit=True) as superuser:
        asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
        await eventually(lambda: superuser.execute(asleep).fetchone() == (1,))
    sleeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeping

    with pytest.raises(Changed):
        await note_and_change_mind(single.connection)
    assert await noted(single) == []


async def test_a_connection_that_the_server_dropped_is_replaced_before_anyone_gets_it(
    single: Database, superuser_url: str
) -> None:
    async with single.connection() as connection:
        first = connection.info.backend_pid
    with psycopg.connect(superuser_url, autocommit=True) as superuser:
        assert superuser.execute("SELECT pg_terminate_backend(%s, 10000)", [first]).fetchone() == (True,)

    for borrow in (single.connection, single.autocommit):
        async with borrow() as connection:
            assert connection.info.backend_pid != first
            assert await (await connection.execute("SELECT 1")).fetchone() == (1,)


async def test_nobody_is_the_first_on_a_connection_to_run_what_it_was_warmed_up_with(database_url: str) -> None:
    ask = "SELECT count(*) FROM events WHERE account_id = %(account_id)s"
    missing = "SELECT count(*) FROM no_table_of_ours"
    warm_up: tuple[Statement, ...] = ((missing, {}), (ask, {"account_id": uuid4()}))

    async with Database(database_url, max_size=1, warm_up=warm_up) as database, database.autocommit() as connection:
        await connection.execute(ask, {"account_id": uuid4()})
        cursor = await connection.execute(
            "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE '%FROM events%'"
        )
        plans = await cursor.fetchall()

    assert plans == [(WARM_UP_TIMES - 5, 5)], "prepared the second time, planned five times for itself, then for all"


@pytest.mark.parametrize("warm_up", [admission.WARM_UP, claims.WARM_UP])
async def test_what_connections_are_warmed_up_with_finds_and_changes_nothing(
    database_url: str, warm_up: Sequence[Statement]
) -> None:
    async with Database(database_url, max_size=1, warm_up=warm_up) as database, database.autocommit() as connection:
        cursor = await connection.execute("SELECT count(*) FROM pg_prepared_statements WHERE generic_plans > 0")
        row = await cursor.fetchone()

    assert row == (len(warm_up),), "all of them could run"
