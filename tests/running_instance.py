"""`holdfast up` as a child process, as a user runs it."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import msgspec

READY_TIMEOUT_S = 60
STOP_TIMEOUT_S = 10


class RunningInstance:
    """One run of `holdfast up`, and what it said when it was ready."""

    def __init__(self, process: asyncio.subprocess.Process, data_dir: Path, log: Path) -> None:
        self.process = process
        self.data_dir = data_dir
        self.log = log
        self.ready: dict[str, Any] = {}

    @property
    def url(self) -> str:
        return self.ready["url"]

    @property
    def headers(self) -> dict[str, str]:
        """Those of the demo account."""
        return {"Authorization": f"Bearer {self.ready['demo_key']}"}

    async def until_ready(self) -> None:
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), READY_TIMEOUT_S)
        assert line, f"ended before it was ready:\n{self.log.read_text()}"
        self.ready = msgspec.json.decode(line)

    async def stop(self, signal_number: int = signal.SIGTERM) -> float:
        """Stop it; return how many seconds that took."""
        began = time.monotonic()
        self.process.send_signal(signal_number)
        await asyncio.wait_for(self.process.wait(), STOP_TIMEOUT_S + 5)
        return time.monotonic() - began

    def processes(self) -> dict[int, str]:
        """The command lines of the processes that were started with this data directory, or told of it."""
        return {
            pid: command
            for pid, command, environment in _all_processes()
            if str(self.data_dir) in command or f"HOLDFAST_DATA_DIR={self.data_dir}" in environment
        }

    def pid_of(self, words: str) -> int:
        """The one process whose command line contains `words`."""
        (pid,) = [pid for pid, line in self.processes().items() if words in line]
        return pid


@contextlib.asynccontextmanager
async def running_instance(data_dir: Path, *words: str, **environment: str) -> AsyncGenerator[RunningInstance]:
    """Run `holdfast up` on any free port until the end of the block; it is ready when the block begins."""
    async with started_instance(data_dir, *words, **environment) as instance:
        await instance.until_ready()
        yield instance


@contextlib.asynccontextmanager
async def started_instance(data_dir: Path, *words: str, **environment: str) -> AsyncGenerator[RunningInstance]:
    """Start `holdfast up` and do not wait for it."""
    inherited = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    log_path = data_dir.parent / f"{data_dir.name}.log"
    with log_path.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ops", "up", "--json", "--port=0", f"--data-dir={data_dir}", *words,
            stdout=subprocess.PIPE, stderr=log, env={**inherited, **environment},
        )  # fmt: skip
    try:
        yield RunningInstance(process, data_dir, log_path)
    finally:
        if process.returncode is None:
            process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S + 5)
        if process.returncode is None:
            process.kill()
            await process.wait()


def _all_processes() -> Iterator[tuple[int, str, list[str]]]:
    """Id, command line and environment of every process that we may look at and that is no zombie."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                environment = (entry / "environ").read_bytes().decode(errors="replace").split("\0")
                yield int(entry.name), command, environment
