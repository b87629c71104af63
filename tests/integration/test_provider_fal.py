"""fal's queue against a server that speaks its wire format and fails as it does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from tests.fakes.fal_server import API_KEY, FILM, MODEL, FakeFal, refused, webhook_body
from tests.fakes.scripted_server import Answer, Cut, Hang, json_answer, no_answer
from tests.media_calls import PATIENT, QUICK, WEBHOOK_URL, News, job_of, media_request, progress_of, results_of
from tests.provider_calls import Outcome, outcome_of
from tests.waiting import eventually
from workers.providers import Finished, JobStarted, ProviderRequest, Timeouts, UpstreamJob, Usage, errors
from workers.providers.fal.queue import Fal

SOON = Timeouts(connect_s=1, first_token_s=0.4, gap_s=1, total_s=1)
ONCE_STARTED = Timeouts(connect_s=4, first_token_s=4, gap_s=4, total_s=4)
"""Over soon, and long enough for a slow machine to have the job started before."""


@pytest.fixture
async def server() -> AsyncIterator[FakeFal]:
    async with FakeFal() as server:
        yield server


@pytest.fixture
async def provider(server: FakeFal) -> AsyncIterator[Fal]:
    provider = Fal(api_key=API_KEY, base_url=server.base_url, pace=QUICK)
    yield provider
    await provider.aclose()


@pytest.fixture
async def patient(server: FakeFal) -> AsyncIterator[Fal]:
    """Asks so rarely that only a webhook can have made it ask."""
    provider = Fal(api_key=API_KEY, base_url=server.base_url, pace=PATIENT)
    yield provider
    await provider.aclose()


def film(mode: str = "video", **fields: object) -> ProviderRequest:
    return media_request(mode, model=MODEL, **fields)  # pyright: ignore[reportArgumentType] - passed on


async def asked_again(server: FakeFal) -> None:
    """Two more questions: the first may have been on its way before."""
    asked = len(server.calls)
    await eventually(lambda: len(server.calls) > asked + 1)


async def completed(
    provider: Fal, server: FakeFal, result: Answer, request: ProviderRequest | None = None, **status: object
) -> Outcome:
    """Run a call whose request completes with this as soon as it exists."""
    running = asyncio.create_task(outcome_of(provider, request or film()))
    await eventually(lambda: bool(server.statuses))
    server.completes(result, **status)
    return await running


async def test_a_request_becomes_a_film_with_usage(server: FakeFal, provider: Fal) -> None:
    result = json_answer(200, {"video": {**FILM, "duration": 5.04, "width": 1280, "height": 720}})

    outcome = await completed(provider, server, result)

    (film_result,) = results_of(outcome)
    assert outcome.error is None
    assert job_of(outcome).id == server.latest
    assert (film_result.kind, film_result.media_type, film_result.url) == ("video", "video/mp4", FILM["url"])
    assert (film_result.width, film_result.height, film_result.duration_ms) == (1280, 720, 5040)
    assert outcome.usage == Usage(duration_ms=5040, compute_ms=2500)
    assert not outcome.final.estimated
    assert outcome.chunks[-1] == Finished(reason="stop", provider_reason="COMPLETED")


async def test_the_request_goes_upstream_as_documented(server: FakeFal, provider: Fal) -> None:
    request = film(inputs={"prompt": "x", "seed": 7}, webhook_url=WEBHOOK_URL)

    await completed(provider, server, json_answer(200, {"video": FILM}), request)

    call = server.created[0]
    assert call.path.startswith(f"/{MODEL}?fal_webhook=https%3A%2F%2F")
    assert server.webhooks[server.latest] == WEBHOOK_URL
    assert call.body == {"prompt": "x", "seed": 7}
    assert call.headers["x-fal-no-retry"] == "1"


async def test_a_place_in_the_queue_and_progress_are_told(server: FakeFal, provider: Fal) -> None:
    running = asyncio.create_task(outcome_of(provider, film()))
    await eventually(lambda: len(server.calls) > 2)
    server.becomes(status="IN_QUEUE", queue_position=0)
    await asked_again(server)
    for percent in (40, 20):
        logs = [{"message": f"{percent}%|####"}, {"message": "still at it"}, "no object"]
        server.becomes(status="IN_PROGRESS", logs=logs)
        await asked_again(server)
    server.completes()
    outcome = await running

    told = [(progress.percent, progress.message) for progress in progress_of(outcome)]
    assert told == [
        (0, "3 ahead in the provider's queue"),
        (0, "next in the provider's queue"),
        (40, "in progress"),
    ]


NO_RESULTS: list[dict[str, object]] = [{}, {"video": None}, {"video": {"url": 7}}, {"images": []}, {"seed": 1}]


@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        ({"images": [{"url": "https://fal.media/1.png", "width": 512, "height": 512}] * 2}, ["image", "image"]),
        ({"image": {"url": "https://fal.media/1.webp"}}, ["image"]),
        ({"audio": {"url": "https://fal.media/1.wav"}}, ["audio"]),
        ({"audio_file": {"url": "https://fal.media/1", "content_type": "audio/wav"}}, ["audio"]),
        ({"audio_url": "https://fal.media/1.mp3"}, ["audio"]),
        ({"video": {"url": "https://fal.media/1.mp4"}, "timings": {"inference": 1}}, ["video"]),
        ({"images": ["data:image/jpeg;base64,YWJj"]}, ["image"]),
    ],
)
async def test_results_of_every_shape_are_read(
    server: FakeFal, provider: Fal, body: dict[str, object], kinds: list[str]
) -> None:
    outcome = await completed(provider, server, json_answer(200, body))

    assert [result.kind for result in results_of(outcome)] == kinds


async def test_pictures_are_measured_and_what_is_not_said_is_taken_from_the_request(
    server: FakeFal, provider: Fal
) -> None:
    known, unknown = {"url": "https://fal.media/1.png", "width": 512, "height": 256}, {"url": "https://fal.media/2.png"}
    request = film("image", options={"size": "100x10"})

    outcome = await completed(provider, server, json_answer(200, {"images": [known, unknown]}), request)

    assert outcome.usage == Usage(images=2, pixels=512 * 256 + 1_000, compute_ms=2500)
    assert outcome.final.estimated


async def test_a_film_whose_length_is_not_said_is_as_long_as_was_asked_for(server: FakeFal, provider: Fal) -> None:
    request = film(options={"duration_s": 8})

    outcome = await completed(provider, server, json_answer(200, {"video": FILM}), request)

    assert outcome.usage.duration_ms == 8000
    assert outcome.final.estimated


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        (
            refused(422, [{"loc": ["body", "prompt"], "msg": "no", "type": "content_policy_violation"}]),
            errors.ContentRefused,
        ),
        (
            refused(422, [{"loc": ["body", "steps"], "msg": "too many", "type": "less_than_equal"}]),
            errors.RequestRejected,
        ),
        (refused(504, "Request timed out", error_type="request_timeout"), errors.TimedOut),
        (refused(503, "No runner", error_type="runner_scheduling_failure"), errors.Overloaded),
        (refused(500, "Runner error", error_type="runner_server_error"), errors.Unavailable),
    ],
)
async def test_a_completed_request_may_have_failed(
    server: FakeFal, provider: Fal, result: Answer, kind: type[errors.ProviderError]
) -> None:
    outcome = await completed(provider, server, result)

    assert type(outcome.failure) is kind
    assert not outcome.failure.ambiguous
    assert not outcome.reports
    assert len(server.created) == 1


async def test_an_error_in_the_status_is_the_requests_error(server: FakeFal, provider: Fal) -> None:
    outcome = await completed(
        provider, server, json_answer(200, {}), error="it took too long", error_type="startup_timeout"
    )

    assert isinstance(outcome.failure, errors.Overloaded)


async def test_a_result_that_a_proxy_hides_is_asked_for_again(server: FakeFal, provider: Fal) -> None:
    submitted = await outcome_of_submission(server)
    status: dict[str, object] = {"status": "COMPLETED", "metrics": {}}
    server.script(
        json_answer(200, status), Answer(502, {}, (b"<html>bad gateway",)), json_answer(200, status), no_answer(Cut())
    )
    server.completes()

    outcome = await outcome_of(provider, film(resume=submitted))

    assert outcome.error is None


async def outcome_of_submission(server: FakeFal) -> UpstreamJob:
    """A request that an earlier worker submitted."""
    url = f"{server.url}/fal-ai/fake/requests/{server.add()}"
    return UpstreamJob(id=server.latest, status_url=f"{url}/status", result_url=url, cancel_url=f"{url}/cancel")


@pytest.mark.parametrize("inference_time", [-1, "2", True, 1e12])
async def test_usage_that_cannot_be_fails_the_call(server: FakeFal, provider: Fal, inference_time: object) -> None:
    result = json_answer(200, {"video": FILM})

    outcome = await completed(provider, server, result, metrics={"inference_time": inference_time})

    assert isinstance(outcome.failure, errors.MalformedUsage)


@pytest.mark.parametrize("metrics", [None, {}, {"inference_time": 0}])
async def test_usage_that_is_missing_or_zero_is_counted_from_the_result(
    server: FakeFal, provider: Fal, metrics: object
) -> None:
    result = json_answer(200, {"images": [{"url": "https://fal.media/1.png", "width": 10, "height": 10}]})

    outcome = await completed(provider, server, result, metrics=metrics)

    assert outcome.usage == Usage(images=1, pixels=100)


@pytest.mark.parametrize("body", NO_RESULTS)
async def test_a_success_with_nothing_to_show_fails(server: FakeFal, provider: Fal, body: dict[str, object]) -> None:
    outcome = await completed(provider, server, json_answer(200, body))

    assert isinstance(outcome.failure, errors.MalformedResponse)


@pytest.mark.parametrize("which", ["status_url", "response_url", "cancel_url"])
@pytest.mark.parametrize(
    "url", ["https://evil.example/steal", "http://127.0.0.1:1/x", "http://key@127.0.0.1/x", "file:///etc/passwd"]
)
async def test_urls_that_lead_elsewhere_are_not_used(server: FakeFal, provider: Fal, which: str, url: str) -> None:
    server.urls[which] = url

    outcome = await outcome_of(provider, film())

    assert isinstance(outcome.failure, errors.MalformedResponse)
    assert outcome.failure.ambiguous
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    ("answer", "kind", "retry_after_s"),
    [
        (refused(429, "Too many requests", retry_after="7"), errors.RateLimited, 7),
        (refused(429, "Too many requests"), errors.RateLimited, None),
        (refused(401, "No"), errors.AuthenticationFailed, None),
        (refused(403, "User is locked. Reason: Exhausted balance."), errors.QuotaExhausted, None),
        (refused(404, "Application not found"), errors.ModelNotFound, None),
        (refused(422, [{"loc": ["body"], "msg": "field required", "type": "missing"}]), errors.RequestRejected, None),
        (refused(503, "Try later"), errors.Overloaded, None),
    ],
)
async def test_a_submission_that_was_turned_away_may_be_tried_again(
    server: FakeFal, provider: Fal, answer: Answer, kind: type[errors.ProviderError], retry_after_s: float | None
) -> None:
    server.script(answer)

    outcome = await outcome_of(provider, film(webhook_url=WEBHOOK_URL, news=News()))

    assert type(outcome.failure) is kind
    assert outcome.failure.retry_after_s == retry_after_s
    assert not outcome.failure.ambiguous


LOST_ANSWERS = [
    refused(500, "Internal server error"),
    Answer(504, {}, (b"gateway timeout",)),
    no_answer(Cut()),
    Answer(200, {}, (b'{"request_id": "0',), ends_cleanly=False),
    Answer(200, {}, (b"<html>",)),
    json_answer(200, {"request_id": "../../admin"}),
]


@pytest.mark.parametrize("answer", LOST_ANSWERS, ids=range(len(LOST_ANSWERS)))
async def test_a_submission_whose_answer_was_lost_is_known_by_its_webhook_and_not_repeated(
    server: FakeFal, patient: Fal, answer: Answer
) -> None:
    news = News()
    server.add()
    server.completes()
    server.script(answer)
    running = asyncio.create_task(outcome_of(patient, film(webhook_url=WEBHOOK_URL, news=news)))
    await eventually(lambda: len(server.calls) == 1)

    news.bring(b"{")
    news.bring(webhook_body(server.latest))
    await eventually(lambda: news.heard == 2)
    news.bring(webhook_body(server.latest))
    outcome = await running

    assert outcome.error is None
    assert job_of(outcome).id == server.latest
    assert len(server.created) == 1


@pytest.mark.parametrize("news", [None, News()], ids=["nobody listens", "no webhook comes"])
async def test_a_submission_that_nothing_tells_of_is_ambiguous(
    server: FakeFal, provider: Fal, news: News | None
) -> None:
    server.script(no_answer(Cut()))

    outcome = await outcome_of(provider, film(webhook_url=WEBHOOK_URL, news=news))

    assert outcome.failure.ambiguous
    assert len(server.created) == 1


async def test_a_submission_that_stalls_is_ambiguous_when_the_time_is_over(server: FakeFal, provider: Fal) -> None:
    server.script(no_answer(Hang()))

    outcome = await outcome_of(provider, film(webhook_url=WEBHOOK_URL, timeouts=SOON))

    assert isinstance(outcome.failure, errors.TimedOut)
    assert outcome.failure.ambiguous


async def test_a_request_that_takes_too_long_is_cancelled_and_not_repeated(server: FakeFal, provider: Fal) -> None:
    outcome = await outcome_of(provider, film(timeouts=ONCE_STARTED))

    assert outcome.failure.ambiguous
    assert len(server.cancelled) == 1


@pytest.mark.parametrize("answer", [None, refused(400, "Already completed"), refused(404, "Gone"), refused(500, "Oh")])
async def test_a_call_that_is_stopped_cancels_its_request_as_well_as_it_can(
    server: FakeFal, provider: Fal, answer: Answer | None
) -> None:
    async with aclosing(provider.stream(film())) as stream:
        assert isinstance(await anext(stream), JobStarted)
        if answer is not None:
            server.script(answer)

    assert len(server.cancelled) == 1


async def test_webhooks_that_come_twice_and_out_of_order_only_make_it_ask(server: FakeFal, patient: Fal) -> None:
    news = News()
    running = asyncio.create_task(outcome_of(patient, film(webhook_url=WEBHOOK_URL, news=news)))
    await eventually(lambda: bool(server.statuses))

    news.bring(webhook_body(server.latest, status="OK"))
    await eventually(lambda: len(server.calls) == 2)
    server.completes()
    news.bring(webhook_body(server.latest, status="ERROR"))
    news.bring(webhook_body(server.latest, status="OK"))
    outcome = await running

    assert outcome.error is None
    assert len(results_of(outcome)) == 1
