"""All the processes of one installation as one thing that is started, watched and stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final, NoReturn, final

import httpx

from api.settings import read_settings
from ops import programs
from ops.endpoints import Embedded, Endpoints
from ops.errors import CannotReach
from ops.instance import DataDirectory, Description
from ops.output import Output
from ops.preparing import prepare_database
from ops.supervisor import Supervisor

READY_TIMEOUT_S: Final = 60
READY_POLL_S: Final = 0.05
READY_ANSWER_S: Final = 2
MEND_POLL_S: Final = 0.25
MEND_PAUSE_S: Final = 1.0


@final
class Installation:
    """Embedded servers where no URL is set, migrations, API, workers and clock.

    The caller holds the lock of the data directory.

    Raises:
        SettingsError: the environment contradicts itself; better said here than by each process in turn.
    """

    def __init__(self, directory: DataDirectory, *, host: str, port: int, workers: int, output: Output) -> None:
        self.url: str = f"http://{_in_url(host)}:{port}"
        self._directory: DataDirectory = directory
        self._output: Output = output
        self._embedded: Embedded = Embedded.needed(directory)
        environment = {
            **os.environ,
            **self.endpoints.environment(),
            "HOLDFAST_DATA_DIR": str(directory.path),
            "PYTHONUNBUFFERED": "1",
            "HOLDFAST_LOG_FORMAT": os.environ.get("HOLDFAST_LOG_FORMAT") or output.log_format,
        }
        threads = read_settings(environment).platform.worker_threads
        self._supervisor: Supervisor = Supervisor(
            [[programs.web(host=host, port=port)], [*_workers(workers, threads), programs.clock()]],
            environment=environment,
            log=output.log,
        )

    @property
    def endpoints(self) -> Endpoints:
        """Where its Postgres and Redis are."""
        return self._embedded.endpoints()

    async def start(self) -> None:
        """Start everything and return when the API answers that it is ready.

        Raises:
            CannotReach: something is missing, unreachable, or does not come up.
        """
        await self._embedded.start()
        await prepare_database(self.endpoints)
        self._supervisor.start()
        await self._until_ready()
        self._supervisor.came_up()
        self._directory.describe(
            Description(
                pid=os.getpid(),
                url=self.url,
                database_url=self.endpoints.database_url,
                database_owner_url=self.endpoints.database_owner_url,
                redis_url=self.endpoints.redis_url,
            )
        )

    async def watch(self) -> None:
        """Keep everything running, for ever: what ends is started again."""
        async with asyncio.TaskGroup() as watching:
            watching.create_task(self._watch_servers())
            watching.create_task(self._supervisor.given_up())

    async def _watch_servers(self) -> NoReturn:
        servers = {"postgres": self._embedded.postgres, "redis": self._embedded.redis}
        while True:
            await asyncio.sleep(MEND_POLL_S)
            for name, server in servers.items():
                if server is not None and not server.running:
                    self._output.log(name, "ended; starting it again")
                    await self._mend(name, server.start)

    async def stop(self) -> None:
        """Stop everything in order: the API, the workers and the clock, then the servers they used."""
        self._directory.undescribe()
        await self._supervisor.stop()
        await self._embedded.stop()

    async def kill(self) -> None:
        """Stop everything at once; what was running is taken up again at the next start."""
        self._directory.undescribe()
        await self._supervisor.kill()
        await self._embedded.stop(immediately=True)

    async def _mend(self, name: str, start: Callable[[], Awaitable[None]]) -> None:
        try:
            await start()
        except CannotReach as error:
            self._output.log(name, str(error))
            await asyncio.sleep(MEND_PAUSE_S)

    async def _until_ready(self) -> None:
        given_up = asyncio.ensure_future(self._supervisor.given_up())
        ready = asyncio.ensure_future(self._answers_ready())
        try:
            done, _ = await asyncio.wait(
                {given_up, ready}, timeout=READY_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                raise CannotReach(f"{self.url}/health/ready did not say that it is ready within {READY_TIMEOUT_S} s")
            for task in done:
                task.result()
        finally:
            given_up.cancel()
            ready.cancel()

    async def _answers_ready(self) -> None:
        async with httpx.AsyncClient(base_url=self.url, timeout=READY_ANSWER_S, trust_env=False) as client:
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get("/health/ready")).status_code == HTTPStatus.OK:
                        return
                await asyncio.sleep(READY_POLL_S)


def free_port(host: str, port: int) -> int:
    """`port` if it can be listened on; for 0, one that can.

    Raises:
        CannotReach: something else listens there, or we may not.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise CannotReach(f"cannot listen on {host}:{port} ({reason}): choose another with --port") from None
        return int(probe.getsockname()[1])


def _workers(count: int, threads: int) -> list[programs.Program]:
    names = ["worker"] if count == 1 else [f"worker.{number}" for number in range(1, count + 1)]
    return [programs.worker(threads=threads, name=name) for name in names]


def _in_url(host: str) -> str:
    # A wildcard address is listened on, not connected to.
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
