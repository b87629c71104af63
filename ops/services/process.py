"""One server as a child process: started, watched, stopped; and what an earlier one left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import final

from ops.services.identity import Identity, launched

POLL_S = 0.01
LOG_KEPT_BYTES = 10 * 2**20
TAIL_BYTES = 4096


@final
class ServiceProcess:
    """A child process whose output goes to a log file.

    It is not bound to an event loop: it may be started in one and stopped in another. Start it from a thread that
    lives as long as it should, for the kernel signals it when that thread ends.
    """

    def __init__(
        self,
        command: list[str],
        *,
        identity: Identity,
        log_path: Path,
        parent_death_signal: int,
    ) -> None:
        self._command = launched(identity, parent_death_signal=parent_death_signal, command=command)
        self._log_path = log_path
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the server itself."""
        assert self._child is not None, "not started"
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether the child was started and has not ended."""
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        """Start the child in a session of its own, so that Ctrl-C in our terminal does not reach it."""
        assert not self.running, "already running"
        self._log_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._log_path.exists() and self._log_path.stat().st_size > LOG_KEPT_BYTES:
            self._log_path.replace(self._log_path.with_suffix(".log.1"))
        with self._log_path.open("ab") as log:
            self._child = subprocess.Popen(  # noqa: S603 - the command of the class that owns this
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
                env=_plain_environment(),
            )

    def signal(self, signal_number: int) -> None:
        """Send a signal, if there is still somebody to receive it."""
        if self._child is not None and self._child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self._child.send_signal(signal_number)

    async def ended(self, timeout_s: float) -> bool:
        """Wait for the child to end; False if it has not within the time."""
        deadline = time.monotonic() + timeout_s
        while self.running:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(POLL_S)
        return True

    async def stop(self, *signals: int, timeout_s: float) -> None:
        """Send each signal in turn until the child ends, waiting up to `timeout_s` after each; SIGKILL comes last."""
        for signal_number in (*signals, signal.SIGKILL):
            self.signal(signal_number)
            if await self.ended(timeout_s):
                break
        self._child = None

    def log_tail(self) -> str:
        """Return the last lines the server wrote."""
        with self._log_path.open("rb") as log:
            log.seek(max(0, self._log_path.stat().st_size - TAIL_BYTES))
            return log.read().decode(errors="replace")


def _plain_environment() -> dict[str, str]:
    """No PG… or locale variable of the caller may change what a server does."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def command_line(pid: int) -> str:
    """Return what process `pid` was started with; empty when there is no such process."""
    proc = Path("/proc") / str(pid) / "cmdline"
    if Path("/proc/self").exists():
        with contextlib.suppress(OSError):
            return proc.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return ""
    listed = subprocess.run(  # noqa: S603 - a number cannot be a command
        ["/bin/ps", "-o", "command=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    return listed.stdout.strip()


async def stop_leftover(pid_file: Path, *, marker: str, stop_signal: int, timeout_s: float) -> None:
    """Stop the server an earlier, killed instance left running, and remove its pid file.

    Only a process whose command line contains `marker` (its data directory) is touched: the number in the file may long
    since belong to a stranger. The file goes too, because Postgres would take that stranger for its predecessor.
    The caller holds the lock of the data directory.
    """
    pid = _pid_in(pid_file)
    for signal_number in (stop_signal, signal.SIGKILL):
        if marker in command_line(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal_number)
            await _until_gone(pid, marker, timeout_s)
    _remove(pid_file)


def _remove(pid_file: Path) -> None:
    pid_file.unlink(missing_ok=True)


def _pid_in(pid_file: Path) -> int:
    """Return the number in the first line, or 0, which is nobody's."""
    try:
        return max(0, int(pid_file.read_text().split("\n", 1)[0]))
    except (FileNotFoundError, ValueError):
        return 0


async def _until_gone(pid: int, marker: str, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while marker in command_line(pid):
        if time.monotonic() > deadline:
            return
        await asyncio.sleep(POLL_S)
