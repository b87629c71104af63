"""The processes of an installation and how each is started: the one place `holdfast up` and the Procfile both use."""

from __future__ import annotations

import os
import sys
from typing import Final

import msgspec

WEB_GRACE_S: Final = 4.0  # the API tells open streams to reconnect and has ended within three seconds
WORKER_GRACE_S: Final = 4.5  # it gives what it runs 3.5 s; what is cut short the next worker takes up again
CLOCK_GRACE_S: Final = 2.0


class Program(msgspec.Struct, frozen=True):
    """One process: its name in the log, its command, and how long it may take to stop after SIGTERM."""

    name: str
    command: tuple[str, ...]
    grace_s: float


def web(*, host: str, port: int) -> Program:
    """Describe the API process."""
    return Program("web", (*_python("ops"), "web", f"--host={host}", f"--port={port}"), WEB_GRACE_S)


def worker(*, threads: int, name: str = "worker") -> Program:
    """Describe one worker process; every generation it runs waits in a thread of its own."""
    return Program(name, (*_python("workers.main"), f"--threads={threads}"), WORKER_GRACE_S)


def clock() -> Program:
    """Describe the process that does what is due by time: one leader, any number of standbys."""
    return Program("clock", _python("workers.clock"), CLOCK_GRACE_S)


def become(program: Program) -> None:
    """Turn this process into the program, so that a supervisor's signals reach it directly."""
    os.execv(program.command[0], program.command)  # noqa: S606 - to become that program is the purpose


def _python(module: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module)
