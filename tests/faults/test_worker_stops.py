"""Workers told to stop: in time, and whatever they were doing goes on elsewhere at once."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.generations import account_with
from tests.worker_processes import Platform, open_platform
from workers.generations import GenerationStatus

STOPS_WITHIN_S = 4.5


@pytest.fixture
async def platform(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Platform]:
    async with open_platform(database_url, redis_url, tmp_path) as platform:
        platform.start_clock()
        yield platform


async def test_a_stopping_worker_hands_over_at_once_and_exits_in_time(platform: Platform) -> None:
    account_id = await account_with(platform.context)
    first = platform.start_worker()
    prompt = "word " * 300
    generation_id = await platform.ask(account_id, prompt, delay_ms=20)
    reader = platform.reading(generation_id)
    await platform.until_streamed(generation_id, 50)
    platform.start_worker()

    began_s = time.monotonic()
    first.terminate()
    status = await asyncio.to_thread(first.wait)

    assert status == 0
    assert time.monotonic() - began_s < STOPS_WITHIN_S
    await platform.until_status(generation_id, GenerationStatus.completed)
    assert [call[:2] for call in platform.calls_of(generation_id)] == [(1, "stopped"), (2, "completed")]
    assert (await reader).text == prompt
    platform.check_books()


async def test_what_ends_in_time_is_not_handed_over(platform: Platform) -> None:
    account_id = await account_with(platform.context)
    worker = platform.start_worker()
    generation_id = await platform.ask(account_id, "word " * 60, delay_ms=20)
    await platform.until_streamed(generation_id, 250)  # what is left takes a tenth of the time that it may take

    worker.terminate()

    await platform.until_status(generation_id, GenerationStatus.completed)
    assert (await platform.get(generation_id)).attempts == 1
    assert await asyncio.to_thread(worker.wait) == 0
    platform.check_books()


async def test_an_idle_worker_and_clock_stop_quickly(platform: Platform) -> None:
    account_id = await account_with(platform.context)
    worker = platform.start_worker(threads=512)
    await platform.until_status(await platform.ask(account_id), GenerationStatus.completed)

    began_s = time.monotonic()
    for process in (worker, platform.clocks[0]):
        process.terminate()
        assert await asyncio.to_thread(process.wait) == 0

    assert time.monotonic() - began_s < STOPS_WITHIN_S
