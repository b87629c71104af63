"""A worker that is paused beyond its lease and wakes up: it neither streams nor settles any more."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.generations import account_with
from tests.stream_clients import entries_of
from tests.waiting import eventually
from tests.worker_processes import Platform, open_platform, paused
from workers.generations import GenerationStatus


@pytest.fixture
async def platform(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Platform]:
    async with open_platform(database_url, redis_url, tmp_path) as platform:
        platform.start_clock()
        yield platform


async def epochs_in_redis(platform: Platform, generation_id: object) -> list[int]:
    entries = await entries_of(platform.context.redis, str(generation_id))
    return [int(entry_id.partition("-")[0]) for entry_id, _, _ in entries]


async def test_a_worker_paused_beyond_its_lease_is_fenced(platform: Platform) -> None:
    account_id = await account_with(platform.context)
    zombie = platform.start_worker()
    prompt = "word " * 200
    generation_id = await platform.ask(account_id, prompt, delay_ms=20)
    reader = platform.reading(generation_id)
    await platform.until_streamed(generation_id, 100)

    with paused(zombie):
        platform.start_worker()
        await platform.until_streamed_by(generation_id, epoch=2)
    # The zombie and its successor now run side by side.
    await platform.until_status(generation_id, GenerationStatus.completed)

    ended = await platform.get(generation_id)
    assert (ended.attempts, ended.output) == (2, prompt)
    assert set(await epochs_in_redis(platform, generation_id)) == {2}
    assert (await reader).text == prompt
    platform.check_books()


async def test_a_worker_that_wakes_after_everything_ended_adds_nothing(platform: Platform) -> None:
    account_id = await account_with(platform.context)
    zombie = platform.start_worker()
    generation_id = await platform.ask(account_id, "word " * 60, delay_ms=20)
    await platform.until_streamed(generation_id, 100)

    async def has_its_end() -> bool:
        return any(kind == "end" for _, kind, _ in await entries_of(platform.context.redis, str(generation_id)))

    with paused(zombie):
        platform.start_worker()
        await eventually(has_its_end, within_s=30)  # it is appended after the status is committed
        entries = await entries_of(platform.context.redis, str(generation_id))
        ended = await platform.get(generation_id)
    # It is awake once it takes on something new.
    others = [await platform.ask(account_id, "one") for _ in range(20)]
    await asyncio.gather(*(platform.until_status(other, GenerationStatus.completed) for other in others))

    assert await entries_of(platform.context.redis, str(generation_id)) == entries
    assert await platform.get(generation_id) == ended
    platform.check_books()


async def test_a_pause_within_the_lease_goes_unnoticed(platform: Platform) -> None:
    account_id = await account_with(platform.context)
    worker = platform.start_worker()
    prompt = "word " * 100
    generation_id = await platform.ask(account_id, prompt, delay_ms=20)
    await platform.until_streamed(generation_id, 50)

    with paused(worker):
        await asyncio.sleep(1)  # the pause itself, well within the lease

    await platform.until_status(generation_id, GenerationStatus.completed)
    assert (await platform.get(generation_id)).attempts == 1
    platform.check_books()


async def test_a_paused_clock_is_replaced_when_its_connection_dies_and_two_do_no_harm(platform: Platform) -> None:
    account_id = await account_with(platform.context)
    standby = platform.start_clock()
    worker = platform.start_worker()
    generation_id = await platform.ask(account_id, "word " * 100, delay_ms=20)
    await platform.until_streamed(generation_id, 50)

    async def someone_leads() -> bool:
        async with platform.context.database.connection() as connection:
            cursor = await connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted")
            return (await cursor.fetchone()) == (1,)

    await eventually(someone_leads)
    platform.clocks[0].kill()
    worker.kill()
    platform.start_worker()

    await platform.until_status(generation_id, GenerationStatus.completed)
    assert standby.poll() is None
    platform.check_books()
