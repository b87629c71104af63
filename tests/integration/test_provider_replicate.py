"""Replicate against a server that speaks its wire format and fails as it does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from tests.fakes.replicate_server import API_TOKEN, FILM, MODEL, PICTURE, FakeReplicate, refused, webhook_body
from tests.fakes.scripted_server import Answer, Cut, Hang, json_answer, no_answer
from tests.media_calls import (
    PATIENT,
    QUICK,
    WEBHOOK_URL,
    News,
    job_of,
    media_request,
    progress_of,
    results_of,
)
from tests.provider_calls import Outcome, outcome_of
from tests.waiting import eventually
from workers.providers import Finished, InputFile, JobStarted, ProviderRequest, Timeouts, UpstreamJob, Usage, errors
from workers.providers.background import http
from workers.providers.replicate.predictions import Replicate

SOON = Timeouts(connect_s=1, first_token_s=0.4, gap_s=1, total_s=1)
ONCE_STARTED = Timeouts(connect_s=4, first_token_s=4, gap_s=4, total_s=4)
"""Over soon, and long enough for a slow machine to have the job started before."""


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
async def patient(server: FakeReplicate) -> AsyncIterator[Replicate]:
    """Asks so rarely that only a webhook can have made it ask."""
    provider = Replicate(api_token=API_TOKEN, base_url=server.base_url, pace=PATIENT)
    yield provider
    await provider.aclose()


def picture(**fields: object) -> ProviderRequest:
    return media_request(model=MODEL, **fields)  # pyright: ignore[reportArgumentType] - passed on


async def run(provider: Replicate, server: FakeReplicate, request: ProviderRequest, **state: Any) -> Outcome:
    """Run a call whose prediction becomes this as soon as it exists."""
    running = asyncio.create_task(outcome_of(provider, request))
    await eventually(lambda: bool(server.predictions))
    server.becomes(**state)
    return await running


async def test_a_prediction_becomes_a_picture_with_usage(server: FakeReplicate, provider: Replicate) -> None:
    running = asyncio.create_task(outcome_of(provider, picture(options={"size": "1024x768"})))
    await eventually(lambda: bool(server.predictions))
    server.succeeds(predict_time=4.2)
    outcome = await running

    (result,) = results_of(outcome)
    assert outcome.error is None
    assert job_of(outcome) == UpstreamJob(id="pred0fake")
    assert (result.kind, result.media_type, result.url, result.url_expires_in_s) == (
        "image",
        "image/png",
        PICTURE,
        3600,
    )
    assert outcome.usage == Usage(images=1, pixels=1024 * 768, compute_ms=4200)
    assert outcome.chunks[-1] == Finished(reason="stop", provider_reason="succeeded")


@pytest.mark.parametrize(
    ("upstream_model", "path", "version"),
    [
        (MODEL, f"/v1/models/{MODEL}/predictions", None),
        (f"{MODEL}:{'a1' * 32}", "/v1/predictions", "a1" * 32),
        ("b2" * 32, "/v1/predictions", "b2" * 32),
        ("deployments/acme/painter", "/v1/deployments/acme/painter/predictions", None),
    ],
)
async def test_each_form_of_a_model_name_goes_to_its_own_place(
    server: FakeReplicate, provider: Replicate, upstream_model: str, path: str, version: str | None
) -> None:
    request = media_request(model=upstream_model, webhook_url=WEBHOOK_URL, inputs={"prompt": "x", "steps": 4})

    running = asyncio.create_task(outcome_of(provider, request))
    await eventually(lambda: bool(server.predictions))
    server.succeeds()
    await running

    call = server.created[0]
    assert call.path == path
    assert call.body.get("version") == version
    assert call.body["input"] == {"prompt": "x", "steps": 4}
    assert call.body["webhook"] == WEBHOOK_URL
    assert call.body["webhook_events_filter"] == ["completed"]
    assert call.headers["cancel-after"] == "20s"
    assert "prefer" not in call.headers


@pytest.mark.parametrize("name", ["", "painter", "a/b/c", "../admin", "a/b?x=1", "a/b:latest"])
async def test_a_name_that_is_none_of_these_forms_is_refused_without_a_call(
    server: FakeReplicate, provider: Replicate, name: str
) -> None:
    outcome = await outcome_of(provider, media_request(model=name))

    assert isinstance(outcome.failure, errors.RequestRejected)
    assert not server.calls


async def test_files_go_by_url_or_inside_the_request(server: FakeReplicate, provider: Replicate) -> None:
    by_url = InputFile(media_id="m1", kind="image", media_type="image/png", size_bytes=9, url="https://store/x.png")
    inside = InputFile(media_id="m2", kind="image", media_type="image/webp", size_bytes=3, content=b"abc")
    request = picture(inputs={"image": "m1", "references": ["m1", "m2"]}, files={"m1": by_url, "m2": inside})

    running = asyncio.create_task(outcome_of(provider, request))
    await eventually(lambda: bool(server.predictions))
    server.succeeds()
    await running

    data_url = "data:image/webp;base64,YWJj"
    assert server.created[0].body["input"] == {
        "image": "https://store/x.png",
        "references": ["https://store/x.png", data_url],
    }


@pytest.mark.parametrize(
    ("output", "kinds"),
    [
        (FILM, ["video"]),
        ([PICTURE, PICTURE], ["image", "image"]),
        ({"audio": "https://replicate.delivery/a.wav", "words": "la la", "n": 3}, ["audio"]),
        ("data:audio/mpeg;base64,YWJj", ["audio"]),
        ("https://replicate.delivery/without-a-name", ["video"]),
    ],
)
async def test_outputs_of_every_shape_are_read(
    server: FakeReplicate, provider: Replicate, output: object, kinds: list[str]
) -> None:
    outcome = await run(
        provider, server, picture(mode="video"), status="succeeded", output=output, metrics={"predict_time": 1}
    )

    assert [result.kind for result in results_of(outcome)] == kinds
    assert outcome.error is None


@pytest.mark.parametrize("output", [None, "", [], {"words": "la la"}, 7, "javascript:alert(1)", "data:image/png"])
async def test_a_success_with_nothing_to_show_fails_and_is_billed(
    server: FakeReplicate, provider: Replicate, output: object
) -> None:
    outcome = await run(provider, server, picture(), status="succeeded", output=output, metrics={"predict_time": 2})

    assert isinstance(outcome.failure, errors.MalformedResponse)
    assert outcome.usage == Usage(compute_ms=2000)
    assert not results_of(outcome)


async def test_progress_comes_from_the_logs_and_never_falls(server: FakeReplicate, provider: Replicate) -> None:
    running = asyncio.create_task(outcome_of(provider, picture()))
    await eventually(lambda: bool(server.predictions))
    for percent in (10, 60, 30):
        asked = len(server.calls)
        server.becomes(status="processing", logs=f"loading\n {percent}%|###   | 3/10 [00:01<00:02]")
        await eventually(lambda asked=asked: len(server.calls) > asked + 1)
    server.succeeds()
    outcome = await running

    percents = [progress.percent for progress in progress_of(outcome)]
    assert percents == sorted(percents)
    assert percents[-1] == 60


@pytest.mark.parametrize(
    ("status", "error", "kind", "compute_ms"),
    [
        ("failed", "CUDA out of memory", errors.Unavailable, 3000),
        ("failed", "The input or output was flagged as sensitive. (E005)", errors.ContentRefused, 3000),
        ("failed", "Service is currently unavailable due to high demand (E003)", errors.Overloaded, 3000),
        ("failed", "Input validation error: steps", errors.RequestRejected, 3000),
        ("failed", None, errors.Unavailable, 3000),
        ("canceled", None, errors.TimedOut, 3000),
        ("aborted", None, errors.Overloaded, 0),
    ],
)
async def test_what_ended_badly_is_told_and_billed_as_replicate_does(
    server: FakeReplicate,
    provider: Replicate,
    status: str,
    error: str | None,
    kind: type[errors.ProviderError],
    compute_ms: int,
) -> None:
    outcome = await run(provider, server, picture(), status=status, error=error, metrics={"predict_time": 3.0})

    assert type(outcome.failure) is kind
    assert outcome.usage == Usage(compute_ms=compute_ms)
    assert not outcome.failure.ambiguous
    assert not server.cancelled


@pytest.mark.parametrize(
    ("metrics", "usage", "estimated"),
    [
        ({"predict_time": 0}, Usage(images=1), False),
        ({"predict_time": 0.0004}, Usage(images=1, compute_ms=1), False),
        ({"image_count": 1}, Usage(images=1, compute_ms=4250), True),
        (None, Usage(images=1, compute_ms=4250), True),
    ],
)
async def test_usage_that_is_missing_is_counted_from_the_prediction(
    server: FakeReplicate, provider: Replicate, metrics: object, usage: Usage, estimated: bool
) -> None:
    outcome = await run(
        provider,
        server,
        picture(),
        status="succeeded",
        output=PICTURE,
        metrics=metrics,
        started_at="2026-11-20T12:00:01Z",
        completed_at="2026-11-20T12:00:05.25Z",
    )

    assert outcome.usage == usage
    assert outcome.final.estimated is estimated


@pytest.mark.parametrize("predict_time", [-1, "4", True, 1e12, [1]])
async def test_usage_that_cannot_be_fails_the_call(
    server: FakeReplicate, provider: Replicate, predict_time: object
) -> None:
    outcome = await run(
        provider, server, picture(), status="succeeded", output=PICTURE, metrics={"predict_time": predict_time}
    )

    assert isinstance(outcome.failure, errors.MalformedUsage)
    assert not results_of(outcome)


@pytest.mark.parametrize(
    ("answer", "kind", "retry_after_s"),
    [
        (refused(429, "Request was throttled.", retry_after="7"), errors.RateLimited, 7),
        (refused(429, "Request was throttled."), errors.RateLimited, None),
        (refused(401, "Unauthenticated"), errors.AuthenticationFailed, None),
        (refused(402, "You have insufficient credit"), errors.QuotaExhausted, None),
        (refused(404, "The requested resource could not be found."), errors.ModelNotFound, None),
        (refused(422, "- input.steps: Must be less than 5"), errors.RequestRejected, None),
        (refused(503, "Service unavailable"), errors.Overloaded, None),
    ],
)
async def test_a_create_that_was_turned_away_may_be_tried_again(
    server: FakeReplicate,
    provider: Replicate,
    answer: Answer,
    kind: type[errors.ProviderError],
    retry_after_s: float | None,
) -> None:
    server.script(answer)

    outcome = await outcome_of(provider, picture(webhook_url=WEBHOOK_URL))

    assert type(outcome.failure) is kind
    assert outcome.failure.retry_after_s == retry_after_s
    assert not outcome.failure.ambiguous
    assert len(server.calls) == 1


LOST_ANSWERS = [
    refused(500, "Internal server error"),
    json_answer(502, "bad gateway"),
    no_answer(Cut()),
    Answer(201, {}, (b'{"id": "pre',), ends_cleanly=False),
    Answer(201, {}, (b"<html>",)),
    json_answer(201, {"id": None}),
]


@pytest.mark.parametrize("answer", LOST_ANSWERS, ids=range(len(LOST_ANSWERS)))
@pytest.mark.parametrize("lists_webhooks", [True, False])
async def test_a_create_whose_answer_was_lost_is_looked_up_and_not_repeated(
    server: FakeReplicate, provider: Replicate, answer: Answer, lists_webhooks: bool
) -> None:
    server.lists_webhooks = lists_webhooks
    server.add("https://holdfast.example/webhooks/providers/fake/another")
    mine = server.add(WEBHOOK_URL)
    server.succeeds(mine)
    server.add()
    server.script(answer)

    outcome = await outcome_of(provider, picture(webhook_url=WEBHOOK_URL))

    assert outcome.error is None
    assert job_of(outcome).id == mine
    assert len(server.created) == 1


async def test_a_lost_create_that_is_not_in_the_list_was_not_taken_on(
    server: FakeReplicate, provider: Replicate
) -> None:
    server.script(no_answer(Cut()))

    outcome = await outcome_of(provider, picture(webhook_url=WEBHOOK_URL))

    assert isinstance(outcome.failure, errors.Unavailable)
    assert not outcome.failure.ambiguous
    assert len(server.created) == 1


async def test_a_lost_create_that_cannot_be_looked_up_is_ambiguous(server: FakeReplicate, provider: Replicate) -> None:
    server.script(no_answer(Cut()))
    outcome = await outcome_of(provider, picture())
    assert outcome.failure.ambiguous

    server.script(no_answer(Cut()), refused(500, "no list today"))
    outcome = await outcome_of(provider, picture(webhook_url=WEBHOOK_URL))
    assert outcome.failure.ambiguous
    assert len(server.created) == 2


async def test_a_server_that_cannot_be_reached_was_told_nothing(server: FakeReplicate) -> None:
    provider = Replicate(api_token=API_TOKEN, base_url="http://127.0.0.1:1/v1", pace=QUICK)

    outcome = await outcome_of(provider, picture())

    assert isinstance(outcome.failure, errors.Unavailable)
    assert not outcome.failure.ambiguous
    await provider.aclose()


async def test_a_create_that_stalls_is_ambiguous_when_the_time_is_over(
    server: FakeReplicate, provider: Replicate
) -> None:
    server.script(no_answer(Hang()))

    outcome = await outcome_of(provider, picture(webhook_url=WEBHOOK_URL, timeouts=SOON))

    assert isinstance(outcome.failure, errors.TimedOut)
    assert outcome.failure.ambiguous
    assert len(server.created) == 1


async def test_an_answer_that_has_no_end_is_not_read_to_the_end(
    server: FakeReplicate, provider: Replicate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MAX_ANSWER_BYTES", 1_000)
    server.script(Answer(201, {}, (b"x" * 600, b"y" * 600, Hang())))

    outcome = await outcome_of(provider, picture())

    assert outcome.failure.ambiguous
    assert "no end" in outcome.failure.provider_message


UNANSWERED = [
    refused(429, "throttled", retry_after="0"),
    refused(429, "throttled"),
    refused(500, "Internal server error"),
    refused(404, "not yet"),
    no_answer(Cut()),
    Answer(200, {}, (b'{"status": "succ',), ends_cleanly=False),
    json_answer(200, {"id": "pred0fake", "status": "levitating"}),
    json_answer(200, ["no object"]),
]


async def test_a_job_is_asked_for_again_while_there_is_no_answer(server: FakeReplicate, provider: Replicate) -> None:
    server.script(json_answer(201, server.predictions[server.add()]), *UNANSWERED[:7])
    server.succeeds()

    outcome = await outcome_of(provider, picture())

    assert outcome.error is None
    assert len(server.created) == 1


async def test_a_job_that_is_never_answered_for_is_given_up_and_cancelled(
    server: FakeReplicate, provider: Replicate
) -> None:
    server.script(json_answer(201, server.predictions[server.add()]), *UNANSWERED)

    outcome = await outcome_of(provider, picture())

    assert outcome.failure.ambiguous
    assert len(server.created) == 1
    assert len(server.cancelled) == 1


async def test_a_job_that_takes_too_long_is_cancelled_and_not_repeated(
    server: FakeReplicate, provider: Replicate
) -> None:
    outcome = await outcome_of(provider, picture(timeouts=ONCE_STARTED))

    assert isinstance(outcome.failure, errors.TimedOut)
    assert outcome.failure.ambiguous
    assert [call.path for call in server.cancelled] == ["/v1/predictions/pred0fake/cancel"]


async def test_a_question_that_is_never_answered_ends_with_the_time(server: FakeReplicate, provider: Replicate) -> None:
    server.script(json_answer(201, server.predictions[server.add()]), no_answer(Hang()))

    outcome = await outcome_of(provider, picture(timeouts=ONCE_STARTED))

    assert isinstance(outcome.failure, errors.TimedOut)
    assert outcome.failure.ambiguous
    assert len(server.created) == 1
    assert len(server.cancelled) == 1


async def test_a_call_that_is_stopped_cancels_its_job(server: FakeReplicate, provider: Replicate) -> None:
    async with aclosing(provider.stream(picture())) as stream:
        assert isinstance(await anext(stream), JobStarted)

    assert len(server.cancelled) == 1


async def test_a_task_that_is_cancelled_cancels_its_job_in_bounded_time(
    server: FakeReplicate, provider: Replicate
) -> None:
    running = asyncio.create_task(outcome_of(provider, picture(news=News(is_wanted=False))))
    await eventually(lambda: len(server.calls) > 2)
    server.script(no_answer(Hang()), no_answer(Hang()))

    running.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait({running})

    assert running.cancelled()
    assert len(server.cancelled) >= 1


async def test_a_job_that_another_worker_goes_on_with_is_not_cancelled(
    server: FakeReplicate, provider: Replicate
) -> None:
    running = asyncio.create_task(outcome_of(provider, picture(news=News(is_wanted=True))))
    await eventually(lambda: len(server.calls) > 2)

    running.cancel()
    await asyncio.wait({running})
    assert not server.cancelled
    server.succeeds()
    outcome = await outcome_of(provider, picture(resume=UpstreamJob(id="pred0fake")))

    assert outcome.error is None
    assert len(server.created) == 1


async def test_a_job_that_was_lost_between_create_and_answer_is_found_by_the_next_worker(
    server: FakeReplicate, provider: Replicate
) -> None:
    server.succeeds(server.add(WEBHOOK_URL))

    outcome = await outcome_of(provider, picture(webhook_url=WEBHOOK_URL, resume=UpstreamJob(id="")))

    assert job_of(outcome).id == "pred0fake"
    assert not server.created


async def test_a_job_that_was_never_created_is_created_by_the_next_worker(
    server: FakeReplicate, provider: Replicate
) -> None:
    outcome = await run(
        provider,
        server,
        picture(webhook_url=WEBHOOK_URL, resume=UpstreamJob(id="")),
        status="succeeded",
        output=PICTURE,
    )

    assert outcome.error is None
    assert len(server.created) == 1


async def test_a_webhook_makes_it_ask_at_once_and_a_second_one_does_no_harm(
    server: FakeReplicate, patient: Replicate
) -> None:
    news = News()
    running = asyncio.create_task(outcome_of(patient, picture(webhook_url=WEBHOOK_URL, news=news)))
    await eventually(lambda: bool(server.predictions))

    # One from before, delivered late, then the one that says it is over, twice.
    server.becomes(status="processing")
    news.bring(webhook_body(server.predictions["pred0fake"]))
    await eventually(lambda: len(server.calls) == 2)
    server.succeeds()
    news.bring(webhook_body(server.predictions["pred0fake"]))
    news.bring(webhook_body(server.predictions["pred0fake"]))
    outcome = await running

    assert outcome.error is None
    assert len(results_of(outcome)) == 1


async def test_a_webhook_may_come_before_the_create_call_returns(server: FakeReplicate, patient: Replicate) -> None:
    news = News()
    server.succeeds(server.add(WEBHOOK_URL))
    server.script(json_answer(201, {**server.predictions["pred0fake"], "status": "starting"}))
    news.bring(webhook_body(server.predictions["pred0fake"]))

    outcome = await outcome_of(patient, picture(webhook_url=WEBHOOK_URL, news=news))

    assert outcome.error is None
    assert len(server.created) == 1


async def test_a_page_of_the_list_that_leads_elsewhere_is_not_followed(
    server: FakeReplicate, provider: Replicate
) -> None:
    server.script(no_answer(Cut()), json_answer(200, {"next": "https://evil.example/steal", "results": []}))

    outcome = await outcome_of(provider, picture(webhook_url=WEBHOOK_URL))

    assert outcome.failure.ambiguous
