"""Generations run by a worker's runtime against real Postgres and Redis."""

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256
from uuid import UUID

import psycopg
import pytest
from msgspec import structs

from ledger.commands import Adjust
from tests.generations import (
    CREDIT,
    FREE,
    account_with,
    asks_for,
    freeze_states,
    generation_context,
    heads_of,
    same_price,
    settings_for,
)
from tests.waiting import eventually
from workers.admission import admit, retry_generation
from workers.cancels import cancel_generation
from workers.context import GenerationContext
from workers.errors import GenerationNotRetryable
from workers.generations import Generation, GenerationStatus, get_generation, read_queue_depth, terminal_of
from workers.runtime import WorkerRuntime
from workers.streams.recovery import recover_text


@pytest.fixture
async def context(database_url: str, redis_url: str) -> AsyncIterator[GenerationContext]:
    async with generation_context(database_url, redis_url) as context:
        await context.catalogue.set_price("echo", prices=same_price(100), costs=FREE, changed_by="test")
        yield context


@pytest.fixture
async def worker(context: GenerationContext, redis_url: str) -> AsyncIterator[WorkerRuntime]:
    async with WorkerRuntime(settings_for(context.database.url, redis_url)) as worker:
        yield worker


async def ask(
    context: GenerationContext, account_id: UUID, prompt: str = "one two three", *, delay_ms: int = 0
) -> UUID:
    return (await admit(context, account_id, asks_for(prompt, delay_ms=delay_ms), request_id="r")).generation.id


async def run(worker: WorkerRuntime, context: GenerationContext, account_id: UUID, generation_id: UUID) -> Generation:
    await worker.run(generation_id, account_id=account_id)
    return await get_generation(context.database, generation_id)


async def has_status(context: GenerationContext, generation_id: UUID, status: GenerationStatus) -> bool:
    return (await get_generation(context.database, generation_id)).status is status


def attempts_of(context: GenerationContext, generation_id: UUID) -> list[tuple[int, int, str]]:
    with psycopg.connect(context.database.url) as connection:
        return connection.execute(
            "SELECT attempt, call, outcome FROM generation_attempts WHERE generation_id = %s ORDER BY attempt, call",
            [generation_id],
        ).fetchall()


async def test_a_completed_generation_costs_what_was_used(context: GenerationContext, worker: WorkerRuntime) -> None:
    account_id = await account_with(context, 10)
    generation_id = await ask(context, account_id, "one two three")

    ended = await run(worker, context, account_id, generation_id)

    assert ended.status is GenerationStatus.completed
    assert (ended.output, ended.partial, ended.attempts) == ("one two three", False, 1)
    assert ended.usage is not None
    assert (ended.usage.input_tokens, ended.usage.output_tokens) == (3, 3)
    assert ended.cost_microcredits == 600
    heads = heads_of(context.database.url, account_id)
    assert (heads.available, heads.frozen, heads.spent) == (10 * CREDIT - 600, 0, 600)
    assert freeze_states(context.database.url, account_id) == [1]
    assert await read_queue_depth(context.database) == 0
    assert attempts_of(context, generation_id) == [(1, 1, "completed")]


async def test_ten_thousand_generations_at_0_0004_credits_cost_exactly_4(context: GenerationContext) -> None:
    from workers.generations import GenerationStatus as Status
    from workers.providers import Usage
    from workers.settlement import Ending, decide_settlement

    total = 0
    for number in range(10_000):
        settled = decide_settlement(
            Ending(ended_as="completed", usage=Usage(input_tokens=2, output_tokens=2)),
            account_id=UUID(int=1),
            generation_id=UUID(int=number + 1),
            frozen_microcredits=10_000,
            prices=same_price(100),
        )
        assert settled.status is Status.completed
        total += settled.confirmed_microcredits + settled.overage_microcredits

    assert total == 4 * CREDIT


@pytest.mark.parametrize("text", ["a\0b", "line\r\nline\u2028 \U0001f600 end", "\u200b", "x" * 100_000])
async def test_every_character_survives(context: GenerationContext, worker: WorkerRuntime, text: str) -> None:
    account_id = await account_with(context)
    generation_id = await ask(context, account_id, text)

    ended = await run(worker, context, account_id, generation_id)

    assert ended.output == text
    state = (await terminal_of(context.database, [str(generation_id)]))[str(generation_id)]
    assert state.terminal is not None
    assert state.terminal.text_sha256 == sha256(text.encode()).hexdigest()
    assert state.terminal.text_length == len(text)


async def test_a_second_delivery_changes_nothing(context: GenerationContext, worker: WorkerRuntime) -> None:
    account_id = await account_with(context, 10)
    generation_id = await ask(context, account_id)
    first = await run(worker, context, account_id, generation_id)

    second = await run(worker, context, account_id, generation_id)

    assert second == first
    assert heads_of(context.database.url, account_id).spent == first.cost_microcredits


async def test_ten_deliveries_at_once_run_it_once(context: GenerationContext, worker: WorkerRuntime) -> None:
    account_id = await account_with(context, 10)
    generation_id = await ask(context, account_id)

    await asyncio.gather(*(worker.run(generation_id, account_id=account_id) for _ in range(10)))

    assert (await get_generation(context.database, generation_id)).attempts == 1
    assert attempts_of(context, generation_id) == [(1, 1, "completed")]


async def test_a_hundred_at_once_all_complete(context: GenerationContext, worker: WorkerRuntime) -> None:
    account_id = await account_with(context)
    ids = [await ask(context, account_id, f"generation {number}") for number in range(100)]

    await asyncio.gather(*(worker.run(generation_id, account_id=account_id) for generation_id in ids))

    assert freeze_states(context.database.url, account_id) == [1] * 100
    assert heads_of(context.database.url, account_id).spent == 100 * 400


async def test_cancelling_a_queued_generation_costs_nothing(context: GenerationContext, worker: WorkerRuntime) -> None:
    account_id = await account_with(context, 10)
    generation_id = await ask(context, account_id)

    cancelled = await cancel_generation(context, generation_id)
    again = await cancel_generation(context, generation_id)
    after = await run(worker, context, account_id, generation_id)

    assert cancelled.status is GenerationStatus.cancelled
    assert (cancelled.cost_microcredits, cancelled.output, cancelled.partial) == (0, "", False)
    assert again == cancelled == after
    assert freeze_states(context.database.url, account_id) == [2]
    assert await read_queue_depth(context.database) == 0


async def test_cancelling_a_running_generation_charges_what_was_delivered(
    context: GenerationContext, worker: WorkerRuntime
) -> None:
    account_id = await account_with(context, 10)
    generation_id = await ask(context, account_id, "word " * 500, delay_ms=20)
    running = asyncio.create_task(worker.run(generation_id, account_id=account_id))

    async def has_streamed() -> bool:
        recovered = await recover_text(context.redis, str(generation_id))
        return recovered is not None and len(recovered.text) > 20

    await eventually(has_streamed)

    await cancel_generation(context, generation_id)
    async with asyncio.timeout(3):
        await running

    ended = await get_generation(context.database, generation_id)
    assert ended.status is GenerationStatus.cancelled
    assert ended.output is not None
    words = ended.output.count("word ")
    assert ended.partial
    assert 0 < words < 500
    assert ended.cost_microcredits == (500 + words) * 100
    assert heads_of(context.database.url, account_id).frozen == 0


async def test_a_cancel_whose_notice_is_lost_takes_effect_at_the_next_heartbeat(
    context: GenerationContext, worker: WorkerRuntime
) -> None:
    account_id = await account_with(context, 10)
    generation_id = await ask(context, account_id, "word " * 500, delay_ms=20)
    running = asyncio.create_task(worker.run(generation_id, account_id=account_id))
    await eventually(lambda: has_status(context, generation_id, GenerationStatus.running))

    async with context.database.connection() as connection:
        await connection.execute("UPDATE generations SET cancel_requested_at = now()")
    async with asyncio.timeout(5):
        await running

    assert await has_status(context, generation_id, GenerationStatus.cancelled)


async def test_a_cost_above_the_freeze_is_charged_as_far_as_credits_go(
    context: GenerationContext, worker: WorkerRuntime
) -> None:
    account_id = await account_with(context, 0.001)
    request = asks_for("one two three", max_output_tokens=3)
    generation_id = (await admit(context, account_id, request, request_id="r")).generation.id
    with psycopg.connect(context.database.url) as connection:
        connection.execute("UPDATE generations SET max_output_tokens = 3")
        connection.execute("ALTER TABLE model_prices DISABLE TRIGGER USER")
        connection.execute(
            """UPDATE model_prices SET prices = prices || '{"input_per_mtok": 300000000}'"""
            " WHERE model = 'echo' AND version = 2"
        )

    ended = await run(worker, context, account_id, generation_id)

    assert ended.status is GenerationStatus.completed
    assert ended.frozen_microcredits == 600
    assert ended.cost_microcredits == 1_000
    assert ended.shortfall_microcredits == (3 * 300 + 3 * 100) - 1_000
    heads = heads_of(context.database.url, account_id)
    assert (heads.available, heads.frozen, heads.spent) == (0, 0, 1_000)


async def test_a_free_model_ends_without_the_ledger(context: GenerationContext, worker: WorkerRuntime) -> None:
    await context.catalogue.set_price("echo", prices=FREE, costs=FREE, changed_by="test")
    account_id = await account_with(context, 0)
    generation_id = await ask(context, account_id)

    ended = await run(worker, context, account_id, generation_id)

    assert (ended.status, ended.cost_microcredits) == (GenerationStatus.completed, 0)


async def test_the_price_of_admission_counts(context: GenerationContext, worker: WorkerRuntime) -> None:
    account_id = await account_with(context, 10)
    generation_id = await ask(context, account_id)
    await context.catalogue.set_price("echo", prices=same_price(5_000), costs=FREE, changed_by="test")

    ended = await run(worker, context, account_id, generation_id)

    assert ended.cost_microcredits == 600


async def test_a_disabled_model_still_runs_what_was_admitted(context: GenerationContext, worker: WorkerRuntime) -> None:
    account_id = await account_with(context, 10)
    generation_id = await ask(context, account_id)
    echo = (await context.catalogue.offered("echo")).definition
    disabled = structs.replace(echo, enabled=False)
    await context.catalogue.upsert_model(disabled, changed_by="test")

    assert (await run(worker, context, account_id, generation_id)).status is GenerationStatus.completed


async def test_a_generation_whose_freeze_is_gone_ends_at_no_cost(
    context: GenerationContext, worker: WorkerRuntime
) -> None:
    from ledger.commands import Rollback

    account_id = await account_with(context, 10)
    generation_id = await ask(context, account_id)
    await context.writer.submit(Rollback(account_id=account_id, command_key="other", freeze_id=generation_id))

    ended = await run(worker, context, account_id, generation_id)

    assert ended.status is GenerationStatus.failed
    assert ended.error is not None
    assert ended.error.code == "freeze_expired"
    assert heads_of(context.database.url, account_id).spent == 0


async def test_an_ended_generation_never_changes(context: GenerationContext, worker: WorkerRuntime) -> None:
    account_id = await account_with(context, 10)
    generation_id = await ask(context, account_id)
    await run(worker, context, account_id, generation_id)

    with psycopg.connect(context.database.url) as connection, pytest.raises(psycopg.errors.RestrictViolation):
        connection.execute("UPDATE generations SET cost = 0")


async def test_a_draining_worker_gives_back_what_it_cannot_finish(context: GenerationContext, redis_url: str) -> None:
    account_id = await account_with(context, 10)
    generation_id = await ask(context, account_id, "word " * 500, delay_ms=50)
    async with WorkerRuntime(settings_for(context.database.url, redis_url)) as first:
        running = asyncio.create_task(first.run(generation_id, account_id=account_id))
        await eventually(lambda: has_status(context, generation_id, GenerationStatus.running))
    await running

    given_back = await get_generation(context.database, generation_id)
    assert given_back.status is GenerationStatus.queued
    assert await read_queue_depth(context.database) == 1
    assert freeze_states(context.database.url, account_id) == [0]


async def test_a_retry_is_a_new_generation_linked_to_the_first(
    context: GenerationContext, worker: WorkerRuntime
) -> None:
    account_id = await account_with(context, 10)
    generation_id = await ask(context, account_id, "one two three")
    await cancel_generation(context, generation_id)

    retried = await retry_generation(context, generation_id, account_id=account_id, request_id="r-2")
    ended = await run(worker, context, account_id, retried.generation.id)

    assert retried.generation.retry_of == generation_id
    assert (ended.status, ended.output) == (GenerationStatus.completed, "one two three")
    with pytest.raises(GenerationNotRetryable):
        await retry_generation(context, ended.id, account_id=account_id, request_id="r-3")


async def test_an_account_in_debt_still_gets_its_generation_settled(
    context: GenerationContext, worker: WorkerRuntime
) -> None:
    account_id = await account_with(context, 10)
    generation_id = await ask(context, account_id)
    debt = Adjust(
        account_id=account_id, command_key="debt", amount_microcredits=-50 * CREDIT, reason="test", allow_negative=True
    )
    await context.writer.submit(debt)

    ended = await run(worker, context, account_id, generation_id)

    assert (ended.status, ended.cost_microcredits) == (GenerationStatus.completed, 600)
