"""Read models and exports of a million events on one account, beside what Postgres and Python do with the same rows."""

import asyncio
import contextlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import psycopg
from uuid_utils.compat import uuid7

import migrations
from bench.figures import Figure, percentile
from ledger import commands
from ledger.database import Database
from ledger.events import CreditsFrozen
from ledger.rows import event_of_row
from ledger.sealer import lag_s, seal
from ledger.writer import LedgerWriter
from ops.services.postgres import EmbeddedPostgres
from projections.as_of import read_balance_as_of
from projections.catalogue import PROJECTIONS
from projections.rebuild import rebuild
from projections.runner import advance_active

EVENTS: Final = 1_000_000
CALLERS: Final = 256
ALONE_S: Final = 4.0
WARM_UP_S: Final = 1.0
BESIDE_S: Final = 8.0
"""Several of the rests that projections take beside a busy writer."""

TURNS: Final = 5
SEALED_WITHIN_S: Final = 60.0
ACCOUNTS: Final = 1_000
AS_OF_READS: Final = 300
WATCH_S: Final = 0.05
TOP_UP_MICROCREDITS: Final = 10**15

AS_OF_BAR_MS: Final = 10.0
REBUILD_BAR: Final = 1_000_000
REPLAY_BAR: Final = 300_000
PARQUET_BAR_S: Final = 15.0
MEMORY_BAR_MIB: Final = 300.0
WRITER_SHARE_BAR: Final = 0.8


async def run() -> list[Figure]:
    """Measure on clusters of their own."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as path:
        async with EmbeddedPostgres(Path(path) / "share") as postgres:
            await migrations.apply(postgres.owner_url)
            share = await _writer_share(postgres)
        async with EmbeddedPostgres(Path(path) / "million") as postgres:
            await migrations.apply(postgres.owner_url)
            million = await _million(postgres, Path(path))
    return [*share, *million]


async def _writer_share(postgres: EmbeddedPostgres) -> list[Figure]:
    """Writing alone and beside the read models by turns, because a shared machine changes all the time.

    The projector stands still while writers are alone. What gathered for the sealer then, it seals before the
    measurement goes on, for it is not written beside it; the read models stay behind: they never do less than they can.
    """
    alone: list[float] = []
    beside: list[float] = []
    async with LedgerWriter(postgres.app_url) as writer:
        accounts = await asyncio.gather(*[_open(writer) for _ in range(ACCOUNTS)])
        await _pairs(writer, accounts, _until(WARM_UP_S))
        async with _projector(postgres.app_url) as process:
            for _ in range(TURNS):
                process.send_signal(signal.SIGSTOP)
                alone.append(await _pairs(writer, accounts, _until(ALONE_S)))
                process.send_signal(signal.SIGCONT)
                await _all_is_sealed(postgres.app_url)
                beside.append(await _pairs(writer, accounts, _until(BESIDE_S)))
    return [
        _figure(
            "pairs beside sealer and projections per pairs alone",
            sum(beside) / sum(alone),
            "times",
            bar=WRITER_SHARE_BAR,
            yardstick="pairs/s alone",
            yardstick_value=sum(alone) / TURNS,
        )
    ]


async def _all_is_sealed(url: str) -> None:
    async with Database(url) as database, asyncio.timeout(SEALED_WITHIN_S), database.connection() as connection:
        while await lag_s(connection):
            await connection.rollback()
            await asyncio.sleep(WATCH_S)


async def _million(postgres: EmbeddedPostgres, path: Path) -> list[Figure]:
    async with LedgerWriter(postgres.app_url) as writer, Database(postgres.app_url) as database:
        account_id = await _open(writer)
        await _pairs(writer, [account_id], _events(EVENTS))
        async with database.connection() as connection:
            while await seal(connection):
                pass
        for projection in PROJECTIONS:
            while await advance_active(database, projection):
                pass
        return [
            *await _rebuilds(postgres, database),
            *await _as_of(database, account_id),
            await _replay(postgres, account_id),
            *await asyncio.to_thread(_replay_program, postgres),
            *await asyncio.to_thread(_exports, postgres, path),
        ]


async def _rebuilds(postgres: EmbeddedPostgres, database: Database) -> list[Figure]:
    copied = await asyncio.to_thread(_copy_per_s, postgres.owner_url)
    figures: list[Figure] = []
    for projection in PROJECTIONS:
        started = time.perf_counter()
        seq = await rebuild(database, projection, progress=lambda taken, total: None)
        figures.append(
            _figure(
                f"rebuild {projection.name}", seq / (time.perf_counter() - started), "events/s",
                bar=REBUILD_BAR if projection.name == "statements" else None,
                yardstick="COPY into the table of statements", yardstick_value=copied,
            )
        )  # fmt: skip
    return figures


def _copy_per_s(url: str) -> float:
    """Lines per second of COPY into a table like that of the statements, its key included."""
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE copied (LIKE statement_blocks INCLUDING INDEXES)")
        row = connection.execute("SELECT sum(cardinality(seqs)) FROM statement_blocks").fetchone()
        assert row is not None, "an aggregate has a row"
        with connection.cursor().copy("COPY (SELECT * FROM statement_blocks) TO STDOUT (FORMAT binary)") as copy:
            blocks = [bytes(block) for block in copy]
        started = time.perf_counter()
        with connection.cursor().copy("COPY copied FROM STDIN (FORMAT binary)") as copy:
            for place in range(0, len(blocks), 1_000):
                copy.write(b"".join(blocks[place : place + 1_000]))
        elapsed_s = time.perf_counter() - started
        connection.rollback()
    return int(row[0]) / elapsed_s


async def _as_of(database: Database, account_id: UUID) -> list[Figure]:
    now = datetime.now(UTC)
    taken_ms: list[float] = []
    for _ in range(AS_OF_READS):
        seq = random.randint(2, EVENTS)
        started = time.perf_counter()
        async with database.connection() as connection:
            await read_balance_as_of(connection, account_id, seq=seq, now=now)
        taken_ms.append((time.perf_counter() - started) * 1_000)
    heads_ms: list[float] = []
    for _ in range(AS_OF_READS):
        started = time.perf_counter()
        async with database.connection() as connection:
            await connection.execute("SELECT available FROM accounts WHERE id = %s", [account_id])
        heads_ms.append((time.perf_counter() - started) * 1_000)
    return [
        _figure(
            f"as-of balance, p{percent}", percentile(taken_ms, percent / 100), "ms", bar=AS_OF_BAR_MS, at_most=True,
            yardstick="reading a head", yardstick_value=percentile(heads_ms, percent / 100),
        )
        for percent in (50, 99)
    ]  # fmt: skip


async def _replay(postgres: EmbeddedPostgres, account_id: UUID) -> Figure:
    """Reading events in version order and decoding their bodies, in bounded memory."""
    connection = await psycopg.AsyncConnection.connect(postgres.app_url)
    started = time.perf_counter()
    count = 0
    async with connection, connection.cursor(name="replay", binary=True) as cursor:
        cursor.itersize = 10_000
        await cursor.execute(
            "SELECT account_id, version, kind, amount, available_after, frozen_after, recorded_at, command_key,"
            " request_digest, body, hash FROM events WHERE account_id = %s ORDER BY version",
            [account_id],
        )
        while rows := await cursor.fetchmany(10_000):
            for row in rows:
                event_of_row(row).decoded_body()
            count += len(rows)
    return _figure(
        "events read and decoded in Python", count / (time.perf_counter() - started), "events/s", bar=REPLAY_BAR
    )


def _replay_program(postgres: EmbeddedPostgres) -> list[Figure]:
    """Everything replayed by the command, which folds the events besides decoding them."""
    elapsed_s, memory_mib = _audit(postgres, "replay")
    return [
        _figure("audit replay of everything", elapsed_s, "s"),
        _figure("its memory (replay)", memory_mib, "MiB", bar=MEMORY_BAR_MIB, at_most=True),
    ]


def _audit(postgres: EmbeddedPostgres, *words: str) -> tuple[float, float]:
    """Run a command in a process of its own; return how long it took, and how much memory it had, in MiB."""
    environment = {"DATABASE_URL": postgres.app_url, "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "ops", "audit", *words]
    started = time.perf_counter()
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:  # noqa: S603 - ourselves
        memory_mib = _most_memory_mib(process)
    assert process.returncode == 0, "the command went through"
    return time.perf_counter() - started, memory_mib


def _exports(postgres: EmbeddedPostgres, path: Path) -> list[Figure]:
    figures: list[Figure] = []
    for format_name in ("csv", "parquet", "hledger", "beancount"):
        elapsed_s, memory_mib = _audit(postgres, "export", f"--format={format_name}", f"--out={path / format_name}")
        bar = PARQUET_BAR_S if format_name == "parquet" else None
        figures += [
            _figure(f"export to {format_name}", elapsed_s, "s", bar=bar, at_most=True),
            _figure(f"its memory ({format_name})", memory_mib, "MiB", bar=MEMORY_BAR_MIB, at_most=True),
        ]
    return figures


def _most_memory_mib(process: subprocess.Popen[bytes]) -> float:
    """Watch a process to its end. Its `ru_maxrss` would count ours, from which it began."""
    most_kib = 0
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
        marks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
        most_kib = max([most_kib, *map(int, marks)])
        time.sleep(WATCH_S)
    return most_kib / 1024


@contextlib.asynccontextmanager
async def _projector(url: str) -> AsyncGenerator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.projector", url, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


async def _open(writer: LedgerWriter) -> UUID:
    account_id = uuid7()
    await writer.submit(commands.OpenAccount(account_id=account_id, command_key="holdfast:open", owner=str(account_id)))
    await writer.submit(
        commands.TopUp(
            account_id=account_id,
            command_key="top-up",
            amount_microcredits=TOP_UP_MICROCREDITS,
            paid_amount="1000000.00",
            paid_currency="USD",
        )
    )
    return account_id


def _until(seconds: float) -> Callable[[int], bool]:
    deadline = time.perf_counter() + seconds
    return lambda done: time.perf_counter() < deadline


def _events(count: int) -> Callable[[int], bool]:
    return lambda done: 2 * done < count


async def _pairs(writer: LedgerWriter, accounts: Sequence[UUID], go_on: Callable[[int], bool]) -> float:
    """Freeze and confirm, as long as it is said to go on; return pairs per second."""
    done = 0
    started = time.perf_counter()

    async def caller() -> None:
        nonlocal done
        while go_on(done):
            done += 1
            account_id, job = random.choice(accounts), uuid7().hex
            frozen = await writer.submit(
                commands.Freeze(
                    account_id=account_id, command_key=f"freeze:{job}", amount_microcredits=50_000, reference=job
                )
            )
            body: Any = frozen.event.decoded_body()
            assert isinstance(body, CreditsFrozen)
            await writer.submit(
                commands.Confirm(
                    account_id=account_id,
                    command_key=f"settle:{job}",
                    freeze_id=body.freeze_id,
                    amount_microcredits=30_000,
                )
            )

    await asyncio.gather(*[caller() for _ in range(CALLERS)])
    return done / (time.perf_counter() - started)


def _figure(name: str, value: float, unit: str, **fields: Any) -> Figure:
    return Figure(suite="projections", name=name, value=value, unit=unit, **fields)
