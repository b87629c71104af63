"""Embedded Postgres 18: made, started, stopped and recovered without a password, a port or a system user."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self, final
from urllib.parse import quote

import psycopg

from ledger import statements
from ops.errors import CannotReach
from ops.services.binaries import postgres_programs
from ops.services.identity import Identity, identity_for, launched
from ops.services.memory import buffers_mb
from ops.services.process import POLL_S, ServiceProcess, stop_leftover
from ops.services.sockets import prepare, release, remove_postgres_sockets, socket_directory

sql = statements.load("ops.services")

SUPERUSER: Final = "postgres"
OWNER: Final = "holdfast_owner"
APPLICATION: Final = "holdfast_app"
DATABASE: Final = "holdfast"

INITDB_TIMEOUT_S = 120
READY_TIMEOUT_S = 120  # crash recovery replays up to max_wal_size
STOP_TIMEOUT_S = 5
PREDECESSOR_TIMEOUT_S = 10
PREDECESSOR_ALIVE = "pre-existing shared memory block"

STOP_SIGNALS: Final = {
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
    "kill": signal.SIGKILL,
}

PAGE_CACHE: Final = 4
"""So many times the memory of our own can be reckoned with, counting what the system keeps of our files."""

SETTINGS: Final[Mapping[str, str]] = {
    # No port: the socket directory is private to the user, which is the whole of access control here.
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    # Durable: a commit that was answered survives a power cut. These are the defaults, said aloud.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    # Few, spread-out checkpoints: after each one every page is written to the log in full once more.
    "max_wal_size": "2GB",
    "min_wal_size": "256MB",
    "checkpoint_timeout": "15min",
    "wal_buffers": "16MB",
    # Replication needs its own installation; without it the log is smaller and shutdown does not wait for senders.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # The statements are short and the cores are shared with the API and the workers: plans stay simple.
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "random_page_cost": "1.1",
    # Small hot tables (accounts, freezes, outbox) change all the time: vacuum them often.
    "autovacuum_naptime": "15s",
    # A client that vanished must not hold locks; ours finish in milliseconds.
    "idle_in_transaction_session_timeout": "60s",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] %u@%d ",
}


@final
class EmbeddedPostgres:
    """A Postgres cluster in `<data_dir>/postgres`, with database `holdfast`, its owner, and the application's role.

    One at a time per data directory: the caller holds its lock (`ops.instance`). Start may be called again after a stop
    of any kind, also after everything was killed; URLs stay the same.
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
        self._cluster = self._data_dir / "postgres"
        self._sockets = socket_directory(self._data_dir)
        buffers = buffers_mb()
        self._settings = {
            **SETTINGS,
            "shared_buffers": f"{buffers}MB",
            "effective_cache_size": f"{PAGE_CACHE * buffers}MB",
            "unix_socket_directories": str(self._sockets),
            **(settings or {}),
        }
        self._identity = identity
        self._process: ServiceProcess | None = None

    @property
    def superuser_url(self) -> str:
        """Logs in as the role that owns the cluster: for repair, and for tests that need it."""
        return self.url_for(SUPERUSER)

    @property
    def owner_url(self) -> str:
        """Logs in as the role that owns the tables and migrates; not a superuser."""
        return self.url_for(OWNER)

    @property
    def app_url(self) -> str:
        """Logs in as the application's role, which cannot alter or delete events."""
        return self.url_for(APPLICATION)

    @property
    def pid(self) -> int:
        """The process id of the postmaster."""
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the postmaster is alive."""
        return self._process is not None and self._process.running

    @property
    def log_path(self) -> Path:
        """Where the server writes its log."""
        return self._data_dir / "logs" / "postgres.log"

    def url_for(self, role: str, database: str = DATABASE) -> str:
        """Return the URL by which `role` reaches `database` over the Unix socket."""
        return f"postgresql://{role}@/{quote(database)}?host={quote(str(self._sockets), safe='')}"

    async def start(self) -> None:
        """Start the server, making the cluster first if there is none, and wait until it answers.

        Raises:
            CannotReach: it did not start; the message ends with what the server said.
        """
        assert not self.running, "already running"
        self._data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        identity = self._identity or identity_for(self._data_dir)
        prepare(self._sockets, identity)
        identity.adopt(self._cluster)
        if not self._cluster.exists():
            await asyncio.to_thread(self._make_cluster, identity)
        await stop_leftover(
            self._cluster / "postmaster.pid",
            marker=str(self._cluster),
            stop_signal=signal.SIGINT,
            timeout_s=STOP_TIMEOUT_S,
        )
        # Its socket's lock names the same process, and would be believed while a stranger or a zombie has that number.
        remove_postgres_sockets(self._sockets)
        try:
            await self._start_server(identity)
            await self._ensure_roles_and_database()
        except BaseException:
            await self.stop()
            raise

    async def stop(self, mode: Literal["fast", "immediate", "kill"] = "fast") -> None:
        """Stop the server: `fast` rolls back and checkpoints, the others leave recovery to the next start."""
        if self._process is not None:
            await self._process.stop(STOP_SIGNALS[mode], signal.SIGQUIT, timeout_s=STOP_TIMEOUT_S)
            self._process = None
            release(self._sockets)

    async def restart(self, mode: Literal["fast", "immediate", "kill"] = "fast") -> None:
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

    def _make_cluster(self, identity: Identity) -> None:
        # Under another name first: a cluster that was begun and not finished is never mistaken for a whole one.
        unfinished = self._data_dir / "postgres.unfinished"
        if unfinished.exists():
            shutil.rmtree(unfinished)
        unfinished.mkdir(mode=0o700)
        identity.adopt(unfinished)
        command = [
            str(postgres_programs() / "initdb"),
            f"--pgdata={unfinished}",
            f"--username={SUPERUSER}",
            "--auth=trust",  # the socket directory is private, and there is no port
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
        ]
        made = subprocess.run(  # noqa: S603 - the program of our own wheel
            launched(identity, parent_death_signal=signal.SIGKILL, command=command),
            capture_output=True,
            text=True,
            timeout=INITDB_TIMEOUT_S,
            check=False,
            cwd="/",
        )
        if made.returncode != 0:
            raise CannotReach(f"cannot make a Postgres cluster in {self._cluster}: {_reason(made.stderr)}")
        unfinished.rename(self._cluster)

    async def _start_server(self, identity: Identity) -> None:
        """Start the postmaster; try again while processes of a killed predecessor are still ending."""
        settings = [f"--{name}={value}" for name, value in self._settings.items()]
        process = ServiceProcess(
            [
                str(postgres_programs() / "postgres"),
                "-D",
                str(self._cluster),
                *settings,
            ],
            identity=identity,
            log_path=self.log_path,
            parent_death_signal=signal.SIGINT,
        )
        deadline = time.monotonic() + PREDECESSOR_TIMEOUT_S
        self._process = process
        while True:
            process.start()
            if await self._ready(process):
                return
            said = process.log_tail()
            if PREDECESSOR_ALIVE not in said.rsplit("FATAL", 1)[-1] or time.monotonic() > deadline:
                raise CannotReach(f"the embedded Postgres did not start: {_reason(said)} (see {self.log_path})")
            await asyncio.sleep(POLL_S * 10)

    async def _ready(self, process: ServiceProcess) -> bool:
        """Wait until the postmaster says it takes connections; False if it ended instead."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        while process.running:
            if time.monotonic() > deadline:
                await process.stop(signal.SIGQUIT, timeout_s=STOP_TIMEOUT_S)
                return False
            with contextlib.suppress(FileNotFoundError):
                lines = (self._cluster / "postmaster.pid").read_text().split("\n")
                # The eighth line is the state; pg_ctl waits for it in the same way.
                if lines[0] == str(process.pid) and len(lines) > 7 and lines[7].strip() == "ready":
                    return True
            await asyncio.sleep(POLL_S)
        return False

    async def _ensure_roles_and_database(self) -> None:
        """Make what is missing, at every start: a first start may have been killed half way."""
        url = self.url_for(SUPERUSER, "postgres")
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            await connection.execute(sql.CREATE_ROLES)
            found = await connection.execute(sql.FIND_DATABASE, {"name": DATABASE})
            if await found.fetchone() is None:
                await connection.execute(sql.CREATE_DATABASE)


def _reason(output: str) -> str:
    """Find the line that says why Postgres gave up; it goes on to say that it has shut down."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    fatal = [line for line in lines if "FATAL" in line or "PANIC" in line or "error:" in line]
    return (fatal or lines or ["it said nothing"])[-1]
