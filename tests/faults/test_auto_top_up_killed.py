"""A clock that is killed while it tops up: the card is charged once, and the account is credited once."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import psycopg
import pytest

from ledger.database import Database
from ledger.writer import LedgerWriter
from tests.fakes.scripted_server import Hang, no_answer
from tests.ledger_state import check_everything
from tests.payments import CREDIT
from tests.waiting import eventually
from tests.wallets import Wallet, open_wallet

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
async def wallet(database: Database, writer: LedgerWriter, database_url: str) -> AsyncIterator[Wallet]:
    async with open_wallet(database, writer, database_url) as wallet:
        await wallet.wish()
        await wallet.spend_all()
        yield wallet


@contextlib.asynccontextmanager
async def clock_process(wallet: Wallet, step: str) -> AsyncGenerator[asyncio.subprocess.Process]:
    """A process that tops up; killed at the end, whatever it does then."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.topping_up_process", wallet.url, str(wallet.clock.now_us), step),
        cwd=ROOT,
        env={**os.environ, **wallet.stripe.environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        await process.communicate()


def end_its_sessions(superuser_url: str) -> None:
    """The server may notice only later that its client is gone."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'"
        )


async def go_on(wallet: Wallet, superuser_url: str) -> None:
    """Another clock takes over once the first one counts as lost."""
    end_its_sessions(superuser_url)
    wallet.clock.pass_hours(0.1)
    for _ in range(3):
        await wallet.tick()


def check_once(wallet: Wallet) -> None:
    (account,) = check_everything(wallet.url)
    assert account.credited == 1_100 * CREDIT
    assert (len(wallet.charges()), wallet.available(), wallet.attempts()) == (1, 100, [(1, 1)])
    assert wallet.rows("SELECT count(*) FROM messages WHERE kind = 'receipt'") == [(2,)]
    assert wallet.rows("SELECT count(*) FROM payment_orders WHERE purpose = 'auto_top_up'") == [(1,)]


@pytest.mark.parametrize("step", ["written", "asking", "charged", "settled", "ended"])
async def test_killed_between_any_two_steps_it_charges_once(wallet: Wallet, superuser_url: str, step: str) -> None:
    async with clock_process(wallet, step) as process:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 60) == b"stopped\n"

    await go_on(wallet, superuser_url)

    check_once(wallet)


async def test_killed_while_the_gateway_has_charged_and_not_answered_it_charges_once(
    wallet: Wallet, superuser_url: str
) -> None:
    wallet.stripe.after_acting(no_answer(Hang()))
    async with clock_process(wallet, "never"):
        await eventually(lambda: len(wallet.charges()) == 1, within_s=60)

    await go_on(wallet, superuser_url)

    check_once(wallet)


async def test_stopped_for_longer_than_its_lease_and_woken_again_it_charges_once(
    wallet: Wallet, superuser_url: str
) -> None:
    async with clock_process(wallet, "asking") as process:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 60) == b"stopped\n"
        wallet.clock.pass_hours(0.1)
        await wallet.tick()
        process.send_signal(signal.SIGCONT)
        assert await asyncio.wait_for(process.stdout.readline(), 60) == b"done\n"

    await go_on(wallet, superuser_url)

    check_once(wallet)
