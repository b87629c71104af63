"""Anthropic's Messages API through its SDK, against a server that speaks its wire format and fails as it does."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from tests.fakes import anthropic_server as fake
from tests.fakes.anthropic_server import FakeAnthropic
from tests.fakes.scripted_server import Answer, Cut, Hang, Hold, Repeat, event_stream, no_answer
from tests.provider_calls import a_request, outcome_of, until_text
from workers.providers import Finished, Message, ProviderError, TextDelta, Timeouts, Usage, errors
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


async def test_a_message_streams_with_usage_and_a_reason(server: FakeAnthropic, provider: AnthropicMessages) -> None:
    server.script(fake.completion("Hello", ", ", "world 😀\r\n\x00\u2028"))

    outcome = await outcome_of(provider, a_request())

    assert outcome.error is None
    assert outcome.text == "Hello, world 😀\r\n\x00\u2028"
    assert outcome.usage == Usage(input_tokens=11, output_tokens=7)
    assert not outcome.final.estimated
    assert outcome.chunks[-1] == Finished(reason="stop", provider_reason="end_turn")


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


async def test_the_connection_is_used_again(server: FakeAnthropic, provider: AnthropicMessages) -> None:
    for _ in range(3):
        assert (await outcome_of(provider, a_request())).text == "Hello world"

    assert {call.connection for call in server.calls} == {1}


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


async def test_a_rate_limit_without_retry_after_has_none(server: FakeAnthropic, provider: AnthropicMessages) -> None:
    server.script(fake.failure(429, "rate_limit_error"))

    error = (await outcome_of(provider, a_request())).failure

    assert error.retry_after_s is None


async def test_a_retry_after_of_an_hour_is_capped(server: FakeAnthropic, provider: AnthropicMessages) -> None:
    server.script(fake.failure(529, "overloaded_error", retry_after="3600"))

    error = (await outcome_of(provider, a_request())).failure

    assert error.retry_after_s == errors.MAX_RETRY_AFTER_S


async def test_an_error_in_mid_stream_keeps_the_text_before_it(
    server: FakeAnthropic, provider: AnthropicMessages
) -> None:
    server.script(event_stream(*fake.beginning("so far"), fake.stream_error("overloaded_error", "Overloaded")))

    outcome = await outcome_of(provider, a_request())

    assert outcome.text == "so far"
    assert isinstance(outcome.error, errors.Overloaded)
    assert outcome.failure.status == 200


@pytest.mark.parametrize("last", [fake.text("b"), fake.message_delta(output_tokens=5)])
async def test_a_stream_that_ends_cleanly_before_message_stop_is_truncated(
    server: FakeAnthropic, provider: AnthropicMessages, last: bytes
) -> None:
    server.script(event_stream(*fake.beginning("a"), last))

    outcome = await outcome_of(provider, a_request())

    assert isinstance(outcome.error, errors.Truncated)
    assert outcome.finished is None


async def test_an_empty_stream_is_truncated(server: FakeAnthropic, provider: AnthropicMessages) -> None:
    server.script(event_stream())

    assert isinstance((await outcome_of(provider, a_request())).error, errors.Truncated)


async def test_a_connection_cut_in_the_middle_of_a_token_is_truncated(
    server: FakeAnthropic, provider: AnthropicMessages
) -> None:
    hold = Hold()
    server.script(event_stream(*fake.beginning("whole"), hold, fake.text("half")[:40], Cut()))

    async with aclosing(provider.stream(a_request())) as stream:
        seen = await until_text(stream)
        hold.release()

        with pytest.raises(errors.Truncated):
            await anext(stream)

    assert seen[-1] == TextDelta("whole")


async def test_a_body_without_its_end_is_truncated(server: FakeAnthropic, provider: AnthropicMessages) -> None:
    server.script(event_stream(*fake.beginning("a"), ends_cleanly=False))

    outcome = await outcome_of(provider, a_request())

    assert outcome.text == "a"
    assert isinstance(outcome.error, errors.Truncated)


async def test_a_connection_cut_after_message_stop_changes_nothing(
    server: FakeAnthropic, provider: AnthropicMessages
) -> None:
    whole = (*fake.beginning("a"), fake.message_delta(output_tokens=5), fake.message_stop())
    server.script(event_stream(*whole, ends_cleanly=False))

    outcome = await outcome_of(provider, a_request())

    assert outcome.error is None
    assert outcome.finished is not None


async def test_a_body_that_stays_open_after_message_stop_is_not_waited_for(
    server: FakeAnthropic, provider: AnthropicMessages
) -> None:
    server.script(event_stream(*fake.beginning("a"), fake.message_delta(output_tokens=5), fake.message_stop(), Hang()))
    started = time.monotonic()

    outcome = await outcome_of(provider, a_request())

    assert outcome.finished is not None
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    "bad",
    [
        b'event: content_block_delta\ndata: {"type": "content_block_delta", "index": 0, "del\n\n',
        b'event: content_block_delta\ndata: {"type": "content_block_delta", "index": 0}\n\n',
        b"event: content_block_delta\ndata: 5\n\n",
        b"event: content_block_delta\ndata: null\n\n",
        fake.event("content_block_delta", index=0, delta={"type": "text_delta", "text": 5}),
        fake.event("message_start", message=None),
        b"event: content_block_delta\ndata: \xff\xfe\n\n",
    ],
)
async def test_an_event_that_cannot_be_read_is_malformed(
    server: FakeAnthropic, provider: AnthropicMessages, bad: bytes
) -> None:
    server.script(event_stream(*fake.beginning("a"), bad, fake.message_delta(output_tokens=5), fake.message_stop()))

    outcome = await outcome_of(provider, a_request())

    assert outcome.text == "a"
    assert isinstance(outcome.error, errors.MalformedResponse)


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


@pytest.mark.parametrize(
    "counted", [{"output_tokens": -5}, {"output_tokens": 5, "input_tokens": -1}, {"output_tokens": 10**12}]
)
async def test_impossible_usage_is_refused(
    server: FakeAnthropic, provider: AnthropicMessages, counted: dict[str, int]
) -> None:
    server.script(event_stream(*fake.beginning("a"), fake.message_delta("end_turn", **counted), fake.message_stop()))

    outcome = await outcome_of(provider, a_request())

    assert isinstance(outcome.error, errors.MalformedUsage)
    assert outcome.finished is None


async def test_negative_cache_usage_at_the_start_is_refused(server: FakeAnthropic, provider: AnthropicMessages) -> None:
    server.script(event_stream(fake.message_start(cache_read_input_tokens=-10)))

    assert isinstance((await outcome_of(provider, a_request())).error, errors.MalformedUsage)


async def test_missing_usage_is_estimated_and_says_so(server: FakeAnthropic, provider: AnthropicMessages) -> None:
    server.script(event_stream(*fake.beginning("x" * 40), fake.message_delta(), fake.message_stop()))

    outcome = await outcome_of(provider, a_request())

    assert outcome.final.estimated
    assert outcome.usage == Usage(input_tokens=11, output_tokens=10)
    assert outcome.finished is not None


async def test_silence_before_the_first_text_times_out(server: FakeAnthropic, provider: AnthropicMessages) -> None:
    server.script(event_stream(fake.message_start(), Hang()))

    outcome = await outcome_of(provider, a_request(timeouts=Timeouts(first_token_s=0.1)))

    assert isinstance(outcome.error, errors.TimedOut)
    assert "first_token_s" in outcome.failure.provider_message
    await asyncio.wait_for((await server.call()).client_left.wait(), 5)


async def test_silence_before_any_answer_times_out(server: FakeAnthropic, provider: AnthropicMessages) -> None:
    server.script(no_answer(Hang()))

    outcome = await outcome_of(provider, a_request(timeouts=Timeouts(first_token_s=0.1)))

    assert isinstance(outcome.error, errors.TimedOut)
    await asyncio.wait_for((await server.call()).client_left.wait(), 5)


async def test_silence_between_texts_times_out(server: FakeAnthropic, provider: AnthropicMessages) -> None:
    server.script(event_stream(*fake.beginning("a"), Hang()))

    outcome = await outcome_of(provider, a_request(timeouts=Timeouts(gap_s=0.1)))

    assert outcome.text == "a"
    assert isinstance(outcome.error, errors.TimedOut)
    assert "gap_s" in outcome.failure.provider_message


async def test_pings_are_not_progress(server: FakeAnthropic, provider: AnthropicMessages) -> None:
    server.script(event_stream(*fake.beginning("a"), Repeat(fake.PING, every_s=0.01)))

    outcome = await outcome_of(provider, a_request(timeouts=Timeouts(gap_s=0.2)))

    assert isinstance(outcome.error, errors.TimedOut)


async def test_an_endless_answer_meets_the_total_time_out(server: FakeAnthropic, provider: AnthropicMessages) -> None:
    server.script(event_stream(*fake.beginning("a"), Repeat(fake.text("more"), every_s=0.01)))

    outcome = await outcome_of(provider, a_request(timeouts=Timeouts(total_s=0.3)))

    assert isinstance(outcome.error, errors.TimedOut)
    assert "total_s" in outcome.failure.provider_message


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    async with FakeAnthropic() as server:
        url = server.url
    provider = AnthropicMessages(api_key=fake.API_KEY, base_url=url)

    outcome = await outcome_of(provider, a_request())
    await provider.aclose()

    assert isinstance(outcome.error, errors.Unavailable)


async def test_a_connection_cut_before_any_answer_is_unavailable(
    server: FakeAnthropic, provider: AnthropicMessages
) -> None:
    server.script(no_answer(Cut()))

    assert isinstance((await outcome_of(provider, a_request())).error, errors.Unavailable)


async def test_closing_the_stream_closes_the_upstream_connection_at_once(
    server: FakeAnthropic, provider: AnthropicMessages
) -> None:
    server.script(event_stream(*fake.beginning("a"), Hang()))

    async with aclosing(provider.stream(a_request())) as stream:
        await until_text(stream)

    await asyncio.wait_for((await server.call()).client_left.wait(), 1)


@pytest.mark.parametrize("opened", [False, True])
async def test_cancelling_the_task_closes_the_upstream_connection_at_once(
    server: FakeAnthropic, provider: AnthropicMessages, opened: bool
) -> None:
    server.script(event_stream(*fake.beginning("a"), Hang()) if opened else no_answer(Hang()))
    running = asyncio.ensure_future(outcome_of(provider, a_request()))
    call = await server.call()
    assert not call.client_left.is_set()

    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.wait_for(call.client_left.wait(), 1)


async def test_events_split_at_every_byte_read_the_same(server: FakeAnthropic, provider: AnthropicMessages) -> None:
    whole = b"".join(
        [fake.message_start(), fake.block_start(), fake.text("é😀\r\n"), fake.message_delta(output_tokens=5)]
    )
    server.script(event_stream(*(bytes([byte]) for byte in whole + fake.message_stop())))

    outcome = await outcome_of(provider, a_request())

    assert outcome.text == "é😀\r\n"
    assert outcome.finished is not None


async def test_an_emoji_split_between_two_events_arrives_whole(
    server: FakeAnthropic, provider: AnthropicMessages
) -> None:
    halves = [fake.text("HALF").replace(b"HALF", half) for half in (rb"a\ud83d", rb"\ude00b")]
    ending = (fake.message_delta(output_tokens=5), fake.message_stop())
    server.script(event_stream(*fake.beginning(), *halves, *ending))

    assert (await outcome_of(provider, a_request())).text == "a😀b"


async def test_a_request_it_cannot_take_is_refused_without_a_call(
    server: FakeAnthropic, provider: AnthropicMessages
) -> None:
    outcome = await outcome_of(provider, a_request(options={"delay_ms": 5}))

    assert isinstance(outcome.error, errors.RequestRejected)
    assert server.calls == []


async def test_many_calls_at_once_do_not_mix(server: FakeAnthropic, provider: AnthropicMessages) -> None:
    server.script(*(fake.completion(f"{number}") for number in range(50)))

    outcomes = await asyncio.gather(*(outcome_of(provider, a_request()) for _ in range(50)))

    assert sorted(int(outcome.text) for outcome in outcomes) == list(range(50))
