"""Fallback along a chain: one job, one stream, one settlement, and every call on the way recorded."""

from collections.abc import AsyncIterator
from uuid import UUID

import psycopg
import pytest
from msgspec import structs

from tests.fakes import anthropic_server, openai_server
from tests.fakes.anthropic_server import FakeAnthropic
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.scripted_server import Answer, event_stream
from tests.generations import (
    account_with,
    asks_for,
    generation_context,
    heads_of,
    kinds_of,
    same_price,
    settings_for,
)
from workers.admission import admit
from workers.breakers import OPENS_AFTER
from workers.context import GenerationContext
from workers.errors import InvalidInput
from workers.generations import Generation, GenerationStatus, get_generation
from workers.runtime import WorkerRuntime

MODEL, FALLBACK = "gpt-5.4-mini", "claude-haiku-5-5"
OVERLOADED = openai_server.failure(503, "The engine is overloaded", kind="service_unavailable_error")
NO_MONEY = openai_server.failure(429, "You exceeded your quota", kind="insufficient_quota", code="insufficient_quota")


class Bench:
    """Two fake providers, a worker, and an account."""

    def __init__(
        self,
        first: FakeOpenAI,
        second: FakeAnthropic,
        context: GenerationContext,
        worker: WorkerRuntime,
        account_id: UUID,
    ) -> None:
        self.first, self.second, self.context, self.worker = first, second, context, worker
        self.account_id = account_id

    async def start(self, model: str = MODEL) -> UUID:
        request = asks_for("Say hello", model=model, max_output_tokens=100)
        return (await admit(self.context, self.account_id, request, request_id="r-42")).generation.id

    async def run(self, *answers: Answer) -> Generation:
        self.first.script(*answers)
        return await self.finish(await self.start())

    async def finish(self, generation_id: UUID) -> Generation:
        await self.worker.run(generation_id, account_id=self.account_id)
        return await get_generation(self.context.database, generation_id)

    def calls(self) -> list[tuple[str, str, int | None, str | None]]:
        with psycopg.connect(self.context.database.url) as connection:
            return connection.execute(
                "SELECT model, outcome, cost_microdollars, provider_message FROM generation_attempts"
                " ORDER BY generation_id, attempt, call"
            ).fetchall()


@pytest.fixture
async def bench(database_url: str, redis_url: str) -> AsyncIterator[Bench]:
    async with FakeOpenAI() as first, FakeAnthropic() as second:
        environment = {
            "OPENAI_API_KEY": openai_server.API_KEY,
            "OPENAI_BASE_URL": first.base_url,
            "ANTHROPIC_API_KEY": anthropic_server.API_KEY,
            "ANTHROPIC_BASE_URL": second.url,
        }
        settings = settings_for(database_url, redis_url, environment)
        async with (
            generation_context(database_url, redis_url, environment) as context,
            WorkerRuntime(settings) as worker,
        ):
            catalogue = context.catalogue
            definition = (await catalogue.offered(MODEL)).definition
            await catalogue.upsert_model(structs.replace(definition, fallbacks=(FALLBACK,)), changed_by="test")
            await catalogue.set_price(MODEL, prices=same_price(10), costs=same_price(2), changed_by="test")
            await catalogue.set_price(FALLBACK, prices=same_price(99), costs=same_price(5), changed_by="test")
            yield Bench(first, second, context, worker, await account_with(context))


async def test_the_next_in_the_chain_serves_when_the_first_keeps_failing(bench: Bench) -> None:
    ended = await bench.run(OVERLOADED, OVERLOADED, OVERLOADED)

    assert (ended.status, ended.error) == (GenerationStatus.completed, None)
    assert ended.figures is not None
    assert (ended.figures.served_model, ended.figures.served_provider) == (FALLBACK, "anthropic")
    assert ended.figures.fallback_used
    assert [(model, outcome) for model, outcome, *_ in bench.calls()] == [
        (MODEL, "overloaded"),
        (MODEL, "overloaded"),
        (MODEL, "overloaded"),
        (FALLBACK, "completed"),
    ]


async def test_the_customer_pays_the_model_they_asked_for_and_we_note_what_the_other_cost(bench: Bench) -> None:
    ended = await bench.run(OVERLOADED, OVERLOADED, OVERLOADED)

    assert ended.usage is not None
    tokens = ended.usage.input_tokens + ended.usage.output_tokens
    assert ended.cost_microcredits == tokens * 10
    assert bench.calls()[-1][2] == tokens * 5


async def test_one_job_is_settled_once_whoever_served_it(bench: Bench) -> None:
    await bench.run(OVERLOADED, OVERLOADED, OVERLOADED)

    opened, topped_up, frozen, confirmed = kinds_of(bench.context.database.url, bench.account_id)
    assert len({opened, topped_up, frozen, confirmed}) == 4


async def test_an_empty_account_with_the_provider_is_not_asked_twice(bench: Bench) -> None:
    ended = await bench.run(NO_MONEY)

    assert ended.status is GenerationStatus.completed
    assert len(bench.first.calls) == 1


async def test_nothing_is_done_twice_once_a_word_was_delivered(bench: Bench) -> None:
    ended = await bench.run(event_stream(*openai_server.beginning("Hel", "lo")))

    assert (ended.status, ended.output) == (GenerationStatus.failed, "Hello")
    assert ended.cost_microcredits == 0
    assert bench.second.calls == []


async def test_a_request_that_is_wrong_in_itself_is_not_passed_on(bench: Bench) -> None:
    ended = await bench.run(openai_server.failure(400, "no", kind="invalid_request_error"))

    assert ended.status is GenerationStatus.failed
    assert bench.second.calls == []


async def test_a_chain_that_fails_to_its_end_costs_nothing_and_keeps_all_their_words(bench: Bench) -> None:
    bench.second.script(*[anthropic_server.failure(529, "overloaded_error", "Overloaded")] * 3)

    ended = await bench.run(OVERLOADED, OVERLOADED, OVERLOADED)

    assert (ended.status, ended.cost_microcredits) == (GenerationStatus.failed, 0)
    assert heads_of(bench.context.database.url, bench.account_id).spent == 0
    assert all(message is not None and "verloaded" in message for *_, message in bench.calls())


async def test_a_provider_that_keeps_failing_is_left_alone(bench: Bench) -> None:
    while len(bench.first.calls) < OPENS_AFTER:
        await bench.run(OVERLOADED, OVERLOADED, OVERLOADED)
    asked = len(bench.first.calls)

    ended = await bench.finish(await bench.start())

    assert ended.status is GenerationStatus.completed
    assert len(bench.first.calls) == asked


async def test_a_running_job_keeps_the_chain_it_was_admitted_with(bench: Bench) -> None:
    generation_id = await bench.start()
    definition = (await bench.context.catalogue.offered(MODEL)).definition
    changed = structs.replace(definition, fallbacks=(), upstream_name="another")
    await bench.context.catalogue.upsert_model(changed, changed_by="test")
    bench.first.script(OVERLOADED, OVERLOADED, OVERLOADED)

    ended = await bench.finish(generation_id)

    assert ended.status is GenerationStatus.completed
    assert bench.first.calls[0].body["model"] == definition.upstream_name


async def test_a_fallback_that_cannot_do_the_same_is_left_out(bench: Bench) -> None:
    fallback = (await bench.context.catalogue.offered(FALLBACK)).definition
    await bench.context.catalogue.upsert_model(structs.replace(fallback, modes=("structured",)), changed_by="test")

    ended = await bench.run(OVERLOADED, OVERLOADED, OVERLOADED)

    assert ended.status is GenerationStatus.failed
    assert bench.second.calls == []


async def test_a_mode_the_model_has_not_is_refused(bench: Bench) -> None:
    request = structs.replace(asks_for("x", model=MODEL), mode="video")

    with pytest.raises(InvalidInput):
        await admit(bench.context, bench.account_id, request, request_id="r")
