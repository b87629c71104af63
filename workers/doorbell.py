"""A Redis broker whose idle consumers sleep until a message comes, instead of looking for one all the time.

Dramatiq's consumer polls: quickly and it keeps Redis busy, slowly and every message waits. Here whoever enqueues also
rings a bell, a short list beside the queue; whoever hears it (`workers.bells`) wakes the consumer. A lost ring only
costs the time until the consumer looks by itself, so the bell needs no guarantees. And it is enqueued by commands on a
connection of the event loop's, in one write: a thread would have to wait until the loop has nothing else to do.

All consumers of a process share its room: together they take no more messages than it has threads, and from some queues
only a share of that. So no message waits in the memory of a busy process while another is idle.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, cast
from uuid import uuid4

import dramatiq
import redis
from dramatiq import MessageProxy
from dramatiq.broker import Consumer
from dramatiq.brokers import redis as dramatiq_redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import dq_name, q_name
from redis.commands.core import Script

from workers.streams.link import Command

LOOK_ANYWAY_S: Final = 0.5
"""How long an idle consumer sleeps when no bell rings."""

BUSY_PAUSE_S: Final = 0.01
"""How long a consumer waits that has as much work as it may take."""

RINGS_KEPT: Final = 64
"""More than this many rings that nobody heard say no more than one."""

DELAYED_PICK_UP_MS: Final = 500
"""We delay no messages, but Dramatiq looks for them all the same."""


class DoorbellBroker(RedisBroker):
    """A Redis broker with a bell for each queue.

    `room` is how many messages the process takes at once, `shares` how many of those may come from a queue.
    """

    def __init__(
        self,
        *,
        url: str,
        client: redis.Redis,
        room: int,
        shares: Mapping[str, int],
        **options: Any,
    ) -> None:
        self.url = url
        self._shares = dict(shares)
        self._room = _Room(room)
        super().__init__(client=client, **options)  # pyright: ignore[reportUnknownMemberType]  # untyped there
        self._script = cast("Script", self.scripts["dispatch"])  # pyright: ignore[reportUnknownMemberType]  # untyped

    def bell(self, queue_name: str) -> str:
        """Return the key of a queue's bell."""
        return f"{self.namespace}:bell:{queue_name}"

    def queues_with_room(self) -> dict[str, bool]:
        """Return the queues that this process consumes, and whether it may take a message from each now."""
        return self._room.by_queue()

    def set_aside(self) -> Callable[[], None] | None:
        """Set a place aside for work without a message; return what gives it back, or nothing if there is no room.

        Does not wait: where it cannot be said at once whether there is room, there is none.
        """
        return self._room.give_back if self._room.set_aside() else None

    def wake(self, queue_name: str) -> None:
        """Let the consumer of a queue look for a message."""
        self._room.wake(queue_name)

    def enqueueing(self, message: "dramatiq.Message[None]") -> tuple[Command, ...]:
        """Return what enqueues a message and rings, for whoever has a connection of its own.

        Redis knows the script after `loading`, until it restarts.
        """
        message_id, bell = str(uuid4()), self.bell(message.queue_name)
        data = message.copy(options={"redis_message_id": message_id}).encode()  # pyright: ignore[reportUnknownMemberType]
        script = (self.namespace, "enqueue", time.time_ns() // 1_000_000, message.queue_name, self.broker_id)
        # Neither maintenance nor many values to unpack: consumers see to the one, and here there is one of the other.
        limits = (self.heartbeat_timeout, self.dead_message_ttl, 0, 1)
        return (
            ("EVALSHA", self._script.sha, 1, *script, *limits, message_id, data),
            ("LPUSH", bell, message.message_id),
            ("LTRIM", bell, 0, RINGS_KEPT - 1),
        )

    def loading(self) -> Command:
        """Return what makes the script known to Redis."""
        return ("SCRIPT", "LOAD", cast("str", self._script.script))

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = DELAYED_PICK_UP_MS) -> Consumer:
        """See `RedisBroker.consume`."""
        if queue_name == dq_name(q_name(queue_name)):
            return super().consume(queue_name, prefetch, DELAYED_PICK_UP_MS)
        share = min(prefetch, self._shares.get(queue_name, prefetch))
        return _BellConsumer(self, queue_name, share, self._room)


class _Room:
    """How many more messages the consumers of a process may take together, and how much work may begin before them."""

    def __init__(self, size: int) -> None:
        self.lock = threading.Lock()
        self._size = size
        self._set_aside: deque[None] = deque()
        self._consumers: dict[str, _BellConsumer] = {}

    def enter(self, consumer: "_BellConsumer") -> None:
        """Count this consumer, in place of an earlier one of its queue whose connection was lost."""
        self._consumers[consumer.queue_name] = consumer

    def left(self) -> int:
        """Return how much room there is; hold the lock until it was used."""
        outstanding = sum(consumer.outstanding_message_count for consumer in list(self._consumers.values()))
        return self._size - len(self._set_aside) - outstanding

    def by_queue(self) -> dict[str, bool]:
        """Return whether there seems to be room for a message of each queue: nobody is kept from taking it."""
        is_open = self.left() > 0
        return {consumer.queue_name: is_open and consumer.may_take for consumer in list(self._consumers.values())}

    def wake(self, queue_name: str) -> None:
        """Wake the consumer of a queue, if there is one."""
        consumer = self._consumers.get(queue_name)
        if consumer is not None:
            consumer.rung.set()

    def set_aside(self) -> bool:
        """Set a place aside for work without a message; false if there is none, or if somebody is taking one."""
        if not self.lock.acquire(blocking=False):
            return False
        try:
            if has_room := self.left() > 0:
                self._set_aside.append(None)
        finally:
            self.lock.release()
        return has_room

    def give_back(self) -> None:
        """Give back a place that was set aside: a message has taken it over, or the work has ended.

        Without the lock: whoever has it may be waiting for Redis, and the event loop must not wait for them.
        """
        self._set_aside.pop()


class _BellConsumer(dramatiq_redis._RedisConsumer):  # pyright: ignore[reportPrivateUsage]
    def __init__(self, broker: DoorbellBroker, queue_name: str, share: int, room: _Room) -> None:
        # A time-out of zero: Dramatiq's own pauses are none, we make them here.
        super().__init__(broker, queue_name, share, timeout=0)
        self.rung = threading.Event()
        self._share = share
        self._room = room
        room.enter(self)

    @property
    def may_take(self) -> bool:
        """Whether this consumer may take another message, if the process has room."""
        return self.outstanding_message_count < self._share

    def __next__(self) -> MessageProxy | None:
        # Before looking: whoever rings from now on may have done so too late for it.
        self.rung.clear()
        with self._room.lock:
            outstanding = self.outstanding_message_count
            self.prefetch = min(self._share, outstanding + max(0, self._room.left()))
            message = super().__next__()
        if message is None:
            self._wait()
        return message

    def _wait(self) -> None:
        if self.outstanding_message_count >= self.prefetch:
            time.sleep(BUSY_PAUSE_S)
        else:
            self.rung.wait(LOOK_ANYWAY_S)
