"""The open SSE responses of one hub: when each is owed a comment, when it has been open long enough, and draining."""

import asyncio
import contextlib
import random
import time
from collections.abc import Generator
from typing import Final

from workers.streams.wire import ReconnectReason

COMMENT_EVERY_S: Final = 15.0
MAX_AGE_S: Final = 3600.0
TICK_S: Final = 0.25


class Connection:
    """One open response. Whoever has news for it wakes it; it sleeps in `wait` otherwise."""

    def __init__(self, *, comment_at_s: float, close_at_s: float) -> None:
        self.closing: ReconnectReason | None = None
        self._comment_at_s = comment_at_s
        self._close_at_s = close_at_s
        self._is_comment_due = False
        self._news = asyncio.Event()

    def wake(self) -> None:
        """Let the response look for what it may send."""
        self._news.set()

    def close(self, reason: ReconnectReason) -> None:
        """Ask the response to send `reconnect` and end."""
        self.closing = self.closing or reason
        self._news.set()

    async def wait(self) -> None:
        """Sleep until woken; returns at once if that happened since the last wait."""
        await self._news.wait()
        self._news.clear()

    def take_comment(self) -> bool:
        """Whether a comment is due; saying so makes it done."""
        is_due, self._is_comment_due = self._is_comment_due, False
        return is_due

    def tick(self, now_s: float) -> None:
        """Wake the response if its time has come for something."""
        if now_s >= self._comment_at_s:
            self._comment_at_s = now_s + COMMENT_EVERY_S
            self._is_comment_due = True
            self._news.set()
        if now_s >= self._close_at_s:
            self.close("max_age")


class Connections:
    """All open responses of a hub."""

    def __init__(self, *, max_age_s: float = MAX_AGE_S) -> None:
        self._max_age_s = max_age_s
        self._open: dict[Connection, None] = {}
        self._is_draining = False
        self._all_gone = asyncio.Event()
        self._all_gone.set()

    def __len__(self) -> int:
        return len(self._open)

    @contextlib.contextmanager
    def open(self) -> Generator[Connection]:
        """A connection for as long as its response is sent."""
        now_s = time.monotonic()
        # Responses that began together after a restart shall not all come back together an hour later.
        age_s = self._max_age_s * random.uniform(0.9, 1.0)  # noqa: S311 - spreads load, keeps no secret
        connection = Connection(comment_at_s=now_s + COMMENT_EVERY_S, close_at_s=now_s + age_s)
        if self._is_draining:
            connection.close("drain")
        self._open[connection] = None
        self._all_gone.clear()
        try:
            yield connection
        finally:
            del self._open[connection]
            if not self._open:
                self._all_gone.set()

    def tick(self) -> None:
        """Call this every `TICK_S`."""
        now_s = time.monotonic()
        for connection in self._open:
            connection.tick(now_s)

    async def drain(self, timeout_s: float) -> bool:
        """Ask every response, also those still to come, to reconnect elsewhere; false if some are left in the end."""
        self._is_draining = True
        for connection in self._open:
            connection.close("drain")
        with contextlib.suppress(asyncio.TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._all_gone.wait()
        return not self._open
