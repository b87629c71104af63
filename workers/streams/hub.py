"""The reading side of token streams: any number of readers, one blocking read, and Postgres when Redis is silent.

A reader is promised: never silence. It gets what follows its cursor, or a `snapshot` when that cannot be had, and an
`end` within about a second of the generation's end even if every wake-up was lost and Redis has forgotten the stream.
"""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Final, Self, TypeAlias, cast

import structlog

from workers.streams.background import start_all, stop_all
from workers.streams.connections import MAX_AGE_S, TICK_S, Connection, Connections
from workers.streams.cursor import Cursor
from workers.streams.feed import Feed
from workers.streams.follower import StreamFollower, take_entries
from workers.streams.link import LOST, Command, RedisLink
from workers.streams.terminal import GenerationState
from workers.streams.wire import COMMENT, OPENING, reconnect_frame, stream_key

SILENCE_S: Final = 1.0
MAX_BYTES_BEHIND: Final = 1024 * 1024
MAX_REFRESH_BATCH: Final = 64
MAX_REFRESH_ENTRIES: Final = 4_096
MAX_ASK_BATCH: Final = 500
RETRY_S: Final = 0.25

StatesOf: TypeAlias = Callable[[Sequence[str]], Awaitable[Mapping[str, GenerationState]]]
"""What Postgres knows of these generations; unknown ids are left out."""

_log = structlog.stdlib.get_logger(__name__)


class _Watch:
    """A feed, its readers, and how much can be said about cursors that it does not know."""

    def __init__(self, generation_id: str) -> None:
        self.feed = Feed(generation_id)
        self.connections: dict[Connection, None] = {}
        self.judgements = 0
        """How often Redis, and Postgres where needed, have said all they know."""
        self.is_read = False
        self.is_questioned = False
        self.quiet_since_s = time.monotonic()

    def wake(self) -> None:
        for connection in self.connections:
            connection.wake()


class StreamHub:
    """All the generation streams one process shows to its readers. An async context manager."""

    def __init__(self, redis_url: str, states_of: StatesOf, *, max_age_s: float = MAX_AGE_S) -> None:
        self._states_of = states_of
        self._connections = Connections(max_age_s=max_age_s)
        self._link = RedisLink(redis_url, timeout_s=2.0)
        self._follower = StreamFollower(redis_url, self._on_news)
        self._watches: dict[str, _Watch] = {}
        self._stale: dict[_Watch, None] = {}
        self._stale_news = asyncio.Event()
        self._questions: dict[_Watch, None] = {}
        self._question_news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = start_all(self._follower.run, self._refresh_forever, self._ask_forever, self._housekeep)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await stop_all(self._tasks)
        await self._follower.close()
        await self._link.close()

    @property
    def reader_count(self) -> int:
        """How many readers are connected."""
        return len(self._connections)

    @property
    def stream_count(self) -> int:
        """How many generations they read."""
        return len(self._watches)

    async def is_at_end(self, generation_id: str, cursor: Cursor | None) -> bool:
        """Whether a reader with this cursor has the `end` already, so that the answer is 204."""
        if cursor is None:
            return False
        state = (await self._states_of([generation_id])).get(generation_id)
        return state is not None and state.terminal is not None and state.terminal.end == cursor

    async def subscribe(self, generation_id: str, cursor: Cursor | None) -> AsyncGenerator[bytes, None]:
        """The SSE frames that follow `cursor` (None: from the beginning), up to `end` or `reconnect`.

        Never raises for want of Redis or Postgres: it waits, sends comments, and goes on when they are back. Leaving it
        early has no effect on the generation.
        """
        yield OPENING
        with self._connections.open() as connection, self._watch(generation_id, connection) as watch:
            feed = watch.feed
            needed = self._judgements_needed(watch, cursor)
            bytes_at_joining = feed.bytes_total
            while connection.closing is None:
                if connection.take_comment():
                    yield COMMENT
                is_judged = watch.judgements >= needed or feed.is_ended
                chunk = feed.next_chunk(cursor) if is_judged else None
                if chunk is not None:
                    # What was there before a reader came does not make it slow.
                    if min(feed.bytes_behind(cursor), feed.bytes_total - bytes_at_joining) > MAX_BYTES_BEHIND:
                        connection.close("slow")
                        break
                    cursor = chunk.cursor
                    yield chunk.data
                elif feed.has_all(cursor):
                    return
                else:
                    await connection.wait()
            assert connection.closing is not None
            yield reconnect_frame(connection.closing)

    async def drain(self, timeout_s: float = 3.0) -> bool:
        """Send every reader `reconnect`; false if some did not take it in time."""
        return await self._connections.drain(timeout_s)

    @contextlib.contextmanager
    def _watch(self, generation_id: str, connection: Connection) -> Generator[_Watch]:
        watch = self._watches.get(generation_id)
        if watch is None:
            watch = self._watches[generation_id] = _Watch(generation_id)
            self._refresh(watch)
        watch.connections[connection] = None
        try:
            yield watch
        finally:
            del watch.connections[connection]
            if not watch.connections:
                del self._watches[generation_id]
                self._stale.pop(watch, None)
                self._questions.pop(watch, None)
                self._follower.remove(watch.feed)

    def _judgements_needed(self, watch: _Watch, cursor: Cursor | None) -> int:
        """How many judgements a reader waits for before its cursor may be found wrong."""
        if cursor is None:
            return 0
        if watch.judgements > 0 and cursor > watch.feed.top:
            # Another process may have shown it what has not reached this one yet.
            watch.is_questioned = True
            self._refresh(watch)
            return watch.judgements + 1
        return 1

    def _on_news(self, feed: Feed) -> None:
        if watch := self._watches.get(feed.generation_id):
            watch.quiet_since_s = time.monotonic()
            watch.wake()

    def _refresh(self, watch: _Watch) -> None:
        self._stale[watch] = None
        self._stale_news.set()

    async def _refresh_forever(self) -> None:
        while True:
            batch = await _take(self._stale, self._stale_news, MAX_REFRESH_BATCH)
            try:
                await self._read_back(batch)
            except LOST as lost:
                _log.info("stream_refresh_failed", error=repr(lost), streams=len(batch))
                self._ask(batch)
                for watch in batch:
                    if watch.connections and not watch.feed.is_ended:
                        self._refresh(watch)
                await asyncio.sleep(RETRY_S)

    async def _read_back(self, batch: Sequence[_Watch]) -> None:
        """Read what Redis holds beyond what each feed knows, then follow it live from there."""
        commands: list[Command] = [
            ("XRANGE", stream_key(feed.generation_id), f"({feed.last_entry_id}", "+", "COUNT", MAX_REFRESH_ENTRIES)
            for feed in (watch.feed for watch in batch)
        ]
        is_wake_needed = False
        for watch, reply in zip(batch, await self._link.execute(commands), strict=True):
            if isinstance(reply, Exception):
                raise reply
            entries = cast("list[tuple[bytes, list[bytes]]]", reply)
            is_wake_needed = self._take_back(watch, entries) or is_wake_needed
        if is_wake_needed:
            await self._link.execute(self._follower.wake_commands())
        self._ask(watch for watch in batch if watch.is_questioned or watch.feed.top.seq == 0)

    def _take_back(self, watch: _Watch, entries: list[tuple[bytes, list[bytes]]]) -> bool:
        if take_entries(watch.feed, entries):
            self._on_news(watch.feed)
        if not watch.connections:
            return False
        if len(entries) == MAX_REFRESH_ENTRIES:
            self._refresh(watch)
            return False
        watch.is_read = True
        if watch.feed.top.seq > 0 and not watch.is_questioned:
            watch.judgements += 1
            watch.wake()
        return not watch.feed.is_ended and self._follower.add(watch.feed)

    async def _housekeep(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._connections.tick()
            silent_since_s = time.monotonic() - SILENCE_S
            self._ask(watch for watch in self._watches.values() if watch.quiet_since_s <= silent_since_s)

    def _ask(self, watches: Iterable[_Watch]) -> None:
        """Have Postgres asked about streams that are silent, empty or lost."""
        now_s = time.monotonic()
        for watch in watches:
            if watch.connections and not watch.feed.is_ended:
                watch.quiet_since_s = now_s
                self._questions[watch] = None
                self._question_news.set()

    async def _ask_forever(self) -> None:
        while True:
            batch = await _take(self._questions, self._question_news, MAX_ASK_BATCH)
            try:
                states = await self._states_of([watch.feed.generation_id for watch in batch])
            except Exception as error:  # noqa: BLE001 - whatever is wrong with Postgres, readers go on waiting
                _log.warning("stream_states_unavailable", error=repr(error), streams=len(batch))
                await asyncio.sleep(RETRY_S)
                continue
            for watch in batch:
                self._take_state(watch, states.get(watch.feed.generation_id))

    def _take_state(self, watch: _Watch, state: GenerationState | None) -> None:
        if state is not None:
            watch.feed.take_state(state)
        if watch.is_read:
            watch.judgements += 1
            watch.is_questioned = False
        watch.wake()
        if watch.feed.is_ended:
            self._follower.remove(watch.feed)


async def _take(waiting: dict[_Watch, None], news: asyncio.Event, most: int) -> list[_Watch]:
    """Wait for something to be waiting, and take up to `most` of it."""
    await news.wait()
    taken = list(itertools.islice(waiting, most))
    for watch in taken:
        del waiting[watch]
    if not waiting:
        news.clear()
    return taken
