"""Embedded Redis: an append-only file, a Unix socket, no port. It may be lost at any moment without losing money."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self, final
from urllib.parse import quote

import redis.asyncio
import redis.exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ops.errors import CannotReach
from ops.services.binaries import redis_program
from ops.services.identity import Identity, identity_for
from ops.services.process import POLL_S, ServiceProcess, stop_leftover
from ops.services.sockets import prepare, release, socket_directory

READY_TIMEOUT_S = 60  # it reads its whole append-only file first
STOP_TIMEOUT_S = 5
PING_TIMEOUT_S = 1

SETTINGS: Final[Mapping[str, str]] = {
    # No port: the socket directory is private to the user.
    "port": "0",
    "unixsocketperm": "700",
    "databases": "16",
    # Streams and queues outlive a restart; a crash loses at most a second, which Postgres makes good.
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    # Never forget a message to make room. When it is full, work is refused and said to be refused.
    "maxmemory": "1gb",
    "maxmemory-policy": "noeviction",
    "daemonize": "no",
    "always-show-logo": "no",
}

STOP_SIGNALS: Final = {"fast": signal.SIGTERM, "kill": signal.SIGKILL}


@final
class EmbeddedRedis:
    """A Redis server that keeps its data in `<data_dir>/redis`.

    One at a time per data directory: the caller holds its lock (`ops.instance`). Start may be called again after a stop
    of any kind; URLs stay the same.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        settings: Mapping[str, str] | None = None,
        identity: Identity | None = None,
    ) -> None:
        """Take `settings` over SETTINGS, and `identity` in place of who the server would run as."""
        self._data_dir = data_dir.resolve()
        self._files = self._data_dir / "redis"
        self._sockets = socket_directory(self._data_dir)
        self._socket = self._sockets / "redis.sock"
        self._settings = {
            **SETTINGS,
            "dir": str(self._files),
            "pidfile": str(self._files / "redis.pid"),
            "unixsocket": str(self._socket),
            **(settings or {}),
        }
        self._identity = identity
        self._process: ServiceProcess | None = None

    @property
    def url(self) -> str:
        """The URL of database 0."""
        return self.url_for(0)

    @property
    def pid(self) -> int:
        """The process id of the server."""
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the server is alive."""
        return self._process is not None and self._process.running

    @property
    def log_path(self) -> Path:
        """Where the server writes its log."""
        return self._data_dir / "logs" / "redis.log"

    def url_for(self, database: int) -> str:
        """Return the URL of one numbered database over the Unix socket."""
        return f"unix://{quote(str(self._socket))}?db={database}"

    async def start(self) -> None:
        """Start the server and wait until it answers.

        Data it cannot read (written by a newer version, or damaged) is put aside, not deleted, and it starts empty:
        nothing in Redis is the only copy of anything.

        Raises:
            CannotReach: it did not start; the message ends with what the server said.
        """
        assert not self.running, "already running"
        self._data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        identity = self._identity or identity_for(self._data_dir)
        prepare(self._sockets, identity)
        await stop_leftover(
            self._files / "redis.pid",
            marker=str(self._socket),
            stop_signal=signal.SIGTERM,
            timeout_s=STOP_TIMEOUT_S,
        )
        if await self._start_server(identity):
            return
        unreadable = self._files.with_name(f"redis.unreadable-{time.time_ns()}")
        self._files.rename(unreadable)
        if await self._start_server(identity):
            return
        raise CannotReach(f"the embedded Redis did not start (see {self.log_path}); its data is in {unreadable}")

    async def stop(self, mode: Literal["fast", "kill"] = "fast") -> None:
        """Stop the server: `fast` writes its files out first, `kill` gives it no time for anything."""
        if self._process is not None:
            await self._process.stop(STOP_SIGNALS[mode], timeout_s=STOP_TIMEOUT_S)
            self._process = None
            release(self._sockets)

    async def restart(self, mode: Literal["fast", "kill"] = "fast") -> None:
        """Stop and start again, at the same address."""
        await self.stop(mode)
        await self.start()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def _start_server(self, identity: Identity) -> bool:
        self._files.mkdir(mode=0o700, exist_ok=True)
        identity.adopt(self._files)
        self._socket.unlink(missing_ok=True)
        settings = [word for name, value in self._settings.items() for word in (f"--{name}", value)]
        process = ServiceProcess(
            [str(redis_program()), *settings],
            identity=identity,
            log_path=self.log_path,
            parent_death_signal=signal.SIGTERM,
        )
        self._process = process
        process.start()
        answers = False
        try:
            answers = await self._answers(process)
        finally:
            if not answers:
                await self.stop()
        return answers

    async def _answers(self, process: ServiceProcess) -> bool:
        """Wait for an answer to PING; a server that is still loading its data says so and does not count."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        client = redis.asyncio.Redis.from_url(  # pyright: ignore[reportUnknownMemberType] - its options are not typed
            self.url, socket_timeout=PING_TIMEOUT_S, retry=Retry(NoBackoff(), 0)
        )
        async with contextlib.aclosing(client):
            while process.running and time.monotonic() < deadline:
                with contextlib.suppress(redis.exceptions.RedisError, OSError):
                    return bool(await client.ping())  # pyright: ignore[reportUnknownMemberType] - its options are not typed
                await asyncio.sleep(POLL_S)
        return False
