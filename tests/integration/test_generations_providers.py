"""Generations whose provider fails, hesitates or lies, against a fake that speaks the real wire format."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import psycopg
import pytest

from tests.fakes import openai_server as fake
from tests.fakes.openai_server import API_KEY, FakeOpenAI
from tests.fakes.scripted_server import Answer, Cut, Hang, event_stream
from tests.generations import (
    account_with,
    asks_for,
    freeze_states,
    generation_context,
    heads_of,
    same_price,
    settings_for,
)
from tests.waiting import eventually
from workers.admission import admit
from workers.cancels import cancel_generation
from workers.context import GenerationContext
from workers.generations import Generation, GenerationStatus, get_generation
from workers.runtime import WorkerRuntime
from workers.streams.recovery import recover_text

MODEL = "gpt-5.4-mini"


class Bench:
    """A fake provider, a worker, and an account."""

    def __init__(self, server: FakeOpenAI, context: GenerationContext, worker: WorkerRuntime, account_id: UUID) -> None:
        self.server, self.context, self.worker, self.account_id = server, context, worker, account_id

    async def start(self) -> UUID:
        request = asks_for("Say hello", model=MODEL, max_output_tokens=100)
        return (await admit(self.context, self.account_id, request, request_id="r-42")).generation.id

    async def finish(self, generation_id: UUID) -> Generation:
        await self.worker.run(generation_id, account_id=self.account_id)
        return await get_generation(self.context.database, generation_id)

    async def run(self, *answers: Answer) -> Generation:
        self.server.script(*answers)
        return await self.finish(await self.start())

    def calls_recorded(self) -> list[tuple[str, int | None, int | None]]:
        with psycopg.connect(self.context.database.url) as connection:
            return connection.execute(
                "SELECT outcome, output_tokens, cost_microdollars FROM generation_attempts ORDER BY attempt, call"
            ).fetchall()


@pytest.fixture
async def bench(database_url: str, redis_url: str) -> AsyncIterator[Bench]:
    async with FakeOpenAI() as server:
        environment = {"OPENAI_API_KEY": API_KEY, "OPENAI_BASE_URL": server.base_url}
        settings = settings_for(database_url, redis_url, environment)
        async with (
            generation_context(database_url, redis_url, environment) as context,
            WorkerRuntime(settings) as worker,
        ):
            costs = same_price(2)
            await context.catalogue.set_price(MODEL, prices=same_price(10), costs=costs, changed_by="test")
            yield Bench(server, context, worker, await account_with(context))


async def test_what_the_provider_counted_is_charged(bench: Bench) -> None:
    ended = await bench.run(fake.completion("Hello", " world", completion_tokens=7))

    assert (ended.status, ended.output) == (GenerationStatus.completed, "Hello world")
    assert ended.cost_microcredits == (11 + 7) * 10
    assert bench.calls_recorded() == [("completed", 7, (11 + 7) * 2)]


@pytest.mark.parametrize("completion_tokens", [-7, 10**12, 1.5])
async def test_impossible_usage_is_refused_and_nothing_is_charged(bench: Bench, completion_tokens: object) -> None:
    counted = fake.usage(completion_tokens=completion_tokens)

    ended = await bench.run(event_stream(*fake.beginning("Hello"), fake.finish(), counted, fake.DONE))

    assert ended.status is GenerationStatus.failed
    assert ended.error is not None
    assert ended.error.code == "malformed_usage"
    assert (ended.output, ended.partial, ended.cost_microcredits) == ("Hello", True, 0)
    assert freeze_states(bench.context.database.url, bench.account_id) == [2]


async def test_a_failure_before_the_first_token_is_tried_again(bench: Bench) -> None:
    overloaded = fake.failure(503, "The engine is overloaded", kind="server_error")

    ended = await bench.run(overloaded, overloaded, fake.completion("Hello"))

    assert (ended.status, ended.output) == (GenerationStatus.completed, "Hello")
    assert len(bench.server.calls) == 3
    assert [outcome for outcome, *_ in bench.calls_recorded()][-1] == "completed"
    assert len(bench.calls_recorded()) == 3


async def test_three_failures_are_enough(bench: Bench) -> None:
    overloaded = fake.failure(503, "The engine is overloaded", kind="server_error")

    ended = await bench.run(*[overloaded] * 4)

    assert ended.status is GenerationStatus.failed
    assert len(bench.server.calls) == 3
    assert ended.provider_message is not None
    assert "overloaded" in ended.provider_message
    assert ended.error is not None
    assert "engine" not in ended.error.message


async def test_a_cancel_between_two_tries_costs_nothing_and_is_no_failure(bench: Bench) -> None:
    bench.server.script(fake.failure(429, "slow down", kind="rate_limit_error", retry_after="10"))
    generation_id = await bench.start()
    running = asyncio.create_task(bench.finish(generation_id))
    await eventually(lambda: len(bench.calls_recorded()) == 1)

    await cancel_generation(bench.context, generation_id)
    ended = await running

    assert (ended.status, ended.error, ended.usage) == (GenerationStatus.cancelled, None, None)
    assert heads_of(bench.context.database.url, bench.account_id).spent == 0
    assert len(bench.server.calls) == 1


async def test_a_refusal_is_not_tried_again(bench: Bench) -> None:
    ended = await bench.run(fake.failure(400, "too long", kind="invalid_request_error"), fake.completion("Hello"))

    assert ended.status is GenerationStatus.failed
    assert len(bench.server.calls) == 1


@pytest.mark.parametrize("ending", [Cut(), None], ids=["cut", "truncated"])
async def test_a_stream_that_breaks_after_the_first_token_fails_free_and_keeps_its_text(
    bench: Bench, ending: Cut | None
) -> None:
    steps = fake.beginning("Hel", "lo") if ending is None else (*fake.beginning("Hel", "lo"), ending)

    ended = await bench.run(event_stream(*steps), fake.completion("never asked for"))

    assert ended.status is GenerationStatus.failed
    assert ended.error is not None
    assert ended.error.code == "truncated"
    assert ended.cost_microcredits == 0
    assert ended.output is not None
    assert "Hello".startswith(ended.output)
    assert len(bench.server.calls) == 1
    assert heads_of(bench.context.database.url, bench.account_id).spent == 0


async def test_our_cost_of_a_failed_call_is_recorded(bench: Bench) -> None:
    await bench.run(event_stream(*fake.beginning("Hello, this is what came"), ends_cleanly=False))

    ((outcome, output_tokens, cost),) = bench.calls_recorded()
    assert outcome == "truncated"
    assert output_tokens is not None
    assert output_tokens > 0
    assert cost is not None
    assert cost > 0


async def test_a_patience_that_no_customer_has_is_a_failure_at_once(bench: Bench) -> None:
    ended = await bench.run(fake.failure(429, "slow down", code="rate_limit_exceeded", retry_after="3600"))

    assert ended.status is GenerationStatus.failed
    assert ended.error is not None
    assert ended.error.code == "rate_limited"
    assert len(bench.server.calls) == 1


async def test_cancelling_closes_the_call_and_charges_an_estimate_of_what_was_delivered(bench: Bench) -> None:
    bench.server.script(event_stream(*fake.beginning("Hello there"), Hang()))
    generation_id = await bench.start()
    running = asyncio.create_task(bench.finish(generation_id))
    call = await bench.server.call()

    async def has_text() -> bool:
        recovered = await recover_text(bench.context.redis, str(generation_id))
        return recovered is not None and recovered.text == "Hello there"

    await eventually(has_text)
    await cancel_generation(bench.context, generation_id)
    ended = await asyncio.wait_for(running, 5)

    await asyncio.wait_for(call.client_left.wait(), 5)
    assert (ended.status, ended.output, ended.partial) == (GenerationStatus.cancelled, "Hello there", True)
    assert ended.usage_estimated
    assert ended.usage is not None
    assert ended.cost_microcredits == (ended.usage.input_tokens + ended.usage.output_tokens) * 10


async def test_cancelling_while_waiting_to_try_again_ends_at_once(bench: Bench) -> None:
    bench.server.script(fake.failure(429, "slow down", code="rate_limit_exceeded", retry_after="14"))
    generation_id = await bench.start()
    running = asyncio.create_task(bench.finish(generation_id))
    await bench.server.call()

    await cancel_generation(bench.context, generation_id)
    ended = await asyncio.wait_for(running, 5)

    assert (ended.status, ended.cost_microcredits, ended.output) == (GenerationStatus.cancelled, 0, "")
    assert freeze_states(bench.context.database.url, bench.account_id) == [2]


async def test_the_request_id_reaches_the_provider(bench: Bench) -> None:
    await bench.run(fake.completion("Hello"))

    assert "r-42" in bench.server.calls[0].headers.values()


async def test_a_model_whose_provider_is_gone_fails_free(bench: Bench, redis_url: str) -> None:
    generation_id = await bench.start()
    settings = settings_for(bench.context.database.url, redis_url)

    async with WorkerRuntime(settings) as without_key:
        await without_key.run(generation_id, account_id=bench.account_id)

    ended = await get_generation(bench.context.database, generation_id)
    assert ended.status is GenerationStatus.failed
    assert ended.error is not None
    assert ended.error.code == "model_unavailable"
