"""Applying migrations: once, in order, one process at a time, and to the schema that was reviewed."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import LiteralString
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

import migrations
from ops.services.postgres import OWNER, EmbeddedPostgres
from tests.schema import SCHEMA, dump


@pytest.fixture
def empty_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A database in which nothing was done yet."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(postgres.superuser_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(OWNER)))
        yield postgres.url_for(OWNER, name)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def offer(monkeypatch: pytest.MonkeyPatch, files: dict[str, LiteralString]) -> None:
    """Let these files be the migrations of the code."""
    found = sorted(migrations.Migration(name, text) for name, text in files.items())
    monkeypatch.setattr(migrations, "available", lambda: found)


def applied(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("SELECT name FROM schema_migrations ORDER BY applied_at, name")]


def relations(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i')"
        )
        return {row[0] for row in rows}


async def test_an_empty_database_becomes_the_schema_that_was_reviewed(empty_url: str) -> None:
    await migrations.apply(empty_url)

    assert dump(empty_url) == SCHEMA.read_text(encoding="utf-8"), "run `python -m tests.schema` and review the change"


async def test_applying_twice_changes_nothing(empty_url: str) -> None:
    first = await migrations.apply(empty_url)
    before = dump(empty_url)

    assert first == [migration.name for migration in migrations.available()]
    assert await migrations.apply(empty_url) == []
    assert dump(empty_url) == before


async def test_many_processes_may_migrate_at_once(empty_url: str) -> None:
    done = await asyncio.gather(*[migrations.apply(empty_url) for _ in range(5)])

    assert sorted(names for names in done if names) == [[migration.name for migration in migrations.available()]]
    assert applied(empty_url) == [migration.name for migration in migrations.available()]


async def test_a_file_that_was_changed_after_it_was_applied_is_refused(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, {"0001_expand_a.sql": "CREATE TABLE a (n int)"})
    await migrations.apply(empty_url)
    offer(
        monkeypatch, {"0001_expand_a.sql": "CREATE TABLE a (n bigint)", "0002_expand_b.sql": "CREATE TABLE b (n int)"}
    )

    with pytest.raises(migrations.MigrationChanged, match=r"0001_expand_a\.sql"):
        await migrations.apply(empty_url)

    assert "b" not in relations(empty_url)


async def test_processes_that_wait_do_not_hold_up_an_index_that_is_built_concurrently(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(
        monkeypatch,
        {
            "0001_expand_a.sql": "CREATE TABLE a (n int)",
            "0002_expand_a_n_concurrently.sql": "CREATE INDEX CONCURRENTLY IF NOT EXISTS a_n ON a (n)",
        },
    )

    done = await asyncio.gather(*[migrations.apply(empty_url) for _ in range(5)])

    assert sorted(len(names) for names in done) == [0, 0, 0, 0, 2]


async def test_a_process_that_migrates_for_too_long_is_told_of(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "LOCK_WAIT_S", 0.2)
    with psycopg.connect(empty_url) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [0x686F6C64])

        with pytest.raises(migrations.MigrationInProgress):
            await migrations.apply(empty_url)


async def test_what_is_new_is_applied_in_order_after_what_was_there(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, {"0001_expand_a.sql": "CREATE TABLE a (n int)"})
    await migrations.apply(empty_url)
    offer(
        monkeypatch,
        {
            "0001_expand_a.sql": "CREATE TABLE a (n int)",
            "0003_expand_c.sql": "ALTER TABLE b ADD COLUMN m int",
            "0002_expand_b.sql": "CREATE TABLE b (n int)",
        },
    )

    assert await migrations.apply(empty_url) == ["0002_expand_b.sql", "0003_expand_c.sql"]


async def test_a_file_that_fails_leaves_nothing_behind_and_the_earlier_ones_stay(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    good: dict[str, LiteralString] = {"0001_expand_a.sql": "CREATE TABLE a (n int)"}
    offer(monkeypatch, {**good, "0002_expand_b.sql": "CREATE TABLE b (n int); SELECT 1 / 0"})

    with pytest.raises(psycopg.errors.DivisionByZero):
        await migrations.apply(empty_url)
    assert applied(empty_url) == ["0001_expand_a.sql"]
    assert "b" not in relations(empty_url)

    offer(monkeypatch, {**good, "0002_expand_b.sql": "CREATE TABLE b (n int)"})
    assert await migrations.apply(empty_url) == ["0002_expand_b.sql"]


async def test_an_index_that_is_built_concurrently_runs_outside_a_transaction(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(
        monkeypatch,
        {
            "0001_expand_a.sql": "CREATE TABLE a (n int)",
            "0002_expand_a_n_concurrently.sql": "CREATE INDEX CONCURRENTLY IF NOT EXISTS a_n ON a (n)",
        },
    )

    assert len(await migrations.apply(empty_url)) == 2
    assert "a_n" in relations(empty_url)


def test_every_migration_says_its_locks_and_its_undoing_and_bounds_its_waiting() -> None:
    for path in sorted(Path(migrations.__file__).parent.glob("[0-9]*.sql")):
        text = path.read_text(encoding="utf-8")
        kind = path.name.split("_")[1]
        assert kind in ("expand", "contract"), path.name
        header = "".join(line for line in text.splitlines(keepends=True) if line.startswith("--"))
        assert "-- Locks:" in header, path.name
        assert "-- Undo:" in header, path.name
        if not path.name.endswith("_concurrently.sql"):
            assert "SET LOCAL lock_timeout" in text, path.name
            assert "SET LOCAL statement_timeout" in text, path.name


def test_no_two_migrations_have_the_same_number() -> None:
    numbers = [migration.name[:4] for migration in migrations.available()]

    assert len(set(numbers)) == len(numbers)
