"""The queue between admission and workers: quick when idle, patient when busy, and never in anyone's way."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dramatiq import MessageProxy
from dramatiq.broker import Consumer
from dramatiq.brokers.stub import StubBroker
from msgspec import structs
from redis.exceptions import ConnectionError as RedisConnectionError

from ops.services.redis import EmbeddedRedis
from tests.generations import settings_for
from tests.waiting import eventually
from workers.broker import make_sending_broker
from workers.doorbell import LOOK_ANYWAY_S, RINGS_KEPT, DoorbellBroker
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
    broker.waiting_client.close()


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


def test_an_idle_consumer_is_woken_at_once(broker: DoorbellBroker) -> None:
    consumer = broker.consume(PAID, prefetch=8)
    waits_s: list[float] = []
    assert next(consumer) is None  # now it has slept for as long as it does
    for _ in range(20):
        sender = threading.Timer(0.02, send, [broker])
        sender.start()
        began_s = time.monotonic()
        consumer.ack(take(consumer))
        waits_s.append(time.monotonic() - began_s)
        sender.join()

    assert sorted(waits_s)[10] < LOOK_ANYWAY_S / 2


def ring(broker: DoorbellBroker, message_id: str) -> None:
    """Ring without a message, as if another process had fetched it."""
    broker.waiting_client.lpush(broker.bell(PAID), message_id)


def test_a_ring_is_told_of_with_its_message(broker: DoorbellBroker) -> None:
    heard: list[str] = []
    broker.on_ring[PAID] = lambda message_id, _: heard.append(message_id)
    consumer = broker.consume(PAID, prefetch=8)
    ring(broker, "elsewhere")

    assert next(consumer) is None
    message_id = send(broker)
    assert take(consumer).message_id == message_id
    assert next(consumer) is None

    assert heard == ["elsewhere", message_id]


def test_work_that_began_before_its_message_takes_a_place_until_it_gives_it_back(redis_url: str) -> None:
    settings = settings_for("postgresql://nobody", redis_url, {"HOLDFAST_WORKER_THREADS": "1"})
    broker = make_sending_broker(settings)
    assert isinstance(broker, DoorbellBroker)
    places: list[Callable[[], None]] = []
    broker.on_ring[PAID] = lambda _, give_back: places.append(give_back)
    consumer = broker.consume(PAID, prefetch=8)
    ring(broker, "elsewhere")
    assert next(consumer) is None
    send(broker)

    assert [next(consumer) for _ in range(3)] == [None] * 3
    (give_back,) = places
    give_back()
    assert next(consumer) is not None

    broker.close()
    broker.waiting_client.close()


def test_a_lost_ring_only_costs_a_moment(broker: DoorbellBroker) -> None:
    consumer = broker.consume(PAID, prefetch=8)
    message_id = send(broker)
    broker.waiting_client.delete(broker.bell(PAID))

    assert take(consumer).message_id == message_id


def test_rings_that_nobody_hears_do_not_pile_up(broker: DoorbellBroker) -> None:
    for _ in range(RINGS_KEPT * 2):
        send(broker)

    assert broker.waiting_client.llen(broker.bell(PAID)) <= RINGS_KEPT


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
        began_s = time.monotonic()
        for _ in range(1_000):
            queue.send(WakeUp(Tier.paid, "r-1"))
        assert time.monotonic() - began_s < 0.5
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
        broker.waiting_client.close()


async def test_other_brokers_are_sent_to_by_a_thread() -> None:
    broker = StubBroker()
    broker.declare_queue(PAID)

    async with GenerationQueue(broker) as queue:
        queue.send(WakeUp(Tier.paid, "r-1"))
        await eventually(lambda: broker.queues[PAID].qsize() == 1)
        assert await queue.depth() is None
