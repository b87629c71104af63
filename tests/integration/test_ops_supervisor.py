"""The supervisor with real processes: what crashes comes back, what is stopped leaves nothing behind."""

import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ops.errors import CannotReach
from ops.programs import Program
from ops.services.process import command_line
from ops.supervisor import Supervisor
from tests.waiting import eventually

WAITS = "import signal; print('up', flush=True); signal.pause()"
IGNORES_SIGTERM = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAITS}"
SAYS_FAREWELL = (
    "import signal, sys; "
    "signal.signal(signal.SIGTERM, lambda *_: (print('bye', flush=True), sys.exit(0))); "
    "print('up', flush=True); signal.pause()"
)
LEAVES_A_CHILD = (
    "import subprocess, sys, signal; "
    "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()']); "
    "print(child.pid, flush=True); signal.pause()"
)


class Log:
    """Collects what the supervisor passes on."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __call__(self, name: str, line: str) -> None:
        self.lines.append((name, line))

    def of(self, name: str) -> list[str]:
        return [line for source, line in self.lines if source == name]


def python(name: str, script: str, *, grace_s: float = 5) -> Program:
    return Program(name, (sys.executable, "-u", "-c", script), grace_s)


def says_its_pid(name: str, script: str = "signal.pause()") -> Program:
    return python(name, f"import os, signal, sys; print(os.getpid(), flush=True); {script}")


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
async def running(log: Log) -> AsyncIterator[list[Supervisor]]:
    """Supervisors put in here are killed at the end, whatever happens."""
    started: list[Supervisor] = []
    yield started
    for supervisor in started:
        await supervisor.kill()


def supervise(log: Log, running: list[Supervisor], *stages: list[Program]) -> Supervisor:
    supervisor = Supervisor(stages, environment=os.environ, log=log)
    running.append(supervisor)
    supervisor.start()
    return supervisor


async def test_lines_carry_the_name_of_the_process_that_wrote_them(log: Log, running: list[Supervisor]) -> None:
    supervise(log, running, [python("one", WAITS), python("two", WAITS)])

    await eventually(lambda: {("one", "up"), ("two", "up")} <= set(log.lines))


async def test_a_line_longer_than_the_buffer_arrives_in_parts_and_whole(log: Log, running: list[Supervisor]) -> None:
    length = 300_000
    supervise(
        log, running, [python("long", f"import signal; print('x' * {length} + 'end', flush=True); signal.pause()")]
    )

    await eventually(lambda: "".join(log.of("long")).endswith("end"))

    assert "".join(log.of("long")) == "x" * length + "end"


async def test_a_killed_process_is_started_again(log: Log, running: list[Supervisor]) -> None:
    supervisor = supervise(log, running, [says_its_pid("web")])
    supervisor.came_up()
    await eventually(lambda: len(log.of("web")) == 1)

    os.kill(int(log.of("web")[0]), signal.SIGKILL)

    await eventually(lambda: len(log.of("web")) == 3)
    assert "killed by signal 9" in log.of("web")[1]
    assert command_line(int(log.of("web")[2]))


async def test_children_of_a_crashed_process_do_not_outlive_it(log: Log, running: list[Supervisor]) -> None:
    supervisor = supervise(log, running, [python("worker", LEAVES_A_CHILD)])
    supervisor.came_up()
    await eventually(lambda: len(log.of("worker")) == 1)
    grandchild = int(log.of("worker")[0])
    parent = parent_of(grandchild)

    os.kill(parent, signal.SIGKILL)

    await eventually(lambda: not command_line(grandchild))


async def test_a_process_that_cannot_start_is_given_up_before_the_installation_is_ready(
    log: Log, running: list[Supervisor]
) -> None:
    supervisor = supervise(log, running, [python("web", "raise SystemExit(7)")])

    with pytest.raises(CannotReach, match=r"web does not start \(exit status 7\)"):
        await supervisor.given_up()


async def test_the_first_stage_has_stopped_before_the_second_is_asked_to(log: Log, running: list[Supervisor]) -> None:
    stages = [[python(name, SAYS_FAREWELL, grace_s=60)] for name in ("web", "worker")]
    supervisor = supervise(log, running, *stages)
    await eventually(lambda: len(log.lines) == 2)

    await supervisor.stop()

    assert [name for name, line in log.lines if line == "bye"] == ["web", "worker"]


async def test_stopping_kills_what_does_not_stop_in_its_time(log: Log, running: list[Supervisor]) -> None:
    supervisor = supervise(
        log, running, [python("stubborn", f"import os; print(os.getpid()); {IGNORES_SIGTERM}", grace_s=0.2)]
    )
    await eventually(lambda: len(log.of("stubborn")) == 2)

    await supervisor.stop()

    assert not command_line(int(log.of("stubborn")[0]))


async def test_stopping_while_a_process_is_between_two_starts_leaves_none(log: Log, running: list[Supervisor]) -> None:
    supervisor = supervise(log, running, [says_its_pid("web", "sys.exit(1)")])
    supervisor.came_up()
    await eventually(lambda: len(log.of("web")) >= 2)

    await supervisor.stop()

    pids = [int(line) for line in log.of("web") if line.isdigit()]
    assert not [pid for pid in pids if command_line(pid)]
