"""Real worker and clock processes for fault tests, and what must hold once everything has calmed down."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Self
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow
from redis.asyncio import Redis

from ops.services.redis import SETTINGS
from tests.generations import asks_for, generation_context
from tests.stream_clients import follow
from tests.waiting import eventually
from workers.admission import admit
from workers.context import GenerationContext
from workers.generations import Generation, GenerationStatus, get_generation, terminal_of
from workers.requests import GenerationRequest
from workers.streams.client import TextClient
from workers.streams.hub import StreamHub
from workers.streams.recovery import recover_text

WITHIN_S = 15
"""However it was broken, everything has ended this long after."""

ROOT = Path(__file__).parent.parent


class Platform:
    """A context, and the processes that a test starts, kills and pauses."""

    def __init__(self, context: GenerationContext, redis_url: str, hub: StreamHub, logs: Path) -> None:
        self.context, self.hub = context, hub
        self.database_url = context.database.url
        self._environment = {
            **os.environ,
            "DATABASE_URL": context.database.url,
            "REDIS_URL": redis_url,
            "HOLDFAST_LOG_FORMAT": "json",
            "HOLDFAST_LOG_LEVEL": "debug",
        }
        self._logs = logs
        self._processes: list[subprocess.Popen[bytes]] = []
        self.clocks: list[subprocess.Popen[bytes]] = []

    def set_environment(self, **variables: str) -> None:
        """Let processes that are started from now on have these."""
        self._environment.update(variables)

    def start_worker(self, *, threads: int = 64) -> subprocess.Popen[bytes]:
        return self._start("worker", "workers.main", f"--threads={threads}")

    def start_clock(self) -> subprocess.Popen[bytes]:
        self.clocks.append(self._start("clock", "workers.clock"))
        return self.clocks[-1]

    def start_script(self, script: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Run Python code in a process of its own."""
        return self._spawn("script", [sys.executable, "-c", script, *arguments])

    def stop(self) -> None:
        """Kill what still runs; a paused process dies of SIGKILL too."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()

    def has_logged(self, event: str) -> bool:
        """Whether any of the processes has logged this."""
        return any(f'"{event}"' in log.read_text() for log in self._logs.glob("*.log"))

    async def ask(self, account_id: UUID, prompt: str = "one two three", *, delay_ms: int = 0) -> UUID:
        return await self.ask_for(account_id, asks_for(prompt, delay_ms=delay_ms))

    async def ask_for(self, account_id: UUID, request: GenerationRequest) -> UUID:
        return (await admit(self.context, account_id, request, request_id="fault")).generation.id

    async def get(self, generation_id: UUID) -> Generation:
        return await get_generation(self.context.database, generation_id)

    async def text_in_redis(self, generation_id: UUID) -> str:
        recovered = await recover_text(self.context.redis, str(generation_id))
        return "" if recovered is None else recovered.text

    async def until_status(
        self, generation_id: UUID, status: GenerationStatus = GenerationStatus.running, *, within_s: float = WITHIN_S
    ) -> None:
        async def has_it() -> bool:
            return (await self.get(generation_id)).status is status

        await eventually(has_it, within_s=within_s)

    async def until_streamed(self, generation_id: UUID, characters: int) -> None:
        async def has_streamed() -> bool:
            return len(await self.text_in_redis(generation_id)) >= characters

        await eventually(has_streamed, within_s=WITHIN_S)

    async def until_streamed_by(self, generation_id: UUID, *, epoch: int) -> None:
        async def has_begun() -> bool:
            recovered = await recover_text(self.context.redis, str(generation_id))
            return recovered is not None and recovered.cursor.epoch == epoch and recovered.text != ""

        await eventually(has_begun, within_s=WITHIN_S)

    async def until_all_ended(self, *, within_s: float = WITHIN_S) -> None:
        async def all_ended() -> bool:
            async with self.context.database.connection() as connection:
                cursor = await connection.execute("SELECT count(*) FROM generations WHERE status < 2")
                row = await cursor.fetchone()
            return row == (0,)

        await eventually(all_ended, within_s=within_s)

    async def read(self, generation_id: UUID) -> TextClient:
        """Read a stream to its end, reconnecting like a client; checks every promise on the way."""
        client = TextClient()
        while client.end is None:
            client = await follow(self.hub, str(generation_id), client)
        return client

    def reading(self, generation_id: UUID) -> "asyncio.Task[TextClient]":
        """Read a stream in the background."""
        return asyncio.create_task(self.read(generation_id))

    def check_books(self) -> None:
        """Every freeze is resolved once, and what accounts have spent is what their generations say they cost."""
        with psycopg.connect(self.database_url) as connection:
            unresolved = connection.execute("SELECT count(*) FROM freezes WHERE state = 0").fetchone()
            resolutions = connection.execute("SELECT count(*) FROM events WHERE kind IN (5, 6)").fetchone()
            freezes = connection.execute("SELECT count(*) FROM freezes").fetchone()
            spent = connection.execute("SELECT coalesce(sum(spent), 0) FROM accounts").fetchone()
            cost = connection.execute("SELECT coalesce(sum(cost), 0) FROM generations").fetchone()
            outbox = connection.execute("SELECT count(*) FROM outbox").fetchone()
        assert unresolved == (0,)
        assert resolutions == freezes
        assert spent == cost
        assert outbox == (0,)

    def calls_of(self, generation_id: UUID) -> list[tuple[int, str, int | None]]:
        """Attempt, outcome and output tokens of every call that was recorded."""
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(
                "SELECT attempt, outcome, output_tokens FROM generation_attempts"
                " WHERE generation_id = %s ORDER BY attempt, call",
                [generation_id],
            ).fetchall()

    def lock(self, statement: str, parameters: Sequence[object]) -> psycopg.Connection[TupleRow]:
        """Take a row lock that holds a worker at a chosen statement, until the connection is rolled back."""
        connection = psycopg.connect(self.database_url)
        connection.execute(statement, parameters)  # pyright: ignore[reportArgumentType, reportCallIssue]  # a test's
        return connection

    def _start(self, name: str, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        return self._spawn(name, [sys.executable, "-m", module, *arguments])

    def _spawn(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        with (self._logs / f"{name}-{len(self._processes)}.log").open("wb") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)
        self._processes.append(process)
        return process

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@contextlib.asynccontextmanager
async def open_platform(
    database_url: str, redis_url: str, logs: Path, environment: Mapping[str, str] | None = None
) -> AsyncGenerator[Platform]:
    async with (
        generation_context(database_url, redis_url, environment) as context,
        StreamHub(redis_url, partial(terminal_of, context.database)) as hub,
    ):
        with Platform(context, redis_url, hub, logs) as platform:
            platform.set_environment(**(environment or {}))
            yield platform


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


@contextlib.contextmanager
def paused(process: subprocess.Popen[bytes]) -> Generator[None]:
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


@contextlib.asynccontextmanager
async def full(redis: Redis) -> AsyncGenerator[None]:
    """Redis takes nothing that would make it grow."""
    await _limit_memory(redis, "1")
    try:
        yield
    finally:
        await _limit_memory(redis, SETTINGS["maxmemory"])


async def _limit_memory(redis: Redis, limit: str) -> None:
    await redis.execute_command(  # pyright: ignore[reportUnknownMemberType]  # not typed
        "CONFIG", "SET", "maxmemory", limit
    )
