"""The ledger when processes die: a writer and sealer killed in the middle of batches, Postgres killed under load."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal
from uuid import UUID, uuid4

import psycopg
import pytest

import migrations
from ledger import database, errors
from ledger.account import Account
from ledger.commands import Command
from ledger.sealer import seal
from ledger.writer import LedgerWriter
from ops.services.postgres import OWNER, EmbeddedPostgres
from tests.builders import charge, confirm, freeze, open_account, top_up
from tests.ledger_state import check_everything
from tests.sealed_state import check_sealed
from tests.waiting import eventually

ROOT = Path(__file__).parent.parent.parent


async def new_account(writer: LedgerWriter, balance: int = 10_000_000) -> UUID:
    account_id = uuid4()
    await writer.submit(open_account(account_id))
    await writer.submit(top_up(balance, account_id))
    return account_id


async def seal_all(url: str) -> None:
    async with await database.connect(url) as connection:
        await seal(connection)


def recorded_keys(url: str) -> set[tuple[UUID, str]]:
    with psycopg.connect(url) as connection:
        return {(row[0], row[1]) for row in connection.execute("SELECT account_id, command_key FROM events")}


async def run_until_killed(url: str, account_ids: list[UUID], *, answers: int) -> set[tuple[UUID, str]]:
    """Let a process write until it has said so many answers, kill it, and return what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.ledger_load", url, *map(str, account_ids),
        stdout=asyncio.subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    said: list[bytes] = []
    try:
        async with asyncio.timeout(30):
            while len(said) < answers:
                line = await process.stdout.readline()
                assert line, "the process ended by itself"
                said.append(line)
    finally:
        process.send_signal(signal.SIGKILL)
        rest = await process.stdout.read()
        await process.wait()
    said += rest.splitlines(keepends=True)
    whole = [line.decode().split() for line in said if line.endswith(b"\n")]
    return {(UUID(account_id), key) for account_id, key in whole}


async def test_a_writer_and_sealer_killed_in_the_middle_of_batches_leave_everything_whole(database_url: str) -> None:
    async with LedgerWriter(database_url) as writer:
        account_ids = [await new_account(writer) for _ in range(4)]
    answered: set[tuple[UUID, str]] = set()

    for answers in (1, 300, 777):
        answered |= await run_until_killed(database_url, account_ids, answers=answers)
        check_everything(database_url)
        check_sealed(database_url, complete=False)

    assert answered <= recorded_keys(database_url)
    await seal_all(database_url)
    check_sealed(database_url)
    async with LedgerWriter(database_url) as writer:
        for account_id in account_ids:
            await writer.submit(charge(1, account_id))
    check_everything(database_url)


@pytest.fixture
async def own_postgres(tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A cluster that only this test stops and starts."""
    async with EmbeddedPostgres(tmp_path, settings={"max_connections": "50"}) as server:
        yield server


async def submit_until_answered(writer: LedgerWriter, command: Command) -> None:
    """What a client does: send the same command again while it is told that the database is away."""
    async with asyncio.timeout(30):
        while True:
            try:
                await writer.submit(command)
            except errors.Contended:
                continue
            return


@pytest.mark.parametrize("mode", ["fast", "immediate", "kill"])
async def test_postgres_restarted_under_load_loses_and_doubles_nothing(
    own_postgres: EmbeddedPostgres, mode: Literal["fast", "immediate", "kill"]
) -> None:
    url = own_postgres.url_for(OWNER)
    await migrations.apply(url)
    done: list[Command] = []
    stop = asyncio.Event()

    async def client(writer: LedgerWriter, account_id: UUID) -> None:
        while not stop.is_set():
            frozen = freeze(5, account_id)
            for command in (frozen, confirm(frozen.freeze_id, 2, account_id), charge(1, account_id)):
                await submit_until_answered(writer, command)
                done.append(command)

    async with LedgerWriter(url) as first, LedgerWriter(url) as second:
        account_ids = [await new_account(first) for _ in range(4)]
        clients = [
            asyncio.create_task(client(writer, account_id))
            for account_id in account_ids
            for writer in (first, second)
            for _ in range(4)
        ]
        await reached(done, 200)
        await own_postgres.restart(mode)
        await reached(done, len(done) + 200)
        await seal_all(url)
        stop.set()
        await asyncio.gather(*clients)

    await seal_all(url)
    check_sealed(url)
    accounts = {account.id: account for account in check_everything(url)}
    for account_id in account_ids:
        assert spending(accounts[account_id]) == expected_spending(done, account_id)
    assert {(command.account_id, command.command_key) for command in done} <= recorded_keys(url)


async def reached(done: list[Command], number: int) -> None:
    await eventually(lambda: len(done) >= number, within_s=60)


def spending(account: Account) -> tuple[int, int, int]:
    return (account.spent, account.frozen, account.version - 2)


def expected_spending(done: list[Command], account_id: UUID) -> tuple[int, int, int]:
    mine = [type(command).__name__ for command in done if command.account_id == account_id]
    return (2 * mine.count("Confirm") + mine.count("Charge"), 0, len(mine))
