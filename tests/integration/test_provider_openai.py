"""OpenAI's Chat Completions API through its SDK, against a server that speaks its wire format and fails as it does."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.fakes import openai_server as fake
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.scripted_server import Answer, Hold, event_stream
from tests.provider_calls import a_request, outcome_of
from workers.providers import Message, ProviderError, Timeouts, Usage, errors
from workers.providers.openai.chat import OpenAIChat

ENDING = (fake.finish(), fake.usage(), fake.DONE)


@pytest.fixture
async def server() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI() as server:
        yield server


@pytest.fixture
async def provider(server: FakeOpenAI) -> AsyncIterator[OpenAIChat]:
    provider = OpenAIChat(api_key=fake.API_KEY, base_url=server.base_url)
    yield provider
    await provider.aclose()


async def test_the_request_goes_upstream_as_documented(server: FakeOpenAI, provider: OpenAIChat) -> None:
    messages = (
        Message("system", "Be kind."),
        Message("user", "Hi"),
        Message("assistant", "Hello"),
        Message("user", "Bye"),
    )
    options: dict[str, object] = {"stop_sequences": ["END"], "effort": "low"}

    await outcome_of(provider, a_request(messages=messages, options=options, max_output_tokens=50, request_id="r-7"))

    call = await server.call()
    assert call.body == {
        "model": "fake-model",
        "max_completion_tokens": 50,
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": "Bye"},
        ],
        "stop": ["END"],
        "reasoning_effort": "low",
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert call.headers["x-client-request-id"] == "r-7"
    assert call.headers["x-request-id"] == "r-7"
    assert call.headers["x-holdfast-generation-id"] == "0199aa00-0000-7000-8000-000000000001"


async def test_usage_says_what_was_cached_and_what_was_reasoning(server: FakeOpenAI, provider: OpenAIChat) -> None:
    counted = fake.usage(
        3210,
        50,
        3260,
        prompt_tokens_details={"cached_tokens": 3000, "cache_write_tokens": 200, "audio_tokens": 0},
        completion_tokens_details={"reasoning_tokens": 30, "audio_tokens": 0},
    )
    server.script(event_stream(*fake.beginning("a"), fake.finish(), counted, fake.DONE))

    outcome = await outcome_of(provider, a_request())

    assert outcome.usage == Usage(
        input_tokens=3210, output_tokens=50, cache_read_tokens=3000, cache_write_tokens=200, reasoning_tokens=30
    )


async def test_reasoning_left_out_of_the_completion_is_taken_from_the_total(
    server: FakeOpenAI, provider: OpenAIChat
) -> None:
    counted = fake.usage(20, 198, 623)
    server.script(event_stream(*fake.beginning("a"), fake.finish(), counted, fake.DONE))

    assert (await outcome_of(provider, a_request())).usage == Usage(input_tokens=20, output_tokens=603)


async def test_a_server_that_sends_no_total_is_understood(server: FakeOpenAI, provider: OpenAIChat) -> None:
    counted = fake.chunk(usage={"prompt_tokens": 4, "completion_tokens": 2})
    server.script(event_stream(*fake.beginning("a"), fake.finish(), counted, fake.DONE))

    assert (await outcome_of(provider, a_request())).usage == Usage(input_tokens=4, output_tokens=2)


async def test_usage_in_every_chunk_is_cumulative(server: FakeOpenAI, provider: OpenAIChat) -> None:
    pieces = [
        fake.chunk(
            fake.choice({"content": "a"}),
            usage={"prompt_tokens": 4, "completion_tokens": number, "total_tokens": 4 + number},
        )
        for number in (1, 2, 3)
    ]
    server.script(event_stream(fake.role(), *pieces, fake.finish(), fake.DONE))

    outcome = await outcome_of(provider, a_request())

    assert outcome.usage == Usage(input_tokens=4, output_tokens=3)
    assert [report.final for report in outcome.reports] == [False, False, False, True]


@pytest.mark.parametrize(
    ("finish_reason", "reason"), [("stop", "stop"), ("length", "length"), ("a_reason_of_next_year", "other")]
)
async def test_every_reason_to_finish_has_a_word(
    server: FakeOpenAI, provider: OpenAIChat, finish_reason: str, reason: str
) -> None:
    server.script(fake.completion("a", finish_reason=finish_reason))

    finished = (await outcome_of(provider, a_request())).finished

    assert finished is not None
    assert (finished.reason, finished.provider_reason) == (reason, finish_reason)


@pytest.mark.parametrize("finish_reason", ["tool_calls", "function_call"])
async def test_an_answer_that_waits_for_a_tool_is_malformed(
    server: FakeOpenAI, provider: OpenAIChat, finish_reason: str
) -> None:
    server.script(fake.completion("a", finish_reason=finish_reason))

    assert isinstance((await outcome_of(provider, a_request())).error, errors.MalformedResponse)


async def test_the_content_filter_reports_usage_and_then_refuses(server: FakeOpenAI, provider: OpenAIChat) -> None:
    server.script(fake.completion("I", finish_reason="content_filter", completion_tokens=4))

    outcome = await outcome_of(provider, a_request())

    assert isinstance(outcome.error, errors.ContentRefused)
    assert outcome.usage == Usage(input_tokens=11, output_tokens=4)
    assert outcome.finished is None


async def test_a_refusal_by_the_model_keeps_its_words(server: FakeOpenAI, provider: OpenAIChat) -> None:
    server.script(event_stream(fake.role(), fake.refusal("I can't "), fake.refusal("do that."), *ENDING))

    outcome = await outcome_of(provider, a_request())

    assert isinstance(outcome.error, errors.ContentRefused)
    assert outcome.failure.provider_message == "I can't do that."
    assert outcome.text == ""


@pytest.mark.parametrize(
    ("answer", "kind", "retryable"),
    [
        (
            fake.failure(400, "too long", kind="invalid_request_error", code="context_length_exceeded"),
            errors.RequestRejected,
            False,
        ),
        (fake.failure(400, "no", kind="invalid_request_error"), errors.RequestRejected, False),
        (fake.failure(400, "no", code="content_policy_violation"), errors.ContentRefused, False),
        (fake.failure(401, "no", kind="invalid_request_error"), errors.AuthenticationFailed, False),
        (fake.failure(403, "Country not supported"), errors.AuthenticationFailed, False),
        (
            fake.failure(404, "no", kind="invalid_request_error", code="model_not_found"),
            errors.ModelNotFound,
            False,
        ),
        (fake.failure(422, "no"), errors.RequestRejected, False),
        (fake.failure(429, "slower", kind="requests", code="rate_limit_exceeded"), errors.RateLimited, True),
        (fake.failure(429, "slower"), errors.RateLimited, True),
        (
            fake.failure(429, "pay", kind="insufficient_quota", code="insufficient_quota"),
            errors.QuotaExhausted,
            False,
        ),
        (
            fake.failure(429, "pay", kind="insufficient_quota", code="credit_balance_exhausted"),
            errors.QuotaExhausted,
            False,
        ),
        (fake.failure(429, "pay", kind="insufficient_quota", code="a_new_limit"), errors.QuotaExhausted, False),
        (fake.failure(500, "oops", kind="server_error"), errors.Unavailable, True),
        (fake.failure(503, "busy", kind="service_unavailable_error", code="slow_down"), errors.Overloaded, True),
        (fake.failure(503, "busy", kind="service_unavailable_error"), errors.Overloaded, True),
        (fake.failure(504, "late"), errors.TimedOut, True),
        (Answer(502, {"content-type": "text/html"}, (b"<html>Bad Gateway</html>",)), errors.Unavailable, True),
    ],
)
async def test_an_error_instead_of_a_stream_has_its_kind(
    server: FakeOpenAI, provider: OpenAIChat, answer: Answer, kind: type[ProviderError], retryable: bool
) -> None:
    server.script(answer)

    outcome = await outcome_of(provider, a_request())

    assert outcome.chunks == ()
    assert type(outcome.failure) is kind
    assert outcome.failure.retryable is retryable
    assert outcome.failure.status == answer.status
    assert len(server.calls) == 1, "the SDK must not retry"


async def test_an_error_keeps_what_administrators_need(server: FakeOpenAI, provider: OpenAIChat) -> None:
    server.script(fake.failure(429, "Rate limit reached for org-9", code="rate_limit_exceeded", retry_after_ms="1500"))

    error = (await outcome_of(provider, a_request())).failure

    assert error.retry_after_s == 1.5
    assert "Rate limit reached for org-9" in error.provider_message
    assert error.upstream_request_id == fake.REQUEST_ID


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (fake.stream_error("The server had an error"), errors.Unavailable),
        (fake.stream_error("busy", code="server_is_overloaded"), errors.Overloaded),
        (fake.stream_error("slower", kind="tokens", code="rate_limit_exceeded"), errors.RateLimited),
        (fake.stream_error("too long", kind="invalid_request_error"), errors.RequestRejected),
        (fake.data({"error": "just words"}), errors.Unavailable),
    ],
)
async def test_an_error_in_mid_stream_keeps_the_text_before_it(
    server: FakeOpenAI, provider: OpenAIChat, event: bytes, kind: type[ProviderError]
) -> None:
    server.script(event_stream(*fake.beginning("so far"), event))

    outcome = await outcome_of(provider, a_request())

    assert outcome.text == "so far"
    assert type(outcome.failure) is kind
    assert outcome.failure.status == 200


@pytest.mark.parametrize("rest", [(), (fake.DONE,), (fake.usage(), fake.DONE)])
async def test_a_stream_without_a_finish_reason_is_truncated(
    server: FakeOpenAI, provider: OpenAIChat, rest: tuple[bytes, ...]
) -> None:
    server.script(event_stream(*fake.beginning("a"), *rest))

    outcome = await outcome_of(provider, a_request())

    assert isinstance(outcome.error, errors.Truncated)
    assert outcome.finished is None


@pytest.mark.parametrize(
    "ending", [(fake.finish(),), (fake.finish(), fake.DONE), (fake.finish(), b"data: {not json\n\n")]
)
@pytest.mark.parametrize("ends_cleanly", [True, False])
async def test_a_finished_answer_without_usage_is_estimated(
    server: FakeOpenAI, provider: OpenAIChat, ending: tuple[bytes, ...], ends_cleanly: bool
) -> None:
    server.script(event_stream(*fake.beginning("x" * 40), *ending, ends_cleanly=ends_cleanly))

    outcome = await outcome_of(provider, a_request("12345678"))

    assert outcome.error is None
    assert outcome.final.estimated
    assert outcome.usage == Usage(input_tokens=6, output_tokens=10)


async def test_usage_that_comes_late_is_waited_for(server: FakeOpenAI, provider: OpenAIChat) -> None:
    hold = Hold()
    server.script(event_stream(*fake.beginning("a"), fake.finish(), hold, fake.usage(), fake.DONE))
    running = asyncio.ensure_future(outcome_of(provider, a_request(timeouts=Timeouts(gap_s=0.05))))
    await server.call()
    done, _ = await asyncio.wait({running}, timeout=0.2)
    assert not done

    hold.release()

    assert not (await running).final.estimated


async def test_other_choices_are_passed_over(server: FakeOpenAI, provider: OpenAIChat) -> None:
    other = fake.chunk(fake.choice({"content": "other"}, finish_reason="stop", index=1))
    server.script(event_stream(*fake.beginning("a"), other, fake.text("b"), *ENDING))

    assert (await outcome_of(provider, a_request())).text == "ab"
