"""Jobs that every reader of a process depends on, and that must therefore outlive their own bugs."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog

RESTART_S: Final = 0.5

_log = structlog.stdlib.get_logger(__name__)


def start_all(*jobs: Callable[[], Coroutine[Any, Any, None]]) -> list[asyncio.Task[None]]:
    """Run endless jobs as tasks; one that breaks is logged and begun again."""
    return [asyncio.create_task(_keep_running(job), name=job.__name__) for job in jobs]


async def stop_all(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel the tasks and wait until they are gone."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _keep_running(job: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while True:
        try:
            await job()
        except Exception:  # noqa: BLE001 - it is logged with its trace, and the job goes on
            _log.exception("stream_job_broke", job=job.__name__)
        await asyncio.sleep(RESTART_S)
