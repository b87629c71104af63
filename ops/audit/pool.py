"""Work on ranges of the log in several processes that see one moment of the database."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import multiprocessing
import os
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Final

from ledger.garbage import collect_rarely

MOST_PROCESSES: Final = 8

Job = tuple[Callable[..., Coroutine[Any, Any, Any]], Any]
"""A coroutine function of one argument that another process can import, and the argument."""

Run = Callable[[Sequence[Job]], Awaitable[list[Any]]]
"""Runs jobs, as many at once as there are processes, and returns what each returned, in their order."""


@contextlib.asynccontextmanager
async def processes(module: str, *, total: int, progress: Callable[[int, int], None]) -> AsyncGenerator[Run]:
    """Start a process for each core, which imports a module that jobs come from; yield what runs jobs there.

    `progress` is called with how many jobs are done and how many there are going to be. The first that raises ends the
    others, if that leaves the context.
    """
    done = 0
    progress(0, total)
    count = max(1, min(MOST_PROCESSES, _cores(), total))
    # Started anew and not forked: a fork would share our connections.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_begin)

    async def run_one(job: Job) -> Any:
        nonlocal done
        result = await asyncio.get_running_loop().run_in_executor(pool, _run, *job)
        done += 1
        progress(done, total)
        return result

    async def run(jobs: Sequence[Job]) -> list[Any]:
        return await asyncio.gather(*map(run_one, jobs))

    with pool:
        try:
            for _ in range(count):
                pool.submit(importlib.import_module, module)
            yield run
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _begin() -> None:
    """Begin as a process that works for another, and ends with it even if that one is killed."""
    collect_rarely()
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "it was started by another"
    parent.join()
    os._exit(1)


def _run(function: Callable[[Any], Coroutine[Any, Any, Any]], argument: object) -> Any:
    return asyncio.run(function(argument))


def _cores() -> int:
    """Return how many cores we may use; not every system says which those are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
