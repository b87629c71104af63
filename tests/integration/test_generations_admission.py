"""Admission against real Postgres: freeze, generation and outbox row commit together, once per key."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec import structs
from uuid_utils.compat import uuid7

from ledger.errors import AccountNotFound, IdempotencyKeyReused, InsufficientCredits
from tests.generations import (
    CREDIT,
    FREE,
    account_with,
    asks_for,
    freeze_states,
    generation_context,
    heads_of,
    same_price,
)
from workers.admission import admit
from workers.context import GenerationContext
from workers.errors import GenerationNotFound, InputTooLong, InvalidCursor, InvalidInput, ModelNotFound
from workers.generations import GenerationStatus, get_generation, list_generations, read_queue_depth


@pytest.fixture
async def context(database_url: str, redis_url: str) -> AsyncIterator[GenerationContext]:
    async with generation_context(database_url, redis_url) as context:
        yield context


async def test_admission_freezes_the_most_the_generation_can_cost(context: GenerationContext) -> None:
    await context.catalogue.set_price("echo", prices=same_price(100), costs=FREE, changed_by="test")
    account_id = await account_with(context, 10)

    admitted = await admit(context, account_id, asks_for("one two three", max_output_tokens=7), request_id="r-1")

    assert admitted.generation.frozen_microcredits == (3 + 7) * 100
    heads = heads_of(context.database.url, account_id)
    assert (heads.available, heads.frozen) == (10 * CREDIT - 1_000, 1_000)
    assert await read_queue_depth(context.database) == 1


async def test_what_admission_returns_is_what_is_stored(context: GenerationContext) -> None:
    account_id = await account_with(context)

    admitted = await admit(context, account_id, asks_for(), request_id="r-1")

    assert admitted.generation == await get_generation(context.database, admitted.generation.id)
    assert admitted.generation.status is GenerationStatus.queued


async def test_the_same_key_returns_the_same_generation(context: GenerationContext) -> None:
    account_id = await account_with(context)
    first = await admit(context, account_id, asks_for(), idempotency_key="k", request_id="r-1")

    second = await admit(context, account_id, asks_for(), idempotency_key="k", request_id="r-2")

    assert (first.replayed, second.replayed) == (False, True)
    assert second.generation == first.generation
    assert freeze_states(context.database.url, account_id) == [0]


async def test_the_same_key_replays_although_the_price_has_changed(context: GenerationContext) -> None:
    account_id = await account_with(context)
    first = await admit(context, account_id, asks_for(), idempotency_key="k", request_id="r-1")
    await context.catalogue.set_price("echo", prices=same_price(7), costs=FREE, changed_by="test")

    second = await admit(context, account_id, asks_for(), idempotency_key="k", request_id="r-2")

    assert second.generation == first.generation


async def test_the_same_key_for_another_request_is_refused(context: GenerationContext) -> None:
    account_id = await account_with(context)
    await admit(context, account_id, asks_for("one"), idempotency_key="k", request_id="r-1")

    with pytest.raises(IdempotencyKeyReused):
        await admit(context, account_id, asks_for("two"), idempotency_key="k", request_id="r-2")


@pytest.mark.parametrize(("before", "after"), [(100, 0), (0, 100)], ids=["free since", "paid since"])
async def test_the_same_key_replays_although_the_model_costs_nothing_any_more_or_at_last(
    context: GenerationContext, before: int, after: int
) -> None:
    account_id = await account_with(context)
    await context.catalogue.set_price("echo", prices=same_price(before), costs=FREE, changed_by="test")
    first = await admit(context, account_id, asks_for(), idempotency_key="k", request_id="r-1")
    frozen = heads_of(context.database.url, account_id).frozen
    await context.catalogue.set_price("echo", prices=same_price(after), costs=FREE, changed_by="test")

    second = await admit(context, account_id, asks_for(), idempotency_key="k", request_id="r-2")

    assert (second.generation, second.replayed) == (first.generation, True)
    assert heads_of(context.database.url, account_id).frozen == frozen


async def test_the_same_key_replays_although_the_model_is_gone(context: GenerationContext) -> None:
    account_id = await account_with(context)
    first = await admit(context, account_id, asks_for(), idempotency_key="k", request_id="r-1")
    offered = await context.catalogue.offered("echo")
    await context.catalogue.upsert_model(structs.replace(offered.definition, enabled=False), changed_by="test")

    second = await admit(context, account_id, asks_for(), idempotency_key="k", request_id="r-2")

    assert (second.generation, second.replayed) == (first.generation, True)
    with pytest.raises(IdempotencyKeyReused):
        await admit(context, account_id, asks_for("another"), idempotency_key="k", request_id="r-3")
    with pytest.raises(ModelNotFound):
        await admit(context, account_id, asks_for(), idempotency_key="new", request_id="r-4")


async def test_the_same_key_replays_although_all_credits_are_frozen(context: GenerationContext) -> None:
    await context.catalogue.set_price("echo", prices=same_price(100_000), costs=FREE, changed_by="test")
    account_id = await account_with(context, 1)
    first = await admit(context, account_id, asks_for(max_output_tokens=7), idempotency_key="k", request_id="r-1")

    second = await admit(context, account_id, asks_for(max_output_tokens=7), idempotency_key="k", request_id="r-2")

    assert (second.generation, second.replayed) == (first.generation, True)
    with pytest.raises(InsufficientCredits):
        await admit(context, account_id, asks_for(max_output_tokens=7), idempotency_key="new", request_id="r-3")


async def test_two_accounts_may_use_the_same_key(context: GenerationContext) -> None:
    one, other = await account_with(context), await account_with(context)

    first = await admit(context, one, asks_for(), idempotency_key="k", request_id="r-1")
    second = await admit(context, other, asks_for(), idempotency_key="k", request_id="r-2")

    assert first.generation.id != second.generation.id


@pytest.mark.parametrize("per_token", [100, 0], ids=["paid", "free"])
async def test_twenty_at_once_with_one_key_admit_once(context: GenerationContext, per_token: int) -> None:
    await context.catalogue.set_price("echo", prices=same_price(per_token), costs=FREE, changed_by="test")
    account_id = await account_with(context)

    results = await asyncio.gather(
        *(admit(context, account_id, asks_for(), idempotency_key="k", request_id=f"r-{n}") for n in range(20))
    )

    assert len({result.generation.id for result in results}) == 1
    assert sum(not result.replayed for result in results) == 1
    assert len(freeze_states(context.database.url, account_id)) == (1 if per_token else 0)
    assert await read_queue_depth(context.database) == 1


async def test_a_free_model_needs_no_credits(context: GenerationContext) -> None:
    await context.catalogue.set_price("echo", prices=FREE, costs=FREE, changed_by="test")
    account_id = await account_with(context, 0)

    admitted = await admit(context, account_id, asks_for(), request_id="r-1")

    assert admitted.generation.frozen_microcredits == 0
    assert freeze_states(context.database.url, account_id) == []


async def test_too_few_credits_leave_nothing_behind(context: GenerationContext) -> None:
    account_id = await account_with(context, 0.0001)

    with pytest.raises(InsufficientCredits):
        await admit(context, account_id, asks_for(), idempotency_key="k", request_id="r-1")

    assert (await list_generations(context.database, account_id=account_id)).items == ()
    assert await read_queue_depth(context.database) == 0


@pytest.mark.parametrize("per_token", [100, 0], ids=["paid", "free"])
async def test_an_unknown_account_is_not_found(context: GenerationContext, per_token: int) -> None:
    await context.catalogue.set_price("echo", prices=same_price(per_token), costs=FREE, changed_by="test")

    with pytest.raises(AccountNotFound):
        await admit(context, uuid7(), asks_for(), request_id="r-1")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"prompt": "a", "messages": []},
        {"prompt": 1},
        {"prompt": ""},
        {"messages": []},
        {"messages": [{"role": "nobody", "content": "a"}]},
        {"messages": "a"},
        {"prompt": "a", "delay_ms": -1},
        {"prompt": "a", "surprise": 1},
        {"prompt": "\ud800"},
    ],
)
async def test_input_that_the_model_does_not_take_is_refused(
    context: GenerationContext, given: dict[str, object]
) -> None:
    account_id = await account_with(context)
    request = asks_for()
    request = type(request)(model=request.model, input=given)

    with pytest.raises(InvalidInput):
        await admit(context, account_id, request, request_id="r-1")


async def test_more_input_than_the_context_holds_is_refused(context: GenerationContext) -> None:
    echo = (await context.catalogue.offered("echo")).definition
    small = structs.replace(echo, context_tokens=3)
    await context.catalogue.upsert_model(small, changed_by="test")
    account_id = await account_with(context)

    await admit(context, account_id, asks_for("one two three"), request_id="r-1")
    with pytest.raises(InputTooLong):
        await admit(context, account_id, asks_for("one two three four"), request_id="r-2")


@pytest.mark.parametrize("model", ["nothing-like-it", "claude-sonnet-5-5"])
async def test_a_model_that_is_not_offered_is_not_found(context: GenerationContext, model: str) -> None:
    account_id = await account_with(context)

    with pytest.raises(ModelNotFound):
        await admit(context, account_id, asks_for(model=model), request_id="r-1")


async def test_a_request_for_more_output_than_the_ceiling_gets_the_ceiling(context: GenerationContext) -> None:
    account_id = await account_with(context)

    admitted = await admit(context, account_id, asks_for(max_output_tokens=99_000_000), request_id="r-1")

    ceiling = (await context.catalogue.offered("echo")).definition.max_output_tokens
    assert admitted.generation.max_output_tokens == ceiling


async def test_another_accounts_generation_is_not_found(context: GenerationContext) -> None:
    mine, other = await account_with(context), await account_with(context)
    admitted = await admit(context, mine, asks_for(), request_id="r-1")

    with pytest.raises(GenerationNotFound):
        await get_generation(context.database, admitted.generation.id, account_id=other)


async def test_lists_are_newest_first_and_paged(context: GenerationContext) -> None:
    account_id, other = await account_with(context), await account_with(context)
    ids = [(await admit(context, account_id, asks_for(), request_id="r")).generation.id for _ in range(5)]
    await admit(context, other, asks_for(), request_id="r")

    first = await list_generations(context.database, account_id=account_id, limit=3)
    second = await list_generations(context.database, account_id=account_id, limit=3, cursor=first.next_cursor)
    everyone = await list_generations(context.database, account_id=None, limit=200)

    assert [item.id for item in first.items + second.items] == ids[::-1]
    assert second.next_cursor is None
    assert len(everyone.items) == 6


@pytest.mark.parametrize("cursor", ["", "x", "é" * 22, "A" * 21, "A" * 40, "!" * 22])
async def test_a_cursor_that_was_not_given_out_is_refused(context: GenerationContext, cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        await list_generations(context.database, account_id=None, cursor=cursor)
