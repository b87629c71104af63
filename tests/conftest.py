"""Real servers for every test that asks: one Postgres and one Redis for the session, a fresh database for each test."""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import redis
from hypothesis import settings
from psycopg import sql

import migrations
from ledger.database import Database
from ledger.writer import LedgerWriter
from ops.services.postgres import OWNER, SUPERUSER, EmbeddedPostgres
from ops.services.redis import EmbeddedRedis

TEMPLATE = "holdfast_template"
MEMORY = Path("/dev/shm")
MEMORY_NEEDED_BYTES = 8 * 2**30

# An example that takes more than 0.2 s tells of a machine that is busy. In CI Hypothesis has no deadline by itself.
settings.register_profile("house", settings.get_profile(settings.get_current_profile_name()), deadline=None)
settings.load_profile("house")


def pytest_configure() -> None:
    """Keep files in memory where there is plenty: thousands of databases come and go, and a disk is the slowest part.

    What tests kill are processes, and no power cut: of that, files in memory survive as much as those on a disk.
    """
    with contextlib.suppress(OSError):
        if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= MEMORY_NEEDED_BYTES:
            os.environ.setdefault("TMPDIR", str(MEMORY))
            tempfile.tempdir = None


@pytest.fixture(scope="session")
def servers_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="holdfast-") as path:
        yield Path(path)


@pytest.fixture(scope="session")
def postgres(servers_dir: Path) -> Iterator[EmbeddedPostgres]:
    """A cluster with durable settings whose template database is migrated."""
    server = EmbeddedPostgres(servers_dir, settings={"max_connections": "200", "max_wal_size": "256MB"})
    asyncio.run(server.start())
    try:
        with psycopg.connect(server.superuser_url, autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(TEMPLATE), sql.Identifier(OWNER))
            )
        asyncio.run(migrations.apply(server.url_for(OWNER, TEMPLATE)))
        yield server
    finally:
        asyncio.run(server.stop("immediate"))


@pytest.fixture(scope="session")
def redis_server(servers_dir: Path) -> Iterator[EmbeddedRedis]:
    server = EmbeddedRedis(servers_dir)
    asyncio.run(server.start())
    try:
        yield server
    finally:
        asyncio.run(server.stop())


@pytest.fixture
def database_name(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The name of a fresh, migrated database that is dropped afterwards."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(postgres.superuser_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(
                sql.Identifier(name), sql.Identifier(TEMPLATE), sql.Identifier(OWNER)
            )
        )
        yield name
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def database_url(postgres: EmbeddedPostgres, database_name: str) -> str:
    """Logs in as the owner of the tables; the application's connections drop to its role by themselves."""
    return postgres.url_for(OWNER, database_name)


@pytest.fixture
def superuser_url(postgres: EmbeddedPostgres, database_name: str) -> str:
    """For tests that do what no application may."""
    return postgres.url_for(SUPERUSER, database_name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database(database_url) as database:
        yield database


@pytest.fixture
async def writer(database_url: str) -> AsyncIterator[LedgerWriter]:
    async with LedgerWriter(database_url) as writer:
        yield writer


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis) -> str:
    """An empty Redis; all its databases are emptied before."""
    with redis.Redis.from_url(redis_server.url) as client:  # pyright: ignore[reportUnknownMemberType] - not typed
        client.flushall()  # pyright: ignore[reportUnknownMemberType] - not typed
    return redis_server.url
