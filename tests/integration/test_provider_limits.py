"""How many calls a provider gets at once, over all workers, also when Redis forgets or is away."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import psycopg
import pytest
from redis.asyncio import Redis

from tests.generations import account_with, asks_for, generation_context
from tests.stream_clients import forget_everything
from tests.waiting import eventually
from workers import limits as limits_module
from workers.admission import admit
from workers.context import GenerationContext, make_redis
from workers.limits import Holder, ProviderLimits
from workers.outbox import resend_outbox
from workers.picking import Picker


@pytest.fixture
async def context(database_url: str, redis_url: str) -> AsyncIterator[GenerationContext]:
    async with generation_context(database_url, redis_url) as context:
        yield context


@pytest.fixture
async def provider(context: GenerationContext) -> str:
    """The provider of the model that tests ask for."""
    return (await context.catalogue.offered("echo")).definition.provider


def picker(context: GenerationContext, limits: ProviderLimits) -> Picker:
    return Picker(context.database, limits, owner=uuid4(), free_threads=1_000)


async def ask(context: GenerationContext, times: int = 1) -> list[UUID]:
    account_id = await account_with(context)
    admitted = await asyncio.gather(*(admit(context, account_id, asks_for(), request_id="r") for _ in range(times)))
    return [each.generation.id for each in admitted]


async def become_sure(redis: Redis, provider: str) -> None:
    """Let Redis have known about this provider for long enough."""
    await redis.set(f"holdfast:places:{{{provider}}}:known_since", 1)


async def is_unsure(redis: Redis, provider: str) -> bool:
    return int(await redis.get(f"holdfast:places:{{{provider}}}:known_since") or 0) != 1


async def running(context: GenerationContext) -> int:
    async with context.database.connection() as connection:
        row = await (await connection.execute("SELECT count(*) FROM generations WHERE status = 1")).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("knows", [True, False], ids=["redis knows", "redis has just begun"])
async def test_two_workers_that_pick_at_once_keep_to_the_limit(
    context: GenerationContext, provider: str, *, knows: bool
) -> None:
    if knows:
        await become_sure(context.redis, provider)
    await ask(context, 12)
    pickers = [picker(context, ProviderLimits(context.redis, {provider: 3})) for _ in range(2)]

    claims = await asyncio.gather(*(pickers[number % 2].next() for number in range(12)))

    assert sum(claim is not None for claim in claims) == await running(context) == 3


async def test_a_place_that_is_given_back_is_taken_again(context: GenerationContext, provider: str) -> None:
    await become_sure(context.redis, provider)
    await ask(context, 3)
    one = picker(context, ProviderLimits(context.redis, {provider: 1}))
    claim = await one.next()
    assert claim is not None
    assert await one.next() is None

    await one.done(claim)

    assert await one.next() is not None


async def test_a_full_provider_does_not_hold_up_what_is_behind_it(context: GenerationContext) -> None:
    await become_sure(context.redis, "crowded")
    crowded = await ask(context, 2)
    with psycopg.connect(context.database.url) as connection:
        connection.execute("UPDATE generations SET provider = 'crowded'")
        connection.execute("UPDATE outbox SET provider = 'crowded'")
    (behind,) = await ask(context)
    one = picker(context, ProviderLimits(context.redis, {"crowded": 1}))

    claims = [await one.next() for _ in range(3)]

    first, second, third = [claim and claim.generation_id for claim in claims]
    assert first in crowded
    assert (second, third) == (behind, None)


async def test_after_redis_forgot_everything_postgres_counts(context: GenerationContext, provider: str) -> None:
    await become_sure(context.redis, provider)
    await ask(context, 6)
    limits = ProviderLimits(context.redis, {provider: 2})
    one = picker(context, limits)
    claims = [await one.next() for _ in range(2)]
    assert None not in claims

    await forget_everything(context.redis)

    other = picker(context, ProviderLimits(context.redis, {provider: 2}))
    assert await asyncio.gather(*(other.next() for _ in range(4))) == [None] * 4
    assert await running(context) == 2


async def test_what_redis_forgot_it_is_told_again(
    context: GenerationContext, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits_module, "EXTEND_S", 0.05)
    await become_sure(context.redis, provider)
    await ask(context, 3)
    async with ProviderLimits(context.redis, {provider: 1}) as limits:
        one = picker(context, limits)
        assert await one.next() is not None
        await forget_everything(context.redis)

        async def is_told() -> bool:
            await become_sure(context.redis, provider)
            return await limits.full_providers() == [provider]

        await eventually(is_told)
        assert await one.next() is None


async def test_what_postgres_let_through_counts_once_redis_is_believed(
    context: GenerationContext, provider: str
) -> None:
    await ask(context, 4)
    pickers = [picker(context, ProviderLimits(context.redis, {provider: 2})) for _ in range(2)]
    claims = [await pickers[0].next() for _ in range(2)]
    assert None not in claims

    await become_sure(context.redis, provider)

    assert await pickers[1].next() is None
    assert await running(context) == 2


async def test_what_postgres_refused_holds_no_place(context: GenerationContext, provider: str) -> None:
    await ask(context, 3)
    one, other = (picker(context, ProviderLimits(context.redis, {provider: 1})) for _ in range(2))
    claim = await one.next()
    assert claim is not None
    assert await other.next() is None

    await become_sure(context.redis, provider)
    await one.done(claim)

    assert await other.next() is not None


@pytest.mark.parametrize("extends", [False, True], ids=["asks", "extends"])
async def test_after_a_worker_could_not_reach_redis_postgres_counts_until_everyone_has_told(
    context: GenerationContext,
    redis_url: str,
    provider: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    extends: bool,
) -> None:
    monkeypatch.setattr(limits_module, "LEAVE_ALONE_S", 0.0)
    await become_sure(context.redis, provider)
    await ask(context, 4)
    other = picker(context, ProviderLimits(context.redis, {provider: 2}))
    redis_socket = Path(urlsplit(redis_url).path)
    way = tmp_path / redis_socket.name
    async with contextlib.aclosing(make_redis(f"unix://{way}?db=0")) as cut_off:
        limits = ProviderLimits(cut_off, {provider: 2})
        one = picker(context, limits)
        claims = [await one.next() for _ in range(2)]
        assert None not in claims

        way.symlink_to(redis_socket)
        if extends:
            monkeypatch.setattr(limits_module, "EXTEND_S", 0.1)
            async with limits:
                await eventually(lambda: is_unsure(context.redis, provider))
        else:
            assert await one.next() is None

        assert await other.next() is None
        assert await running(context) == 2


async def test_without_redis_postgres_counts(context: GenerationContext, provider: str) -> None:
    await ask(context, 5)
    nowhere = make_redis("redis://127.0.0.1:1/0")
    pickers = [picker(context, ProviderLimits(nowhere, {provider: 2})) for _ in range(2)]

    claims = await asyncio.gather(*(pickers[number % 2].next() for number in range(6)))

    assert sum(claim is not None for claim in claims) == 2
    await nowhere.aclose()


async def test_a_place_that_nobody_extends_comes_free(
    context: GenerationContext, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits_module, "PLACE_S", 0.1)
    await become_sure(context.redis, provider)
    killed = ProviderLimits(context.redis, {provider: 1})
    assert await killed.try_take(Holder(provider, "one"))
    limits = ProviderLimits(context.redis, {provider: 1})

    async def comes_free() -> bool:
        return await limits.try_take(Holder(provider, "two"))

    await eventually(comes_free)


async def test_a_provider_without_a_limit_is_not_counted(context: GenerationContext, provider: str) -> None:
    await ask(context, 5)
    one = picker(context, ProviderLimits(context.redis, {"another": 1}))

    assert None not in [await one.next() for _ in range(5)]
    assert await context.redis.exists(f"holdfast:places:{{{provider}}}") == 0


async def test_what_waits_for_a_full_provider_is_not_sent_again(context: GenerationContext, provider: str) -> None:
    await become_sure(context.redis, provider)
    await ask(context, 3)
    limits = ProviderLimits(context.redis, {provider: 1})
    one = picker(context, limits)
    claim = await one.next()
    assert claim is not None
    with psycopg.connect(context.database.url) as connection:
        connection.execute("UPDATE outbox SET due_at = due_at - interval '60 s'")
    watching = context._replace(limits=limits)

    assert await resend_outbox(watching) == 0

    await one.done(claim)
    assert await resend_outbox(watching) == 2


async def test_a_fallback_needs_a_place_at_its_own_provider(context: GenerationContext) -> None:
    await become_sure(context.redis, "second")
    limits = ProviderLimits(context.redis, {"second": 1})
    one, two = Holder("first", "one"), Holder("first", "two")

    async with limits.borrowed(one, "second") as has_room, limits.borrowed(two, "second") as has_room_too:
        assert (has_room, has_room_too) == (True, False)
        assert await limits.full_providers() == ["second"]
    async with limits.borrowed(two, "second") as has_room, limits.borrowed(two, "first") as has_own:
        assert (has_room, has_own) == (True, True)
    assert await limits.full_providers() == []
