"""A whole Holdfast as `holdfast up` starts it, for the figures that go over HTTP."""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

import httpx
import msgspec

from bench.ports import free_port
from ops.services.redis import EmbeddedRedis

START_TIMEOUT_S: Final = 90
STOP_TIMEOUT_S: Final = 15


class Platform(msgspec.Struct, frozen=True):
    """Where it answers, and with which keys."""

    host: str
    port: int
    admin_key: str
    demo_key: str
    demo_account_id: str
    redis_url: str
    database_url: str
    """Logs in as the application."""
    process_id: int
    """Of the supervisor; the processes of the platform are its children."""

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://{self.host}:{self.port}"

    def client(self) -> httpx.AsyncClient:
        """An HTTP client with the administrator's key."""
        return httpx.AsyncClient(
            base_url=self.url, headers={"Authorization": f"Bearer {self.admin_key}"}, timeout=30, trust_env=False
        )


@contextlib.asynccontextmanager
async def running(**settings: str) -> AsyncGenerator[Platform]:
    """Start one with data of its own, and these variables in its environment, and stop it."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as path:
        port = free_port()
        admin_key = secrets.token_urlsafe(32)
        log = Path(path) / "up.log"
        with log.open("wb") as log_file:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "ops", "up", "--json", f"--port={port}", f"--data-dir={path}/data"),
                env=_environment(admin_key) | settings,
                stdout=asyncio.subprocess.PIPE,
                stderr=log_file,
            )
        try:
            assert process.stdout is not None
            async with asyncio.timeout(START_TIMEOUT_S):
                line = await process.stdout.readline()
            if not line:
                raise RuntimeError(f"holdfast did not start: {log.read_text(errors='replace')[-2000:]}")
            ready = json.loads(line)
            drain = asyncio.create_task(_drain(process.stdout))
            yield Platform(
                host="127.0.0.1",
                port=port,
                admin_key=admin_key,
                demo_key=ready["demo_key"],
                demo_account_id=ready["account_id"],
                redis_url=_redis_url(Path(path) / "data"),
                database_url=json.loads((Path(path) / "data" / "instance.json").read_text())["database_url"],
                process_id=process.pid,
            )
            drain.cancel()
        finally:
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await process.wait()


async def _drain(stream: asyncio.StreamReader) -> None:
    while await stream.read(65_536):
        pass


def _environment(admin_key: str) -> dict[str, str]:
    dropped = {"DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "BROKER_URL"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return kept | {"HOLDFAST_BOOTSTRAP_ADMIN_KEY": admin_key}


def _redis_url(data_dir: Path) -> str:
    return EmbeddedRedis(data_dir).url
