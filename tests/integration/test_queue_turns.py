"""Who is next: accounts take turns, paid work comes first, and what has no room holds nothing up."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import AsyncConnection

from ledger.commands import TopUp
from ledger.database import Database
from tests.generations import CREDIT, account_with, asks_for, generation_context
from tests.waiting import eventually
from workers.admission import admit
from workers.claims import Claim, release_generation
from workers.context import GenerationContext, make_redis
from workers.generations import GenerationStatus, get_generation
from workers.limits import ProviderLimits
from workers.picking import Picker
from workers.positions import NEXT, Pace, Places
from workers.tiers import Tier, set_tier


@pytest.fixture
async def context(database_url: str, redis_url: str) -> AsyncIterator[GenerationContext]:
    async with generation_context(database_url, redis_url) as context:
        yield context


def picker(context: GenerationContext, *, free_threads: int = 10_000, limits: ProviderLimits | None = None) -> Picker:
    limits = limits or ProviderLimits(context.redis, {})
    return Picker(context.database, limits, owner=uuid4(), free_threads=free_threads)


async def paying(context: GenerationContext) -> UUID:
    account_id = await account_with(context, 0)
    top_up = TopUp(
        account_id=account_id,
        command_key="paid",
        amount_microcredits=1_000 * CREDIT,
        paid_amount="10",
        paid_currency="EUR",
    )
    await context.writer.submit(top_up)
    return account_id


async def ask(context: GenerationContext, account_id: UUID, times: int = 1) -> list[UUID]:
    admitted = await asyncio.gather(*(admit(context, account_id, asks_for(), request_id="r") for _ in range(times)))
    return [each.generation.id for each in admitted]


async def pick(picker: Picker, times: int) -> list[Claim]:
    claims = [await picker.next() for _ in range(times)]
    return [claim for claim in claims if claim is not None]


def move(database: Database, generation_id: UUID, provider: str) -> None:
    """Let a queued generation be one for another provider."""
    with psycopg.connect(database.url) as connection:
        for statement in (
            "UPDATE generations SET provider = %s WHERE id = %s",
            "UPDATE outbox SET provider = %s WHERE generation_id = %s",
        ):
            connection.execute(statement, [provider, generation_id])


async def test_a_thousand_jobs_of_one_account_do_not_hold_up_five_others(context: GenerationContext) -> None:
    heavy = await account_with(context, 100_000)
    light = [await account_with(context) for _ in range(5)]
    await ask(context, heavy, 1_000)
    for account_id in light:
        await ask(context, account_id)

    served = [claim.account_id for claim in await pick(picker(context), 8)]

    assert set(light) <= set(served)


async def test_accounts_with_a_backlog_alternate(context: GenerationContext) -> None:
    accounts = [await account_with(context) for _ in range(3)]
    for account_id in accounts:
        await ask(context, account_id, 20)

    served = Counter(claim.account_id for claim in await pick(picker(context), 30))

    assert all(9 <= served[account_id] <= 11 for account_id in accounts)


async def test_without_a_backlog_it_is_first_come_first_served(context: GenerationContext) -> None:
    account_id = await account_with(context)
    ids = [(await ask(context, account_id))[0] for _ in range(5)]

    assert [claim.generation_id for claim in await pick(picker(context), 6)] == ids


async def test_paid_work_comes_first_and_free_work_has_a_share(context: GenerationContext) -> None:
    free, paid = await account_with(context), await paying(context)
    await ask(context, free, 3)
    await ask(context, paid, 2)
    one = picker(context, free_threads=1)

    claims = await pick(one, 5)

    assert [claim.tier for claim in claims] == [Tier.paid, Tier.paid, Tier.free]
    await one.done(claims[-1])
    assert [claim.tier for claim in await pick(one, 2)] == [Tier.free]


async def test_picks_at_the_same_moment_never_take_more_than_the_share(context: GenerationContext) -> None:
    await ask(context, await account_with(context), 20)
    one = picker(context, free_threads=3)

    claims = await asyncio.gather(*(one.next() for _ in range(10)))

    assert sum(claim is not None for claim in claims) == 3


async def test_every_generation_is_claimed_once_however_many_pick(context: GenerationContext) -> None:
    ids = await ask(context, await account_with(context), 40)
    pickers = [picker(context) for _ in range(4)]

    claims = await asyncio.gather(*(pickers[number % 4].next() for number in range(60)))

    assert sorted(claim.generation_id for claim in claims if claim is not None) == sorted(ids)


async def test_an_administrator_decides_over_what_was_paid(context: GenerationContext) -> None:
    account_id = await account_with(context)
    assert await context.tiers.of(account_id) is Tier.free

    await set_tier(context.database, account_id, Tier.paid, changed_by="admin")
    context.tiers.forget(account_id)
    assert await context.tiers.of(account_id) is Tier.paid

    await set_tier(context.database, account_id, None, changed_by="admin")
    context.tiers.forget(account_id)
    assert await context.tiers.of(account_id) is Tier.free


async def test_a_newcomer_waits_behind_no_backlog_of_another_provider(context: GenerationContext) -> None:
    heavy, light = await account_with(context), await account_with(context)
    waiting = await ask(context, heavy, 50)
    for generation_id in waiting[:25]:
        move(context.database, generation_id, "elsewhere")
    (newcomer,) = await ask(context, light)

    claims = await pick(picker(context), 51)

    assert len(claims) == 51
    of_its_provider = [claim.generation_id for claim in claims if claim.provider != "elsewhere"]
    assert of_its_provider.index(newcomer) <= 2


async def test_what_is_given_back_is_the_first_again(context: GenerationContext) -> None:
    account_id = await account_with(context)
    await ask(context, account_id, 5)
    one = picker(context)
    (claim,) = await pick(one, 1)

    assert await release_generation(context.database, claim, [])

    (again,) = await pick(one, 1)
    assert (again.generation_id, again.attempt) == (claim.generation_id, 2)


async def test_positions_count_who_is_before_and_stay_as_they_were_answered(context: GenerationContext) -> None:
    account_id = await account_with(context)
    first = await admit(context, account_id, asks_for("first"), idempotency_key="a", request_id="r")
    await ask(context, account_id, 10)
    last = await admit(context, account_id, asks_for("last"), idempotency_key="b", request_id="r")

    assert first.generation.queue_position == 0
    assert last.generation.queue_position == 11
    place = await context.places.of(last.generation.id, account_id=account_id)
    assert place is not None
    assert place.position == 11

    await pick(picker(context), 5)

    place = await context.places.of(last.generation.id, account_id=account_id)
    assert place is not None
    assert place.position == 6
    again = await admit(context, account_id, asks_for("last"), idempotency_key="b", request_id="r")
    assert again.replayed
    assert again.generation.queue_position == 11


async def test_while_anybody_asks_nobody_waits_to_be_told_that_a_queue_is_empty(
    context: GenerationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    account_id = await account_with(context)
    ours, looked, look = asyncio.current_task(), Counter[bool](), context.database.autocommit

    def counted() -> AbstractAsyncContextManager[AsyncConnection[Any]]:
        looked[asyncio.current_task() is ours] += 1
        return look()

    monkeypatch.setattr(context.database, "autocommit", counted)
    # Longer than a slow machine takes to get from one line to the next.
    monkeypatch.setattr("workers.positions.EMPTY_FOR_S", 3_600.0)
    looking = asyncio.create_task(context.places.keep_fresh())
    try:
        await context.places.of_next(account_id, tier=Tier.paid, provider="echo")
        await eventually(lambda: looked[False] > 1)
        assert await context.places.of_next(account_id, tier=Tier.free, provider="echo") == NEXT
        assert looked[True] == 1

        asked_for, *_ = await ask(context, account_id, 9)
        provider = (await get_generation(context.database, asked_for)).provider
        monkeypatch.setattr("workers.positions.EMPTY_FOR_S", 0.0)
        place = await context.places.of_next(account_id, tier=Tier.free, provider=provider)
        assert place.position == 9
    finally:
        looking.cancel()
        await asyncio.wait([looking])


async def test_what_runs_or_has_ended_has_no_place(context: GenerationContext) -> None:
    account_id = await account_with(context)
    (generation_id,) = await ask(context, account_id)
    await pick(picker(context), 1)

    assert (await get_generation(context.database, generation_id)).status is GenerationStatus.running
    assert await context.places.of(generation_id, account_id=account_id) is None


async def test_the_estimate_follows_from_how_fast_the_tier_goes(
    context: GenerationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where Redis takes longer to answer there is no estimate, and a slow machine takes longer.
    monkeypatch.setattr("workers.positions.TIMEOUT_S", 60.0)
    # Those who ask at once may all find the queue empty, and whoever asks right after them is told that it still is.
    monkeypatch.setattr("workers.positions.EMPTY_FOR_S", 0.0)
    pace = Pace(context.redis)
    assert await pace.per_second(Tier.paid) is None
    for _ in range(100):
        pace.note(Tier.free)
    await pace.tell()

    measured = await pace.per_second(Tier.free)
    account_id = await account_with(context)
    await ask(context, account_id, 30)
    last = await admit(context, account_id, asks_for("last"), request_id="r")

    # All of it was within the current ten seconds, or the ones before.
    assert measured is not None
    assert 5 <= measured <= 100
    assert last.generation.queue_wait_s is not None
    assert 1 <= last.generation.queue_wait_s <= 31


async def test_without_redis_there_is_a_place_and_no_estimate(context: GenerationContext) -> None:
    nowhere = make_redis("redis://127.0.0.1:1/0")
    places = Places(context.database, nowhere)
    account_id = await account_with(context)
    await ask(context, account_id, 10)

    place = await places.of_next(account_id, tier=Tier.free, provider="echo")

    assert (place.position, place.wait_s) == (10, None)
    await nowhere.aclose()
