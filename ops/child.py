"""One supervised process: its output goes line by line to a log, and its whole process group ends with it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping
from typing import Final, final

from ops.programs import Program
from ops.services.identity import AS_WE_ARE, launched

LINE_LIMIT_BYTES: Final = 64 * 1024
OUTPUT_DRAIN_S: Final = 1.0


@final
class Child:
    """A program that runs until it ends or is stopped. If we are killed, the kernel asks it to stop."""

    def __init__(self, program: Program, process: asyncio.subprocess.Process, output: asyncio.Task[None]) -> None:
        self._program = program
        self._process = process
        self._output = output

    @classmethod
    async def start(
        cls,
        program: Program,
        *,
        environment: Mapping[str, str],
        log: Callable[[str], None],
    ) -> Child:
        """Start the program in a process group of its own, so that Ctrl-C in our terminal does not reach it."""
        command = launched(AS_WE_ARE, parent_death_signal=signal.SIGTERM, command=list(program.command))
        # A pipe of our own: asyncio would take the program to be running for as long as a child of its holds the pipe.
        read_end, write_end = os.pipe()
        output = asyncio.StreamReader(limit=LINE_LIMIT_BYTES)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(output), os.fdopen(read_end, "rb", buffering=0)
        )
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
                env=dict(environment),
            )
        except BaseException:
            transport.close()
            raise
        finally:
            os.close(write_end)
        return cls(program, process, asyncio.create_task(_copy(output, transport, log)))

    @property
    def pid(self) -> int:
        """The process id, which is the id of its process group too."""
        return self._process.pid

    async def ended(self) -> int:
        """Wait for the program to end, end what it left behind, and return its exit status (negative: a signal)."""
        status = await self._process.wait()
        self.kill()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._output, OUTPUT_DRAIN_S)
        return status

    async def stop(self) -> None:
        """Ask the program to stop, and kill its group when its time is over."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), self._program.grace_s)
        self.kill()
        await self.ended()

    def kill(self) -> None:
        """Kill whatever is left of the process group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


async def _copy(output: asyncio.StreamReader, transport: asyncio.ReadTransport, log: Callable[[str], None]) -> None:
    with contextlib.closing(transport):
        await _copy_lines(output, log)


async def _copy_lines(output: asyncio.StreamReader, log: Callable[[str], None]) -> None:
    """Pass on line by line; a line longer than the buffer comes in parts."""
    while True:
        try:
            line = await output.readuntil()
        except asyncio.IncompleteReadError as at_end:
            if at_end.partial:
                log(at_end.partial.decode(errors="replace"))
            return
        except asyncio.LimitOverrunError as too_long:
            line = await output.readexactly(max(1, too_long.consumed))
        log(line.decode(errors="replace").rstrip("\n"))
