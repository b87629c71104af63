"""Background jobs as they are written down: before they start, taken over by the next worker, and woken by webhooks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from msgspec import structs

from tests.background_jobs import PUBLIC_URL, claimed, claimed_again, jobs_in, opened
from tests.fakes.replicate_server import API_TOKEN, MODEL, WEBHOOK_SECRET, FakeReplicate
from tests.generations import generation_context
from tests.media_calls import PATIENT, QUICK, media_request
from tests.provider_calls import outcome_of
from tests.waiting import eventually
from workers.context import GenerationContext
from workers.leases import Lease
from workers.notices import publish_webhook
from workers.providers import JobStarted, ProviderRequest, UpstreamJob, errors
from workers.providers.replicate.predictions import Replicate
from workers.settings import SettingsError
from workers.upstream_jobs import MAX_KEPT_BYTES, JobHandle, UpstreamJobs, keep_webhook, public_url

ENVIRONMENT = {"HOLDFAST_PUBLIC_URL": PUBLIC_URL, "REPLICATE_WEBHOOK_SECRET": WEBHOOK_SECRET}


@pytest.fixture
async def context(database_url: str, redis_url: str) -> AsyncIterator[GenerationContext]:
    async with generation_context(database_url, redis_url) as context:
        yield context


@pytest.fixture
async def server() -> AsyncIterator[FakeReplicate]:
    async with FakeReplicate() as server:
        yield server


@pytest.fixture
async def provider(server: FakeReplicate) -> AsyncIterator[Replicate]:
    provider = Replicate(api_token=API_TOKEN, base_url=server.base_url, pace=QUICK)
    yield provider
    await provider.aclose()


@pytest.fixture
async def jobs(context: GenerationContext, redis_url: str) -> AsyncIterator[UpstreamJobs]:
    async with UpstreamJobs(context.database, redis_url, ENVIRONMENT) as jobs:
        yield jobs


async def begun(provider: Replicate, handle: JobHandle) -> UpstreamJob:
    """Have the job started and written down, and then lose the worker without a word to anyone."""
    async with aclosing(provider.stream(handle.request)) as stream:
        chunk = await anext(stream)
        assert isinstance(chunk, JobStarted)
        await handle.started(chunk.job)
    return chunk.job


async def next_attempt(context: GenerationContext, lease: Lease) -> Lease:
    return await claimed_again(context, lease.claim.generation_id, lease.claim.account_id)


def token_of(handle: JobHandle) -> str:
    return (handle.request.webhook_url or "").rpartition("/")[2]


async def kept(context: GenerationContext, handle: JobHandle, upstream_id: str, body: bytes = b"{}") -> bool:
    return await keep_webhook(
        context.database, provider="replicate", token=token_of(handle), upstream_id=upstream_id, body=body
    )


async def test_a_job_is_written_down_before_it_is_started(
    context: GenerationContext, jobs: UpstreamJobs, provider: Replicate
) -> None:
    handle = await opened(jobs, provider, await claimed(context))

    (job,) = jobs_in(context)
    assert (job["state"], job["upstream_id"], job["provider"], job["upstream_model"]) == (0, None, "replicate", MODEL)
    assert handle.request.webhook_url == f"{PUBLIC_URL}/webhooks/providers/replicate/{job['token']}"
    assert len(job["token"]) >= 32
    assert handle.request.resume is None


async def test_a_job_that_started_has_its_id_and_ends_with_its_call(
    context: GenerationContext, jobs: UpstreamJobs, provider: Replicate
) -> None:
    handle = await opened(jobs, provider, await claimed(context))
    job = UpstreamJob(id="p1", status_url="s", result_url="r", cancel_url="c")

    await handle.started(job)
    await handle.started(job)
    (started,) = jobs_in(context)
    await handle.ended("completed")
    await handle.ended("failed", errors.TimedOut(provider="replicate", ambiguous=True))
    (ended,) = jobs_in(context)

    assert (started["state"], started["upstream_id"], started["status_url"]) == (1, "p1", "s")
    assert (ended["state"], ended["outcome"], ended["ask_at"]) == (3, "completed", None)


async def test_the_next_worker_goes_on_with_the_job_and_starts_none(
    context: GenerationContext, jobs: UpstreamJobs, provider: Replicate, server: FakeReplicate
) -> None:
    lease = await claimed(context)
    job = await begun(provider, await opened(jobs, provider, lease))
    server.succeeds()

    handle = await opened(jobs, provider, await next_attempt(context, lease))
    outcome = await outcome_of(provider, handle.request)

    assert handle.request.resume == job
    assert outcome.error is None
    assert len(server.created) == 1
    assert len(jobs_in(context)) == 1


async def test_a_worker_lost_between_create_and_answer_costs_no_second_job(
    context: GenerationContext, jobs: UpstreamJobs, provider: Replicate, server: FakeReplicate
) -> None:
    lease = await claimed(context)
    lost = await opened(jobs, provider, lease)
    server.succeeds(server.add(lost.request.webhook_url))

    handle = await opened(jobs, provider, await next_attempt(context, lease))
    outcome = await outcome_of(provider, handle.request)

    assert handle.request.resume == UpstreamJob(id="")
    assert handle.request.webhook_url == lost.request.webhook_url
    assert outcome.error is None
    assert not server.created


async def test_a_job_that_completed_and_was_not_settled_is_read_again(
    context: GenerationContext, jobs: UpstreamJobs, provider: Replicate
) -> None:
    lease = await claimed(context)
    first = await opened(jobs, provider, lease)
    job = await begun(provider, first)
    await first.ended("completed")

    handle = await opened(jobs, provider, await next_attempt(context, lease))

    assert handle.request.resume == job


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("another-lab/painter", None),
        (MODEL, errors.ContentRefused(provider="replicate")),
        (MODEL, errors.RateLimited(provider="replicate")),
    ],
)
async def test_another_models_job_or_one_that_failed_is_not_gone_on_with(
    context: GenerationContext,
    jobs: UpstreamJobs,
    provider: Replicate,
    model: str,
    error: errors.ProviderError | None,
) -> None:
    lease = await claimed(context)
    first = await opened(jobs, provider, lease)
    await begun(provider, first)
    if error is not None:
        await first.ended("failed", error)

    request = media_request(model=model)
    handle = await opened(jobs, provider, await next_attempt(context, lease), request=request)

    assert handle.request.resume is None
    assert len(jobs_in(context)) == 2


async def test_a_call_of_the_same_attempt_starts_a_job_of_its_own(
    context: GenerationContext, jobs: UpstreamJobs, provider: Replicate
) -> None:
    lease = await claimed(context)
    first = await opened(jobs, provider, lease)
    await first.ended("failed", errors.RateLimited(provider="replicate"))

    second = await opened(jobs, provider, lease, call=2)

    assert second.request.resume is None
    assert second.request.webhook_url != first.request.webhook_url


@pytest.mark.parametrize(("reason", "state"), [("draining", 1), ("lost", 1), ("cancelled", 2)])
async def test_a_call_that_is_stopped_leaves_the_job_to_the_next_worker_unless_it_was_cancelled(
    context: GenerationContext, jobs: UpstreamJobs, provider: Replicate, server: FakeReplicate, reason: Any, state: int
) -> None:
    lease = await claimed(context)
    handle = await opened(jobs, provider, lease)
    lease.stop(reason)

    await begun(provider, handle)
    await handle.ended("stopped")

    assert jobs_in(context)[0]["state"] == state
    assert len(server.cancelled) == (1 if reason == "cancelled" else 0)


async def test_an_ambiguous_end_leaves_the_job_to_be_asked_for(
    context: GenerationContext, jobs: UpstreamJobs, provider: Replicate
) -> None:
    handle = await opened(jobs, provider, await claimed(context))

    await handle.ended("failed", errors.TimedOut(provider="replicate", ambiguous=True))

    (job,) = jobs_in(context)
    assert (job["state"], job["outcome"]) == (2, "timed_out")
    assert job["ask_at"] is not None


@pytest.mark.parametrize("variable", ["HOLDFAST_PUBLIC_URL", "REPLICATE_WEBHOOK_SECRET"])
async def test_no_webhook_is_asked_for_that_could_not_arrive_or_be_verified(
    context: GenerationContext, redis_url: str, provider: Replicate, variable: str
) -> None:
    environment = {name: value for name, value in ENVIRONMENT.items() if name != variable}
    async with UpstreamJobs(context.database, redis_url, environment) as jobs:
        handle = await opened(jobs, provider, await claimed(context))

    assert handle.request.webhook_url is None


@pytest.mark.parametrize("url", ["holdfast.example", "ftp://x", "https://x/?a=b", "https://x\n"])
def test_a_public_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(SettingsError):
        public_url({"HOLDFAST_PUBLIC_URL": url + "x"})


async def test_a_webhook_wakes_the_call_at_once(
    context: GenerationContext, jobs: UpstreamJobs, server: FakeReplicate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.upstream_jobs.LOOK_ANYWAY_S", 3_600.0)
    provider = Replicate(api_token=API_TOKEN, base_url=server.base_url, pace=PATIENT)
    handle = await opened(jobs, provider, await claimed(context))
    running = asyncio.create_task(outcome_of(provider, handle.request))
    await eventually(lambda: bool(server.predictions))
    server.succeeds()

    # Again and again, because nobody knows when the worker has subscribed.
    async def woken() -> bool:
        await kept(context, handle, "pred0fake")
        await publish_webhook(context.redis, token_of(handle))
        return running.done()

    await eventually(woken)

    assert running.result().error is None
    await provider.aclose()


async def test_a_webhook_whose_notice_was_lost_is_found_all_the_same(
    context: GenerationContext, jobs: UpstreamJobs, provider: Replicate
) -> None:
    handle = await opened(jobs, provider, await claimed(context))
    assert handle.request.news is not None
    waiting = asyncio.ensure_future(handle.request.news.webhook())

    await kept(context, handle, "p1", b'{"id": "p1"}')

    async with asyncio.timeout(10):
        assert await waiting == b'{"id": "p1"}'


async def test_a_webhook_before_the_answer_tells_the_id_to_whoever_comes_next(
    context: GenerationContext, jobs: UpstreamJobs, provider: Replicate
) -> None:
    lease = await claimed(context)
    first = await opened(jobs, provider, lease)

    assert await kept(context, first, "p1")
    handle = await opened(jobs, provider, await next_attempt(context, lease))

    assert handle.request.resume == UpstreamJob(id="p1")


async def test_a_webhook_about_another_job_changes_nothing(
    context: GenerationContext, jobs: UpstreamJobs, provider: Replicate
) -> None:
    handle = await opened(jobs, provider, await claimed(context))
    await handle.started(UpstreamJob(id="p1"))

    assert not await kept(context, handle, "p2")
    assert jobs_in(context)[0]["webhooks"] == 0


async def test_of_a_webhook_that_is_too_large_is_kept_that_it_came(
    context: GenerationContext, jobs: UpstreamJobs, provider: Replicate
) -> None:
    handle = await opened(jobs, provider, await claimed(context))

    assert await kept(context, handle, "p1", b"x" * (MAX_KEPT_BYTES + 1))

    (job,) = jobs_in(context)
    assert (job["webhooks"], job["webhook_body"], job["upstream_id"]) == (1, None, "p1")
    assert handle.request.news is not None
    assert await handle.request.news.webhook() == b""


async def test_a_request_can_be_given_other_timeouts_and_keeps_its_news(
    context: GenerationContext, jobs: UpstreamJobs, provider: Replicate
) -> None:
    handle = await opened(jobs, provider, await claimed(context))

    changed: ProviderRequest = structs.replace(handle.request, request_id="another")

    assert changed.news is handle.request.news
