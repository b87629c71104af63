"""Ctrl-C and its relatives: the first asks to stop, the second means at once."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar, final

Result = TypeVar("Result")


class Stopped(Exception):
    """We were told to stop before the work was done."""


@final
class StopSignals:
    """SIGINT, SIGTERM and SIGHUP of this process, for the life of the running event loop."""

    def __init__(self) -> None:
        self._received: tuple[asyncio.Event, ...] = (asyncio.Event(), asyncio.Event())
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._note_one)

    async def unless_stopped(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do `work`, but drop it at the first signal.

        Raises:
            Stopped: there was one.
        """
        return await _unless(self._received[0], work)

    async def unless_forced(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do `work`, but drop it at the second signal.

        Raises:
            Stopped: there was one.
        """
        return await _unless(self._received[1], work)

    def _note_one(self) -> None:
        first, second = self._received
        (second if first.is_set() else first).set()


async def _unless(event: asyncio.Event, work: Coroutine[Any, Any, Result]) -> Result:
    task = asyncio.ensure_future(work)
    waiting = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Stopped
    finally:
        for each in (waiting, task):
            each.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await each
