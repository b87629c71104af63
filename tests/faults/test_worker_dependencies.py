"""Postgres, Redis or the API gone while generations run: everything still ends in time and is paid once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.exceptions import RedisError

import migrations
from ops.services.postgres import EmbeddedPostgres
from ops.services.redis import EmbeddedRedis
from tests.generations import account_with
from tests.stream_clients import forget_everything
from tests.waiting import eventually
from tests.worker_processes import WITHIN_S, Platform, open_platform
from workers.generations import GenerationStatus

ADMIT_AND_DIE = """
import asyncio, os, signal, sys
from uuid import UUID
from tests.generations import asks_for, generation_context
from workers.admission import admit
from workers.queue import GenerationQueue

def die(self, dispatch):
    os.kill(os.getpid(), signal.SIGKILL)

GenerationQueue.send = die

async def main():
    async with generation_context(sys.argv[1], sys.argv[2]) as context:
        await admit(context, UUID(sys.argv[3]), asks_for("one two three"), request_id="dying")

asyncio.run(main())
"""


@pytest.fixture
async def postgres_server(tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
    async with EmbeddedPostgres(tmp_path / "platform") as server:
        await migrations.apply(server.owner_url)
        yield server


@pytest.fixture
async def redis_of_its_own(tmp_path: Path) -> AsyncIterator[EmbeddedRedis]:
    async with EmbeddedRedis(tmp_path / "platform") as server:
        yield server


@pytest.fixture
async def platform(
    postgres_server: EmbeddedPostgres, redis_of_its_own: EmbeddedRedis, tmp_path: Path
) -> AsyncIterator[Platform]:
    async with open_platform(postgres_server.owner_url, redis_of_its_own.url, tmp_path) as platform:
        platform.start_clock()
        yield platform


async def test_the_api_killed_between_commit_and_dispatch(
    platform: Platform, postgres_server: EmbeddedPostgres, redis_of_its_own: EmbeddedRedis
) -> None:
    account_id = await account_with(platform.context)
    platform.start_worker()

    dying = platform.start_script(ADMIT_AND_DIE, postgres_server.owner_url, redis_of_its_own.url, str(account_id))
    assert await asyncio.to_thread(dying.wait) == -9

    async def one_completed() -> bool:
        async with platform.context.database.connection() as connection:
            cursor = await connection.execute("SELECT count(*) FROM generations WHERE status = 2")
            return (await cursor.fetchone()) == (1,)

    await eventually(one_completed, within_s=WITHIN_S)
    platform.check_books()


async def test_redis_flushed_and_restarted_in_mid_stream(platform: Platform, redis_of_its_own: EmbeddedRedis) -> None:
    account_id = await account_with(platform.context)
    platform.start_worker()
    prompts = [f"number {number} " * 60 for number in range(10)]
    ids = [await platform.ask(account_id, prompt, delay_ms=25) for prompt in prompts]
    readers = [platform.reading(generation_id) for generation_id in ids]
    await platform.until_streamed(ids[-1], 100)

    await forget_everything(platform.context.redis)
    await redis_of_its_own.restart("kill")

    await platform.until_all_ended()
    clients = await asyncio.wait_for(asyncio.gather(*readers), WITHIN_S)
    assert [client.text for client in clients] == prompts
    assert {(await platform.get(generation_id)).status for generation_id in ids} == {GenerationStatus.completed}
    platform.check_books()


async def test_redis_forgets_what_was_queued(platform: Platform, redis_of_its_own: EmbeddedRedis) -> None:
    account_id = await account_with(platform.context)
    ids = [await platform.ask(account_id, f"number {number}") for number in range(20)]

    async def all_sent() -> bool:
        # More where the clock has sent one again: nobody takes them yet.
        return (await platform.context.queue.depth() or 0) >= len(ids)

    await eventually(all_sent)
    await forget_everything(platform.context.redis)
    platform.start_worker()

    await platform.until_all_ended()
    platform.check_books()


async def test_generations_admitted_while_redis_is_down_run_once_it_is_back(
    platform: Platform, redis_of_its_own: EmbeddedRedis
) -> None:
    account_id = await account_with(platform.context)
    platform.start_worker()
    await platform.until_all_ended()
    await redis_of_its_own.stop()
    with pytest.raises(RedisError):
        await platform.context.queue.depth()
    ids = [await platform.ask(account_id, f"number {number}") for number in range(10)]

    await redis_of_its_own.start()

    await platform.until_all_ended()
    assert {(await platform.get(generation_id)).status for generation_id in ids} == {GenerationStatus.completed}
    platform.check_books()


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_postgres_restarted_under_load(platform: Platform, postgres_server: EmbeddedPostgres, mode: str) -> None:
    assert mode in {"fast", "immediate"}
    account_id = await account_with(platform.context)
    platform.start_worker()
    prompts = [f"number {number} " * (5 + number) for number in range(50)]
    ids = [await platform.ask(account_id, prompt, delay_ms=25) for prompt in prompts]
    readers = [platform.reading(generation_id) for generation_id in ids]
    await platform.until_streamed(ids[-1], 100)

    await postgres_server.stop(mode)  # pyright: ignore[reportArgumentType]  # one of two literals
    await postgres_server.start()

    await platform.until_all_ended()
    clients = await asyncio.wait_for(asyncio.gather(*readers), WITHIN_S)
    assert [client.text for client in clients] == prompts
    assert {(await platform.get(generation_id)).attempts for generation_id in ids} == {1}
    platform.check_books()


async def test_a_worker_without_postgres_starts_once_it_is_there(
    platform: Platform, postgres_server: EmbeddedPostgres
) -> None:
    account_id = await account_with(platform.context)
    generation_id = await platform.ask(account_id)
    await postgres_server.stop("fast")
    worker = platform.start_worker()

    await eventually(lambda: platform.has_logged("worker_ready"), within_s=30)
    await postgres_server.start()

    await platform.until_status(generation_id, GenerationStatus.completed, within_s=20)
    assert worker.poll() is None
    platform.check_books()
