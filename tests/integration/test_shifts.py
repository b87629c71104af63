"""What a thread does after its generation: it looks for what was passed over, and for nothing else."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.generations import account_with, asks_for, generation_context
from tests.waiting import eventually
from workers.admission import admit
from workers.claims import Claim
from workers.context import GenerationContext
from workers.execution import Runner
from workers.limits import ProviderLimits
from workers.picking import Picker
from workers.positions import Pace
from workers.queue import WakeUp
from workers.shifts import Shift


class FakeRunner:
    """Runs nothing, until it is told to."""

    def __init__(self) -> None:
        self.claims: list[Claim] = []
        self.sent: list[WakeUp] = []
        self.go_on = asyncio.Event()
        self.queue = self

    async def run_claimed(self, claim: Claim) -> None:
        self.claims.append(claim)
        await self.go_on.wait()

    def send(self, wake_up: WakeUp) -> None:
        self.sent.append(wake_up)


class Floor:
    """The threads of a process, with a runner that does nothing."""

    def __init__(self, context: GenerationContext, *, free_threads: int = 100, **limits: int) -> None:
        self.context, self.runner = context, FakeRunner()
        held = ProviderLimits(context.redis, limits)
        picker = Picker(context.database, held, owner=uuid4(), free_threads=free_threads)
        self.shift = Shift(cast("Runner", cast("Any", self.runner)), picker, limits=held, pace=Pace(context.redis))

    def wake(self) -> "asyncio.Task[bool]":
        return asyncio.create_task(self.shift.work())


@pytest.fixture
async def context(database_url: str, redis_url: str) -> AsyncIterator[GenerationContext]:
    async with generation_context(database_url, redis_url) as context:
        yield context


async def ask(context: GenerationContext, times: int) -> list[UUID]:
    account_id = await account_with(context)
    return [(await admit(context, account_id, asks_for(), request_id="r")).generation.id for _ in range(times)]


async def test_a_message_leads_to_one_generation_where_there_is_room(context: GenerationContext) -> None:
    await ask(context, 3)
    floor = Floor(context)
    floor.runner.go_on.set()

    await floor.wake()

    assert len(floor.runner.claims) == 1
    await floor.wake()
    await floor.wake()
    assert len(floor.runner.claims) == 3


async def test_whoever_makes_room_in_the_free_share_takes_what_was_passed_over(context: GenerationContext) -> None:
    ids = await ask(context, 4)
    floor = Floor(context, free_threads=1)
    first = floor.wake()
    await eventually(lambda: bool(floor.runner.claims))
    for _ in range(3):
        await floor.wake()
    assert len(floor.runner.claims) == 1

    floor.runner.go_on.set()
    await first

    assert [claim.generation_id for claim in floor.runner.claims] == ids


async def test_whoever_makes_room_at_a_provider_takes_what_another_process_passed_over(
    context: GenerationContext,
) -> None:
    provider = (await context.catalogue.offered("echo")).definition.provider
    await context.redis.set(f"holdfast:places:{{{provider}}}:known_since", 1)
    await ask(context, 3)
    here, there = Floor(context, **{provider: 1}), Floor(context, **{provider: 1})
    first = here.wake()
    await eventually(lambda: bool(here.runner.claims))
    await there.wake()
    await there.wake()
    assert there.runner.claims == []

    here.runner.go_on.set()
    await first

    assert len(here.runner.claims) == 3


async def test_a_place_that_its_thread_does_not_take_again_is_passed_on(context: GenerationContext) -> None:
    provider = (await context.catalogue.offered("echo")).definition.provider
    (_, second, _) = await ask(context, 3)
    with psycopg.connect(context.database.url) as connection:
        connection.execute("UPDATE generations SET provider = 'elsewhere' WHERE id = %s", [second])
        connection.execute("UPDATE outbox SET provider = 'elsewhere', turn = 0 WHERE generation_id = %s", [second])
        connection.execute("UPDATE outbox SET turn = -1 WHERE turn = 1")
    floor = Floor(context, **{provider: 1})
    floor.runner.go_on.set()

    await floor.wake()

    assert [claim.provider for claim in floor.runner.claims] == [provider, "elsewhere"]
    assert len(floor.runner.sent) == 1


async def test_a_process_that_stops_takes_nothing_on_and_wakes_another(context: GenerationContext) -> None:
    await ask(context, 1)
    floor = Floor(context)
    floor.shift.end()

    await floor.wake()

    assert floor.runner.claims == []
    assert len(floor.runner.sent) == 1
