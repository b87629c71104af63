"""The progress of batches: how many of a batch's generations are where, to everyone who watches it.

Whatever begins or ends a generation moves its account's credits, so the hints that tell of balances wake this too. What
they do not tell (a worker took one up, a model that is free, a lost hint) is seen a second later: Postgres is asked
again about every batch that is watched, and is the only source of what is sent.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable
from types import TracebackType
from typing import Final, Self, TypeAlias
from uuid import UUID

import structlog

from workers.batches import BatchCounts
from workers.streams.announcements import hear_changed
from workers.streams.background import start_all, stop_all
from workers.streams.connections import MAX_AGE_S, TICK_S, Connection, Connections
from workers.streams.wire import COMMENT, END_KIND, OPENING, ascii_json, reconnect_frame

POLL_S: Final = 1.0
MIN_GAP_S: Final = 0.1
"""Between two questions about the same batches: hundreds of its generations may end within a moment."""

ASKED_AT_ONCE: Final = 4
"""How many batches are counted at the same time, out of a pool that answers requests too."""

END_ID: Final = "end"
"""The id of the last event. Whoever comes back with it has everything."""

BATCH_KIND: Final = "batch"

CountsOf: TypeAlias = Callable[[UUID], Awaitable[BatchCounts]]
"""The counts of one batch in Postgres."""

_log = structlog.stdlib.get_logger(__name__)


def batch_frame(counts: BatchCounts) -> bytes:
    """The full state as one SSE event. It has no id: there is nothing to resume, the next state replaces it."""
    data = {
        "id": str(counts.id),
        "total": counts.total,
        "queued": counts.queued,
        "running": counts.running,
        "completed": counts.completed,
        "cancelled": counts.cancelled,
        "failed": counts.failed,
        "refused": counts.refused,
    }
    return f"event: {BATCH_KIND}\ndata: {ascii_json(data)}\n\n".encode("ascii")


def end_frame(counts: BatchCounts) -> bytes:
    """The last event: nothing about the batch will change any more."""
    return f"id: {END_ID}\nevent: {END_KIND}\ndata: {ascii_json({'id': str(counts.id)})}\n\n".encode("ascii")


class _Watch:
    def __init__(self, counts: BatchCounts) -> None:
        self.connections: dict[Connection, None] = {}
        self.counts = counts
        self.version = 0

    def take(self, counts: BatchCounts) -> None:
        if counts != self.counts:
            self.counts = counts
            self.version += 1
            for connection in self.connections:
                connection.wake()


class BatchHub:
    """All the batches whose progress one process shows. An async context manager."""

    def __init__(self, redis_url: str, counts_of: CountsOf, *, max_age_s: float = MAX_AGE_S) -> None:
        self._redis_url = redis_url
        self._counts_of = counts_of
        self._connections = Connections(max_age_s=max_age_s)
        self._watches: dict[UUID, _Watch] = {}
        self._changed: dict[UUID, None] = {}
        self._change = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = start_all(self._hear, self._ask_forever, self._housekeep)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await stop_all(self._tasks)

    @property
    def reader_count(self) -> int:
        """How many readers are connected."""
        return len(self._connections)

    async def subscribe(self, counts: BatchCounts) -> AsyncGenerator[bytes, None]:
        """The SSE frames of one batch: these counts, then the latest after each change, up to `end` or `reconnect`."""
        yield OPENING
        sent_version = -1
        with self._connections.open() as connection, self._watch(counts, connection) as watch:
            while connection.closing is None:
                if connection.take_comment():
                    yield COMMENT
                if watch.version > sent_version:
                    sent_version = watch.version
                    yield batch_frame(watch.counts)
                elif watch.counts.is_over:
                    yield end_frame(watch.counts)
                    return
                else:
                    await connection.wait()
            yield reconnect_frame(connection.closing)

    async def drain(self, timeout_s: float = 3.0) -> bool:
        """Send every reader `reconnect`; false if some did not take it in time."""
        return await self._connections.drain(timeout_s)

    @contextlib.contextmanager
    def _watch(self, counts: BatchCounts, connection: Connection) -> Generator[_Watch]:
        watch = self._watches.setdefault(counts.id, _Watch(counts))
        watch.connections[connection] = None
        # What another reader's watch knows may be older, and what this one was given as well by now.
        self._note([counts.id])
        try:
            yield watch
        finally:
            del watch.connections[connection]
            if not watch.connections:
                del self._watches[counts.id]

    def _note(self, batch_ids: Iterable[UUID]) -> None:
        for batch_id in batch_ids:
            if not self._watches[batch_id].counts.is_over:
                self._changed[batch_id] = None
                self._change.set()

    async def _hear(self) -> None:
        await hear_changed(self._redis_url, self._note_accounts)

    def _note_accounts(self, account_ids: list[UUID]) -> None:
        changed = set(account_ids)
        self._note([batch_id for batch_id, watch in self._watches.items() if watch.counts.account_id in changed])

    async def _housekeep(self) -> None:
        polled_s = time.monotonic()
        while True:
            await asyncio.sleep(TICK_S)
            self._connections.tick()
            if time.monotonic() - polled_s >= POLL_S:
                polled_s = time.monotonic()
                self._note(list(self._watches))

    async def _ask_forever(self) -> None:
        while True:
            await self._change.wait()
            self._change.clear()
            batch_ids = list(self._changed)
            self._changed.clear()
            for start in range(0, len(batch_ids), ASKED_AT_ONCE):
                await asyncio.gather(*map(self._ask, batch_ids[start : start + ASKED_AT_ONCE]))
            await asyncio.sleep(MIN_GAP_S)

    async def _ask(self, batch_id: UUID) -> None:
        try:
            counts = await self._counts_of(batch_id)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with Postgres, readers go on waiting
            _log.warning("batch_counts_unavailable", error=repr(error), batch_id=str(batch_id))
            return
        if watch := self._watches.get(batch_id):
            watch.take(counts)
