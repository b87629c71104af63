"""Sealing, proving and verifying, beside COPY of the same table on the same cluster."""

import asyncio
import contextlib
import multiprocessing
import tempfile
import time
from bisect import bisect_left
from collections.abc import AsyncGenerator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import psycopg
from uuid_utils.compat import uuid7

import migrations
from bench.figures import Figure, percentile
from ledger import checkpoints, commands, database
from ledger.database import Database
from ledger.notes import SigningKey
from ledger.sealer import Sealer, seal
from ledger.writer import LedgerWriter
from ops.audit.proving import prove
from ops.audit.verify import verify
from ops.services.postgres import EmbeddedPostgres
from projections.catalogue import PROJECTIONS
from projections.runner import advance_active
from workers.clock import SEAL_BUSY_INTERVAL_S

ACCOUNTS: Final = 1_000
EVENTS: Final = 1_000_000
UNIT: Final = 50
CALLERS: Final = 16
RATE_PER_S: Final = 5_000
LAG_S: Final = 12.0
HELD_S: Final = 6.0
BEATS_PER_S: Final = 50
DRAIN_S: Final = 0.5
PROOFS: Final = 200

CATCH_UP_BAR: Final = 100_000
LAG_BAR_MS: Final = 50
VERIFY_BAR_S: Final = 10
PROOF_BAR_BYTES: Final = 1_024
PROOF_BAR_MS: Final = 10

LAST_EVENTS: Final = """
    SELECT sealed.seq, events.account_id, events.version
    FROM sealed INNER JOIN events ON events.position = sealed.position
    WHERE sealed.seq > %(after)s
"""


async def run() -> list[Figure]:
    """Measure on a cluster of its own."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as path:
        async with EmbeddedPostgres(Path(path)) as postgres:
            await migrations.apply(postgres.owner_url)
            async with LedgerWriter(postgres.app_url) as writer:
                accounts = [uuid7() for _ in range(ACCOUNTS)]
                await _fill(writer, accounts)
                copied_s = await _copy_s(postgres.app_url)
                catch_up = await _catch_up_per_s(postgres.app_url)
                lag_ms = await _lag_ms(postgres, writer, accounts, held=False)
                held_lag_ms = await _lag_ms(postgres, writer, accounts, held=True)
            proof_bytes, proof_ms = await _proofs(postgres.app_url)
            await _project(postgres.app_url)
            report = await verify(postgres.app_url, claims=[], trusted=[], progress=lambda _done, _total: None)
            assert not report.findings, report.findings[0]
            assert set(report.read_models.values()) == {report.sealed}, "every read model has all events"
    return _figures(copied_s, catch_up, lag_ms, held_lag_ms, proof_bytes, proof_ms, report.seconds, report.events)


def _figures(
    copied_s: float,
    catch_up: float,
    lag_ms: float,
    held_lag_ms: float,
    proof_bytes: float,
    proof_ms: float,
    verify_s: float,
    events: int,
) -> list[Figure]:
    copy = "COPY of all events to the client, s"
    busy = "pause between two runs of the sealer, ms"
    pause_ms = SEAL_BUSY_INTERVAL_S * 1_000
    return [
        Figure(
            suite="sealing",
            name="catch-up of 1M events into order and tree",
            value=catch_up,
            unit="events/s",
            bar=CATCH_UP_BAR,
            yardstick="COPY of the same table, events/s",
            yardstick_value=EVENTS / copied_s,
        ),
        *[
            Figure(
                suite="sealing",
                name=f"lag p99 at {RATE_PER_S:,} events/s{suffix}",
                value=value,
                unit="ms",
                bar=LAG_BAR_MS,
                at_most=True,
                yardstick=busy,
                yardstick_value=pause_ms,
            )
            for suffix, value in (("", lag_ms), (f", a stranger's transaction open for {HELD_S:.0f} s", held_lag_ms))
        ],
        Figure(
            suite="sealing",
            name=f"verify of {events:,} events, with all read models",
            value=verify_s,
            unit="s",
            bar=VERIFY_BAR_S * max(1.0, events / EVENTS),
            at_most=True,
            yardstick=copy,
            yardstick_value=copied_s,
        ),
        Figure(
            suite="sealing",
            name="inclusion proof at 1M events",
            value=proof_bytes,
            unit="B",
            bar=PROOF_BAR_BYTES,
            at_most=True,
        ),
        Figure(suite="sealing", name="making a proof, p99", value=proof_ms, unit="ms", bar=PROOF_BAR_MS, at_most=True),
    ]


async def _fill(writer: LedgerWriter, accounts: Sequence[UUID]) -> None:
    """Open accounts and charge them until there are `EVENTS`, several at a time."""
    waiting = iter(range(EVENTS // UNIT))

    async def open_one(account_id: UUID) -> None:
        opening = commands.OpenAccount(account_id=account_id, command_key="holdfast:open", owner=str(account_id))
        top_up = commands.TopUp(account_id=account_id, command_key="top-up", amount_microcredits=10**15)
        await writer.submit_unit([opening])
        await writer.submit_unit([top_up])

    async def fill() -> None:
        for number in waiting:
            await writer.submit_unit(_unit(accounts[number % ACCOUNTS]))

    await asyncio.gather(*map(open_one, accounts))
    await asyncio.gather(*[fill() for _ in range(CALLERS)])


def _unit(account_id: UUID) -> list[commands.Command]:
    """Pairs of freeze and partial confirm, as generations make them."""
    unit: list[commands.Command] = []
    for _ in range(UNIT // 2):
        freeze_id, job = uuid7(), uuid7().hex
        unit.append(
            commands.Freeze(
                account_id=account_id, freeze_id=freeze_id, command_key=f"freeze:{job}", amount_microcredits=1_000
            )
        )
        unit.append(
            commands.Confirm(
                account_id=account_id, freeze_id=freeze_id, command_key=f"settle:{job}", amount_microcredits=600
            )
        )
    return unit


async def _copy_s(url: str) -> float:
    async with await database.connect(url, settings={"statement_timeout": "0"}) as connection:
        began = time.perf_counter()
        async with connection.cursor() as cursor, cursor.copy("COPY events TO STDOUT (FORMAT binary)") as copy:
            async for _ in copy:
                pass
        return time.perf_counter() - began


async def _catch_up_per_s(url: str) -> float:
    async with await database.connect(url, settings={"statement_timeout": "0"}) as connection:
        began = time.perf_counter()
        sealed = await Sealer().seal(connection)
        return sealed / (time.perf_counter() - began)


async def _project(url: str) -> None:
    """Bring all read models up to the log, so that verifying compares them, too."""
    async with Database(url) as database:
        async with database.connection() as connection:
            while await seal(connection):
                pass
        for projection in PROJECTIONS:
            while await advance_active(database, projection):
                pass


async def _lag_ms(postgres: EmbeddedPostgres, writer: LedgerWriter, accounts: Sequence[UUID], *, held: bool) -> float:
    """Time from the answer to a command to the commit of the tick that sealed its event; the 99th percentile.

    The sealer has a process of its own, as it has in the clock.
    """
    answered: dict[tuple[UUID, int], float] = {}

    async def charge(account_id: UUID) -> None:
        command = commands.Charge(account_id=account_id, command_key=uuid7().hex, amount_microcredits=1)
        event = (await writer.submit(command)).event
        answered[event.account_id, event.version] = time.time()

    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    sealing = context.Process(target=_seal_until_told, args=(postgres.app_url, theirs))
    sealing.start()
    await asyncio.to_thread(ours.recv)
    async with _stranger(postgres.superuser_url, held=held):
        began = time.monotonic()
        for beat in range(int(LAG_S * BEATS_PER_S)):
            await asyncio.sleep(max(0.0, began + beat / BEATS_PER_S - time.monotonic()))
            share = RATE_PER_S // BEATS_PER_S
            await asyncio.gather(*[charge(accounts[(beat * share + n) % ACCOUNTS]) for n in range(share)])
    await asyncio.sleep(DRAIN_S)
    ours.send("stop")
    ticks: list[tuple[int, float]] = await asyncio.to_thread(ours.recv)
    sealing.join()
    sizes = [size for size, _ in ticks]
    async with await database.connect(postgres.app_url) as connection:
        cursor = await connection.execute(LAST_EVENTS, {"after": sizes[0]})
        sealed = {row[1:]: ticks[bisect_left(sizes, row[0])][1] async for row in cursor}
    return percentile([max(0.0, sealed[event] - at) for event, at in answered.items()], 0.99) * 1_000


def _seal_until_told(url: str, parent: "Connection[Any, Any]") -> None:
    """Seal as the clock does; say when all is sealed, and in the end how much was sealed at what time since."""

    async def seal() -> list[tuple[int, float]]:
        sealer = Sealer()
        async with await database.connect(url) as connection:
            await sealer.seal(connection)
            sealed = await checkpoints.read_sealed(connection)
            await connection.rollback()
            ticks = [(0 if sealed is None else sealed[0], time.time())]
            parent.send("ready")
            while not parent.poll():
                if added := await sealer.seal(connection):
                    ticks.append((ticks[-1][0] + added, time.time()))
                await asyncio.sleep(SEAL_BUSY_INTERVAL_S)
        return ticks

    parent.send(asyncio.run(seal()))


@contextlib.asynccontextmanager
async def _stranger(url: str, *, held: bool) -> AsyncGenerator[None]:
    """Hold a transaction open, with a transaction id and a snapshot, for `HELD_S`."""

    async def hold() -> None:
        async with await psycopg.AsyncConnection[Any].connect(url) as connection:
            await connection.execute("CREATE TEMPORARY TABLE held (x int)")
            await asyncio.sleep(HELD_S)

    task = asyncio.create_task(hold() if held else asyncio.sleep(0))
    yield
    await task


async def _proofs(url: str) -> tuple[float, float]:
    """Size of the path in its file, and the time to make the proof."""
    async with await database.connect(url) as connection:
        await checkpoints.append(connection, SigningKey.generate("holdfast.example/bench"))
        await connection.commit()
        times_ms: list[float] = []
        size = 0
        for number in range(PROOFS):
            began = time.perf_counter()
            proof = await prove(connection, str(1 + number * (EVENTS // PROOFS)), old_note=None)
            times_ms.append((time.perf_counter() - began) * 1_000)
            size = max(size, len(proof.text().partition("\nindex ")[2].partition("\n\n")[0]))
    return float(size), percentile(times_ms, 0.99)
