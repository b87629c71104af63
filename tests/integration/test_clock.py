"""One clock leads, the others stand by, and a task that breaks does not take the others with it."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import psycopg
import pytest

from tests.generations import account_with, asks_for, generation_context, settings_for
from tests.waiting import eventually
from workers.admission import admit
from workers.clock import PeriodicTask, all_tasks, run_clock
from workers.context import GenerationContext
from workers.generations import GenerationStatus, get_generation
from workers.payments.gateways.registry import Gateways
from workers.settings import Settings


class Ticks:
    """A periodic task that counts its runs, and fails in the first ones if told to."""

    def __init__(self, *, failures: int = 0, error: type[Exception] = RuntimeError) -> None:
        self.count = 0
        self._failures, self._error = failures, error

    async def run(self, _context: GenerationContext) -> int:
        self.count += 1
        if self.count <= self._failures:
            raise self._error
        return 0

    def task(self, interval_s: float = 0.02) -> PeriodicTask:
        return PeriodicTask("tick", interval_s, self.run)


@pytest.fixture
def settings(database_url: str, redis_url: str) -> Settings:
    return settings_for(database_url, redis_url)


@contextlib.asynccontextmanager
async def clock(settings: Settings, *tasks: PeriodicTask) -> AsyncGenerator[None]:
    running = asyncio.create_task(run_clock(settings, tasks=tasks))
    try:
        yield
    finally:
        running.cancel()
        await asyncio.wait({running})


async def test_only_one_of_two_clocks_leads(settings: Settings) -> None:
    first, second = Ticks(), Ticks()
    async with clock(settings, first.task()):
        await eventually(lambda: first.count > 0)
        async with clock(settings, second.task()):
            seen = first.count
            await eventually(lambda: first.count > seen + 50)

            assert second.count == 0


async def test_a_standby_leads_once_the_leader_is_gone(settings: Settings) -> None:
    first, second = Ticks(), Ticks()
    async with contextlib.AsyncExitStack() as standby:
        async with clock(settings, first.task()):
            await eventually(lambda: first.count > 0)
            await standby.enter_async_context(clock(settings, second.task()))

        await eventually(lambda: second.count > 0)


async def test_a_leader_that_loses_its_connection_stops_and_stands_by(settings: Settings, superuser_url: str) -> None:
    ticks = Ticks()
    async with clock(settings, ticks.task()):
        await eventually(lambda: ticks.count > 0)

        with psycopg.connect(superuser_url, autocommit=True) as connection:
            ended = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'holdfast clock lead' AND datname = current_database()"
            ).fetchall()
        assert ended == [(True,)]
        seen = ticks.count

        await eventually(lambda: ticks.count > seen + 100)


@pytest.mark.parametrize("error", [RuntimeError, OSError])
async def test_a_task_that_fails_is_run_again_and_disturbs_nobody(settings: Settings, error: type[Exception]) -> None:
    failing, healthy = Ticks(failures=2, error=error), Ticks()
    async with clock(settings, failing.task(), healthy.task()):
        await eventually(lambda: failing.count > 3)

    assert healthy.count > failing.count


async def test_a_full_batch_is_followed_by_the_next_at_once(settings: Settings) -> None:
    left = [5] * 4 + [0]

    async def work(_context: GenerationContext) -> int:
        return left.pop(0) if left else 0

    async with clock(settings, PeriodicTask("work", 60, work, full_batch=5)):
        await eventually(lambda: left == [], within_s=30)


async def test_the_clock_runs_all_its_tasks(settings: Settings, database_url: str, redis_url: str) -> None:
    async with generation_context(database_url, redis_url) as context:
        admitted = await admit(context, await account_with(context), asks_for(), request_id="r")
        with psycopg.connect(database_url) as connection:
            connection.execute("UPDATE generations SET deadline_at = now() - interval '1 s'")

        async with clock(settings, *all_tasks(settings, Gateways({}))):

            async def has_failed() -> bool:
                ended = await get_generation(context.database, admitted.generation.id)
                return ended.status is GenerationStatus.failed

            await eventually(has_failed)
