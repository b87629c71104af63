"""Reconciliation killed while it posts: what it had posted stays, and the next run posts the rest, each once."""

import asyncio
import subprocess
import sys
from typing import Any

import msgspec
import psycopg
import pytest

from tests.large_books import CREDITS, LargeBooks, odd_of, price_of, refunded_minor
from tests.ledger_state import check_everything

COUNT = 1_500
TIMEOUT_S = 120
NOT_AS_ORDERED = {"amount", "currency", "tax", "order"}
NOT_LISTED = {"unlisted", "unnoted"}


async def start(url: str, *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.reconciling_process", str(COUNT), "--apply", *words,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={"DATABASE_URL": url, "PATH": "/usr/bin:/bin"},
    )  # fmt: skip


async def report(process: asyncio.subprocess.Process) -> Any:
    out, err = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    assert process.returncode == 0, err.decode()
    return msgspec.json.decode(out)


def credited(url: str) -> tuple[int, int]:
    """How many top-ups there are, and of how many payments."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*), count(DISTINCT command_key) FROM events WHERE kind = 2"
        ).fetchone()  # fmt: skip
    assert row is not None
    return row[0], row[1]


@pytest.mark.timeout(300)
async def test_killed_while_it_posts_and_run_again_everything_is_posted_once(database_url: str) -> None:
    books = LargeBooks(COUNT)
    await books.write_orders(database_url)
    fitting = [number for number in range(COUNT) if odd_of(number) not in NOT_AS_ORDERED | NOT_LISTED]

    posted = 0
    for share in (10, 2):
        process = await start(database_url, f"--stop-after={len(fitting) // share}")
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), TIMEOUT_S) == b"stopped\n"
        process.kill()
        await process.communicate()
        before, posted = posted, credited(database_url)[0]
        assert before < posted < len(fitting), "it was killed too early, or too late"
    rest = await report(await start(database_url))
    state = check_everything(database_url)
    last = await report(await start(database_url))

    assert credited(database_url) == (len(fitting), len(fitting))
    assert rest["totals_after"]["missing_here"] == 0
    assert last["totals"] == last["totals_after"] == rest["totals_after"]
    assert check_everything(database_url) == state
    gone = sum(
        CREDITS * refunded_minor(number) // price_of(number).minor
        for number in fitting
        if odd_of(number) not in {"refund_unlisted", "refund_failed", "refund_amount", "refund_currency"}
    )
    odd = sum(
        CREDITS * (refunded_minor(number) + 1) // price_of(number).minor
        for number in fitting
        if odd_of(number) == "refund_amount"
    )
    assert sum(account.available for account in state) == len(fitting) * CREDITS - gone - odd
