"""Telling workers that there is work. Nothing depends on it: the outbox sends again what was not taken up.

A message wakes a worker for a tier and says no more: what runs next is picked from Postgres.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Final, NamedTuple, Protocol, Self

import dramatiq
import structlog
from dramatiq import Broker
from dramatiq.errors import BrokerError
from redis.exceptions import RedisError

from workers.sending import sender_for
from workers.tiers import Tier

QUEUES: Final[Mapping[Tier, str]] = {Tier.paid: "generations_paid", Tier.free: "generations_free"}
ACTORS: Final[Mapping[Tier, str]] = {Tier.paid: "run_paid", Tier.free: "run_free"}
PAYMENTS_QUEUE: Final = "payments"
PAYMENTS_ACTOR: Final = "process_payments"
WAITING_LIMIT: Final = 10_000
BATCH_LIMIT: Final = 256
CLOSE_TIMEOUT_S: Final = 1.0

_log = structlog.stdlib.get_logger(__name__)


class Wakes(Protocol):
    """Something that wakes a worker."""

    def message(self) -> "dramatiq.Message[None]":
        """Return the message."""
        ...


class WakeUp(NamedTuple):
    """Something of this tier is ready to run, or there is room again."""

    tier: Tier
    request_id: str

    def message(self) -> "dramatiq.Message[None]":
        """Return the message."""
        return _message(QUEUES[self.tier], ACTORS[self.tier], self.request_id)


class PaymentsDue(NamedTuple):
    """A gateway's webhook was kept."""

    request_id: str

    def message(self) -> "dramatiq.Message[None]":
        """Return the message."""
        return _message(PAYMENTS_QUEUE, PAYMENTS_ACTOR, self.request_id)


def _message(queue: str, actor: str, request_id: str) -> "dramatiq.Message[None]":
    return dramatiq.Message(queue_name=queue, actor_name=actor, args=(), kwargs={}, options={"request_id": request_id})


class GenerationQueue:
    """Sends to the broker from one task, and never holds up who gives it something to send.

    Those that wait while the broker is busy go together. When it fails, what was being sent is dropped and left to the
    outbox, so no caller ever waits for a broker that is away.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._sender = sender_for(broker)
        self._waiting: deque[Wakes] = deque()
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
        await self._sender.close()

    def send(self, wake_up: Wakes) -> None:
        """Send soon, or never: returns at once and promises nothing. It is sent when the caller next waits."""
        if len(self._waiting) < WAITING_LIMIT:
            self._waiting.append(wake_up)
            self._sent.clear()
            self._wake.set()

    async def depth(self) -> int | None:
        """Return how many messages wait in the broker; `None` for a broker that cannot say.

        Raises:
            RedisError, OSError: the broker is away.
        """
        depths = [depth for depth in (await self.depths()).values() if depth is not None]
        return sum(depths) if depths else None

    async def depths(self) -> Mapping[Tier, int | None]:
        """Return how many messages wait in the broker for each tier; `None` for a broker that cannot say.

        Raises:
            RedisError, OSError: the broker is away.
        """
        return await asyncio.to_thread(self._depths)

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

    async def _send_batch(self, batch: list[Wakes]) -> None:
        began_s = time.monotonic()
        try:
            await self._sender.send([wake_up.message() for wake_up in batch])
        except (BrokerError, RedisError, OSError) as error:
            _log.warning(
                "dispatch_failed",
                error=repr(error),
                left_to_outbox=len(batch),
                waited_s=round(time.monotonic() - began_s, 3),
            )
        except Exception:  # noqa: BLE001 - the outbox sends these, and those that follow must find this task alive
            _log.exception("dispatch_broke", left_to_outbox=len(batch))

    def _depths(self) -> Mapping[Tier, int | None]:
        client = getattr(self._broker, "client", None)
        namespace = getattr(self._broker, "namespace", None)
        if client is None or namespace is None:
            return dict.fromkeys(Tier)
        return {tier: int(client.llen(f"{namespace}:{name}")) for tier, name in QUEUES.items()}
