"""OpenAI's Images API through its SDK, against a server that speaks its wire format and fails as it does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from tests.fakes import openai_images_server as fake
from tests.fakes.openai_images_server import MODEL, PICTURE, FakeOpenAIImages, completed, sketch, streamed, whole
from tests.fakes.openai_server import API_KEY, failure
from tests.fakes.scripted_server import Answer, Cut, Hang, no_answer
from tests.media_calls import media_request, progress_of, results_of
from tests.provider_calls import outcome_of
from workers.providers import Finished, InputFile, Progress, ProviderRequest, Timeouts, Usage, errors
from workers.providers.openai_images.images import OpenAIImages

SOON = Timeouts(connect_s=1, first_token_s=0.3, gap_s=1, total_s=1)
WHOLE_USAGE = Usage(input_tokens=50, output_tokens=1056, images=1, pixels=1024 * 1024)


@pytest.fixture
async def server() -> AsyncIterator[FakeOpenAIImages]:
    async with FakeOpenAIImages() as server:
        yield server


@pytest.fixture
async def provider(server: FakeOpenAIImages) -> AsyncIterator[OpenAIImages]:
    provider = OpenAIImages(api_key=API_KEY, base_url=server.base_url)
    yield provider
    await provider.aclose()


def image(media_id: str = "m1", **fields: Any) -> InputFile:
    known: dict[str, Any] = {"kind": "image", "media_type": "image/png", "size_bytes": 7, "content": b"picture"}
    return InputFile(media_id=media_id, **{**known, **fields})


def picture(**fields: Any) -> ProviderRequest:
    return media_request(model=MODEL, **fields)


def edit(*files: InputFile, **options: Any) -> ProviderRequest:
    return media_request(
        "image-edit", model=MODEL, options={"image": "m1", **options}, files={file.media_id: file for file in files}
    )


async def test_a_picture_comes_with_progress_and_usage(provider: OpenAIImages) -> None:
    outcome = await outcome_of(provider, picture())

    (result,) = results_of(outcome)
    assert outcome.error is None
    assert progress_of(outcome) == [Progress(percent=50, message="sketch 1")]
    assert (result.kind, result.media_type, result.content) == ("image", "image/png", PICTURE)
    assert (result.width, result.height, result.url) == (1024, 1024, None)
    assert outcome.usage == WHOLE_USAGE
    assert not outcome.final.estimated
    assert outcome.chunks[-1] == Finished(reason="stop", provider_reason="completed")


async def test_the_request_goes_upstream_as_documented(server: FakeOpenAIImages, provider: OpenAIImages) -> None:
    options: dict[str, object] = {
        "size": "1536x1024",
        "quality": "low",
        "background": "transparent",
        "output_format": "webp",
        "output_compression": 0,
        "moderation": "low",
        "partial_images": 2,
    }

    await outcome_of(provider, picture(prompt="A harbour", options=options))

    assert server.calls[0].path == "/v1/images/generations"
    assert server.calls[0].body == {**options, "model": MODEL, "prompt": "A harbour", "n": 1, "stream": True}
    assert server.calls[0].headers["x-request-id"] == "request-1"


async def test_several_pictures_come_in_one_answer(server: FakeOpenAIImages, provider: OpenAIImages) -> None:
    outcome = await outcome_of(provider, picture(options={"n": 3}))

    assert len(results_of(outcome)) == 3
    assert outcome.usage.images == 3
    assert "stream" not in server.calls[0].body
    assert outcome.finished is not None


async def test_an_edit_sends_its_pictures_and_mask(server: FakeOpenAIImages, provider: OpenAIImages) -> None:
    files = [image(), image("m2", media_type="image/webp", content=b"second"), image("m3", content=b"mask")]

    outcome = await outcome_of(provider, edit(*files, references=["m2"], mask="m3", input_fidelity="high"))

    form = fake.form_of(server.calls[0])
    assert outcome.error is None
    assert len(results_of(outcome)) == 1
    assert server.calls[0].path == "/v1/images/edits"
    assert form["image[]"] == [("m1.png", "image/png", b"picture"), ("m2.webp", "image/webp", b"second")]
    assert form["mask"] == [("m3.png", "image/png", b"mask")]
    assert form["stream"][0][2] == b"true"


async def test_a_file_that_is_only_in_our_store_is_fetched_from_there(
    server: FakeOpenAIImages, provider: OpenAIImages
) -> None:
    server.script(Answer(200, {"content-type": "image/png"}, (b"from the ", b"store")))
    stored = image(content=None, url=f"{server.url}/store/m1?signature=x")

    outcome = await outcome_of(provider, edit(stored))

    assert outcome.error is None
    assert "authorization" not in server.calls[0].headers
    assert fake.form_of(server.calls[1])["image[]"][0][2] == b"from the store"


@pytest.mark.parametrize("answer", [Answer(403, {}, (b"no",)), no_answer(Cut())])
async def test_a_file_that_cannot_be_fetched_fails_the_call_before_it_is_made(
    server: FakeOpenAIImages, provider: OpenAIImages, answer: Answer
) -> None:
    server.script(answer)

    outcome = await outcome_of(provider, edit(image(content=None, url=f"{server.url}/store/m1?signature=x")))

    assert isinstance(outcome.failure, errors.Unavailable)
    assert "signature" not in outcome.failure.provider_message
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    "request_",
    [
        picture(prompt=" "),
        picture(options={"n": 11}),
        picture(options={"size": "huge"}),
        picture(options={"steps": 4}),
        media_request("video", model=MODEL),
        media_request("image-edit", model=MODEL),
        edit(),
        edit(image(media_type="image/gif")),
        edit(image(size_bytes=60 * 1024 * 1024)),
        edit(image(), references=["m9"]),
    ],
    ids=range(10),
)
async def test_what_it_could_never_run_is_refused_without_a_call(
    server: FakeOpenAIImages, provider: OpenAIImages, request_: ProviderRequest
) -> None:
    with pytest.raises(errors.RequestRejected):
        provider.check(request_)
    assert not server.calls


def test_input_is_bounded_with_every_picture_that_goes_in(provider: OpenAIImages) -> None:
    alone = provider.count_input_tokens(picture(prompt="x" * 100))
    with_pictures = provider.count_input_tokens(edit(image(), image("m2"), references=["m2"], prompt="x" * 100))

    assert alone >= 100
    assert with_pictures >= 20_000


@pytest.mark.parametrize(
    ("answer", "kind", "retry_after_s"),
    [
        (failure(429, "slow", kind="requests", code="rate_limit_exceeded", retry_after="3"), errors.RateLimited, 3),
        (failure(429, "slow", kind="requests", code="rate_limit_exceeded"), errors.RateLimited, None),
        (failure(429, "no money", kind="insufficient_quota", code="insufficient_quota"), errors.QuotaExhausted, None),
        (failure(500, "oh", kind="server_error"), errors.Unavailable, None),
        (failure(503, "busy", kind="service_unavailable_error"), errors.Overloaded, None),
        (
            failure(400, "rejected", kind="image_generation_user_error", code="moderation_blocked"),
            errors.ContentRefused,
            None,
        ),
        (failure(400, "bad size", kind="invalid_request_error"), errors.RequestRejected, None),
    ],
)
async def test_refusals_are_told_apart(
    server: FakeOpenAIImages,
    provider: OpenAIImages,
    answer: Answer,
    kind: type[errors.ProviderError],
    retry_after_s: float | None,
) -> None:
    server.script(answer)

    outcome = await outcome_of(provider, picture())

    assert type(outcome.failure) is kind
    assert outcome.failure.retry_after_s == retry_after_s
    assert outcome.failure.provider == "openai-images"
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (no_answer(Cut()), errors.Unavailable),
        (streamed(sketch(), Cut()), errors.Truncated),
        (streamed(sketch(), completed()[:80], Cut()), errors.Truncated),
        (streamed(sketch()), errors.Truncated),
        (streamed(), errors.Truncated),
        (streamed(sketch(), ends_cleanly=False), errors.Truncated),
        (streamed(b"event: image_generation.completed\ndata: {\n\n"), errors.MalformedResponse),
        (streamed(completed(b64_json="not base64!")), errors.MalformedResponse),
        (streamed(completed(b64_json=None)), errors.MalformedResponse),
        (streamed(sketch(), fake.stream_error("oh")), errors.Unavailable),
        (streamed(sketch(), fake.stream_error("no", code="moderation_blocked")), errors.ContentRefused),
        (whole(0), errors.MalformedResponse),
    ],
    ids=range(12),
)
async def test_a_call_that_breaks_delivers_nothing(
    server: FakeOpenAIImages, provider: OpenAIImages, answer: Answer, kind: type[errors.ProviderError]
) -> None:
    server.script(answer)

    outcome = await outcome_of(provider, picture(options={"n": 2} if answer == whole(0) else {}))

    assert type(outcome.failure) is kind
    assert not results_of(outcome)


async def test_a_picture_that_is_there_counts_however_the_connection_ends(
    server: FakeOpenAIImages, provider: OpenAIImages
) -> None:
    server.script(streamed(completed(), Cut()), streamed(completed(), Hang()), streamed(completed(), completed()))

    outcomes = [await outcome_of(provider, picture()) for _ in range(3)]

    assert [outcome.error for outcome in outcomes] == [None] * 3
    assert [len(results_of(outcome)) for outcome in outcomes] == [1] * 3


async def test_an_event_that_is_new_says_nothing(server: FakeOpenAIImages, provider: OpenAIImages) -> None:
    server.script(streamed(fake.event("image_generation.musing", thought="hm"), completed()))

    outcome = await outcome_of(provider, picture())

    assert outcome.error is None
    assert not progress_of(outcome)


async def test_a_stall_ends_in_a_time_out_and_the_call_with_it(
    server: FakeOpenAIImages, provider: OpenAIImages
) -> None:
    server.script(streamed(sketch(), Hang()))

    outcome = await outcome_of(provider, picture(timeouts=SOON))

    assert isinstance(outcome.failure, errors.TimedOut)
    async with asyncio.timeout(5):
        await server.calls[0].client_left.wait()


async def test_a_call_that_is_stopped_ends_upstream(server: FakeOpenAIImages, provider: OpenAIImages) -> None:
    server.script(streamed(sketch(), Hang()))

    async with aclosing(provider.stream(picture())) as stream:
        assert isinstance(await anext(stream), Progress)

    async with asyncio.timeout(5):
        await server.calls[0].client_left.wait()


@pytest.mark.parametrize("usage", [None, fake.NOT_SAID])
async def test_usage_that_is_missing_is_estimated(
    server: FakeOpenAIImages, provider: OpenAIImages, usage: object
) -> None:
    server.script(streamed(completed(usage=usage)))

    outcome = await outcome_of(provider, picture())

    assert outcome.final.estimated
    assert outcome.usage.images == 1
    assert outcome.usage.input_tokens > 0


@pytest.mark.parametrize("tokens", [-1, "many", 10**12, None])
async def test_usage_that_cannot_be_fails_the_call_before_the_picture_is_out(
    server: FakeOpenAIImages, provider: OpenAIImages, tokens: object
) -> None:
    server.script(streamed(completed(usage={**fake.USAGE, "output_tokens": tokens})))

    outcome = await outcome_of(provider, picture())

    assert isinstance(outcome.failure, errors.MalformedUsage)
    assert not results_of(outcome)


async def test_usage_of_zero_is_taken_as_it_is(server: FakeOpenAIImages, provider: OpenAIImages) -> None:
    server.script(streamed(completed(usage={**fake.USAGE, "input_tokens": 0, "output_tokens": 0})))

    outcome = await outcome_of(provider, picture())

    assert outcome.usage == Usage(images=1, pixels=1024 * 1024)
