"""Work begins when the bell rings; the actor of the message that it rang for joins in."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
import redis
from dramatiq import Worker

from tests.generations import account_with, asks_for, generation_context, settings_for
from tests.waiting import eventually
from workers import runtime as runtime_module
from workers.actors import worker_middleware
from workers.admission import admit
from workers.broker import make_broker
from workers.cancels import cancel_generation
from workers.context import GenerationContext
from workers.doorbell import DoorbellBroker
from workers.generations import GenerationStatus, get_generation
from workers.queue import QUEUES
from workers.runtime import WorkerRuntime
from workers.tiers import Tier

QUEUED, RUNNING, COMPLETED, CANCELLED = (
    GenerationStatus.queued,
    GenerationStatus.running,
    GenerationStatus.completed,
    GenerationStatus.cancelled,
)
LONG_MS = 10_000
"""Before each word: nothing ends by itself while a test goes on."""


@pytest.fixture
async def context(database_url: str, redis_url: str) -> AsyncIterator[GenerationContext]:
    async with generation_context(database_url, redis_url) as context:
        yield context


@pytest.fixture
async def worker(context: GenerationContext, redis_url: str) -> AsyncIterator[WorkerRuntime]:
    async with WorkerRuntime(settings_for(context.database.url, redis_url)) as worker:
        yield worker


async def ask(context: GenerationContext, times: int) -> list[UUID]:
    account_id = await account_with(context)
    return [(await admit(context, account_id, asks_for(), request_id="r")).generation.id for _ in range(times)]


async def statuses(context: GenerationContext, generation_ids: list[UUID]) -> list[GenerationStatus]:
    return [(await get_generation(context.database, each)).status for each in generation_ids]


class Place:
    """A place that is set aside for work, and how often it was given back."""

    def __init__(self) -> None:
        self.given_back = 0

    def give_back(self) -> None:
        self.given_back += 1


async def test_an_actor_joins_what_was_begun_for_its_message_and_ends_with_it(
    context: GenerationContext, worker: WorkerRuntime
) -> None:
    ids, place = await ask(context, 2), Place()

    worker.begin_work("first", place.give_back)
    await worker.work("first")
    assert await statuses(context, ids) == [COMPLETED, QUEUED]

    await worker.work("second")
    assert await statuses(context, ids) == [COMPLETED, COMPLETED]
    assert place.given_back == 1


async def test_an_actor_does_not_join_what_was_begun_for_another_message(
    context: GenerationContext, worker: WorkerRuntime
) -> None:
    account_id = await account_with(context)
    slow = await admit(context, account_id, asks_for(delay_ms=LONG_MS), request_id="r")
    worker.begin_work("fetched elsewhere", Place().give_back)

    async def is_running() -> bool:
        return await statuses(context, [slow.generation.id]) == [RUNNING]

    await eventually(is_running)
    (other,) = await ask(context, 1)

    await worker.work("mine")

    assert await statuses(context, [slow.generation.id, other]) == [RUNNING, COMPLETED]
    await cancel_generation(context, slow.generation.id)


async def test_what_was_begun_for_a_message_that_went_elsewhere_goes_on_and_gives_its_place_back(
    context: GenerationContext, worker: WorkerRuntime
) -> None:
    ids, place = await ask(context, 1), Place()

    worker.begin_work("fetched elsewhere", place.give_back)

    await eventually(lambda: place.given_back == 1)
    assert await statuses(context, ids) == [COMPLETED]


async def test_a_message_that_rings_twice_takes_one_place(context: GenerationContext, worker: WorkerRuntime) -> None:
    ids, places = await ask(context, 2), [Place(), Place()]

    for place in places:
        worker.begin_work("sent again", place.give_back)
    assert [place.given_back for place in places] == [0, 1]
    await worker.work("sent again")

    assert await statuses(context, ids) == [COMPLETED, QUEUED]
    assert [place.given_back for place in places] == [1, 1]


async def test_a_message_sent_again_after_its_actor_joined_has_a_place_of_its_own(
    context: GenerationContext, worker: WorkerRuntime
) -> None:
    account_id = await account_with(context)
    first, second = [
        (await admit(context, account_id, asks_for(delay_ms=LONG_MS), request_id="r")).generation.id for _ in range(2)
    ]
    places = [Place(), Place()]

    async def run(*generation_ids: UUID) -> bool:
        return set(await statuses(context, list(generation_ids))) == {RUNNING}

    worker.begin_work("sent again", places[0].give_back)
    joined = asyncio.create_task(worker.work("sent again"))
    await eventually(lambda: run(first))
    worker.begin_work("sent again", places[1].give_back)
    await eventually(lambda: run(first, second))
    await cancel_generation(context, first)
    await joined

    assert await statuses(context, [first, second]) == [CANCELLED, RUNNING]
    assert places[1].given_back == 0
    await cancel_generation(context, second)
    await eventually(lambda: places[1].given_back == 1)
    assert await statuses(context, [second]) == [CANCELLED]


async def test_a_bell_that_rang_for_nothing_hides_nothing(context: GenerationContext, worker: WorkerRuntime) -> None:
    worker.begin_work("early", Place().give_back)
    ids = await ask(context, 1)

    await worker.work("early")
    await worker.work("late")

    assert await statuses(context, ids) == [COMPLETED]


async def test_a_worker_that_stops_begins_nothing(context: GenerationContext, worker: WorkerRuntime) -> None:
    ids, place = await ask(context, 1), Place()
    worker.drain()

    worker.begin_work("first", place.give_back)
    await worker.work("first")

    assert await statuses(context, ids) == [QUEUED]
    assert place.given_back == 1


async def test_the_message_of_work_that_has_ended_is_done_once(
    context: GenerationContext, worker: WorkerRuntime
) -> None:
    ids, place = await ask(context, 1), Place()
    worker.begin_work("first", place.give_back)
    await eventually(lambda: place.given_back == 1)
    ids += await ask(context, 1)

    await worker.work("first")
    assert await statuses(context, ids) == [COMPLETED, QUEUED]

    # Delivered again, it is a message like any other.
    await worker.work("first")
    assert await statuses(context, ids) == [COMPLETED, COMPLETED]
    assert place.given_back == 1


async def test_only_so_many_messages_are_remembered(
    context: GenerationContext, worker: WorkerRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime_module, "DONE_KEPT", 1)
    ids, places = await ask(context, 2), [Place(), Place()]
    for number, place in enumerate(places):
        worker.begin_work(f"message {number}", place.give_back)
        await eventually(lambda place=place: place.given_back == 1)
    ids += await ask(context, 1)

    await worker.work("message 1")
    assert await statuses(context, ids) == [COMPLETED, COMPLETED, QUEUED]
    await worker.work("message 0")
    assert await statuses(context, ids) == [COMPLETED] * 3


async def test_the_bells_of_generations_begin_work_until_the_process_stops(
    context: GenerationContext, redis_url: str
) -> None:
    settings = settings_for(context.database.url, redis_url)
    middleware, others = worker_middleware(settings)
    broker = make_broker(settings, middleware=others)
    assert isinstance(broker, DoorbellBroker)
    worker = Worker(broker, worker_threads=1)
    broker.consume(QUEUES[Tier.free], prefetch=1)
    client = redis.Redis.from_url(settings.broker_url)  # pyright: ignore[reportUnknownMemberType]  # untyped there
    bell = broker.bell(QUEUES[Tier.free])
    await asyncio.to_thread(middleware.before_worker_boot, broker, worker)
    ids = await ask(context, 1)

    async def is_done() -> bool:
        return await statuses(context, ids) == [COMPLETED]

    await eventually(is_done)
    await eventually(lambda: client.llen(bell) == 0)
    await asyncio.to_thread(middleware.before_worker_shutdown, broker, worker)

    def nobody_hears() -> bool:
        client.lpush(bell, "too late")
        return client.llen(bell) == 1

    # Redis hears later than we do that we have hung up: what rings in between may still go to us.
    await eventually(nobody_hears)
    await asyncio.to_thread(middleware.after_worker_shutdown, broker, worker)
    assert client.llen(bell) == 1
    client.close()
    broker.close()
