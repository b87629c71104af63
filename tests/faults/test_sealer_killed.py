"""A sealer killed between any two of its statements loses nothing and seals nothing twice."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from ledger import database
from ledger.merkle import leaf_hash, root_of
from ledger.sealer import Sealer
from ledger.writer import LedgerWriter
from tests.builders import charge, open_account, top_up
from tests.sealed_state import check_sealed
from tests.waiting import eventually

ROOT = Path(__file__).parent.parent.parent
GATE = 4711

BLOCK = """
    CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock_shared({gate});
        RETURN NULL;
    END
    $$;
    CREATE CONSTRAINT TRIGGER gate AFTER INSERT ON {table}
    DEFERRABLE {when} FOR EACH ROW EXECUTE FUNCTION wait_at_gate();
"""


@contextlib.asynccontextmanager
async def sealing(url: str) -> AsyncGenerator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.faults.sealing_process", url, cwd=ROOT)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def waits_at_gate(url: str) -> bool:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            [GATE],
        ).fetchone()
    return row == (1,)


@pytest.mark.parametrize(
    ("table", "when"),
    [
        ("sealed", "INITIALLY IMMEDIATE"),
        ("tiles", "INITIALLY IMMEDIATE"),
        ("ticks", "INITIALLY IMMEDIATE"),
        ("ticks", "INITIALLY DEFERRED"),
    ],
    ids=["while it takes places", "while it keeps tiles", "while it writes the tick", "while it commits"],
)
async def test_a_sealer_killed_at_any_statement_loses_and_doubles_nothing(
    database_url: str, superuser_url: str, table: str, when: str
) -> None:
    account_id = uuid4()
    async with LedgerWriter(database_url) as writer:
        await writer.submit(open_account(account_id))
        await writer.submit(top_up(1_000_000, account_id))
        for _ in range(3):
            await writer.submit_unit([charge(1, account_id) for _ in range(100)])
    with psycopg.connect(superuser_url, autocommit=True) as gate:
        gate.execute(BLOCK.format(gate=GATE, table=table, when=when).encode())
        gate.execute("SELECT pg_advisory_lock(%s)", [GATE])
        async with sealing(database_url) as process:
            await eventually(lambda: waits_at_gate(database_url), within_s=60)
            process.send_signal(signal.SIGKILL)
            await process.wait()
            assert check_sealed(database_url, complete=False) == 0
            # Only the server knows whether it notices first that its client is gone, or that the gate opens.
            gate.execute("SELECT pg_advisory_unlock(%s)", [GATE])

    async with await database.connect(database_url) as sealer_s:
        sealer = Sealer()

        async def all_is_sealed() -> bool:
            await sealer.seal(sealer_s)
            return check_sealed(database_url, complete=False) == 302

        await eventually(all_is_sealed)

    assert check_sealed(database_url) == 302
    with psycopg.connect(database_url) as connection:
        hashes = connection.execute("SELECT hash FROM sealed JOIN events USING (position) ORDER BY seq").fetchall()
        ticks = connection.execute("SELECT size, root FROM ticks WHERE number > 0").fetchall()
        tiles = connection.execute("SELECT level, index FROM tiles").fetchall()
    assert ticks == [(302, root_of(b"".join(leaf_hash(row[0]) for row in hashes)))]
    assert tiles == [(0, 0)]
