"""Jobs that go on after their generation has ended: nobody is charged again, and finance learns what they cost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.api_in_process import Api
from tests.background_jobs import (
    PUBLIC_URL,
    claimed,
    entries_in,
    finish,
    jobs_in,
    make_due,
    opened,
)
from tests.fakes import fal_server
from tests.fakes.fal_server import FakeFal
from tests.fakes.replicate_server import API_TOKEN, WEBHOOK_SECRET, FakeReplicate, refused
from tests.generations import freeze_states, generation_context, heads_of, kinds_of
from tests.media_calls import News, media_request
from tests.provider_calls import outcome_of
from tests.waiting import eventually
from workers.context import GenerationContext
from workers.generations import GenerationStatus, get_generation
from workers.late_results import ASK_AFTER_S, JobFollower
from workers.leases import Lease
from workers.notices import publish_webhook
from workers.providers import JobStarted, ProviderError, errors
from workers.providers.background.provider import BackgroundProvider
from workers.upstream_jobs import JobHandle, UpstreamJobs, keep_webhook

MICRODOLLARS_PER_COMPUTE_SECOND = 10_000
MICRODOLLARS_PER_PICTURE = 500


@pytest.fixture
async def replicate() -> AsyncIterator[FakeReplicate]:
    async with FakeReplicate() as server:
        yield server


@pytest.fixture
async def fal() -> AsyncIterator[FakeFal]:
    async with FakeFal() as server:
        yield server


@pytest.fixture
def environment(replicate: FakeReplicate, fal: FakeFal) -> dict[str, str]:
    return {
        "HOLDFAST_PUBLIC_URL": PUBLIC_URL,
        "REPLICATE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "REPLICATE_API_TOKEN": API_TOKEN,
        "REPLICATE_BASE_URL": replicate.base_url,
        "FAL_KEY": fal_server.API_KEY,
        "FAL_BASE_URL": fal.base_url,
    }


@pytest.fixture
async def context(database_url: str, redis_url: str, environment: dict[str, str]) -> AsyncIterator[GenerationContext]:
    async with generation_context(database_url, redis_url, environment) as context:
        yield context


@pytest.fixture
async def jobs(context: GenerationContext, redis_url: str, environment: dict[str, str]) -> AsyncIterator[UpstreamJobs]:
    async with UpstreamJobs(context.database, redis_url, environment) as jobs:
        yield jobs


@pytest.fixture
def follower(environment: dict[str, str]) -> JobFollower:
    return JobFollower(environment)


def provider_of(context: GenerationContext, name: str) -> BackgroundProvider:
    provider = context.providers.get(name)
    assert isinstance(provider, BackgroundProvider)
    return provider


async def timed_out(context: GenerationContext, jobs: UpstreamJobs, name: str = "replicate") -> tuple[Lease, JobHandle]:
    """A generation that its worker gave up and refunded while its job went on: the provider heeded no cancel."""
    lease = await claimed(context)
    model = "fake-labs/painter" if name == "replicate" else fal_server.MODEL
    mode = "image" if name == "replicate" else "video"
    request = media_request(mode, model=model, options={"duration_s": 4})
    handle = await opened(jobs, provider_of(context, name), lease, request=request)
    async with aclosing(provider_of(context, name).stream(handle.request)) as stream:
        chunk = await anext(stream)
        assert isinstance(chunk, JobStarted)
        await handle.started(chunk.job)
    await handle.ended("failed", errors.TimedOut(provider=name, ambiguous=True))
    assert await finish(context, lease, "failed") is not None
    return lease, handle


async def follow(context: GenerationContext, follower: JobFollower, *, older_by: str = "0 s") -> int:
    make_due(context, older_by=older_by)
    return await follower.run(context)


def put_off(context: GenerationContext) -> None:
    """Let no job that waits be due soon, however slow this machine is."""
    with psycopg.connect(context.database.url) as connection:
        connection.execute("UPDATE upstream_jobs SET ask_at = ask_at + interval '1 hour'")


async def test_a_late_success_charges_nobody_and_leaves_an_entry_with_our_cost(
    context: GenerationContext, jobs: UpstreamJobs, follower: JobFollower, replicate: FakeReplicate
) -> None:
    lease, _ = await timed_out(context, jobs)
    before = heads_of(context.database.url, lease.claim.account_id)
    kinds = kinds_of(context.database.url, lease.claim.account_id)
    replicate.succeeds(predict_time=4.2)

    await follow(context, follower)
    await follow(context, follower)

    (entry,) = entries_in(context)
    after = heads_of(context.database.url, lease.claim.account_id)
    assert (entry["kind"], entry["upstream_id"], entry["provider"]) == ("late_success", "pred0fake", "replicate")
    assert entry["generation_id"] == lease.claim.generation_id
    assert entry["cost_microdollars"] == 42_000 + MICRODOLLARS_PER_PICTURE
    assert (after.available, after.frozen, after.spent) == (before.available, 0, 0)
    assert kinds_of(context.database.url, lease.claim.account_id) == kinds
    assert (await get_generation(context.database, lease.claim.generation_id)).status is GenerationStatus.failed
    assert jobs_in(context)[0]["state"] == 3


async def test_a_late_success_at_fal_is_measured_by_what_was_asked_for(
    context: GenerationContext, jobs: UpstreamJobs, follower: JobFollower, fal: FakeFal
) -> None:
    await timed_out(context, jobs, "fal")
    fal.completes()

    await follow(context, follower)

    (entry,) = entries_in(context)
    assert (entry["kind"], entry["upstream_id"]) == ("late_success", fal.latest)
    assert entry["cost_microdollars"] == 4 * 2_000 + 25_000


async def test_a_job_that_still_runs_is_cancelled_and_asked_for_again(
    context: GenerationContext, jobs: UpstreamJobs, follower: JobFollower, replicate: FakeReplicate
) -> None:
    await timed_out(context, jobs)
    replicate.becomes(status="processing")
    began = datetime.now(UTC)

    assert await follow(context, follower) == 1
    assert not entries_in(context)
    assert len(replicate.cancelled) == 1
    assert jobs_in(context)[0]["ask_at"] >= began + timedelta(seconds=ASK_AFTER_S)
    put_off(context)
    assert await follower.run(context) == 0
    await follow(context, follower)

    (entry,) = entries_in(context)
    assert (entry["kind"], entry["cost_microdollars"]) == ("late_cost", 1.5 * MICRODOLLARS_PER_COMPUTE_SECOND)


@pytest.mark.parametrize(
    ("state", "kinds"),
    [
        ({"status": "aborted", "metrics": {}}, []),
        ({"status": "failed", "error": "no", "metrics": {"predict_time": 0}}, []),
        ({"status": "failed", "error": "no", "metrics": {"predict_time": 2}}, ["late_cost"]),
        ({"status": "canceled", "metrics": {"predict_time": 2}}, ["late_cost"]),
        ({"status": "succeeded", "output": None, "metrics": {"predict_time": 2}}, ["late_cost"]),
        ({"status": "succeeded", "output": "https://x/1.png", "metrics": {"predict_time": -2}}, ["unknown"]),
    ],
)
async def test_only_what_is_on_the_providers_bill_makes_an_entry(
    context: GenerationContext,
    jobs: UpstreamJobs,
    follower: JobFollower,
    replicate: FakeReplicate,
    state: dict[str, Any],
    kinds: list[str],
) -> None:
    await timed_out(context, jobs)
    replicate.becomes(**state)

    await follow(context, follower)

    assert [entry["kind"] for entry in entries_in(context)] == kinds
    assert jobs_in(context)[0]["state"] == 3


async def test_a_job_whose_worker_was_lost_is_followed_once_its_generation_has_ended(
    context: GenerationContext, jobs: UpstreamJobs, follower: JobFollower, replicate: FakeReplicate
) -> None:
    lease = await claimed(context)
    handle = await opened(jobs, provider_of(context, "replicate"), lease)
    replicate.succeeds(replicate.add(handle.request.webhook_url))

    assert await follow(context, follower) == 0
    await finish(context, lease, "failed")
    with psycopg.connect(context.database.url) as connection:
        connection.execute("ALTER TABLE generations DISABLE TRIGGER generations_ended")
        connection.execute("UPDATE generations SET finished_at = finished_at - interval '1 minute'")
    assert await follow(context, follower) == 1

    # Its id was never written down; it is found by its webhook URL.
    (entry,) = entries_in(context)
    assert (entry["kind"], entry["upstream_id"]) == ("late_success", "pred0fake")


async def test_a_job_that_is_in_no_list_was_never_started(
    context: GenerationContext, jobs: UpstreamJobs, follower: JobFollower
) -> None:
    lease = await claimed(context)
    handle = await opened(jobs, provider_of(context, "replicate"), lease)
    await handle.ended("failed", errors.Unavailable(provider="replicate", ambiguous=True))
    await finish(context, lease, "failed")

    await follow(context, follower)
    assert jobs_in(context)[0]["state"] == 2
    await follow(context, follower, older_by="11 minutes")

    (job,) = jobs_in(context)
    assert (job["state"], job["outcome"]) == (3, "never_started")
    assert not entries_in(context)


async def test_a_webhook_of_a_job_that_was_taken_for_refused_reopens_it(
    context: GenerationContext, jobs: UpstreamJobs, follower: JobFollower, replicate: FakeReplicate
) -> None:
    lease = await claimed(context)
    handle = await opened(jobs, provider_of(context, "replicate"), lease)
    await handle.ended("failed", errors.Unavailable(provider="replicate"))
    await finish(context, lease, "failed")
    replicate.succeeds(replicate.add(handle.request.webhook_url))
    token = (handle.request.webhook_url or "").rpartition("/")[2]

    assert await follow(context, follower) == 0
    assert await keep_webhook(context.database, provider="replicate", token=token, upstream_id="pred0fake", body=b"{}")
    assert await follower.run(context) == 1

    assert [entry["kind"] for entry in entries_in(context)] == ["late_success"]


async def test_a_provider_that_never_answers_leaves_an_unknown_entry_after_a_day(
    context: GenerationContext, jobs: UpstreamJobs, follower: JobFollower, replicate: FakeReplicate
) -> None:
    await timed_out(context, jobs)
    replicate.script(refused(500, "no"), refused(404, "gone"))

    await follow(context, follower)
    assert jobs_in(context)[0]["state"] == 2
    await follow(context, follower, older_by="25 hours")

    (entry,) = entries_in(context)
    assert (entry["kind"], entry["cost_microdollars"]) == ("unknown", None)


async def test_two_clocks_and_webhooks_at_once_make_one_entry(
    context: GenerationContext,
    jobs: UpstreamJobs,
    follower: JobFollower,
    replicate: FakeReplicate,
    environment: dict[str, str],
) -> None:
    _, handle = await timed_out(context, jobs)
    replicate.succeeds()
    token = (handle.request.webhook_url or "").rpartition("/")[2]
    second = JobFollower(environment)

    async def webhook() -> None:
        await keep_webhook(context.database, provider="replicate", token=token, upstream_id="pred0fake", body=b"{}")

    async def at_once() -> bool:
        await asyncio.gather(
            webhook(), follower.run(context), webhook(), second.run(context), webhook(), follower.run(context)
        )
        return jobs_in(context)[0]["state"] == 3

    # A clock passes over a job whose webhook is just being kept, and comes back to it.
    await eventually(at_once)
    await at_once()

    assert len(entries_in(context)) == 1
    assert jobs_in(context)[0]["state"] == 3


async def test_one_failed_film_is_rolled_back_once_whoever_notices_first(
    context: GenerationContext,
    jobs: UpstreamJobs,
    follower: JobFollower,
    replicate: FakeReplicate,
) -> None:
    """Two workers poll it (one was paused and is back), its webhook comes, and the time-out sweep ends it too."""
    lease = await claimed(context)
    account_id = lease.claim.account_id
    before = heads_of(context.database.url, account_id)
    provider = provider_of(context, "replicate")
    handle = await opened(jobs, provider, lease)
    token = (handle.request.webhook_url or "").rpartition("/")[2]

    async def poll() -> None:
        outcome = await outcome_of(provider, handle.request)
        for chunk in outcome.chunks[:1]:
            assert isinstance(chunk, JobStarted)
            await handle.started(chunk.job)
        await handle.ended("failed", outcome.failure)
        await finish(context, lease, "failed")

    async def second_poller() -> None:
        await eventually(lambda: bool(replicate.predictions))
        job = await provider.find(handle.request.webhook_url or "")
        resumed = media_request(model="fake-labs/painter", resume=job, news=News())
        assert isinstance((await outcome_of(provider, resumed)).failure, ProviderError)
        await finish(context, lease, "failed")

    async def webhook() -> None:
        await eventually(lambda: bool(replicate.predictions))
        replicate.becomes(status="failed", error="CUDA out of memory", metrics={"predict_time": 3})
        await keep_webhook(context.database, provider="replicate", token=token, upstream_id="pred0fake", body=b"{}")
        await publish_webhook(context.redis, token)

    async def time_out() -> None:
        await eventually(lambda: bool(replicate.predictions))
        await finish(context, lease, "failed")

    await asyncio.gather(poll(), second_poller(), webhook(), time_out())
    await follow(context, follower)

    after = heads_of(context.database.url, account_id)
    assert freeze_states(context.database.url, account_id) == [2]
    assert (after.available, after.frozen, after.spent) == (before.available + before.frozen, 0, 0)
    assert len(replicate.created) == 1
    assert not entries_in(context)


class TestTheListForFinance:
    async def test_administrators_and_finance_read_it_and_nobody_else(
        self, api: Api, context: GenerationContext, jobs: UpstreamJobs, follower: JobFollower, replicate: FakeReplicate
    ) -> None:
        lease, _ = await timed_out(context, jobs)
        replicate.succeeds()
        await follow(context, follower)

        answers = [await api.get("/v1/admin/reconciliation", headers=await api.role("finance"))]
        answers.append(await api.get(f"/v1/admin/reconciliation?account_id={lease.claim.account_id}"))
        refused_headers = [await api.role("service"), (await api.user())[0]]

        for answer in answers:
            (item,) = answer.json()["items"]
            assert answer.status_code == 200
            assert (item["kind"], item["cost_usd"]) == ("late_success", "0.0425")
            assert item["generation_id"] == str(lease.claim.generation_id)
        for headers in refused_headers:
            assert (await api.get("/v1/admin/reconciliation", headers=headers)).status_code == 403

    async def test_it_comes_in_pages_newest_first(
        self, api: Api, context: GenerationContext, jobs: UpstreamJobs, follower: JobFollower, replicate: FakeReplicate
    ) -> None:
        for _ in range(3):
            await timed_out(context, jobs)
            replicate.succeeds()
            await follow(context, follower)

        first = (await api.get("/v1/admin/reconciliation?limit=2")).json()
        rest = (await api.get(f"/v1/admin/reconciliation?limit=2&cursor={first['next_cursor']}")).json()
        other = (await api.get("/v1/admin/reconciliation?account_id=0199aa00-0000-7000-8000-000000000001")).json()

        assert [item["upstream_id"] for item in first["items"] + rest["items"]] == [
            "pred2fake",
            "pred1fake",
            "pred0fake",
        ]
        assert rest["next_cursor"] is None
        assert other["items"] == []
        assert (await api.get("/v1/admin/reconciliation?account_id=x")).status_code == 400
