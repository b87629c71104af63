"""A clock that only seals and projects, as a process of its own: `python -m bench.projector URL`."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Final, cast

import uvloop

from ledger.database import Database
from ledger.garbage import collect_rarely
from workers import sweeps
from workers.context import GenerationContext

SEAL_INTERVAL_S: Final = 0.02
PROJECT_INTERVAL_S: Final = 0.2


async def run(url: str) -> None:
    """Do what the clock does with events, until killed."""
    async with Database(url, name="bench projector") as database:
        # The tasks look at nothing else of it.
        context = cast("GenerationContext", SimpleNamespace(database=database))
        seal = sweeps.sealing()
        print("running", flush=True)
        async with asyncio.TaskGroup() as group:
            group.create_task(_repeat(seal, context, SEAL_INTERVAL_S))
            group.create_task(_repeat(sweeps.project_events, context, PROJECT_INTERVAL_S))


async def _repeat(
    task: Callable[[GenerationContext], Awaitable[int]], context: GenerationContext, interval_s: float
) -> None:
    while True:
        done = await task(context)
        await asyncio.sleep(0 if done >= sweeps.FULL_PROJECTION else interval_s)


if __name__ == "__main__":
    collect_rarely()
    uvloop.run(run(sys.argv[1]))
