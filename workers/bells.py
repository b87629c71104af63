"""Hearing the bells of a broker's queues on the event loop: work begins at once, and messages are fetched afterwards.

A thread that heard them would first have to be given the interpreter, and then give it back.
"""

import asyncio
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Final, Self, TypeAlias, cast

import structlog
from redis.exceptions import ResponseError

from workers.doorbell import LOOK_ANYWAY_S, RINGS_KEPT, DoorbellBroker
from workers.streams.link import LOST, RedisLink

FETCH_LATER_S: Final = 0.02
"""How long a message stays where it is whose work has begun: what its work does first comes before fetching it."""

NO_ROOM_PAUSE_S: Final = 0.01
"""How soon a process that has as much work as it may take, of some queue or of all, looks whether that has changed."""

_log = structlog.stdlib.get_logger(__name__)

Begin: TypeAlias = Callable[[str, Callable[[], None]], object]
"""Is told the id of a message, and what gives back the place that was set aside for its work: to be called once."""


class Bells:
    """Listens for all queues that this process has room for. An async context manager.

    `begin` is called for a ring of the queues in `begun_for`, if there is room. The consumers of other queues are woken
    at once. A ring that nobody hears costs a moment: consumers look by themselves.
    """

    def __init__(self, broker: DoorbellBroker, *, begin: Begin, begun_for: Collection[str]) -> None:
        self._broker = broker
        self._begin = begin
        self._begun_for = frozenset(begun_for)
        self._to_wake: set[str] = set()
        """The queues whose consumer is going to be woken."""
        self._link = RedisLink(broker.url)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._listen(), name="bells")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None, "it was entered"
        self._task.cancel()
        await asyncio.wait({self._task})
        await self._link.close()

    async def _listen(self) -> None:
        while True:
            try:
                await self._hear_next()
            except LOST:
                await asyncio.sleep(LOOK_ANYWAY_S)
            except Exception:  # noqa: BLE001 - every queue depends on this task: it outlives any one failure
                _log.exception("bell_not_heard")
                await asyncio.sleep(LOOK_ANYWAY_S)

    async def _hear_next(self) -> None:
        queues = self._broker.queues_with_room()
        bells = {self._broker.bell(name).encode(): name for name, has_room in queues.items() if has_room}
        if not bells:
            await asyncio.sleep(NO_ROOM_PAUSE_S)
            return
        await self._link.connect()
        wait_s = LOOK_ANYWAY_S if len(bells) == len(queues) else NO_ROOM_PAUSE_S
        (rang,) = await self._link.execute([("BLPOP", *bells, str(wait_s))])
        if isinstance(rang, ResponseError):
            raise rang
        if rang is not None:
            bell, message_id = cast("list[bytes]", rang)
            if not self._heard(bells[bell], message_id.decode()):
                # There was room when we began to listen. Somebody else may have some now.
                await self._link.execute([("LPUSH", bell, message_id), ("LTRIM", bell, 0, RINGS_KEPT - 1)])

    def _heard(self, queue_name: str, message_id: str) -> bool:
        """Begin work or wake the consumer; false if there is no room after all."""
        give_back = self._broker.set_aside() if queue_name in self._begun_for else None
        if give_back is None:
            self._broker.wake(queue_name)
            return self._broker.queues_with_room().get(queue_name, False)
        self._begin(message_id, give_back)
        if queue_name not in self._to_wake:
            self._to_wake.add(queue_name)
            asyncio.get_running_loop().call_later(FETCH_LATER_S, self._wake, queue_name)
        return True

    def _wake(self, queue_name: str) -> None:
        self._to_wake.discard(queue_name)
        self._broker.wake(queue_name)
