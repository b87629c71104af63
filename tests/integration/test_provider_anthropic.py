"""Anthropic's Messages API through its SDK, against a server that speaks its wire format and fails as it does."""

from collections.abc import AsyncIterator

import pytest

from tests.fakes import anthropic_server as fake
from tests.fakes.anthropic_server import FakeAnthropic
from tests.fakes.scripted_server import Answer, event_stream
from tests.provider_calls import a_request, outcome_of
from workers.providers import Message, ProviderError, Usage, errors
from workers.providers.anthropic.messages import AnthropicMessages


@pytest.fixture
async def server() -> AsyncIterator[FakeAnthropic]:
    async with FakeAnthropic() as server:
        yield server


@pytest.fixture
async def provider(server: FakeAnthropic) -> AsyncIterator[AnthropicMessages]:
    provider = AnthropicMessages(api_key=fake.API_KEY, base_url=server.url)
    yield provider
    await provider.aclose()


async def test_the_request_goes_upstream_as_documented(server: FakeAnthropic, provider: AnthropicMessages) -> None:
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
        "max_tokens": 50,
        "system": "Be kind.",
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": "Bye"},
        ],
        "stop_sequences": ["END"],
        "output_config": {"effort": "low"},
        "stream": True,
    }
    assert call.headers["x-request-id"] == "r-7"
    assert call.headers["x-holdfast-generation-id"] == "0199aa00-0000-7000-8000-000000000001"


async def test_usage_is_cumulative_and_input_includes_the_cache(
    server: FakeAnthropic, provider: AnthropicMessages
) -> None:
    server.script(
        event_stream(
            fake.message_start(input_tokens=10, cache_creation_input_tokens=200, cache_read_input_tokens=3000),
            fake.thinking("hm"),
            fake.block_start(1),
            fake.text("a", 1),
            fake.message_delta(None, output_tokens=20),
            fake.text("b", 1),
            fake.message_delta("end_turn", output_tokens=50, output_tokens_details={"thinking_tokens": 30}),
            fake.message_stop(),
        )
    )

    outcome = await outcome_of(provider, a_request())

    assert outcome.text == "ab"
    assert outcome.usage == Usage(
        input_tokens=3210, output_tokens=50, cache_read_tokens=3000, cache_write_tokens=200, reasoning_tokens=30
    )
    assert [report.usage.output_tokens for report in outcome.reports] == [1, 20, 50, 50]


async def test_input_recounted_at_the_end_replaces_the_first_count(
    server: FakeAnthropic, provider: AnthropicMessages
) -> None:
    ending = fake.message_delta(input_tokens=25, cache_read_input_tokens=5, output_tokens=9)
    server.script(event_stream(*fake.beginning("a"), ending, fake.message_stop()))

    outcome = await outcome_of(provider, a_request())

    assert outcome.usage == Usage(input_tokens=30, output_tokens=9, cache_read_tokens=5)


@pytest.mark.parametrize(
    ("stop_reason", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("a_reason_of_next_year", "other"),
    ],
)
async def test_every_reason_to_stop_has_a_word(
    server: FakeAnthropic, provider: AnthropicMessages, stop_reason: str, reason: str
) -> None:
    server.script(fake.completion("a", stop_reason=stop_reason))

    finished = (await outcome_of(provider, a_request())).finished

    assert finished is not None
    assert (finished.reason, finished.provider_reason) == (reason, stop_reason)


@pytest.mark.parametrize("stop_reason", ["tool_use", "pause_turn"])
async def test_an_answer_that_waits_for_a_tool_is_malformed(
    server: FakeAnthropic, provider: AnthropicMessages, stop_reason: str
) -> None:
    server.script(fake.completion("a", stop_reason=stop_reason))

    assert isinstance((await outcome_of(provider, a_request())).error, errors.MalformedResponse)


async def test_a_refusal_reports_its_usage_and_then_its_reason(
    server: FakeAnthropic, provider: AnthropicMessages
) -> None:
    details = {"type": "refusal", "category": "bio", "explanation": "not this"}
    ending = fake.message_delta("refusal", stop_details=details, output_tokens=4)
    server.script(event_stream(*fake.beginning("I"), ending, fake.message_stop()))

    outcome = await outcome_of(provider, a_request())

    assert isinstance(outcome.error, errors.ContentRefused)
    assert outcome.failure.provider_message == "bio: not this"
    assert outcome.usage == Usage(input_tokens=11, output_tokens=4)
    assert outcome.finished is None


@pytest.mark.parametrize(
    ("answer", "kind", "retryable"),
    [
        (fake.failure(400, "invalid_request_error", "prompt is too long"), errors.RequestRejected, False),
        (
            fake.failure(400, "invalid_request_error", "Your credit balance is too low to ..."),
            errors.QuotaExhausted,
            False,
        ),
        (fake.failure(401, "authentication_error"), errors.AuthenticationFailed, False),
        (fake.failure(402, "billing_error"), errors.QuotaExhausted, False),
        (fake.failure(403, "permission_error"), errors.AuthenticationFailed, False),
        (fake.failure(404, "not_found_error", "model: claude-0"), errors.ModelNotFound, False),
        (fake.failure(413, "request_too_large"), errors.RequestRejected, False),
        (fake.failure(429, "rate_limit_error"), errors.RateLimited, True),
        (
            fake.failure(429, "rate_limit_error", error_code="enforced_spend_limit_reached"),
            errors.QuotaExhausted,
            False,
        ),
        (fake.failure(500, "api_error"), errors.Unavailable, True),
        (fake.failure(504, "timeout_error"), errors.TimedOut, True),
        (fake.failure(529, "overloaded_error"), errors.Overloaded, True),
        (Answer(502, {"content-type": "text/html"}, (b"<html>Bad Gateway</html>",)), errors.Unavailable, True),
        (Answer(418, {"content-type": "text/html"}, (b"<html>teapot</html>",)), errors.RequestRejected, False),
        (Answer(401, {"content-type": "text/plain"}, (b"no",)), errors.AuthenticationFailed, False),
    ],
)
async def test_an_error_instead_of_a_stream_has_its_kind(
    server: FakeAnthropic, provider: AnthropicMessages, answer: Answer, kind: type[ProviderError], retryable: bool
) -> None:
    server.script(answer)

    outcome = await outcome_of(provider, a_request())

    assert outcome.chunks == ()
    assert type(outcome.failure) is kind
    assert outcome.failure.retryable is retryable
    assert outcome.failure.status == answer.status
    assert len(server.calls) == 1, "the SDK must not retry"


async def test_an_error_keeps_what_administrators_need(server: FakeAnthropic, provider: AnthropicMessages) -> None:
    server.script(fake.failure(429, "rate_limit_error", "This request would exceed 50 per minute", retry_after="12"))

    error = (await outcome_of(provider, a_request())).failure

    assert error.retry_after_s == 12
    assert error.provider_message == "This request would exceed 50 per minute"
    assert error.upstream_request_id == fake.REQUEST_ID


@pytest.mark.parametrize("last", [fake.text("b"), fake.message_delta(output_tokens=5)])
async def test_a_stream_that_ends_cleanly_before_message_stop_is_truncated(
    server: FakeAnthropic, provider: AnthropicMessages, last: bytes
) -> None:
    server.script(event_stream(*fake.beginning("a"), last))

    outcome = await outcome_of(provider, a_request())

    assert isinstance(outcome.error, errors.Truncated)
    assert outcome.finished is None


async def test_events_and_blocks_that_are_new_are_passed_over(
    server: FakeAnthropic, provider: AnthropicMessages
) -> None:
    new_event = fake.event("weather_report", sunny=True)
    new_block = fake.event("content_block_start", index=3, content_block={"type": "hologram", "size": 3})
    new_delta = fake.event("content_block_delta", index=3, delta={"type": "hologram_delta", "text": "no text of ours"})
    ending = (fake.message_delta(output_tokens=5), fake.message_stop())
    server.script(event_stream(*fake.beginning("a"), new_event, new_block, new_delta, *ending))

    outcome = await outcome_of(provider, a_request())

    assert outcome.text == "a"
    assert outcome.error is None


async def test_negative_cache_usage_at_the_start_is_refused(server: FakeAnthropic, provider: AnthropicMessages) -> None:
    server.script(event_stream(fake.message_start(cache_read_input_tokens=-10)))

    assert isinstance((await outcome_of(provider, a_request())).error, errors.MalformedUsage)
