"""When each event of a sample of streams was in Redis: a process of its own that reads them as the API does."""

import multiprocessing
import time
from multiprocessing.connection import Connection
from typing import Final, cast

import redis
from redis.typing import KeyT, StreamIdT

READ_BLOCK_MS: Final = 100


def observe(redis_url: str, keys: list[str], pipe: "Connection[object, object]") -> None:
    """Read the streams until told to stop, then send back `(key, entry id) -> monotonic time` of each entry."""
    client = redis.Redis.from_url(redis_url, socket_timeout=None)  # pyright: ignore[reportUnknownMemberType] - not typed
    positions: dict[KeyT, StreamIdT] = dict.fromkeys(keys, "0-0")
    seen: dict[tuple[str, str], float] = {}
    pipe.send("watching")
    while not pipe.poll():
        answer = cast("list[tuple[bytes, list[tuple[bytes, object]]]]", client.xread(positions, block=READ_BLOCK_MS))
        now = time.monotonic()
        for key, entries in answer or []:
            name = key.decode()
            for entry_id, _ in entries:
                seen[name, entry_id.decode()] = now
            positions[name] = entries[-1][0].decode()
    pipe.send(seen)


class Observer:
    """The process and the pipe to it."""

    def __init__(self, redis_url: str, keys: list[str]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=observe, args=(redis_url, keys, theirs), daemon=True)
        self._process.start()
        assert self._pipe.recv() == "watching"

    def stop(self) -> dict[tuple[str, str], float]:
        """Return what it saw."""
        self._pipe.send("stop")
        seen = cast("dict[tuple[str, str], float]", self._pipe.recv())
        self._process.join(timeout=10)
        return seen
