"""What a thread does after its generation: it looks for what was passed over, and for nothing else."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.generations import account_with, asks_for, generation_context, settings_for
from tests.waiting import eventually
from workers.admission import admit
from workers.claims import Claim
from workers.context import GenerationContext
from workers.execution import Runner
from workers.generations import GenerationStatus, get_generation
from workers.limits import ProviderLimits
from workers.picking import Picker
from workers.positions import Pace
from workers.queue import WakeUp
from workers.runtime import WorkerRuntime
from workers.shifts import Shift


class FakeRunner:
    """Runs nothing, until it is told to."""

    def __init__(self) -> None:
        self.claims: list[Claim] = []
        self.given_back: list[Claim] = []
        self.sent: list[WakeUp] = []
        self.go_on = asyncio.Event()
        self.queue = self

    async def run_claimed(self, claim: Claim) -> None:
        self.claims.append(claim)
        await self.go_on.wait()

    async def give_back(self, claim: Claim) -> None:
        self.given_back.append(claim)

    def send(self, wake_up: WakeUp) -> None:
        self.sent.append(wake_up)


class WatchedPicker(Picker):
    """Counts how often there was nothing."""

    found_nothing = 0

    async def next(self) -> Claim | None:
        claim = await super().next()
        self.found_nothing += claim is None
        return claim


class Floor:
    """The threads of a process, with a runner that does nothing."""

    def __init__(self, context: GenerationContext, *, free_threads: int = 100, **limits: int) -> None:
        self.context, self.runner = context, FakeRunner()
        held = ProviderLimits(context.redis, limits)
        self.picker = WatchedPicker(context.database, held, owner=uuid4(), free_threads=free_threads)
        self.shift = Shift(cast("Runner", cast("Any", self.runner)), self.picker, limits=held, pace=Pace(context.redis))

    def wake(self) -> "asyncio.Task[None]":
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


async def test_what_was_claimed_when_the_bell_rang_is_for_whoever_comes_first(context: GenerationContext) -> None:
    ids = await ask(context, 2)
    floor = Floor(context)
    floor.runner.go_on.set()
    assert floor.shift.expect()
    assert not floor.shift.expect()  # it rang for the second, too

    await asyncio.gather(floor.wake(), floor.wake())

    assert sorted(claim.generation_id for claim in floor.runner.claims) == ids
    assert not floor.shift.expects


async def test_a_bell_that_rang_too_early_hides_nothing(context: GenerationContext) -> None:
    floor = Floor(context)
    floor.runner.go_on.set()
    floor.shift.expect()
    await eventually(lambda: floor.picker.found_nothing == 1)
    (generation_id,) = await ask(context, 1)

    await floor.wake()

    assert [claim.generation_id for claim in floor.runner.claims] == [generation_id]


async def test_a_process_that_stops_gives_back_what_nobody_came_for(context: GenerationContext) -> None:
    (generation_id,) = await ask(context, 1)
    floor = Floor(context)
    floor.shift.expect()
    floor.shift.end()

    await floor.shift.expect_no_more()

    assert [claim.generation_id for claim in floor.runner.given_back] == [generation_id]
    assert not floor.shift.expect()


async def test_what_was_claimed_for_a_message_that_went_elsewhere_runs_all_the_same(
    context: GenerationContext, redis_url: str
) -> None:
    (generation_id,) = await ask(context, 1)

    async def is_completed() -> bool:
        return (await get_generation(context.database, generation_id)).status is GenerationStatus.completed

    async with WorkerRuntime(settings_for(context.database.url, redis_url)) as worker:
        worker.expect_work()
        await eventually(is_completed)


async def test_a_worker_that_stops_leaves_to_another_what_it_claimed_early(
    context: GenerationContext, redis_url: str
) -> None:
    (generation_id,) = await ask(context, 1)

    async with WorkerRuntime(settings_for(context.database.url, redis_url)) as worker:
        worker.expect_work()
        await worker.drained()

    generation = await get_generation(context.database, generation_id)
    assert (generation.status, generation.attempts) == (GenerationStatus.queued, 1)
