"""The queue between admission and workers: quick when idle, patient when busy, and never in anyone's way."""

import threading
import time
from collections.abc import Iterator
from uuid import uuid4

import pytest
from dramatiq import MessageProxy
from dramatiq.broker import Consumer
from msgspec import structs
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.generations import settings_for
from tests.waiting import eventually
from workers.broker import make_sending_broker
from workers.doorbell import LOOK_ANYWAY_S, RINGS_KEPT, DoorbellBroker
from workers.queue import GENERATIONS_QUEUE, Dispatch, GenerationQueue
from workers.settings import SettingsError


@pytest.fixture
def broker(redis_url: str) -> Iterator[DoorbellBroker]:
    broker = make_sending_broker(settings_for("postgresql://nobody", redis_url))
    assert isinstance(broker, DoorbellBroker)
    yield broker
    broker.close()
    broker.waiting_client.close()


def a_dispatch() -> Dispatch:
    return Dispatch(uuid4(), uuid4(), "r-1")


def send(broker: DoorbellBroker) -> str:
    """Send a message, and return its id."""
    message = a_dispatch().message()
    broker.enqueue(message)  # pyright: ignore[reportUnknownMemberType]  # untyped there
    return message.message_id


def take(consumer: Consumer, *, within_s: float = 5) -> MessageProxy:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        message = next(consumer)
        if message is not None:
            return message
    raise AssertionError("no message came")


def test_an_idle_consumer_is_woken_at_once(broker: DoorbellBroker) -> None:
    consumer = broker.consume(GENERATIONS_QUEUE, prefetch=8)
    waits_s: list[float] = []
    for _ in range(20):
        assert next(consumer) is None  # now it has slept for as long as it does
        sender = threading.Timer(0.02, send, [broker])
        sender.start()
        began_s = time.monotonic()
        consumer.ack(take(consumer))
        waits_s.append(time.monotonic() - began_s)
        sender.join()

    assert sorted(waits_s)[10] < LOOK_ANYWAY_S / 2


def test_a_lost_ring_only_costs_a_moment(broker: DoorbellBroker) -> None:
    consumer = broker.consume(GENERATIONS_QUEUE, prefetch=8)
    message_id = send(broker)
    broker.waiting_client.delete(broker.bell(GENERATIONS_QUEUE))

    assert take(consumer).message_id == message_id


def test_rings_that_nobody_hears_do_not_pile_up(broker: DoorbellBroker) -> None:
    for _ in range(RINGS_KEPT * 2):
        send(broker)

    assert broker.waiting_client.llen(broker.bell(GENERATIONS_QUEUE)) <= RINGS_KEPT


def test_a_consumer_takes_no_more_than_it_may(broker: DoorbellBroker) -> None:
    consumer = broker.consume(GENERATIONS_QUEUE, prefetch=2)
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
            queue.send(a_dispatch())
        assert time.monotonic() - began_s < 0.5
        with pytest.raises(RedisConnectionError):
            await queue.depth()


async def test_what_is_sent_arrives_in_order_and_carries_its_request_id(broker: DoorbellBroker) -> None:
    dispatches = [a_dispatch() for _ in range(10)]

    async with GenerationQueue(broker) as queue:
        for dispatch in dispatches:
            queue.send(dispatch)

        async def all_arrived() -> bool:
            return await queue.depth() == 10

        await eventually(all_arrived)
    consumer = broker.consume(GENERATIONS_QUEUE, prefetch=16)
    taken = [take(consumer) for _ in dispatches]

    assert [message.args for message in taken] == [(str(d.account_id), str(d.generation_id)) for d in dispatches]
    assert {message.options["request_id"] for message in taken} == {"r-1"}


@pytest.mark.parametrize("url", ["http://localhost", "nonsense", "amqp://localhost"])
def test_a_broker_that_cannot_be_used_is_refused(url: str) -> None:
    settings = structs.replace(settings_for("postgresql://nobody", "redis://localhost"), broker_url=url)

    with pytest.raises(SettingsError):
        make_sending_broker(settings)
