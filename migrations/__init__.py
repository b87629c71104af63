"""Numbered SQL files, and what applies them: forward only, one at a time, under a lock.

A file is applied once, in a transaction of its own together with the row that records it. A file whose name ends in
`_concurrently.sql` runs outside a transaction, because `CREATE INDEX CONCURRENTLY` must; it has to be repeatable.
"""

import asyncio
import hashlib
import time
from importlib.resources import files
from typing import Final, LiteralString, NamedTuple, cast

from psycopg import AsyncConnection

_ADVISORY_LOCK: Final = 0x686F6C64  # "hold"

LOCK_WAIT_S: Final = 600
_LOCK_POLL_S: Final = 0.05

_CREATE: Final = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    name text PRIMARY KEY,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class Migration(NamedTuple):
    """One numbered file."""

    name: str
    text: LiteralString

    @property
    def sha256(self) -> str:
        """Digest of the file, so that a file changed after it was applied is noticed."""
        return hashlib.sha256(self.text.encode()).hexdigest()


class MigrationChanged(Exception):
    """A migration file differs from what was applied under its name: the database and this code do not match."""


class MigrationInProgress(Exception):
    """Another process holds the lock of the migrations and does not finish."""


def available() -> list[Migration]:
    """Return all migrations of this code, in order."""
    found = [
        Migration(file.name, cast("LiteralString", file.read_text(encoding="utf-8")))
        for file in files(__name__).iterdir()
        if file.name.endswith(".sql") and file.name[:4].isdigit()
    ]
    return sorted(found)


async def pending(connection: AsyncConnection) -> list[Migration]:
    """Return what this database still lacks, in order.

    Raises:
        MigrationChanged: an applied file was changed since.
    """
    exists = await (await connection.execute("SELECT to_regclass('schema_migrations') IS NOT NULL")).fetchone()
    if exists is None or not exists[0]:
        return available()
    rows = await (await connection.execute("SELECT name, sha256 FROM schema_migrations")).fetchall()
    applied: dict[str, str] = dict(rows)
    for migration in available():
        if applied.get(migration.name, migration.sha256) != migration.sha256:
            raise MigrationChanged(f"{migration.name} was changed after it was applied")
    return [migration for migration in available() if migration.name not in applied]


async def apply(url: str) -> list[str]:
    """Apply what is pending, as the role that `url` logs in as, and return the names of the files applied.

    Waits while another process migrates; a second call then finds nothing to do.

    Raises:
        MigrationChanged: an applied file was changed since.
        MigrationInProgress: another process has been migrating for too long.
        psycopg.Error: a file failed; it left nothing behind and the earlier ones stay.
    """
    connection = await AsyncConnection.connect(url, autocommit=True, connect_timeout=5)
    async with connection:
        await _lock(connection)
        await connection.execute(_CREATE)
        names: list[str] = []
        for migration in await pending(connection):
            if migration.name.endswith("_concurrently.sql"):
                await connection.execute(migration.text)
                await _record(connection, migration)
            else:
                async with connection.transaction():
                    await connection.execute(migration.text)
                    await _record(connection, migration)
            names.append(migration.name)
        return names


async def _lock(connection: AsyncConnection) -> None:
    # Asking again and again, instead of waiting in the server: a session that waits there holds a snapshot, for which
    # CREATE INDEX CONCURRENTLY waits in turn.
    deadline = time.monotonic() + LOCK_WAIT_S
    while time.monotonic() < deadline:
        row = await (await connection.execute("SELECT pg_try_advisory_lock(%s)", [_ADVISORY_LOCK])).fetchone()
        if row is not None and row[0]:
            return
        await asyncio.sleep(_LOCK_POLL_S)
    raise MigrationInProgress(f"another process has been migrating for more than {LOCK_WAIT_S} s")


async def _record(connection: AsyncConnection, migration: Migration) -> None:
    await connection.execute(
        "INSERT INTO schema_migrations (name, sha256) VALUES (%s, %s)", [migration.name, migration.sha256]
    )
