"""Clocks that are killed while they renew: each period is charged for once, and credited once."""

import asyncio
import os
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
from tests.fakes.yookassa_server import FakeYooKassa
from tests.ledger_state import check_everything
from tests.payments import CREDIT
from tests.subscribed import US, offer_plans, order_plan
from workers.payments.context import PaymentContext
from workers.payments.gateway import Purchase
from workers.payments.gateways.registry import Gateways
from workers.payments.money import Money
from workers.payments.settling import settle
from workers.payments.subscriptions.rows import subscription_of

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
async def yookassa() -> AsyncIterator[FakeYooKassa]:
    async with FakeYooKassa() as server:
        yield server


@pytest.fixture
async def context(database: Database, writer: LedgerWriter, yookassa: FakeYooKassa) -> AsyncIterator[PaymentContext]:
    gateways = Gateways(yookassa.environment())
    yield PaymentContext(database, writer, gateways)
    await gateways.aclose()


async def subscribe(context: PaymentContext, server: FakeYooKassa, url: str) -> UUID:
    """Somebody with a plan that was paid for a month and an hour ago."""
    account_id = uuid4()
    await context.writer.submit(open_account(account_id))
    await offer_plans(context.database)
    order_id = order_plan(url, account_id, gateway="yookassa")
    gateway = context.gateways.get("yookassa")
    started = await gateway.start_purchase(
        Purchase(
            order_id=order_id,
            account_id=account_id,
            title="Basic",
            price=Money(1_000, "USD"),
            return_url="https://shop.example/thanks",
            price_key=f"basic:1:{US}",
            months=1,
            save_method=True,
        )
    )
    for sent in server.pay(started.gateway_id):
        for fact in await gateway.facts(sent.event, sent.headers, sent.body):
            await settle(context, "yookassa", fact)
    time_passes(url, "31 days 1 hour")
    return account_id


def time_passes(url: str, how_much: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(
            """
            UPDATE subscriptions SET
                period_begins_at = period_begins_at - %(long)s::interval,
                period_ends_at = period_ends_at - %(long)s::interval,
                anchored_at = anchored_at - %(long)s::interval,
                try_at = try_at - %(long)s::interval,
                due_at = due_at - %(long)s::interval
            """,
            {"long": how_much},
        )
        connection.execute(
            "UPDATE subscription_periods SET begins_at = begins_at - %(long)s::interval,"
            " ends_at = ends_at - %(long)s::interval",
            {"long": how_much},
        )


def lease_runs_out(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE subscriptions SET due_at = now() WHERE due_at < now() + interval '1 day'")


@pytest.mark.parametrize("step", ["claimed", "placed", "charged", "settled"])
async def test_killed_at_any_step_a_period_is_charged_for_once_and_credited_once(
    context: PaymentContext, yookassa: FakeYooKassa, database_url: str, superuser_url: str, step: str
) -> None:
    account_id = await subscribe(context, yookassa, database_url)
    before = await subscription_of(context.database, account_id)

    assert await renew(yookassa, database_url, step) == "stopped"
    disconnect_the_dead(superuser_url)
    for _ in range(2):
        lease_runs_out(database_url)
        assert await renew(yookassa, database_url, "") == "done"

    after = await subscription_of(context.database, account_id)
    assert before is not None
    assert before.period is not None
    assert after is not None
    assert after.period is not None
    assert after.period.begins_us == before.period.ends_us
    (account,) = check_everything(database_url)
    assert account.credited == 2_000 * CREDIT
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM payments WHERE credits > 0").fetchone() == (2,)
        assert connection.execute("SELECT count(*) FROM payment_mismatches").fetchone() == (0,)
    assert len({call.headers["idempotence-key"] for call in yookassa.created}) == 2


async def renew(server: FakeYooKassa, url: str, step: str) -> str:
    """Run one process until it rests, and kill it if it has stopped."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.renewing_process", url, step,
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, env={**os.environ, **server.environment()},
    )  # fmt: skip
    assert process.stdout is not None
    said = ""
    async for line in process.stdout:
        said = line.decode().strip()
        if said in {"stopped", "done"}:
            break
    if said == "stopped":
        process.send_signal(signal.SIGKILL)
    await process.communicate()
    return said


def disconnect_the_dead(superuser_url: str) -> None:
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        # The server may notice only now that its client is gone.
        connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'"
        )
