"""The prompt cache: an account's own earlier answers, where it asked for that, at a share of the price."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from msgspec import structs

from tests.generations import FREE, account_with, asks_for, generation_context, same_price, settings_for
from tests.stream_clients import redis_client
from workers.admission import admit
from workers.context import GenerationContext
from workers.generations import Generation, GenerationStatus, get_generation
from workers.prompt_cache import LIFETIME_S
from workers.requests import GenerationRequest
from workers.runtime import WorkerRuntime
from workers.streams.recovery import recover_text

PROMPT = "one two three four five"
WHOLE_PRICE = 10 * 100


class Bench:
    """A worker, and a model whose cached answers cost a tenth."""

    def __init__(self, context: GenerationContext, worker: WorkerRuntime, account_id: UUID) -> None:
        self.context, self.worker, self.account_id = context, worker, account_id

    async def run(self, request: GenerationRequest | None = None, *, account_id: UUID | None = None) -> Generation:
        account = account_id or self.account_id
        asked = request or cached()
        generation = (await admit(self.context, account, asked, request_id="r")).generation
        await self.worker.run(generation.id, account_id=account)
        return await get_generation(self.context.database, generation.id)


def cached(prompt: str = PROMPT, *, delay_ms: int = 0) -> GenerationRequest:
    return structs.replace(asks_for(prompt, delay_ms=delay_ms), cache=True)


def is_hit(generation: Generation) -> bool:
    assert generation.figures is not None
    return generation.figures.cache_hit


@pytest.fixture
async def bench(database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    # Longer than a slow machine makes anyone wait: a cache that is given up on finds and keeps nothing.
    monkeypatch.setattr("workers.prompt_cache.PATIENCE_S", 60.0)
    settings = settings_for(database_url, redis_url)
    async with generation_context(database_url, redis_url) as context, WorkerRuntime(settings) as worker:
        await context.catalogue.set_price("echo", prices=same_price(100), costs=FREE, changed_by="test")
        yield Bench(context, worker, await account_with(context))


async def test_the_same_request_again_is_answered_from_the_cache(bench: Bench) -> None:
    first, second = await bench.run(), await bench.run()

    assert (is_hit(first), is_hit(second)) == (False, True)
    assert (second.status, second.output, second.usage) == (GenerationStatus.completed, PROMPT, first.usage)


async def test_a_hit_is_streamed_like_any_answer(bench: Bench) -> None:
    await bench.run()
    second = await bench.run()

    streamed = await recover_text(bench.context.redis, str(second.id))

    assert streamed is not None
    assert streamed.text == PROMPT


async def test_a_hit_costs_its_share_and_calls_nobody(bench: Bench) -> None:
    first, second = await bench.run(), await bench.run()

    assert (first.cost_microcredits, second.cost_microcredits) == (WHOLE_PRICE, WHOLE_PRICE // 10)
    async with bench.context.database.connection() as connection:
        row = await (
            await connection.execute("SELECT count(*) FROM generation_attempts WHERE generation_id = %s", [second.id])
        ).fetchone()
    assert row == (0,)


async def test_what_it_took_is_recorded(bench: Bench) -> None:
    first, second = await bench.run(), await bench.run()

    assert first.figures is not None
    assert second.figures is not None
    assert first.figures.cache_read_us is not None
    assert first.figures.cache_write_us is not None
    assert (second.figures.cache_write_us, second.figures.provider_us) == (None, 0)


async def test_who_did_not_ask_for_it_gets_a_new_answer_and_leaves_none(bench: Bench) -> None:
    await bench.run(structs.replace(cached(), cache=False))
    assert not is_hit(await bench.run())
    assert not is_hit(await bench.run(structs.replace(cached(), cache=False)))


async def test_an_account_never_gets_the_answer_of_another(bench: Bench) -> None:
    await bench.run()

    other = await bench.run(account_id=await account_with(bench.context))

    assert not is_hit(other)


@pytest.mark.parametrize(
    "other",
    [
        cached(PROMPT + " six"),
        cached(delay_ms=1),
        structs.replace(cached(), max_output_tokens=4),
    ],
    ids=["prompt", "option", "limit"],
)
async def test_a_request_that_differs_in_anything_finds_nothing(bench: Bench, other: GenerationRequest) -> None:
    await bench.run()

    assert not is_hit(await bench.run(other))


async def test_a_model_that_was_changed_answers_anew(bench: Bench) -> None:
    await bench.run()
    definition = (await bench.context.catalogue.offered("echo")).definition
    await bench.context.catalogue.upsert_model(structs.replace(definition, context_tokens=5_000), changed_by="test")

    assert not is_hit(await bench.run())


async def test_an_answer_that_ran_into_its_limit_is_not_kept(bench: Bench) -> None:
    limited = structs.replace(cached(), max_output_tokens=2)
    await bench.run(limited)

    assert not is_hit(await bench.run(limited))


async def test_answers_are_kept_for_a_day(bench: Bench, redis_url: str) -> None:
    await bench.run()

    async with redis_client(redis_url) as redis:
        (key,) = await redis.keys("holdfast:*:answer:*")  # pyright: ignore[reportUnknownMemberType] - not typed
        assert LIFETIME_S - 60 < await redis.ttl(key) <= LIFETIME_S
        await redis.set(key, b"not an answer")
    assert not is_hit(await bench.run())
