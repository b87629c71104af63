"""Whatever writes beside the ledger locks accounts first, and in the order of their ids, as the ledger's writer does.

Otherwise each would wait for the other, and Postgres would break one of them off, perhaps with a whole batch of it.
"""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from ledger.database import Database
from ledger.writer import LedgerWriter
from tests.builders import charge, open_account, top_up
from tests.payments import CREDIT, paid, place_order
from tests.waiting import eventually
from tests.wallets import open_wallet
from workers.payments.auto_top_up import topping_up
from workers.payments.context import PaymentContext
from workers.payments.facts import PaymentStatus
from workers.payments.low_balance import notice_low_balances, set_low_balance
from workers.payments.settling import settle


class Batch:
    """A batch of the writer that goes on step by step."""

    def __init__(self, connection: psycopg.Connection[Any], watching: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._watching = watching

    def lock_account(self, account_id: UUID) -> None:
        self._connection.execute("SELECT FROM accounts WHERE id = %s FOR UPDATE NOWAIT", [account_id])

    def lock_order(self, order_id: UUID) -> None:
        self._connection.execute("SELECT FROM payment_orders WHERE id = %s FOR UPDATE NOWAIT", [order_id])

    def lock_payment(self, payment_id: str) -> None:
        self._connection.execute("SET LOCAL lock_timeout = '500ms'")
        self._connection.execute(
            "INSERT INTO payments (gateway, payment_id, amount_minor, currency, happened_at, status)"
            " VALUES ('plain', %s, 1, 'USD', now(), 0)",
            [payment_id],
        )

    async def until_somebody_waits(self) -> None:
        query = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        await eventually(lambda: self._watching.execute(query).fetchone() is not None)

    def end(self) -> None:
        self._connection.rollback()


@pytest.fixture
def batch(superuser_url: str) -> Iterator[Batch]:
    with (
        psycopg.connect(superuser_url) as connection,
        psycopg.connect(superuser_url, autocommit=True) as watching,
    ):
        yield Batch(connection, watching)
        connection.rollback()


async def test_low_balances_are_told_in_the_order_of_accounts(context: PaymentContext, batch: Batch) -> None:
    first, last = sorted([uuid4(), uuid4()])
    for account_id in (last, first):
        await context.writer.submit(open_account(account_id))
        await context.writer.submit(top_up(100 * CREDIT, account_id))
        await set_low_balance(context.database, account_id, threshold_microcredits=50 * CREDIT)
        await context.writer.submit(charge(60 * CREDIT, account_id))

    batch.lock_account(first)
    noticing = asyncio.create_task(notice_low_balances(context))
    await batch.until_somebody_waits()

    batch.lock_account(last)
    batch.end()
    assert await noticing == 2


async def test_a_failed_payment_is_noted_behind_its_account(
    context: PaymentContext, account_id: UUID, database_url: str, batch: Batch
) -> None:
    failed = paid(place_order(database_url, account_id), status=PaymentStatus.failed)

    batch.lock_account(account_id)
    noting = asyncio.create_task(settle(context, "plain", failed))
    await batch.until_somebody_waits()

    batch.lock_payment(failed.payment_id)
    batch.end()
    assert await noting == "noted"


async def test_the_order_of_a_declined_top_up_is_given_up_behind_its_account(
    database: Database,
    writer: LedgerWriter,
    database_url: str,
    batch: Batch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    end_attempt = topping_up.end_attempt

    async def end_beside_a_batch(database: Database, attempt: Any, *args: Any, **fields: Any) -> None:
        batch.lock_account(attempt.account_id)
        ending = asyncio.create_task(end_attempt(database, attempt, *args, **fields))
        await batch.until_somebody_waits()
        batch.lock_order(attempt.order_id)
        batch.end()
        await ending

    monkeypatch.setattr(topping_up, "end_attempt", end_beside_a_batch)
    async with open_wallet(database, writer, database_url) as wallet:
        await wallet.wish()
        await wallet.spend(960)
        wallet.stripe.decline(wallet.card)

        await wallet.tick()

        assert wallet.attempts() == [(1, 2)]
        assert wallet.messages() == ["payment_failed"]
