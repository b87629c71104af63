"""Limits, shares and turns with real worker processes: they hold, and places come back when a worker is killed."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from ledger.commands import TopUp
from tests.generations import CREDIT, account_with
from tests.stream_clients import forget_everything
from tests.waiting import eventually
from tests.worker_processes import Platform, kill, open_platform
from workers.generations import GenerationStatus

LIMIT = 3
SETTLED_S = 5.0
"""Redis is believed once it has known for this long who holds places."""


@pytest.fixture
async def platform(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Platform]:
    async with open_platform(database_url, redis_url, tmp_path) as platform:
        provider = (await platform.context.catalogue.offered("echo")).definition.provider
        platform.set_environment(HOLDFAST_PROVIDER_LIMITS=f"{provider}={LIMIT}")
        platform.start_clock()
        yield platform


class Watch:
    """The most that was seen running at once."""

    def __init__(self) -> None:
        self.most = 0


@contextlib.asynccontextmanager
async def watching(platform: Platform) -> AsyncGenerator[Watch]:
    watch = Watch()

    async def look() -> None:
        while True:
            async with platform.context.database.connection() as connection:
                cursor = await connection.execute("SELECT count(*) FROM generations WHERE status = 1")
                row = await cursor.fetchone()
            watch.most = max(watch.most, row[0] if row else 0)
            await asyncio.sleep(0.01)

    task = asyncio.create_task(look())
    try:
        yield watch
    finally:
        task.cancel()
        await asyncio.wait([task])


async def ask(platform: Platform, times: int, *, prompt: str = "one two three four", delay_ms: int = 50) -> list[UUID]:
    account_id = await account_with(platform.context, 10_000)
    return list(await asyncio.gather(*(platform.ask(account_id, prompt, delay_ms=delay_ms) for _ in range(times))))


async def running(platform: Platform) -> int:
    async with platform.context.database.connection() as connection:
        row = await (await connection.execute("SELECT count(*) FROM generations WHERE status = 1")).fetchone()
    return row[0] if row else 0


async def test_two_workers_together_keep_to_the_limit_and_use_all_of_it(platform: Platform) -> None:
    for _ in range(2):
        platform.start_worker()
    began_s = time.monotonic()
    async with watching(platform) as watch:
        # Enough to go on from the time when Postgres counts into the time when Redis does.
        while time.monotonic() - began_s < SETTLED_S + 1:
            await ask(platform, 10)
            await platform.until_all_ended()

    assert watch.most == LIMIT
    platform.check_books()


async def test_the_places_of_a_killed_worker_come_back(platform: Platform) -> None:
    workers = [platform.start_worker() for _ in range(2)]
    ids = await ask(platform, 8, prompt="word " * 40)

    async def is_full() -> bool:
        return await running(platform) == LIMIT

    await eventually(is_full, within_s=30)
    kill(workers[0])
    kill(workers[1])
    platform.start_worker()

    await platform.until_all_ended(within_s=40)
    assert {(await platform.get(generation_id)).status for generation_id in ids} == {GenerationStatus.completed}
    platform.check_books()


async def test_a_flushed_redis_lets_through_no_more_than_the_limit(platform: Platform) -> None:
    for _ in range(2):
        platform.start_worker()
    await ask(platform, 20, prompt="word " * 20)

    async def is_full() -> bool:
        return await running(platform) == LIMIT

    await eventually(is_full, within_s=30)
    async with watching(platform) as watch:
        await forget_everything(platform.context.redis)
        await platform.until_all_ended(within_s=40)

    assert watch.most == LIMIT
    platform.check_books()


async def test_a_full_worker_serves_paid_work_before_free_work_that_came_first(platform: Platform) -> None:
    platform.set_environment(HOLDFAST_PROVIDER_LIMITS="", HOLDFAST_FREE_SHARE="0.5")
    free = await account_with(platform.context, 10_000)
    paid = await account_with(platform.context, 0)
    top_up = TopUp(
        account_id=paid, command_key="p", amount_microcredits=10_000 * CREDIT, paid_amount="5", paid_currency="EUR"
    )
    await platform.context.writer.submit(top_up)
    free_ids = [await platform.ask(free, "one two", delay_ms=20) for _ in range(20)]
    paid_ids = [await platform.ask(paid, "one two", delay_ms=20) for _ in range(10)]

    platform.start_worker(threads=2)
    await platform.until_all_ended()

    with psycopg.connect(platform.database_url) as connection:
        rows = connection.execute("SELECT id FROM generations ORDER BY started_at").fetchall()
    order = [row[0] for row in rows]
    # One of two threads may have begun with a free one before it knew of more.
    assert max(order.index(generation_id) for generation_id in paid_ids) <= len(paid_ids) + 1
    assert set(order) == {*free_ids, *paid_ids}
    platform.check_books()


async def test_one_accounts_backlog_does_not_hold_up_others_that_come_later(platform: Platform) -> None:
    platform.set_environment(HOLDFAST_PROVIDER_LIMITS="", HOLDFAST_FREE_SHARE="1")
    heavy = await account_with(platform.context, 100_000)
    light = [await account_with(platform.context) for _ in range(5)]
    await asyncio.gather(*(platform.ask(heavy, "one two", delay_ms=10) for _ in range(300)))
    platform.start_worker(threads=4)

    async def has_begun() -> bool:
        return await running(platform) > 0

    await eventually(has_begun)
    later = [await platform.ask(account_id, "one two", delay_ms=10) for account_id in light]
    await asyncio.gather(*(platform.until_status(each, GenerationStatus.completed) for each in later))

    async with platform.context.database.connection() as connection:
        row = await (await connection.execute("SELECT count(*) FROM generations WHERE status = 0")).fetchone()
    assert row is not None
    assert row[0] > 150
    await platform.until_all_ended(within_s=60)
    platform.check_books()
