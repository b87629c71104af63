"""Keeps the processes of an installation running, and stops them in order.

A process that ends is started again after a pause that doubles, up to a bound, while it keeps failing. The order of
stopping is the reverse of need: the API first, so that nothing new comes in, then who does the work.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, final

from ops.child import Child
from ops.errors import CannotReach
from ops.programs import Program

FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 10.0
HEALTHY_AFTER_S: Final = 30.0
FAILURES_BEFORE_READY: Final = 3

Log = Callable[[str, str], None]
"""Takes the name of a process and one line."""


@final
class Supervisor:
    """Runs stages of programs; a later stage is stopped after an earlier one."""

    def __init__(
        self,
        stages: Sequence[Sequence[Program]],
        *,
        environment: Mapping[str, str],
        log: Log,
    ) -> None:
        self._stages: Sequence[Sequence[Program]] = stages
        self._environment: Mapping[str, str] = environment
        self._log: Log = log
        self._children: dict[str, Child] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._given_up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ready = False
        self._stopping = False

    def start(self) -> None:
        """Start everything; it runs in the background from here on."""
        for program in (program for stage in self._stages for program in stage):
            keeper = asyncio.create_task(self._keep(program))
            keeper.add_done_callback(self._keeper_ended)
            self._keepers[program.name] = keeper

    def came_up(self) -> None:
        """From now on a failing process is started again for ever; until now it would have been given up on."""
        self._ready = True

    async def given_up(self) -> None:
        """Wait for ever, or until a process cannot be kept running.

        Raises:
            CannotReach: it failed again and again before the installation was ready; the message names it.
        """
        await asyncio.shield(self._given_up)

    async def stop(self) -> None:
        """Stop all programs, stage by stage. What does not stop in its time is killed."""
        self._stopping = True
        for stage in self._stages:
            await asyncio.gather(*(self._stop(program.name) for program in stage))
        self._given_up.cancel()

    async def kill(self) -> None:
        """Kill everything at once."""
        self._stopping = True
        for keeper in self._keepers.values():
            keeper.cancel()
        if self._keepers:
            await asyncio.wait(self._keepers.values())
        for child in self._children.values():
            child.kill()
        await asyncio.gather(*(child.ended() for child in self._children.values()))
        self._given_up.cancel()

    async def _stop(self, name: str) -> None:
        # The keeper first: a child it was about to start would escape.
        if keeper := self._keepers.pop(name, None):
            keeper.cancel()
            await asyncio.wait([keeper])
        if child := self._children.get(name):
            await child.stop()

    async def _keep(self, program: Program) -> None:
        pause_s, failures = FIRST_PAUSE_S, 0
        while not self._stopping:
            started = time.monotonic()
            child = await Child.start(
                program,
                environment=self._environment,
                log=lambda line: self._log(program.name, line),
            )
            self._children[program.name] = child
            status = await child.ended()
            if self._stopping:
                return
            if time.monotonic() - started > HEALTHY_AFTER_S:
                pause_s, failures = FIRST_PAUSE_S, 0
            failures += 1
            if not self._ready and failures >= FAILURES_BEFORE_READY:
                self._give_up(program, status)
                return
            self._log(
                program.name,
                f"ended ({_in_words(status)}); starting it again in {pause_s:g} s",
            )
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def _keeper_ended(self, keeper: asyncio.Task[None]) -> None:
        if not keeper.cancelled() and (error := keeper.exception()) and not self._given_up.done():
            self._given_up.set_exception(error)

    def _give_up(self, program: Program, status: int) -> None:
        if not self._given_up.done():
            words = f"{program.name} does not start ({_in_words(status)}); its last lines are above"
            self._given_up.set_exception(CannotReach(words))


def _in_words(status: int) -> str:
    return f"killed by signal {-status}" if status < 0 else f"exit status {status}"
