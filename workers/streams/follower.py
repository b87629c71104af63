"""One blocking read for all the streams a process watches."""

import asyncio
import time
import uuid
from collections.abc import Callable
from typing import Final, TypeAlias, cast

import structlog

from workers.streams.cursor import parse_entry_id
from workers.streams.errors import UnreadableEntry
from workers.streams.feed import Feed
from workers.streams.link import LOST, Command, RedisLink
from workers.streams.wire import stream_key

BLOCK_MS: Final = 1_000
MAX_ENTRIES_PER_STREAM: Final = 1_000
BUSY_STREAMS: Final = 8
MAX_PAUSE_S: Final = 0.03
REST_PER_WORK: Final = 0.5
MIN_BACKOFF_S: Final = 0.02
MAX_BACKOFF_S: Final = 1.0
WAKE_LIFETIME_S: Final = 60

RawEntries: TypeAlias = list[tuple[bytes, list[bytes]]]
"""Entries as Redis returns them: id, and kind and payload."""

_log = structlog.stdlib.get_logger(__name__)


class StreamFollower:
    """Reads whatever is appended to the streams of the feeds it was given, and tells which feeds have news."""

    def __init__(self, redis_url: str, news: Callable[[Feed], None]) -> None:
        self._link = RedisLink(redis_url, timeout_s=BLOCK_MS / 1_000 + 5)
        self._news = news
        self._feeds: dict[bytes, Feed] = {}
        self._wake_key = f"holdfast:wake:{uuid.uuid4()}".encode()
        self._wake_id = "0-0"
        self._is_blocked = False

    def add(self, feed: Feed) -> bool:
        """Follow a feed from its `last_entry_id` on; true if `wake_commands` must be sent for it to begin now."""
        key = stream_key(feed.generation_id).encode()
        if key in self._feeds:
            return False
        self._feeds[key] = feed
        return self._is_blocked

    def remove(self, feed: Feed) -> None:
        """Stop following a feed."""
        key = stream_key(feed.generation_id).encode()
        if self._feeds.get(key) is feed:
            del self._feeds[key]

    def wake_commands(self) -> list[Command]:
        """What makes the blocking read return and begin again with the feeds added since.

        A stream rather than CLIENT UNBLOCK: an entry also wakes a read that has not reached Redis yet.
        """
        return [
            ("XADD", self._wake_key, "MAXLEN", 1, "*", "wake", ""),
            ("EXPIRE", self._wake_key, WAKE_LIFETIME_S),
        ]

    async def run(self) -> None:
        """Follow until cancelled, over any loss of Redis."""
        failures = 0
        while True:
            try:
                if await self._link.connect():
                    self._wake_id = "0-0"
                await self._read_once()
                failures = 0
            except LOST as lost:
                failures += 1
                if failures == 1:
                    _log.warning("stream_follower_lost", error=repr(lost), streams=len(self._feeds))
                await asyncio.sleep(min(MAX_BACKOFF_S, MIN_BACKOFF_S * 2 ** min(failures, 10)))

    async def close(self) -> None:
        """Close the connection."""
        await self._link.close()

    async def _read_once(self) -> None:
        keys = list(self._feeds)
        ids = [feed.last_entry_id for feed in self._feeds.values()]
        read: Command = ("XREAD", "COUNT", MAX_ENTRIES_PER_STREAM, "BLOCK", BLOCK_MS)
        self._is_blocked = True
        try:
            (reply,) = await self._link.execute([(*read, "STREAMS", self._wake_key, *keys, self._wake_id, *ids)])
        finally:
            self._is_blocked = False
        if isinstance(reply, Exception):
            raise reply
        if reply is None:
            return
        began_s = time.monotonic()
        streams = cast("list[tuple[bytes, RawEntries]]", reply)
        for key, entries in streams:
            if key == self._wake_key:
                self._wake_id = entries[-1][0].decode()
            elif feed := self._feeds.get(key):
                self._take(feed, entries)
        # The readers that were woken have had their turn once the loop comes round again: what they took is part of it.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await self._pause(len(streams), time.monotonic() - began_s)

    def _take(self, feed: Feed, entries: RawEntries) -> None:
        if take_entries(feed, entries):
            self._news(feed)
        if feed.is_ended:
            self.remove(feed)

    async def _pause(self, streams: int, worked_s: float) -> None:
        """Let entries gather when many streams are busy, so that one read and one write per reader serve several."""
        if streams > BUSY_STREAMS:
            await asyncio.sleep(min(MAX_PAUSE_S, REST_PER_WORK * worked_s))


def take_entries(feed: Feed, entries: RawEntries) -> bool:
    """Give a feed what Redis returned; whether any of it was news."""
    is_news = False
    for entry_id, fields in entries:
        try:
            cursor, _ = parse_entry_id(entry_id)
            kind, payload = fields
            is_news = feed.take_entry(cursor, kind.decode(), payload) or is_news
        except (UnreadableEntry, ValueError, KeyError, TypeError):
            # Not written by this program. Left out, it costs its stream a snapshot at most, and the others nothing.
            _log.warning("stream_entry_unreadable", generation_id=feed.generation_id, entry_id=repr(entry_id))
    if entries:
        feed.last_entry_id = entries[-1][0].decode()
    return is_news
