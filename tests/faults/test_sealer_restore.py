"""A dump, restored into another cluster: old and new events all sealed, in order, and old proofs hold."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

import migrations
from ledger import checkpoints, database
from ledger.audit.log import Claim
from ledger.notes import SigningKey
from ledger.proofs import Checkpoint, check
from ledger.sealer import Sealer, lag_s, seal
from ledger.writer import LedgerWriter
from ops.audit.proving import prove
from ops.audit.verify import verify
from ops.services.binaries import postgres_programs
from ops.services.postgres import DATABASE, OWNER, EmbeddedPostgres
from tests.builders import charge, open_account, top_up
from tests.ledger_state import check_everything
from tests.sealed_state import check_sealed

KEY = SigningKey.generate("holdfast.example/test")


@pytest.fixture
async def old(tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
    async with EmbeddedPostgres(tmp_path / "old") as server:
        await migrations.apply(server.url_for(OWNER))
        yield server


@pytest.fixture
async def new(tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
    async with EmbeddedPostgres(tmp_path / "new") as server:
        yield server


def spend_transaction_ids(server: EmbeddedPostgres, count: int) -> None:
    """So that the ids of one cluster are far from those of the other, or just the same."""
    with psycopg.connect(server.superuser_url, autocommit=True) as connection:
        loop = f"DO $$ BEGIN FOR i IN 1..{count} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$"
        connection.execute(loop.encode())


def copy(source: EmbeddedPostgres, target: EmbeddedPostgres, tmp_path: Path, *words: str) -> None:
    """pg_dump and pg_restore, as a database administrator does it."""
    dump, programs = tmp_path / "dump", postgres_programs()
    run(programs / "pg_dump", "--format=custom", f"--file={dump}", source.superuser_url)
    run(programs / "pg_restore", "--exit-on-error", *words, f"--dbname={target.superuser_url}", dump)


def run(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True, capture_output=True, timeout=60)


async def append(url: str, account_id: UUID, *, events: int) -> None:
    async with LedgerWriter(url) as writer:
        for _ in range(events):
            await writer.submit(charge(1, account_id))


@pytest.mark.parametrize("spent", ["less", "more"])
@pytest.mark.parametrize("words", [(), ("--single-transaction",)])
async def test_a_restored_log_goes_on(
    old: EmbeddedPostgres, new: EmbeddedPostgres, tmp_path: Path, spent: str, words: tuple[str, ...]
) -> None:
    spend_transaction_ids(old if spent == "less" else new, 3_000)
    account_id = uuid4()
    async with LedgerWriter(old.url_for(OWNER)) as writer:
        await writer.submit(open_account(account_id))
        await writer.submit(top_up(1_000_000, account_id))
    sealer = Sealer()
    async with await database.connect(old.url_for(OWNER)) as connection:
        for _ in range(4):
            await append(old.url_for(OWNER), account_id, events=75)
            await sealer.seal(connection)
        signed = await checkpoints.append(connection, KEY)
        await connection.commit()
    assert signed is not None
    await append(old.url_for(OWNER), account_id, events=40)

    copy(old, new, tmp_path, *words)
    url = new.url_for(OWNER)
    await append(url, account_id, events=30)
    async with await database.connect(url) as connection:
        sealed = [await seal(connection)]
        await append(url, account_id, events=20)
        again = Sealer()
        sealed += [await again.seal(connection), await again.seal(connection), await seal(connection)]
        assert await lag_s(connection) == 0
        await connection.rollback()

        await checkpoints.append(connection, KEY)
        await connection.commit()
        proofs = [await prove(connection, event, old_note=signed.note) for event in ("1", "302", "340", "391")]
        epochs = await (await connection.execute("SELECT DISTINCT epoch FROM ticks ORDER BY epoch")).fetchall()

    assert sealed == [70, 20, 0, 0]
    assert epochs == [(1,), (2,)]
    assert check_sealed(url) == 392
    check_everything(url)
    for proof in proofs:
        assert check(proof, [KEY.verifier], old_note=signed.note).old == Checkpoint(KEY.name, 302, signed.root)
    claim = Claim(signed.size, signed.root, "given", "the checkpoint of the old cluster")
    report = await verify(url, claims=[claim], trusted=[KEY.verifier], progress=lambda _done, _total: None)
    assert report.findings == []


async def test_a_restored_log_that_never_sealed_is_sealed(
    old: EmbeddedPostgres, new: EmbeddedPostgres, tmp_path: Path
) -> None:
    spend_transaction_ids(old, 3_000)
    account_id = uuid4()
    async with LedgerWriter(old.url_for(OWNER)) as writer:
        await writer.submit(open_account(account_id))
        await writer.submit(top_up(1_000, account_id))
    copy(old, new, tmp_path)
    url = new.url_for(OWNER)

    async with await database.connect(url) as connection:
        sealed = [await seal(connection), await seal(connection)]
        await append(url, account_id, events=3)
        sealed.append(await seal(connection))

    assert sealed == [2, 0, 3]
    assert check_sealed(url) == 5


async def test_restored_transaction_ids_that_come_up_again_seal_nothing_twice(
    old: EmbeddedPostgres, new: EmbeddedPostgres, tmp_path: Path
) -> None:
    """The new cluster's own transactions pass through the ids that came with the dump."""
    spend_transaction_ids(old, 500)
    account_id = uuid4()
    async with LedgerWriter(old.url_for(OWNER)) as writer:
        await writer.submit(open_account(account_id))
        await writer.submit(top_up(1_000, account_id))
    await append(old.url_for(OWNER), account_id, events=20)
    async with await database.connect(old.url_for(OWNER)) as connection:
        await seal(connection)
    copy(old, new, tmp_path)
    url, sealer, sealed = new.url_for(OWNER), Sealer(), 0
    async with await database.connect(url) as connection:
        for _ in range(8):
            await append(url, account_id, events=2)
            sealed += await sealer.seal(connection)
            await asyncio.to_thread(spend_transaction_ids, new, 100)
            assert await lag_s(connection) == 0
            await connection.rollback()

    assert sealed == 16
    assert check_sealed(url) == 38
    assert DATABASE in url
