"""Freeze + partial confirm pairs through `LedgerWriter`, beside pgbench's TPC-B on the same cluster."""

import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from uuid import UUID

import psycopg
from uuid_utils.compat import uuid7

import migrations
from bench.figures import Figure
from ledger import commands
from ledger.events import CreditsFrozen
from ledger.writer import LedgerWriter
from ops.services.binaries import postgres_programs
from ops.services.postgres import EmbeddedPostgres

ACCOUNTS: Final = 1_000
FREEZE_MICROCREDITS: Final = 1_000
CONFIRM_MICROCREDITS: Final = 600
TOP_UP_MICROCREDITS: Final = 10**15
RUN_S: Final = 8.0
WARM_UP_S: Final = 2.0
TPCB_SCALE: Final = 20
TPCB_S: Final = 15
BYTES_PER_EVENT_BAR: Final = 500
PAIRS_BAR: Final = 15_000
TPCB_TIMES_BAR: Final = 4
HOT_SHARE_BAR: Final = 0.9


async def run() -> list[Figure]:
    """Measure on a cluster of its own."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as path:
        async with EmbeddedPostgres(Path(path)) as postgres:
            await migrations.apply(postgres.owner_url)
            tpcb = await _tpcb(postgres)
            async with LedgerWriter(postgres.app_url) as writer:
                accounts = await _open_accounts(writer)
                await _pairs_per_s(writer, accounts, callers=64, seconds=WARM_UP_S)
                cold = {
                    callers: await _pairs_per_s(writer, accounts, callers=callers, seconds=RUN_S)
                    for callers in (1, 8, 64, 256)
                }
                hot = await _pairs_per_s(writer, accounts[:1], callers=64, seconds=RUN_S)
                # The neighbour in time is the fair comparison on a shared machine.
                cold_again = await _pairs_per_s(writer, accounts, callers=64, seconds=RUN_S)
            bytes_per_event = await _bytes_per_event(postgres)
    return _figures(tpcb=tpcb, cold=cold, hot=hot, cold_again=cold_again, bytes_per_event=bytes_per_event)


def _figures(
    *, tpcb: float, cold: dict[int, float], hot: float, cold_again: float, bytes_per_event: float
) -> list[Figure]:
    yardstick = "TPC-B transactions/s"
    figures = [
        Figure(
            suite="ledger",
            name=f"pairs, 1,000 accounts, {callers} callers",
            value=pairs,
            unit="pairs/s",
            bar=PAIRS_BAR if callers == 256 else None,
            yardstick=yardstick,
            yardstick_value=tpcb,
        )
        for callers, pairs in cold.items()
    ]
    return [
        *figures,
        Figure(
            suite="ledger",
            name="commands at 256 callers per TPC-B transaction",
            value=2 * cold[256] / tpcb,
            unit="times",
            bar=TPCB_TIMES_BAR,
            yardstick=yardstick,
            yardstick_value=tpcb,
        ),
        Figure(
            suite="ledger",
            name="pairs, one account, 64 callers",
            value=hot,
            unit="pairs/s",
            yardstick="1,000 accounts, 64 callers, next in time",
            yardstick_value=cold_again,
        ),
        Figure(
            suite="ledger",
            name="one account per 1,000 accounts, 64 callers",
            value=hot / max(cold[64], cold_again),
            unit="times",
            bar=HOT_SHARE_BAR,
        ),
        Figure(
            suite="ledger",
            name="bytes per event with its indexes",
            value=bytes_per_event,
            unit="B",
            bar=BYTES_PER_EVENT_BAR,
            at_most=True,
        ),
    ]


async def _open_accounts(writer: LedgerWriter) -> list[UUID]:
    async def open_one() -> UUID:
        account_id = uuid7()
        await writer.submit(
            commands.OpenAccount(account_id=account_id, command_key="holdfast:open", owner=str(account_id))
        )
        await writer.submit(
            commands.TopUp(account_id=account_id, command_key="top-up", amount_microcredits=TOP_UP_MICROCREDITS)
        )
        return account_id

    return await asyncio.gather(*[open_one() for _ in range(ACCOUNTS)])


async def _pairs_per_s(writer: LedgerWriter, accounts: Sequence[UUID], *, callers: int, seconds: float) -> float:
    done = 0
    started = time.perf_counter()
    deadline = started + seconds

    async def caller() -> None:
        nonlocal done
        while time.perf_counter() < deadline:
            account_id = random.choice(accounts)
            # A job's id in the key, as an application would have it.
            job = uuid7().hex
            frozen = await writer.submit(
                commands.Freeze(
                    account_id=account_id, command_key=f"freeze:{job}", amount_microcredits=FREEZE_MICROCREDITS
                )
            )
            body = frozen.event.decoded_body()
            assert isinstance(body, CreditsFrozen)
            await writer.submit(
                commands.Confirm(
                    account_id=account_id,
                    command_key=f"settle:{job}",
                    freeze_id=body.freeze_id,
                    amount_microcredits=CONFIRM_MICROCREDITS,
                )
            )
            done += 1

    await asyncio.gather(*[caller() for _ in range(callers)])
    return done / (time.perf_counter() - started)


async def _bytes_per_event(postgres: EmbeddedPostgres) -> float:
    connection = await psycopg.AsyncConnection.connect(postgres.owner_url)
    async with connection:
        row = await (
            await connection.execute("SELECT pg_total_relation_size('events')::float8 / count(*) FROM events")
        ).fetchone()
        assert row is not None
        return row[0]


async def _tpcb(postgres: EmbeddedPostgres) -> float:
    """Transactions per second of pgbench's built-in script (https://www.postgresql.org/docs/current/pgbench.html)."""
    pgbench = str(postgres_programs() / "pgbench")
    await _run(pgbench, "--initialize", "--quiet", f"--scale={TPCB_SCALE}", postgres.owner_url)
    report = await _run(
        pgbench, "--client=8", "--jobs=2", "--protocol=prepared", f"--time={TPCB_S}", "--no-vacuum", postgres.owner_url
    )
    line = next(line for line in report.splitlines() if line.startswith("tps = "))
    await _run(pgbench, "--initialize", "--init-steps=d", postgres.owner_url)
    return float(line.split()[2])


async def _run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode()
