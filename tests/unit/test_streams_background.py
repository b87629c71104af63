import asyncio

import pytest

from tests.waiting import eventually
from workers.streams import background
from workers.streams.background import start_all, stop_all


async def test_a_job_that_breaks_is_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "RESTART_S", 0.001)
    begun = 0

    async def job() -> None:
        nonlocal begun
        begun += 1
        if begun < 3:
            raise RuntimeError("a bug")
        await asyncio.Event().wait()

    tasks = start_all(job)
    await eventually(lambda: begun == 3)

    await stop_all(tasks)
    assert all(task.cancelled() for task in tasks)
