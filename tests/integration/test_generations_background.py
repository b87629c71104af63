"""Generations whose provider works in the background, run by workers: one job, one settlement, whatever happens."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import psycopg
import pytest

from tests.background_jobs import entries_in, jobs_in, make_due
from tests.fakes.replicate_server import API_TOKEN, MODEL, FakeReplicate, refused
from tests.fakes.scripted_server import Cut, no_answer
from tests.generations import account_with, freeze_states, generation_context, heads_of, settings_for
from tests.waiting import eventually
from workers.admission import admit
from workers.cancels import cancel_generation
from workers.context import GenerationContext
from workers.generations import Generation, GenerationStatus, get_generation
from workers.late_results import JobFollower
from workers.models import ModelDefinition, ModelTimeouts
from workers.pricing import Prices
from workers.requests import GenerationRequest
from workers.runtime import WorkerRuntime
from workers.settings import Settings

PRICE = 3_000_000
COST_PER_COMPUTE_SECOND = 10_000
PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg=="
)


class Bench:
    """A fake Replicate, an account, and as many workers as the test starts."""

    def __init__(self, server: FakeReplicate, context: GenerationContext, settings: Settings, account: UUID) -> None:
        self.server, self.context, self.settings, self.account = server, context, settings, account

    async def start(self) -> UUID:
        request = GenerationRequest(model="painter", mode="image", input={"prompt": "A harbour at dusk"})
        return (await admit(self.context, self.account, request, request_id="r")).generation.id

    async def run(self, generation_id: UUID) -> Generation:
        """Run it in a worker of its own, until that worker is done with it."""
        async with WorkerRuntime(self.settings) as worker:
            await worker.run(generation_id, account_id=self.account)
        return await self.read(generation_id)

    async def read(self, generation_id: UUID) -> Generation:
        return await get_generation(self.context.database, generation_id)

    def calls(self) -> list[tuple[str, int | None]]:
        with psycopg.connect(self.context.database.url) as connection:
            return connection.execute(
                "SELECT outcome, cost_microdollars FROM generation_attempts ORDER BY attempt, call"
            ).fetchall()

    async def limit_to(self, total_s: float) -> None:
        """Let the model take so long and no longer."""
        await define(self.context, ModelTimeouts(first_token_s=total_s, total_s=total_s))


async def define(context: GenerationContext, timeouts: ModelTimeouts) -> None:
    definition = ModelDefinition(
        name="painter", provider="replicate", upstream_name=MODEL, modes=("image",), timeouts=timeouts
    )
    await context.catalogue.upsert_model(definition, changed_by="test")


@pytest.fixture
async def bench(database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    async with FakeReplicate() as server:
        environment = {
            "REPLICATE_API_TOKEN": API_TOKEN,
            "REPLICATE_BASE_URL": server.base_url,
            "HOLDFAST_DATA_DIR": str(tmp_path_factory.mktemp("data")),
        }
        async with generation_context(database_url, redis_url, environment) as context:
            await define(context, ModelTimeouts())
            costs = Prices(per_compute_second=COST_PER_COMPUTE_SECOND)
            await context.catalogue.set_price("painter", prices=Prices(per_image=PRICE), costs=costs, changed_by="test")
            settings = settings_for(database_url, redis_url, environment)
            yield Bench(server, context, settings, await account_with(context))


async def test_a_picture_is_paid_for_once_it_is_there(bench: Bench) -> None:
    generation_id = await bench.start()
    running = asyncio.create_task(bench.run(generation_id))
    await eventually(lambda: bool(bench.server.predictions))
    bench.server.succeeds(output=PICTURE, predict_time=2.0)

    ended = await running

    assert (ended.status, ended.error, ended.provider_message) == (GenerationStatus.completed, None, None)
    assert ended.cost_microcredits == PRICE
    assert bench.calls() == [("completed", 2 * COST_PER_COMPUTE_SECOND)]
    assert [(job["state"], job["outcome"]) for job in jobs_in(bench.context)] == [(3, "completed")]
    assert bench.server.created[0].body["input"] == {"prompt": "A harbour at dusk", "n": 1}


async def test_a_worker_that_drains_leaves_the_job_to_the_next(bench: Bench) -> None:
    generation_id = await bench.start()
    async with WorkerRuntime(bench.settings) as first:
        running = asyncio.create_task(first.run(generation_id, account_id=bench.account))
        await eventually(lambda: bool(jobs_in(bench.context)) and jobs_in(bench.context)[0]["state"] == 1)
        await first.drained()
        await running
    assert (await bench.read(generation_id)).status is GenerationStatus.queued
    assert not bench.server.cancelled
    bench.server.succeeds(output=PICTURE)

    ended = await bench.run(generation_id)

    assert ended.status is GenerationStatus.completed
    assert len(bench.server.created) == 1
    assert freeze_states(bench.context.database.url, bench.account) == [1]


async def test_a_failed_job_costs_the_customer_nothing_and_is_on_our_account(bench: Bench) -> None:
    generation_id = await bench.start()
    running = asyncio.create_task(bench.run(generation_id))
    await eventually(lambda: bool(bench.server.predictions))
    bench.server.becomes(status="failed", error="flagged as sensitive (E005)", metrics={"predict_time": 1.0})

    ended = await running

    assert ended.status is GenerationStatus.failed
    assert ended.error is not None
    assert (ended.error.code, ended.cost_microcredits) == ("content_refused", 0)
    assert bench.calls() == [("content_refused", COST_PER_COMPUTE_SECOND)]
    assert freeze_states(bench.context.database.url, bench.account) == [2]


async def test_a_create_that_was_turned_away_is_tried_again_and_one_that_was_lost_is_not(bench: Bench) -> None:
    bench.server.script(refused(429, "throttled"), no_answer(Cut()))

    ended = await bench.run(await bench.start())

    assert ended.status is GenerationStatus.failed
    assert [outcome for outcome, _ in bench.calls()] == ["rate_limited", "unavailable"]
    assert len(bench.server.created) == 2


async def test_a_late_success_after_the_time_out_recharges_nobody(bench: Bench) -> None:
    await bench.limit_to(5)
    before = heads_of(bench.context.database.url, bench.account)

    ended = await bench.run(await bench.start())
    assert ended.error is not None
    assert (ended.status, ended.error.code) == (GenerationStatus.failed, "timed_out")
    assert len(bench.server.cancelled) == 1
    bench.server.succeeds(output=PICTURE, predict_time=3.0)
    make_due(bench.context)
    await JobFollower({}).run(bench.context)

    after = heads_of(bench.context.database.url, bench.account)
    (entry,) = entries_in(bench.context)
    assert (entry["kind"], entry["cost_microdollars"]) == ("late_success", 3 * COST_PER_COMPUTE_SECOND)
    assert (after.available, after.frozen, after.spent) == (before.available, 0, 0)
    assert freeze_states(bench.context.database.url, bench.account) == [2]
    assert len(bench.server.created) == 1


async def test_a_cancel_by_the_customer_cancels_the_job_and_is_free(bench: Bench) -> None:
    generation_id = await bench.start()
    running = asyncio.create_task(bench.run(generation_id))
    await eventually(lambda: bool(jobs_in(bench.context)) and jobs_in(bench.context)[0]["state"] == 1)

    await cancel_generation(bench.context, generation_id)
    ended = await running

    assert (ended.status, ended.cost_microcredits) == (GenerationStatus.cancelled, 0)
    assert len(bench.server.cancelled) == 1
    make_due(bench.context)
    await JobFollower({}).run(bench.context)
    (entry,) = entries_in(bench.context)
    assert (entry["kind"], entry["cost_microdollars"]) == ("late_cost", 15_000)
