"""The queue between admission and workers: quick when idle, patient when busy, and never in anyone's way."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
import redis
from dramatiq import MessageProxy
from dramatiq.broker import Consumer
from dramatiq.brokers.stub import StubBroker
from msgspec import structs
from redis.exceptions import ConnectionError as RedisConnectionError

from ops.services.redis import EmbeddedRedis
from tests.generations import settings_for
from tests.waiting import eventually
from workers import doorbell
from workers.bells import Bells
from workers.broker import make_sending_broker
from workers.doorbell import RINGS_KEPT, DoorbellBroker
from workers.queue import QUEUES, GenerationQueue, WakeUp
from workers.sending import LinkSender
from workers.settings import SettingsError
from workers.tiers import Tier

PAID, FREE = QUEUES[Tier.paid], QUEUES[Tier.free]


@pytest.fixture
def broker(redis_url: str) -> Iterator[DoorbellBroker]:
    environment = {"HOLDFAST_WORKER_THREADS": "8", "HOLDFAST_FREE_SHARE": "0.25"}
    broker = make_sending_broker(settings_for("postgresql://nobody", redis_url, environment))
    assert isinstance(broker, DoorbellBroker)
    yield broker
    broker.close()


def send(broker: DoorbellBroker, tier: Tier = Tier.paid) -> str:
    """Send a message, and return its id."""
    message = WakeUp(tier, "r-1").message()

    async def run() -> None:
        sender = LinkSender(broker)
        await sender.send([message])
        await sender.close()

    asyncio.run(run())
    return message.message_id


def take(consumer: Consumer, *, within_s: float = 5) -> MessageProxy:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        message = next(consumer)
        if message is not None:
            return message
    raise AssertionError("no message came")


def client_of(broker: DoorbellBroker) -> redis.Redis:
    """The client that its commands go through."""
    return cast("redis.Redis", broker.client)  # pyright: ignore[reportUnknownMemberType]  # untyped there


def ring(broker: DoorbellBroker, message_id: str, queue_name: str = PAID) -> None:
    """Ring without a message, as if another process had fetched it."""
    client_of(broker).lpush(broker.bell(queue_name), message_id)


def rings(broker: DoorbellBroker, queue_name: str = PAID) -> int:
    """How many rings nobody has heard."""
    return client_of(broker).llen(broker.bell(queue_name))


class Begun:
    """What is told of rings."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.places: list[Callable[[], None]] = []

    def __call__(self, message_id: str, give_back: Callable[[], None]) -> None:
        self.heard.append(message_id)
        self.places.append(give_back)


@pytest.mark.parametrize("begun_for", [(), (PAID,)], ids=["fetched at once", "fetched later"])
async def test_whoever_hears_a_bell_wakes_the_consumer(
    broker: DoorbellBroker, monkeypatch: pytest.MonkeyPatch, begun_for: tuple[str, ...]
) -> None:
    monkeypatch.setattr(doorbell, "LOOK_ANYWAY_S", 60)
    begun, consumer = Begun(), broker.consume(PAID, prefetch=8)
    async with Bells(broker, begin=begun, begun_for=begun_for):
        for _ in range(5):
            taking = asyncio.create_task(asyncio.to_thread(take, consumer))
            message_id = await asyncio.to_thread(send, broker)
            message = await taking
            assert message.message_id == message_id
            await asyncio.to_thread(consumer.ack, message)

    assert bool(begun.heard) == bool(begun_for)


async def test_a_ring_is_told_of_with_its_message(broker: DoorbellBroker) -> None:
    begun, consumer = Begun(), broker.consume(PAID, prefetch=8)
    async with Bells(broker, begin=begun, begun_for=[PAID]):
        ring(broker, "elsewhere")
        await eventually(lambda: begun.heard == ["elsewhere"])
        message_id = await asyncio.to_thread(send, broker)
        # To a Redis that is new a message may be sent twice.
        await eventually(lambda: set(begun.heard) == {"elsewhere", message_id})

        assert (await asyncio.to_thread(take, consumer)).message_id == message_id


async def test_work_that_began_before_its_message_takes_a_place_until_it_gives_it_back(redis_url: str) -> None:
    settings = settings_for("postgresql://nobody", redis_url, {"HOLDFAST_WORKER_THREADS": "1"})
    broker = make_sending_broker(settings)
    assert isinstance(broker, DoorbellBroker)
    begun, consumer = Begun(), broker.consume(PAID, prefetch=8)
    async with Bells(broker, begin=begun, begun_for=[PAID]):
        ring(broker, "elsewhere")
        await eventually(lambda: begun.heard == ["elsewhere"])
        await asyncio.to_thread(send, broker)

        assert [await asyncio.to_thread(next, consumer) for _ in range(3)] == [None] * 3
    # Nobody listens any more, who would begin this message's work in the place that comes free.
    begun.places[0]()
    assert await asyncio.to_thread(take, consumer) is not None

    broker.close()


async def test_a_process_without_room_leaves_bells_to_others(broker: DoorbellBroker) -> None:
    begun, paid, free = Begun(), broker.consume(PAID, prefetch=8), broker.consume(FREE, prefetch=8)
    for _ in range(2):
        await asyncio.to_thread(send, broker, Tier.free)
    of_free = [await asyncio.to_thread(take, free) for _ in range(2)]
    client_of(broker).delete(broker.bell(FREE))
    async with Bells(broker, begin=begun, begun_for=QUEUES.values()):
        ring(broker, "free", FREE)
        ring(broker, "paid")
        await eventually(lambda: begun.heard == ["paid"])
        assert rings(broker, FREE) == 1

        await asyncio.to_thread(free.ack, of_free[0])
        await eventually(lambda: begun.heard == ["paid", "free"])
    assert next(paid) is None


async def test_a_ring_that_finds_no_room_any_more_is_left_to_others(broker: DoorbellBroker) -> None:
    begun, consumer = Begun(), broker.consume(PAID, prefetch=8)
    async with Bells(broker, begin=begun, begun_for=[PAID]):
        ring(broker, "first")
        await eventually(lambda: begun.heard == ["first"])
        # It listens with room for more, which is gone before the next ring.
        set_aside = [broker.set_aside() for _ in range(7)]
        assert None not in set_aside
        ring(broker, "second")
        await eventually(lambda: rings(broker) == 1)
        assert begun.heard == ["first"]

        begun.places[0]()
        await eventually(lambda: begun.heard == ["first", "second"])
    assert consumer is not None


async def test_bells_are_heard_again_after_redis_restarted(tmp_path: Path) -> None:
    async with EmbeddedRedis(tmp_path) as server:
        broker = make_sending_broker(settings_for("postgresql://nobody", server.url))
        assert isinstance(broker, DoorbellBroker)
        begun, consumer = Begun(), broker.consume(PAID, prefetch=8)
        async with Bells(broker, begin=begun, begun_for=[PAID]):
            ring(broker, "before")
            await eventually(lambda: begun.heard == ["before"])

            await server.restart("kill")
            ring(broker, "after")
            await eventually(lambda: begun.heard == ["before", "after"])
        assert consumer is not None
        broker.close()


def test_a_lost_ring_only_costs_a_moment(broker: DoorbellBroker) -> None:
    consumer = broker.consume(PAID, prefetch=8)
    message_id = send(broker)
    client_of(broker).delete(broker.bell(PAID))

    assert take(consumer).message_id == message_id


def test_rings_that_nobody_hears_do_not_pile_up(broker: DoorbellBroker) -> None:
    for _ in range(RINGS_KEPT * 2):
        send(broker)

    assert rings(broker) <= RINGS_KEPT


def test_a_consumer_takes_no_more_than_it_may(broker: DoorbellBroker) -> None:
    consumer = broker.consume(PAID, prefetch=2)
    for _ in range(3):
        send(broker)

    taken = [take(consumer), take(consumer)]
    assert next(consumer) is None
    consumer.ack(taken[0])

    assert take(consumer).message_id not in {message.message_id for message in taken}


async def test_sending_never_waits_for_a_broker_that_is_down() -> None:
    broker = make_sending_broker(settings_for("postgresql://nobody", "redis://127.0.0.1:1/0"))

    async with GenerationQueue(broker) as queue:
        took_s: list[float] = []
        for _ in range(5):
            began_s = time.monotonic()
            for _ in range(1_000):
                queue.send(WakeUp(Tier.paid, "r-1"))
            took_s.append(time.monotonic() - began_s)
        # A machine that stalls is slow once; sending that waits is slow every time.
        assert min(took_s) < 0.5
        with pytest.raises(RedisConnectionError):
            await queue.depth()


async def test_what_is_sent_arrives_in_order_and_carries_its_request_id(broker: DoorbellBroker) -> None:
    names = [f"r-{number}" for number in range(8)]

    async with GenerationQueue(broker) as queue:
        for name in names:
            queue.send(WakeUp(Tier.paid, name))

        async def all_arrived() -> bool:
            return await queue.depth() == 8

        await eventually(all_arrived)
        assert await queue.depths() == {Tier.paid: 8, Tier.free: 0}
    consumer = broker.consume(PAID, prefetch=16)

    assert [take(consumer).options["request_id"] for _ in names] == names


def test_free_messages_take_no_more_than_their_share_and_all_together_no_more_than_there_are_threads(
    broker: DoorbellBroker,
) -> None:
    paid, free = broker.consume(PAID, prefetch=8), broker.consume(FREE, prefetch=8)
    for _ in range(10):
        send(broker)
        send(broker, Tier.free)

    of_free = [take(free), take(free)]
    assert next(free) is None
    for _ in range(6):
        take(paid)
    assert next(paid) is None

    # Whoever asks first gets the room that one of the others leaves.
    free.ack(of_free[0])
    take(paid)
    assert next(free) is None


@pytest.mark.parametrize("url", ["http://localhost", "nonsense", "amqp://localhost"])
def test_a_broker_that_cannot_be_used_is_refused(url: str) -> None:
    settings = structs.replace(settings_for("postgresql://nobody", "redis://localhost"), broker_url=url)

    with pytest.raises(SettingsError):
        make_sending_broker(settings)


async def test_a_redis_that_restarted_takes_the_next_message(tmp_path: Path) -> None:
    async with EmbeddedRedis(tmp_path) as server:
        broker = make_sending_broker(settings_for("postgresql://nobody", server.url))
        assert isinstance(broker, DoorbellBroker)
        sender = LinkSender(broker)
        await sender.send([WakeUp(Tier.paid, "r-1").message()])

        await server.restart("kill")
        await sender.send([WakeUp(Tier.paid, "r-2").message(), WakeUp(Tier.paid, "r-3").message()])

        consumer = broker.consume(PAID, prefetch=8)
        arrived: set[object] = set()
        while not arrived >= {"r-2", "r-3"}:
            arrived.add((await asyncio.to_thread(take, consumer)).options["request_id"])
        await sender.close()
        broker.close()


async def test_other_brokers_are_sent_to_by_a_thread() -> None:
    broker = StubBroker()
    broker.declare_queue(PAID)

    async with GenerationQueue(broker) as queue:
        queue.send(WakeUp(Tier.paid, "r-1"))
        await eventually(lambda: broker.queues[PAID].qsize() == 1)
        assert await queue.depth() is None
