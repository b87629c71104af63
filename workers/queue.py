"""Telling workers that there is work. Nothing depends on it: the outbox sends again what was not taken up."""

import asyncio
import contextlib
import time
from collections import deque
from types import TracebackType
from typing import Final, NamedTuple, Self
from uuid import UUID

import dramatiq
import structlog
from dramatiq import Broker
from dramatiq.errors import BrokerError
from redis.exceptions import RedisError

GENERATIONS_QUEUE: Final = "generations"
RUN_GENERATION: Final = "run_generation"
WAITING_LIMIT: Final = 10_000
BATCH_LIMIT: Final = 256
CLOSE_TIMEOUT_S: Final = 1.0

_log = structlog.stdlib.get_logger(__name__)


class Dispatch(NamedTuple):
    """One generation that a worker should take up."""

    account_id: UUID
    generation_id: UUID
    request_id: str

    def message(self) -> "dramatiq.Message[None]":
        """Return the message; it carries ids, never what they stand for."""
        return dramatiq.Message(
            queue_name=GENERATIONS_QUEUE,
            actor_name=RUN_GENERATION,
            args=(str(self.account_id), str(self.generation_id)),
            kwargs={},
            options={"request_id": self.request_id},
        )


class GenerationQueue:
    """Sends to the broker from one thread, so that a slow broker never holds up the event loop.

    Those that wait while the broker is busy go together. When it fails, what was being sent is dropped and left to the
    outbox, so no caller ever waits for a broker that is away.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._waiting: deque[Dispatch] = deque()
        self._wake = asyncio.Event()
        self._sent = asyncio.Event()
        self._sent.set()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="generation queue")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Send what waits, unless the broker is too slow for that."""
        assert self._task is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._sent.wait()
        self._task.cancel()
        await asyncio.wait([self._task])

    def send(self, dispatch: Dispatch) -> None:
        """Send soon, or never: returns at once and promises nothing."""
        if len(self._waiting) < WAITING_LIMIT:
            self._waiting.append(dispatch)
            self._sent.clear()
            self._wake.set()

    async def depth(self) -> int | None:
        """Return how many messages wait in the broker; `None` for a broker that cannot say.

        Raises:
            RedisError, OSError: the broker is away.
        """
        return await asyncio.to_thread(self._depth)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH_LIMIT))]
            if not self._waiting:
                self._wake.clear()
            if batch:
                await self._send_batch(batch)
            if not self._waiting:
                self._sent.set()

    async def _send_batch(self, batch: list[Dispatch]) -> None:
        try:
            await asyncio.to_thread(self._send, batch)
        except Exception:  # noqa: BLE001 - the outbox sends these, and those that follow must find this task alive
            _log.exception("dispatch_broke", left_to_outbox=len(batch))

    def _send(self, batch: list[Dispatch]) -> None:
        began_s = time.monotonic()
        for sent, dispatch in enumerate(batch):
            try:
                self._broker.enqueue(dispatch.message())  # pyright: ignore[reportUnknownMemberType]  # untyped there
            except (BrokerError, RedisError, OSError) as error:
                _log.warning(
                    "dispatch_failed",
                    error=repr(error),
                    sent=sent,
                    left_to_outbox=len(batch) - sent,
                    waited_s=round(time.monotonic() - began_s, 3),
                )
                return

    def _depth(self) -> int | None:
        client = getattr(self._broker, "client", None)
        namespace = getattr(self._broker, "namespace", None)
        if client is None or namespace is None:
            return None
        return int(client.llen(f"{namespace}:{GENERATIONS_QUEUE}"))
