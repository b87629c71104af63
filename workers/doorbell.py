"""A Redis broker whose idle consumers sleep until a message comes, instead of looking for one all the time.

Dramatiq's consumer polls: quickly and it keeps Redis busy, slowly and every message waits. Here whoever enqueues also
rings a bell, a short list beside the queue that an idle consumer blocks on. A lost ring only costs the time until the
consumer looks by itself, so the bell needs no guarantees.

All consumers of a process share its room: together they take no more messages than it has threads, and from some queues
only a share of that. So no message waits in the memory of a busy process while another is idle.
"""

import contextlib
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

import redis
from dramatiq import MessageProxy
from dramatiq.broker import Consumer
from dramatiq.brokers import redis as dramatiq_redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import dq_name, q_name
from dramatiq.errors import ConnectionClosed
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

LOOK_ANYWAY_S: Final = 0.5
"""How long an idle consumer sleeps when no bell rings."""

BUSY_PAUSE_S: Final = 0.01
"""How long a consumer waits that has as much work as it may take."""

RINGS_KEPT: Final = 64
"""More than this many rings that nobody heard say no more than one."""

DELAYED_PICK_UP_MS: Final = 500
"""We delay no messages, but Dramatiq looks for them all the same."""


class DoorbellBroker(RedisBroker):
    """A Redis broker with a bell for each queue. Consumers block with a client of their own.

    `room` is how many messages the process takes at once, `shares` how many of those may come from a queue.
    """

    def __init__(
        self,
        *,
        client: redis.Redis,
        waiting_client: redis.Redis,
        room: int,
        shares: Mapping[str, int],
        **options: Any,
    ) -> None:
        self.waiting_client = waiting_client
        self._ringing_client = client
        self._shares = dict(shares)
        self._room = _Room(room)
        super().__init__(client=client, **options)  # pyright: ignore[reportUnknownMemberType]  # untyped there

    def bell(self, queue_name: str) -> str:
        """Return the key of a queue's bell."""
        return f"{self.namespace}:bell:{queue_name}"

    def do_enqueue(self, queue_name: str, message_id: str, data: bytes) -> None:
        """Enqueue a message, then ring. See `RedisBroker.enqueue`."""
        self._dispatch("enqueue")(queue_name, message_id, data)  # pyright: ignore[reportUnknownMemberType]  # untyped
        with contextlib.suppress(RedisError):
            rings = self._ringing_client.lpush(self.bell(queue_name), b"")
            if rings > RINGS_KEPT:
                self._ringing_client.ltrim(self.bell(queue_name), 0, RINGS_KEPT - 1)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = DELAYED_PICK_UP_MS) -> Consumer:
        """See `RedisBroker.consume`."""
        if queue_name == dq_name(q_name(queue_name)):
            return super().consume(queue_name, prefetch, DELAYED_PICK_UP_MS)
        share = min(prefetch, self._shares.get(queue_name, prefetch))
        return _BellConsumer(self, queue_name, share, self._room)


class _Room:
    """How many more messages the consumers of a process may take together."""

    def __init__(self, size: int) -> None:
        self.lock = threading.Lock()
        self._size = size
        self._consumers: dict[str, _BellConsumer] = {}

    def enter(self, consumer: "_BellConsumer") -> None:
        """Count this consumer, in place of an earlier one of its queue whose connection was lost."""
        self._consumers[consumer.queue_name] = consumer

    def left(self) -> int:
        """Return how much room there is; hold the lock until it was used."""
        return self._size - sum(consumer.outstanding_message_count for consumer in self._consumers.values())


class _BellConsumer(dramatiq_redis._RedisConsumer):  # pyright: ignore[reportPrivateUsage]
    def __init__(self, broker: DoorbellBroker, queue_name: str, share: int, room: _Room) -> None:
        # A time-out of zero: Dramatiq's own pauses are none, we make them here.
        super().__init__(broker, queue_name, share, timeout=0)
        self._share = share
        self._room = room
        self._client = broker.waiting_client
        self._bell = broker.bell(queue_name)
        room.enter(self)

    def __next__(self) -> MessageProxy | None:
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
            return
        try:
            self._client.blpop([self._bell], timeout=LOOK_ANYWAY_S)
        except (RedisConnectionError, RedisTimeoutError) as lost:
            raise ConnectionClosed(lost) from None
