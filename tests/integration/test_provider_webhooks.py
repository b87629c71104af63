"""Webhooks of providers as they reach the API: genuine ones are kept, others change nothing."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest

from tests.api_in_process import Api, api_in_process
from tests.background_jobs import PUBLIC_URL, at, claimed, jobs_in, opened
from tests.fakes import fal_server, replicate_server
from tests.fakes.fal_server import FakeFal
from tests.fakes.replicate_server import API_TOKEN, WEBHOOK_SECRET, FakeReplicate
from tests.fakes.scripted_server import Cut, json_answer, no_answer
from tests.media_calls import PATIENT, QUICK, job_of
from tests.provider_calls import outcome_of
from tests.waiting import eventually
from workers.context import GenerationContext
from workers.providers import UpstreamJob
from workers.providers.fal.queue import Fal
from workers.providers.replicate.predictions import Replicate
from workers.upstream_jobs import JobHandle, UpstreamJobs

BODY = b'{"id": "p1", "status": "succeeded"}'


@pytest.fixture
async def fal() -> AsyncIterator[FakeFal]:
    async with FakeFal() as server:
        yield server


@pytest.fixture
def environment(fal: FakeFal) -> dict[str, str]:
    return {
        "HOLDFAST_PUBLIC_URL": PUBLIC_URL,
        "REPLICATE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "FAL_JWKS_URL": fal.jwks_url,
    }


@pytest.fixture
async def hooked(database_url: str, redis_url: str, environment: dict[str, str]) -> AsyncIterator[Api]:
    """An API that can verify webhooks; its client has no credential."""
    async with api_in_process(database_url, redis_url, **environment) as api:
        del api.client.headers["Authorization"]
        yield api


@pytest.fixture
def context(hooked: Api) -> GenerationContext:
    return hooked.application.routed.services.generations


@pytest.fixture
async def jobs(context: GenerationContext, redis_url: str, environment: dict[str, str]) -> AsyncIterator[UpstreamJobs]:
    async with UpstreamJobs(context.database, redis_url, environment) as jobs:
        yield jobs


@pytest.fixture
async def replicate() -> AsyncIterator[Replicate]:
    provider = Replicate(api_token=API_TOKEN, base_url="http://127.0.0.1:1/v1", pace=QUICK)
    yield provider
    await provider.aclose()


@pytest.fixture
async def handle(context: GenerationContext, jobs: UpstreamJobs, replicate: Replicate) -> JobHandle:
    """A call to Replicate whose create has not been answered yet."""
    return await opened(jobs, replicate, await claimed(context))


def path_of(handle: JobHandle) -> str:
    assert handle.request.webhook_url is not None
    return handle.request.webhook_url.removeprefix(PUBLIC_URL)


async def send(
    api: Api, handle: JobHandle, body: bytes = BODY, headers: Mapping[str, str] | None = None
) -> httpx.Response:
    signed = replicate_server.signed(body, at_s=at()) if headers is None else headers
    return await api.client.post(path_of(handle), content=body, headers=signed)


async def test_a_genuine_webhook_is_kept_and_tells_the_id(
    hooked: Api, context: GenerationContext, handle: JobHandle
) -> None:
    answer = await send(hooked, handle)

    (job,) = jobs_in(context)
    assert (answer.status_code, answer.json()) == (200, {"received": True})
    assert (job["webhooks"], bytes(job["webhook_body"]), job["upstream_id"], job["state"]) == (1, BODY, "p1", 0)


async def test_webhooks_may_come_twice_and_at_once(hooked: Api, context: GenerationContext, handle: JobHandle) -> None:
    answers = await asyncio.gather(*(send(hooked, handle) for _ in range(5)))

    assert {answer.status_code for answer in answers} == {200}
    (job,) = jobs_in(context)
    assert (job["webhooks"], job["upstream_id"]) == (5, "p1")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": "v1a," + "A" * 44},
        replicate_server.signed(BODY + b" ", at_s=at()),
        replicate_server.signed(BODY, at_s=at(), secret="whsec_b3RoZXI="),
        {**replicate_server.signed(BODY, at_s=at()), "webhook-id": "another"},
        {**replicate_server.signed(BODY, at_s=at(-200)), "webhook-timestamp": str(int(at()))},
        {"webhook-signature": "v1,é"},
    ],
    ids=range(9),
)
async def test_a_forged_webhook_changes_nothing(
    hooked: Api, context: GenerationContext, handle: JobHandle, headers: dict[str, str]
) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    answer = await hooked.client.post(path_of(handle), content=BODY, headers=raw)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_signature")
    assert jobs_in(context)[0]["webhooks"] == 0


@pytest.mark.parametrize("age_s", [-310, 310])
async def test_a_stale_webhook_changes_nothing(
    hooked: Api, context: GenerationContext, handle: JobHandle, age_s: float
) -> None:
    answer = await send(hooked, handle, headers=replicate_server.signed(BODY, at_s=at(-age_s)))

    assert (answer.status_code, answer.json()["code"]) == (400, "stale_webhook")
    assert jobs_in(context)[0]["webhooks"] == 0


async def test_one_of_several_signatures_is_enough(hooked: Api, handle: JobHandle) -> None:
    headers = replicate_server.signed(BODY, at_s=at())
    headers["webhook-signature"] = f"v1,AAAA v2,{'B' * 44} {headers['webhook-signature']}"

    assert (await send(hooked, handle, headers=headers)).status_code == 200


@pytest.mark.parametrize("path", ["replicate/" + "x" * 43, "fal/{token}", "nobody/{token}", "replicate/%00"])
async def test_a_url_that_is_none_of_ours_is_not_found(hooked: Api, handle: JobHandle, path: str) -> None:
    token = path_of(handle).rpartition("/")[2]
    body = BODY

    answer = await hooked.client.post(
        "/webhooks/providers/" + path.format(token=token),
        content=body,
        headers=replicate_server.signed(body, at_s=at()),
    )

    assert answer.status_code in {404, 422}


async def test_a_genuine_webhook_about_another_job_is_not_found(
    hooked: Api, context: GenerationContext, handle: JobHandle
) -> None:
    await handle.started(UpstreamJob(id="p2"))

    assert (await send(hooked, handle)).status_code == 404
    assert jobs_in(context)[0]["webhooks"] == 0


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"id": 7}', b'{"id": "../x"}', b"\xff", b"[" * 100_000])
async def test_a_genuine_webhook_about_no_job_is_malformed(hooked: Api, handle: JobHandle, body: bytes) -> None:
    answer = await send(hooked, handle, body)

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_request")


async def test_a_webhook_that_is_too_large_is_refused(hooked: Api, handle: JobHandle) -> None:
    assert (await send(hooked, handle, b"x" * (1024 * 1024 + 1))).status_code == 413


async def test_a_webhook_of_a_provider_whose_secret_is_not_here_is_refused(
    database_url: str, redis_url: str, handle: JobHandle
) -> None:
    async with api_in_process(database_url, redis_url) as api:
        answer = await send(api, handle)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_signature")


async def test_a_webhook_wakes_the_worker_that_waits(
    hooked: Api, context: GenerationContext, jobs: UpstreamJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.upstream_jobs.LOOK_ANYWAY_S", 3_600.0)
    async with FakeReplicate() as server:
        provider = Replicate(api_token=API_TOKEN, base_url=server.base_url, pace=PATIENT)
        handle = await opened(jobs, provider, await claimed(context))
        running = asyncio.create_task(outcome_of(provider, handle.request))
        await eventually(lambda: bool(server.predictions))
        server.succeeds()

        body = json.dumps(server.predictions["pred0fake"]).encode()

        # Again and again, because nobody knows when the worker has subscribed.
        async def woken() -> bool:
            assert (await send(hooked, handle, body)).status_code == 200
            return running.done()

        await eventually(woken)
        await provider.aclose()

    assert running.result().error is None


class TestFal:
    """fal signs with keys of its own, and a request whose submission was lost is known by its webhook alone."""

    @pytest.fixture
    async def provider(self, fal: FakeFal) -> AsyncIterator[Fal]:
        provider = Fal(api_key=fal_server.API_KEY, base_url=fal.base_url, pace=PATIENT)
        yield provider
        await provider.aclose()

    @pytest.fixture
    async def handle(self, context: GenerationContext, jobs: UpstreamJobs, provider: Fal) -> JobHandle:
        return await opened(jobs, provider, await claimed(context))

    async def test_a_submission_that_was_lost_is_gone_on_with_once_its_webhook_came(
        self, hooked: Api, handle: JobHandle, provider: Fal, fal: FakeFal
    ) -> None:
        fal.script(no_answer(Cut()))
        running = asyncio.create_task(outcome_of(provider, handle.request))
        await eventually(lambda: len(fal.calls) == 1)
        request_id = fal.add()
        fal.completes()

        body = fal_server.webhook_body(request_id)
        answer = await send(hooked, handle, body, fal_server.signed(body, fal.key, at_s=at()))
        again = asyncio.create_task(self._until_done(hooked, handle, fal, body, running))
        async with asyncio.timeout(15):
            outcome = await running
        await again

        assert answer.status_code == 200
        assert outcome.error is None
        assert job_of(outcome).id == request_id
        assert len(fal.created) == 1

    async def _until_done(
        self, api: Api, handle: JobHandle, fal: FakeFal, body: bytes, running: "asyncio.Task[Any]"
    ) -> None:
        """fal delivers a webhook again and again; here so that the question after the id is not put off."""

        async def done() -> bool:
            await send(api, handle, body, fal_server.signed(body, fal.key, at_s=at()))
            return running.done()

        await eventually(done, within_s=15)

    @pytest.mark.parametrize("change", ["body", "user", "time", "key", "hex", "nothing"])
    async def test_a_forged_webhook_changes_nothing(
        self, hooked: Api, context: GenerationContext, handle: JobHandle, fal: FakeFal, change: str
    ) -> None:
        body = fal_server.webhook_body("r1")
        headers = fal_server.signed(body, fal.key, at_s=at())
        match change:
            case "body":
                headers = fal_server.signed(body + b" ", fal.key, at_s=at())
            case "user":
                headers["x-fal-webhook-user-id"] = "somebody"
            case "time":
                headers["x-fal-webhook-timestamp"] = str(int(at(-100)))
            case "key":
                headers = fal_server.signed(body, FakeFal().key, at_s=at())
            case "hex":
                headers["x-fal-webhook-signature"] = "zz"
            case _:
                headers = {}

        answer = await send(hooked, handle, body, headers)

        assert answer.status_code == 400
        assert jobs_in(context)[0]["webhooks"] == 0

    async def test_a_stale_webhook_changes_nothing(
        self, hooked: Api, context: GenerationContext, handle: JobHandle, fal: FakeFal
    ) -> None:
        body = fal_server.webhook_body("r1")

        answer = await send(hooked, handle, body, fal_server.signed(body, fal.key, at_s=at(-301)))

        assert (answer.status_code, answer.json()["code"]) == (400, "stale_webhook")
        assert jobs_in(context)[0]["webhooks"] == 0

    async def test_the_keys_are_fetched_once_and_again_for_a_key_that_is_new(
        self, hooked: Api, handle: JobHandle, fal: FakeFal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("workers.providers.fal.webhooks.FETCH_AGAIN_S", 0.0)
        body = fal_server.webhook_body("r1")
        for _ in range(3):
            assert (await send(hooked, handle, body, fal_server.signed(body, fal.key, at_s=at()))).status_code == 200
        assert len(fal.calls) == 1

        fal.key = FakeFal().key
        answer = await send(hooked, handle, body, fal_server.signed(body, fal.key, at_s=at()))

        assert answer.status_code == 200
        assert len(fal.calls) == 2

    async def test_forgers_cannot_make_us_fetch_the_keys_all_the_time(
        self, hooked: Api, handle: JobHandle, fal: FakeFal
    ) -> None:
        body = fal_server.webhook_body("r1")
        forged = fal_server.signed(body, FakeFal().key, at_s=at())

        answers = [await send(hooked, handle, body, forged) for _ in range(5)]

        assert {answer.status_code for answer in answers} == {400}
        assert len(fal.calls) == 1

    @pytest.mark.parametrize("keys", [{"keys": []}, {"keys": [{"kty": "RSA"}]}, ["no set"]])
    async def test_without_keys_the_webhook_is_to_come_again(
        self, hooked: Api, handle: JobHandle, fal: FakeFal, keys: object
    ) -> None:
        body = fal_server.webhook_body("r1")
        fal.script(json_answer(200, keys))

        answer = await send(hooked, handle, body, fal_server.signed(body, fal.key, at_s=at()))

        assert (answer.status_code, answer.json()["code"]) == (503, "dependency_unavailable")
        assert (await send(hooked, handle, body, fal_server.signed(body, fal.key, at_s=at()))).status_code == 200
