"""Workers killed at chosen moments: everything still ends in time, is paid once, and readers get it all."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from tests.fakes.openai_server import API_KEY, FakeOpenAI, beginning, completion
from tests.fakes.scripted_server import Hang, event_stream
from tests.generations import account_with, asks_for
from tests.stream_clients import entries_of
from tests.waiting import eventually
from tests.worker_processes import WITHIN_S, Platform, full, kill, open_platform
from workers.generations import GenerationStatus

MODEL = "gpt-5.4-mini"
LOCK_QUEUE = "LOCK TABLE outbox IN SHARE MODE"
LOCK_ACCOUNT = "SELECT FROM accounts WHERE id = %s FOR UPDATE"


@pytest.fixture
async def provider() -> AsyncIterator[FakeOpenAI]:
    """Answers as far as a test says: a worker is killed in the middle of it, however late the test gets there."""
    async with FakeOpenAI() as provider:
        yield provider


@pytest.fixture
async def platform(database_url: str, redis_url: str, tmp_path: Path, provider: FakeOpenAI) -> AsyncIterator[Platform]:
    environment = {"OPENAI_API_KEY": API_KEY, "OPENAI_BASE_URL": provider.base_url}
    async with open_platform(database_url, redis_url, tmp_path, environment) as platform:
        platform.start_clock()
        yield platform


async def waits_for_a_lock(platform: Platform, application_name: str) -> bool:
    with psycopg.connect(platform.database_url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND wait_event_type = 'Lock' AND application_name = %s",
            [application_name],
        ).fetchone()
    return row != (0,)


async def test_killed_before_the_claim(platform: Platform) -> None:
    account_id = await account_with(platform.context)
    generation_id = await platform.ask(account_id)
    reader = platform.reading(generation_id)
    with platform.lock(LOCK_QUEUE, []) as lock:
        worker = platform.start_worker()
        await eventually(lambda: waits_for_a_lock(platform, "holdfast worker"), within_s=15)

        kill(worker)
        lock.rollback()
    platform.start_worker()

    await platform.until_status(generation_id, GenerationStatus.completed)
    assert (await reader).text == "one two three"
    platform.check_books()


async def test_killed_before_the_first_token(platform: Platform, provider: FakeOpenAI) -> None:
    provider.script(event_stream(Hang()), completion("one ", "two"))
    account_id = await account_with(platform.context)
    worker = platform.start_worker()
    generation_id = await platform.ask_for(account_id, asks_for(model=MODEL, max_output_tokens=100))
    reader = platform.reading(generation_id)
    await eventually(lambda: bool(provider.calls), within_s=WITHIN_S)
    assert (await platform.get(generation_id)).status is GenerationStatus.running
    assert await platform.text_in_redis(generation_id) == ""

    kill(worker)
    platform.start_worker()

    await platform.until_status(generation_id, GenerationStatus.completed)
    ended = await platform.get(generation_id)
    assert (ended.output, ended.attempts) == ("one two", 2)
    assert (await reader).text == "one two"
    platform.check_books()


async def test_killed_in_mid_stream(platform: Platform, provider: FakeOpenAI) -> None:
    words = ["word "] * 100
    provider.script(event_stream(*beginning(*words[:30]), Hang()), completion(*words, completion_tokens=100))
    account_id = await account_with(platform.context)
    worker = platform.start_worker()
    generation_id = await platform.ask_for(account_id, asks_for(model=MODEL, max_output_tokens=200))
    readers = [platform.reading(generation_id) for _ in range(5)]
    await platform.until_streamed(generation_id, 100)

    kill(worker)
    platform.start_worker()

    await platform.until_status(generation_id, GenerationStatus.completed)
    clients = await asyncio.gather(*readers, platform.read(generation_id))
    assert {client.text for client in clients} == {"".join(words)}
    assert {client.cursor for client in clients} == {clients[0].cursor}
    lost, completed = platform.calls_of(generation_id)
    assert (lost[:2], completed[:2]) == ((1, "worker_lost"), (2, "completed"))
    assert lost[2] is not None
    assert 0 < lost[2] < 100
    platform.check_books()


async def test_killed_between_the_provider_end_and_the_settlement(platform: Platform) -> None:
    account_id = await account_with(platform.context)
    generation_id = await platform.ask(account_id, "one two three")
    with platform.lock(LOCK_ACCOUNT, [account_id]) as lock:
        worker = platform.start_worker()
        await platform.until_streamed(generation_id, len("one two three"))
        await eventually(lambda: waits_for_a_lock(platform, "holdfast ledger writer"))

        kill(worker)
        lock.rollback()
    platform.start_worker()

    await platform.until_status(generation_id, GenerationStatus.completed)
    assert (await platform.get(generation_id)).attempts == 2
    assert (await platform.read(generation_id)).text == "one two three"
    platform.check_books()


async def test_killed_between_the_settlement_and_the_end(platform: Platform) -> None:
    account_id = await account_with(platform.context)
    generation_id = await platform.ask(account_id, "one two three")
    reader = platform.reading(generation_id)
    with platform.lock(LOCK_ACCOUNT, [account_id]) as lock:
        worker = platform.start_worker()
        await platform.until_streamed(generation_id, len("one two three"))
        await eventually(lambda: waits_for_a_lock(platform, "holdfast ledger writer"))
        # From here on Redis takes no `end`, while Postgres takes the settlement.
        async with full(platform.context.redis):
            lock.rollback()
            await platform.until_status(generation_id, GenerationStatus.completed)

            kill(worker)

    kinds = [kind for _, kind, _ in await entries_of(platform.context.redis, str(generation_id))]
    client = await asyncio.wait_for(reader, 15)
    assert client.text == "one two three"
    assert client.end is not None
    assert "end" not in kinds
    platform.check_books()


async def test_a_generation_that_kills_its_workers_fails_and_costs_nothing(platform: Platform) -> None:
    account_id = await account_with(platform.context)
    generation_id = await platform.ask(account_id, "word " * 1_000, delay_ms=20)
    reader = platform.reading(generation_id)
    for attempt in (1, 2, 3):
        worker = platform.start_worker()

        async def is_at(attempt: int = attempt) -> bool:
            running = await platform.get(generation_id)
            return running.attempts == attempt and running.status is GenerationStatus.running

        await eventually(is_at, within_s=15)
        await platform.until_streamed_by(generation_id, epoch=attempt)
        kill(worker)

    await platform.until_status(generation_id, GenerationStatus.failed)
    ended = await platform.get(generation_id)
    assert ended.error is not None
    assert ended.error.code == "worker_lost"
    assert ended.output is not None
    assert ended.output.startswith("word")
    assert (ended.partial, ended.cost_microcredits) == (True, 0)
    assert (await reader).text == ended.output
    platform.check_books()


async def test_a_cancelled_generation_whose_worker_is_killed_ends_without_another(platform: Platform) -> None:
    from workers.cancels import cancel_generation

    account_id = await account_with(platform.context)
    worker = platform.start_worker()
    generation_id = await platform.ask(account_id, "word " * 1_000, delay_ms=20)
    await platform.until_streamed(generation_id, 50)

    kill(worker)
    await cancel_generation(platform.context, generation_id)

    await platform.until_status(generation_id, GenerationStatus.cancelled)
    ended = await platform.get(generation_id)
    assert (ended.partial, ended.cost_microcredits) == (True, 0)
    platform.check_books()


async def test_fifty_generations_survive_their_worker(platform: Platform) -> None:
    account_id = await account_with(platform.context)
    worker = platform.start_worker()
    ids = [await platform.ask(account_id, f"number {number} " * 20, delay_ms=20) for number in range(50)]
    await platform.until_streamed(ids[-1], 20)

    kill(worker)
    platform.start_worker()

    await platform.until_all_ended()
    assert {(await platform.get(generation_id)).status for generation_id in ids} == {GenerationStatus.completed}
    platform.check_books()
