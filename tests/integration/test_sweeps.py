"""What the clock does because time passes, one sweep at a time."""

import time
from collections.abc import AsyncIterator
from uuid import UUID

import psycopg
import pytest

from ledger.commands import Freeze, Grant
from ledger.sealer import lag_s
from ledger.writer import LedgerWriter
from tests.generations import CREDIT, account_with, asks_for, freeze_states, generation_context, heads_of, kinds_of
from tests.subscribed import lots_of
from tests.waiting import eventually
from workers import sweeps
from workers.admission import admit
from workers.claims import claim_generation
from workers.context import GenerationContext
from workers.generations import GenerationStatus, get_generation, read_queue_depth
from workers.losses import recover_lost


@pytest.fixture
async def context(database_url: str, redis_url: str) -> AsyncIterator[GenerationContext]:
    async with generation_context(database_url, redis_url) as context:
        yield context


async def ask(context: GenerationContext, account_id: UUID) -> UUID:
    return (await admit(context, account_id, asks_for(), request_id="r")).generation.id


def change(context: GenerationContext, statement: str) -> None:
    """Do what only time or a crash would."""
    with psycopg.connect(context.database.url) as connection:
        connection.execute(statement)  # pyright: ignore[reportArgumentType, reportCallIssue]  # a test's own text


async def claim_and_die(context: GenerationContext, account_id: UUID) -> UUID:
    """A generation whose lease is over, on a server that has been up for longer than a lease."""

    async def is_old_enough() -> bool:
        async with context.database.connection() as connection:
            cursor = await connection.execute("SELECT now() - pg_postmaster_start_time() > interval '5 s'")
            return (await cursor.fetchone()) == (True,)

    await eventually(is_old_enough)
    generation_id = await ask(context, account_id)
    assert await claim_generation(context.database, generation_id, account_id=account_id, owner=UUID(int=1))
    change(context, "UPDATE generations SET lease_until = now() - interval '1 s' WHERE status = 1")
    return generation_id


async def test_a_freeze_is_rolled_back_when_its_time_is_over(context: GenerationContext) -> None:
    account_id = await account_with(context, 10)
    short = Freeze(account_id=account_id, command_key="short", amount_microcredits=CREDIT, ttl_us=1)
    long = Freeze(account_id=account_id, command_key="long", amount_microcredits=CREDIT, ttl_us=10**12)
    await context.writer.submit(short)
    await context.writer.submit(long)

    done = [await sweeps.expire_freezes(context), await sweeps.expire_freezes(context)]

    assert done == [1, 0]
    assert freeze_states(context.database.url, account_id) == [2, 0]
    assert heads_of(context.database.url, account_id).available == 9 * CREDIT


async def test_what_is_left_of_a_lot_expires_when_its_time_is_over(context: GenerationContext) -> None:
    now_us = time.time_ns() // 1_000
    async with LedgerWriter(context.database.url, clock_us=lambda: now_us - 10**9) as earlier:
        account_id = await account_with(context._replace(writer=earlier), 10)
        for key, expires_at_us in (("short", now_us), ("long", now_us + 10**12)):
            grant = Grant(
                account_id=account_id,
                command_key=key,
                amount_microcredits=CREDIT,
                reason="gift",
                expires_at_us=expires_at_us,
            )
            await earlier.submit(grant)

    done = [await sweeps.expire_lots(context), await sweeps.expire_lots(context)]

    assert done == [1, 0]
    assert lots_of(context.database.url, account_id) == [(10, 0), (0, now_us), (1, now_us + 10**12)]
    assert heads_of(context.database.url, account_id).available == 11 * CREDIT
    assert kinds_of(context.database.url, account_id)[-1] == 9


async def test_a_dead_lease_goes_back_into_the_queue(context: GenerationContext) -> None:
    account_id = await account_with(context)
    generation_id = await claim_and_die(context, account_id)

    done = [await recover_lost(context), await recover_lost(context)]

    assert done == [1, 0]
    assert (await get_generation(context.database, generation_id)).status is GenerationStatus.queued
    assert await read_queue_depth(context.database) == 1
    assert freeze_states(context.database.url, account_id) == [0]


async def test_a_living_lease_is_left_alone(context: GenerationContext) -> None:
    account_id = await account_with(context)
    generation_id = await ask(context, account_id)
    await claim_generation(context.database, generation_id, account_id=account_id, owner=UUID(int=1))

    assert await recover_lost(context) == 0


async def test_after_three_lost_workers_a_generation_fails(context: GenerationContext) -> None:
    account_id = await account_with(context)
    generation_id = await claim_and_die(context, account_id)
    change(context, "UPDATE generations SET lost_attempts = 2")

    assert [await recover_lost(context), await recover_lost(context)] == [1, 0]

    ended = await get_generation(context.database, generation_id)
    assert ended.status is GenerationStatus.failed
    assert ended.cost_microcredits == 0
    assert freeze_states(context.database.url, account_id) == [2]


async def test_work_that_nobody_took_up_in_time_fails(context: GenerationContext) -> None:
    account_id = await account_with(context)
    generation_id = await ask(context, account_id)
    assert await sweeps.end_overdue(context) == 0
    change(context, "UPDATE generations SET deadline_at = now() - interval '1 s'")

    assert [await sweeps.end_overdue(context), await sweeps.end_overdue(context)] == [1, 0]

    ended = await get_generation(context.database, generation_id)
    assert ended.error is not None
    assert (ended.status, ended.error.code) == (GenerationStatus.failed, "queue_timeout")
    assert await read_queue_depth(context.database) == 0
    assert freeze_states(context.database.url, account_id) == [2]


async def test_events_are_sealed(context: GenerationContext) -> None:
    await account_with(context)

    sealed = await sweeps.sealing()(context)

    assert sealed == 2
    async with context.database.connection() as connection:
        assert await lag_s(connection) == 0
