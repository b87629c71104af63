"""Work on ranges of the log in several processes that see one moment of the database."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Final

from ledger.garbage import collect_rarely

MOST_PROCESSES: Final = 8

Job = tuple[Callable[..., Coroutine[Any, Any, Any]], Any]
"""A coroutine function of one argument that another process can import, and the argument."""


async def run_all(jobs: Sequence[Job], *, progress: Callable[[int, int], None]) -> list[Any]:
    """Run jobs, as many at once as there are cores; return what each returned, in their order.

    `progress` is called with how many are done and how many there are. The first that raises ends the others.
    """
    done = 0
    progress(0, len(jobs))
    # Started anew and not forked: a fork would share our connections.
    context = multiprocessing.get_context("spawn")
    processes = max(1, min(MOST_PROCESSES, len(os.sched_getaffinity(0)), len(jobs)))
    with ProcessPoolExecutor(processes, mp_context=context, initializer=collect_rarely) as pool:

        async def run(job: Job) -> Any:
            nonlocal done
            result = await asyncio.get_running_loop().run_in_executor(pool, _run, *job)
            done += 1
            progress(done, len(jobs))
            return result

        try:
            return await asyncio.gather(*map(run, jobs))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _run(function: Callable[[Any], Coroutine[Any, Any, Any]], argument: object) -> Any:
    return asyncio.run(function(argument))
