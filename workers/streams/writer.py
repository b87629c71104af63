"""Appending to token streams: many generations, one connection, one task, and never a wait per token.

Text is coalesced per generation and all generations that have something to say share one write to Redis. When Redis is
slow, down or has forgotten everything, generations go on: their text waits in memory (bounded by what a generation may
produce at all) and is appended, or replaced by a snapshot, once Redis answers again.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Final, Self, cast

import structlog

from workers.streams.cursor import Cursor, parse_entry_id
from workers.streams.generation_stream import FLUSH_TIMEOUT_S, GenerationStream
from workers.streams.happenings import Happening
from workers.streams.link import LOST, RedisLink, Reply
from workers.streams.outgoing import Step
from workers.streams.wire import START_KIND

COALESCE_S: Final = 0.025
COALESCE_PIECES: Final = 64
MAX_COALESCE_S: Final = 0.1
START_PATIENCE_S: Final = 0.005
"""A `start` waits so long for a first word to go with it: whoever opened the stream is about to call a provider."""

REST_PER_WORK: Final = 4.0
"""With many streams, text gathers for this many times as long as it takes to send it, so that a process with a thousand
spends a fifth of its time on this at most, and its readers get fewer and larger deltas."""

START_SEQ: Final = 1
BUSY_STREAMS: Final = 16
PROMPT_AFTER_S: Final = 0.15
"""A stream that was quiet for this long sends its next text at once."""

MIN_BACKOFF_S: Final = 0.02
MAX_BACKOFF_S: Final = 1.0

_log = structlog.stdlib.get_logger(__name__)


class StreamWriter:
    """All the streams one process writes. An async context manager; used from its own event loop only."""

    def __init__(self, redis_url: str, *, coalesce_s: float = COALESCE_S) -> None:
        self._link = RedisLink(redis_url)
        self._coalesce_s = coalesce_s
        self._open: dict[GenerationStream, None] = {}
        self._dirty: dict[GenerationStream, None] = {}
        self._prompt: dict[GenerationStream, None] = {}
        self._wake = asyncio.Event()
        self._tick_at_s = 0.0
        self._worked_s = 0.0
        """How long the last flush of everything that was waiting took."""
        self._retry_at_s = 0.0
        self._failures = 0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="stream-writer")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        with contextlib.suppress(*LOST):
            async with asyncio.timeout(FLUSH_TIMEOUT_S):
                await self._flush(list(self._dirty))
        await self._link.close()

    @property
    def streams_open(self) -> int:
        """How many streams are being written now."""
        return len(self._open)

    def open(
        self,
        generation_id: str,
        *,
        epoch: int,
        model: str,
        may_append: Callable[[], bool] = lambda: True,
        code_blocks: bool = False,
    ) -> GenerationStream:
        """Start the stream of one attempt; its `start` event is sent soon.

        With `code_blocks`, each fenced code block of its text becomes an `artifact` event as soon as it is whole.
        `may_append` is asked before every write: true as long as the attempt's lease certainly holds. While it says no,
        nothing of this stream is sent.
        """
        assert epoch > 0
        stream = GenerationStream(self, generation_id, epoch, may_append, code_blocks=code_blocks)
        self._open[stream] = None
        stream.outgoing.add(Happening(START_KIND, {"generation_id": generation_id, "epoch": epoch, "model": model}))
        if not self._dirty:
            self._tick_at_s = max(self._tick_at_s, time.monotonic() + START_PATIENCE_S)
        self._dirty[stream] = None
        stream.drained.clear()
        self._wake.set()
        return stream

    def note(self, stream: GenerationStream) -> None:
        """Take note that the stream has something to send."""
        is_news = stream not in self._dirty
        if is_news:
            self._dirty[stream] = None
            stream.drained.clear()
        if stream not in self._prompt and self._is_urgent(stream, is_news=is_news):
            self._prompt[stream] = None
        elif not is_news:
            return
        self._wake.set()

    async def drain(self, stream: GenerationStream, timeout_s: float) -> bool:
        """Send what the stream has without waiting for its turn; false if it was not taken in time."""
        if stream not in self._open:
            return stream.outgoing.is_drained
        if not stream.outgoing.is_drained:
            self._dirty[stream] = None
            self._prompt[stream] = None
            stream.drained.clear()
            self._wake.set()
            with contextlib.suppress(asyncio.TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await stream.drained.wait()
        return stream.outgoing.is_drained

    def forget(self, stream: GenerationStream) -> None:
        """Stop writing a stream."""
        for streams in (self._open, self._dirty, self._prompt):
            streams.pop(stream, None)
        stream.drained.set()

    def _is_urgent(self, stream: GenerationStream, *, is_news: bool) -> bool:
        """Whether this waits for no turn: what comes first after `start`, or after a silence, or has become much."""
        if not stream.has_spoken or stream.outgoing.pieces_waiting >= COALESCE_PIECES:
            return True
        return is_news and time.monotonic() - stream.last_sent_s >= PROMPT_AFTER_S

    async def _run(self) -> None:
        while True:
            await self._until_due()
            due = self._take_due()
            began_s = time.monotonic()
            try:
                await self._flush(due)
                if len(due) > BUSY_STREAMS:
                    self._worked_s = time.monotonic() - began_s
            except LOST as lost:
                self._back_off(due, lost)
            except Exception as bug:  # noqa: BLE001 - it is logged, and the others go on
                # Every stream of this process depends on this task: it must outlive whatever one stream did to it.
                _log.exception("stream_flush_failed")
                self._back_off(due, bug)

    async def _until_due(self) -> None:
        while True:
            now_s = time.monotonic()
            if now_s < self._retry_at_s:
                await asyncio.sleep(self._retry_at_s - now_s)
                continue
            if self._prompt or (self._dirty and now_s >= self._tick_at_s):
                return
            self._wake.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                async with asyncio.timeout(self._tick_at_s - now_s if self._dirty else None):
                    await self._wake.wait()

    def _take_due(self) -> list[GenerationStream]:
        now_s = time.monotonic()
        due = self._prompt
        if now_s >= self._tick_at_s:
            due = self._dirty
            self._tick_at_s = now_s + max(self._coalesce_s, min(MAX_COALESCE_S, REST_PER_WORK * self._worked_s))
        streams = list(due)
        self._prompt = {}
        return streams

    async def _flush(self, due: list[GenerationStream]) -> None:
        if await self._link.connect():
            for stream in self._open:
                stream.outgoing.doubt()
                self._dirty[stream] = None
            due = list(self._dirty)
        due = [stream for stream in due if stream.may_append()]
        await self._reconcile([stream for stream in due if stream.outgoing.doubtful])
        # The lease is asked for again because reconciling has waited for Redis.
        due = [stream for stream in due if not stream.fenced and stream.may_append()]
        now_s = time.monotonic()
        plan = [(stream, step) for stream in due for step in stream.outgoing.steps(now_s)]
        if plan:
            replies = await self._link.execute([step.command for _, step in plan])
            self._settle(plan, replies)
        self._clean(due)

    async def _reconcile(self, doubtful: list[GenerationStream]) -> None:
        if not doubtful:
            return
        replies = await self._link.execute([stream.outgoing.top_command() for stream in doubtful])
        for stream, reply in zip(doubtful, replies, strict=True):
            if isinstance(reply, Exception):
                raise reply
            top, is_snapshot = _top(reply)
            if not stream.outgoing.reconcile(top, is_snapshot=is_snapshot):
                stream.fence()

    def _settle(self, plan: Iterable[tuple[GenerationStream, Step]], replies: list[Reply]) -> None:
        now_s = time.monotonic()
        failed: set[GenerationStream] = set()
        for (stream, step), reply in zip(plan, replies, strict=True):
            if stream in failed:
                continue
            stream.last_sent_s = now_s
            stream.has_spoken = stream.has_spoken or step.confirms > START_SEQ
            if not stream.outgoing.settle(step, reply):
                failed.add(stream)
                _log.info("stream_append_refused", generation_id=stream.generation_id, reply=str(reply))
        self._failures = self._failures + 1 if failed else 0
        if self._failures > 1:
            self._retry_at_s = now_s + _backoff_s(self._failures)

    def _clean(self, streams: Iterable[GenerationStream]) -> None:
        for stream in streams:
            if stream.outgoing.is_drained:
                self._dirty.pop(stream, None)
                stream.drained.set()

    def _back_off(self, due: Iterable[GenerationStream], error: Exception) -> None:
        for stream in due:
            stream.outgoing.doubt()
        self._failures += 1
        self._retry_at_s = time.monotonic() + _backoff_s(self._failures)
        if self._failures == 1:
            _log.warning("stream_redis_lost", error=repr(error), streams=len(self._open))


def _backoff_s(failures: int) -> float:
    return min(MAX_BACKOFF_S, MIN_BACKOFF_S * 2 ** min(failures, 10))


def _top(reply: Reply) -> tuple[Cursor | None, bool]:
    entries = cast("list[tuple[bytes, object]]", reply)
    if not entries:
        return None, False
    return parse_entry_id(entries[0][0])
