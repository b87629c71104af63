"""A worker that is killed while it settles webhooks: every payment is credited once, every refund taken back once."""

import asyncio
import random
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from ledger.database import Database
from ledger.writer import LedgerWriter
from tests.builders import open_account
from tests.ledger_state import check_everything
from tests.payments import CREDIT, paid, payments_in, place_order, refund_of, webhook_of
from workers.payments import inbox
from workers.payments.gateway import WebhookEvent
from workers.payments.processing import InboxProcessor

ROOT = Path(__file__).parent.parent.parent
PAYMENTS = 20


async def keep_some(database: Database, url: str, account_id: UUID) -> None:
    """The webhooks of `PAYMENTS` payments and of a refund of a tenth of each, mixed."""
    bodies: list[bytes] = []
    for _ in range(PAYMENTS):
        payment = paid(place_order(url, account_id))
        bodies += [webhook_of(payment), webhook_of(payment), webhook_of(refund_of(payment, 100))]
    random.Random(7).shuffle(bodies)
    for number, body in enumerate(bodies):
        event = WebhookEvent(event_id=f"evt_{number}", kind="facts", object_id="")
        await inbox.keep(database, "plain", event, headers={}, body=body, request_id="request")


def time_passes(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE payment_inbox SET due_at = clock_timestamp() WHERE state = 0")


@pytest.mark.parametrize("number", [1, 7, 30])
@pytest.mark.parametrize("step", ["asked", "settled", "finishing"])
async def test_killed_anywhere_between_the_inbox_and_the_ledger_each_is_settled_once(
    database: Database, writer: LedgerWriter, database_url: str, superuser_url: str, step: str, number: int
) -> None:
    account_id = uuid4()
    await writer.submit(open_account(account_id))
    await keep_some(database, database_url, account_id)
    command = (sys.executable, "-m", "tests.faults.settling_process", database_url, step, str(number))
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    said = [line async for line in until_it_rests(process.stdout)]
    if b"stopped\n" in said:
        process.send_signal(signal.SIGKILL)
    await process.communicate()

    with psycopg.connect(superuser_url, autocommit=True) as connection:
        # The server may notice only now that its client is gone.
        connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'holdfast ledger writer' AND state <> 'idle'"
        )
    for _ in range(2):
        time_passes(database_url)
        await InboxProcessor(payments_in(database, writer)).work()

    (account,) = check_everything(database_url)
    assert account.credited == PAYMENTS * 1_000 * CREDIT
    assert account.available == PAYMENTS * 900 * CREDIT
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM payment_inbox WHERE state <> 1").fetchone() == (0,)


async def until_it_rests(output: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The lines up to the one that says it stopped, or is done."""
    async for line in output:
        yield line
        if line in {b"stopped\n", b"done\n"}:
            return
