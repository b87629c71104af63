"""What every provider of text promises, against a server that speaks its wire format and fails as the real one does."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tests.fakes.scripted_server import Answer, Cut, Hang, Hold, Repeat, ScriptedServer, event_stream, no_answer
from tests.provider_calls import a_request, outcome_of, until_text
from tests.provider_wires import HELLO, WIRES, Wire
from workers.providers import Provider, ProviderError, ProviderRegistry, TextDelta, Timeouts, Usage, errors

SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name"],
}


@pytest.fixture(params=WIRES.values(), ids=lambda wire: wire.provider)
def wire(request: pytest.FixtureRequest) -> Wire:
    return request.param


@pytest.fixture
async def server(wire: Wire) -> AsyncIterator[ScriptedServer]:
    async with wire.server() as server:
        yield server


@pytest.fixture
async def provider(wire: Wire, server: ScriptedServer) -> AsyncIterator[Provider]:
    registry = ProviderRegistry(wire.environment(server.url))
    yield registry.get(wire.provider)
    await registry.aclose()


async def test_an_answer_streams_with_usage_and_a_reason(
    wire: Wire, server: ScriptedServer, provider: Provider
) -> None:
    server.script(wire.completion("Hello", ", ", "world 😀\r\n\x00\u2028"))

    outcome = await outcome_of(provider, a_request())

    assert outcome.error is None
    assert outcome.text == "Hello, world 😀\r\n\x00\u2028"
    assert outcome.usage == Usage(input_tokens=11, output_tokens=7)
    assert not outcome.final.estimated
    assert outcome.chunks[-2:] == (outcome.final, outcome.finished)
    assert outcome.finished is not None
    assert outcome.finished.reason == "stop"


async def test_an_answer_that_met_the_token_limit_says_so(
    wire: Wire, server: ScriptedServer, provider: Provider
) -> None:
    server.script(event_stream(*wire.beginning("Hello"), *wire.cut_off(HELLO)))

    outcome = await outcome_of(provider, a_request())

    assert outcome.finished is not None
    assert outcome.finished.reason == "length"


async def test_the_provider_is_the_one_that_the_catalogue_names(wire: Wire, provider: Provider) -> None:
    assert provider.name == wire.provider
    assert provider.description
    assert provider.modes == {"chat", "compose", "structured"}


async def test_ids_and_the_limit_go_upstream(server: ScriptedServer, provider: Provider) -> None:
    await outcome_of(provider, a_request(request_id="r-7", max_output_tokens=50))

    call = await server.call()
    limits = {"max_tokens", "max_completion_tokens", "max_output_tokens"} & call.body.keys()
    assert [call.body[name] for name in limits] == [50]
    assert call.headers["x-request-id"] == "r-7"
    assert call.headers["x-holdfast-generation-id"] == "0199aa00-0000-7000-8000-000000000001"


async def test_the_connection_is_used_again(wire: Wire, server: ScriptedServer, provider: Provider) -> None:
    server.script(*(wire.completion("Hello") for _ in range(3)))

    for _ in range(3):
        assert (await outcome_of(provider, a_request())).text == "Hello"

    assert {call.connection for call in server.calls} == {1}


async def test_many_calls_at_once_do_not_mix(wire: Wire, server: ScriptedServer, provider: Provider) -> None:
    server.script(*(wire.completion(f"{number}") for number in range(30)))

    outcomes = await asyncio.gather(*(outcome_of(provider, a_request()) for _ in range(30)))

    assert sorted(int(outcome.text) for outcome in outcomes) == list(range(30))


async def test_events_split_at_every_byte_read_the_same(wire: Wire, server: ScriptedServer, provider: Provider) -> None:
    steps = (*wire.beginning("é😀\r\n"), *wire.ending(HELLO))
    whole = b"".join(step for step in steps if isinstance(step, bytes))
    server.script(event_stream(*(bytes([byte]) for byte in whole)))

    outcome = await outcome_of(provider, a_request())

    assert outcome.text == "é😀\r\n"
    assert outcome.finished is not None


async def test_an_emoji_split_between_two_events_arrives_whole(
    wire: Wire, server: ScriptedServer, provider: Provider
) -> None:
    halves = [wire.text("HALF").replace(b"HALF", half) for half in (rb"a\ud83d", rb"\ude00b\ud83d")]
    server.script(event_stream(*wire.beginning(), *halves, *wire.ending(HELLO)))

    assert (await outcome_of(provider, a_request())).text == "a😀b\ufffd"


# --- Errors instead of an answer


@pytest.mark.parametrize(
    ("status", "kinds", "retryable"),
    [
        (400, {errors.RequestRejected}, False),
        (401, {errors.AuthenticationFailed}, False),
        (402, {errors.QuotaExhausted, errors.RequestRejected}, False),
        (403, {errors.AuthenticationFailed}, False),
        (404, {errors.ModelNotFound}, False),
        (413, {errors.RequestRejected}, False),
        (429, {errors.RateLimited}, True),
        (500, {errors.Unavailable}, True),
        (502, {errors.Unavailable}, True),
        (503, {errors.Overloaded, errors.Unavailable}, True),
        (504, {errors.TimedOut}, True),
        (529, {errors.Overloaded}, True),
    ],
)
async def test_an_error_instead_of_a_stream_has_its_kind(
    wire: Wire,
    server: ScriptedServer,
    provider: Provider,
    status: int,
    kinds: set[type[ProviderError]],
    retryable: bool,
) -> None:
    server.script(wire.failure(status, "the provider's own words"))

    outcome = await outcome_of(provider, a_request())

    assert outcome.chunks == ()
    assert type(outcome.failure) in kinds
    assert outcome.failure.retryable is retryable
    assert outcome.failure.status == status
    assert not outcome.failure.ambiguous
    assert "the provider's own words" in outcome.failure.provider_message
    assert "the provider's own words" not in outcome.failure.message
    assert len(server.calls) == 1, "the SDK must not retry"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(502, errors.Unavailable), (418, errors.RequestRejected), (401, errors.AuthenticationFailed)],
)
async def test_an_error_of_a_proxy_has_its_kind(
    server: ScriptedServer, provider: Provider, status: int, kind: type[ProviderError]
) -> None:
    server.script(Answer(status, {"content-type": "text/html"}, (b"<html>nginx</html>",)))

    assert type((await outcome_of(provider, a_request())).failure) is kind


async def test_a_provider_without_capacity_is_overloaded(
    wire: Wire, server: ScriptedServer, provider: Provider
) -> None:
    server.script(wire.overloaded)

    assert isinstance((await outcome_of(provider, a_request())).error, errors.Overloaded)


@pytest.mark.parametrize(
    ("header", "value", "wait_s"),
    [("retry_after", "12", 12.0), ("retry_after_ms", "1500", 1.5), ("retry_after", "3600", errors.MAX_RETRY_AFTER_S)],
)
async def test_a_rate_limit_says_how_long_to_wait(
    wire: Wire, server: ScriptedServer, provider: Provider, header: str, value: str, wait_s: float
) -> None:
    server.script(wire.failure(429, **{header: value}))

    assert (await outcome_of(provider, a_request())).failure.retry_after_s == wait_s


async def test_a_rate_limit_until_a_date_is_understood(wire: Wire, server: ScriptedServer, provider: Provider) -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    server.script(wire.failure(429, retry_after=until))

    wait_s = (await outcome_of(provider, a_request())).failure.retry_after_s

    assert wait_s is not None
    assert 20 < wait_s <= 30


async def test_a_rate_limit_without_retry_after_has_none(
    wire: Wire, server: ScriptedServer, provider: Provider
) -> None:
    server.script(wire.failure(429))

    assert (await outcome_of(provider, a_request())).failure.retry_after_s is None


async def test_a_server_that_is_not_there_is_unavailable_and_saw_nothing(wire: Wire) -> None:
    async with wire.server() as server:
        registry = ProviderRegistry(wire.environment(server.url))

    outcome = await outcome_of(registry.get(wire.provider), a_request())
    await registry.aclose()

    assert isinstance(outcome.error, errors.Unavailable)
    assert not outcome.failure.ambiguous


async def test_a_connection_cut_before_any_answer_leaves_open_whether_it_was_received(
    server: ScriptedServer, provider: Provider
) -> None:
    server.script(no_answer(Cut()))

    outcome = await outcome_of(provider, a_request())

    assert isinstance(outcome.error, errors.Unavailable)
    assert outcome.failure.ambiguous


async def test_silence_before_any_answer_leaves_open_whether_it_was_received(
    server: ScriptedServer, provider: Provider
) -> None:
    server.script(no_answer(Hang()))

    outcome = await outcome_of(provider, a_request(timeouts=Timeouts(first_token_s=0.1)))

    assert isinstance(outcome.error, errors.TimedOut)
    assert outcome.failure.ambiguous
    await asyncio.wait_for((await server.call()).client_left.wait(), 5)


async def test_a_request_it_cannot_take_is_refused_without_a_call(server: ScriptedServer, provider: Provider) -> None:
    outcome = await outcome_of(provider, a_request(options={"temperature": 5}))

    assert isinstance(outcome.error, errors.RequestRejected)
    assert server.calls == []


# --- Streams that break


@pytest.mark.parametrize("code", ["overloaded", "rate_limited", "unavailable", "invalid_request", "content_refused"])
async def test_an_error_in_mid_stream_keeps_the_text_before_it(
    wire: Wire, server: ScriptedServer, provider: Provider, code: str
) -> None:
    event = wire.mid_stream_errors.get(code, wire.mid_stream_errors["overloaded"])
    server.script(event_stream(*wire.beginning("so far"), event))

    outcome = await outcome_of(provider, a_request())

    assert outcome.text == "so far"
    assert outcome.failure.code == (code if code in wire.mid_stream_errors else "overloaded")
    assert outcome.failure.status == 200
    assert outcome.finished is None


async def test_a_stream_that_ends_cleanly_before_its_end_is_truncated(
    wire: Wire, server: ScriptedServer, provider: Provider
) -> None:
    server.script(event_stream(*wire.beginning("a"), wire.text("b")))

    outcome = await outcome_of(provider, a_request())

    assert outcome.text == "ab"
    assert isinstance(outcome.error, errors.Truncated)
    assert outcome.finished is None


async def test_an_empty_stream_is_truncated(server: ScriptedServer, provider: Provider) -> None:
    server.script(event_stream())

    assert isinstance((await outcome_of(provider, a_request())).error, errors.Truncated)


async def test_a_connection_cut_in_the_middle_of_a_token_is_truncated(
    wire: Wire, server: ScriptedServer, provider: Provider
) -> None:
    hold = Hold()
    server.script(event_stream(*wire.beginning("whole"), hold, wire.text("half")[:40], Cut()))

    async with aclosing(provider.stream(a_request())) as stream:
        seen = await until_text(stream)
        hold.release()

        with pytest.raises(errors.Truncated):
            await anext(stream)

    assert seen[-1] == TextDelta("whole")


async def test_a_body_without_its_end_is_truncated(wire: Wire, server: ScriptedServer, provider: Provider) -> None:
    server.script(event_stream(*wire.beginning("a"), ends_cleanly=False))

    outcome = await outcome_of(provider, a_request())

    assert outcome.text == "a"
    assert isinstance(outcome.error, errors.Truncated)


async def test_a_connection_cut_after_the_end_changes_nothing(
    wire: Wire, server: ScriptedServer, provider: Provider
) -> None:
    server.script(event_stream(*wire.beginning("a"), *wire.ending(HELLO), ends_cleanly=False))

    outcome = await outcome_of(provider, a_request())

    assert outcome.error is None
    assert outcome.finished is not None


async def test_a_body_that_stays_open_after_the_end_is_not_waited_for(
    wire: Wire, server: ScriptedServer, provider: Provider
) -> None:
    server.script(event_stream(*wire.beginning("a"), *wire.ending(HELLO), Hang()))
    started = time.monotonic()

    outcome = await outcome_of(provider, a_request())

    assert outcome.finished is not None
    assert not outcome.final.estimated
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    "bad", ["half an object", "a number", "null", "no UTF-8", "a field too few", "text that is a number", "null inside"]
)
async def test_an_event_that_cannot_be_read_is_malformed(
    wire: Wire, server: ScriptedServer, provider: Provider, bad: str
) -> None:
    event = wire.malformed.get(bad, wire.malformed["null"])
    server.script(event_stream(*wire.beginning("a"), event, *wire.ending(HELLO)))

    outcome = await outcome_of(provider, a_request())

    assert outcome.text == "a"
    assert isinstance(outcome.error, errors.MalformedResponse)


async def test_silence_before_the_first_text_times_out(wire: Wire, server: ScriptedServer, provider: Provider) -> None:
    server.script(event_stream(*wire.beginning(), Hang()))

    outcome = await outcome_of(provider, a_request(timeouts=Timeouts(first_token_s=0.1)))

    assert isinstance(outcome.error, errors.TimedOut)
    assert "first_token_s" in outcome.failure.provider_message
    assert not outcome.failure.ambiguous
    await asyncio.wait_for((await server.call()).client_left.wait(), 5)


async def test_silence_between_texts_times_out(wire: Wire, server: ScriptedServer, provider: Provider) -> None:
    server.script(event_stream(*wire.beginning("a"), Hang()))

    outcome = await outcome_of(provider, a_request(timeouts=Timeouts(gap_s=0.1)))

    assert outcome.text == "a"
    assert isinstance(outcome.error, errors.TimedOut)
    assert "gap_s" in outcome.failure.provider_message


async def test_what_keeps_a_connection_alive_is_not_progress(
    wire: Wire, server: ScriptedServer, provider: Provider
) -> None:
    server.script(event_stream(*wire.beginning("a"), Repeat(wire.keep_alive, every_s=0.01)))

    outcome = await outcome_of(provider, a_request(timeouts=Timeouts(gap_s=0.2)))

    assert isinstance(outcome.error, errors.TimedOut)
    assert "gap_s" in outcome.failure.provider_message


async def test_an_endless_answer_meets_the_total_time_out(
    wire: Wire, server: ScriptedServer, provider: Provider
) -> None:
    server.script(event_stream(*wire.beginning("a"), Repeat(wire.text("more"), every_s=0.01)))

    outcome = await outcome_of(provider, a_request(timeouts=Timeouts(total_s=0.3)))

    assert isinstance(outcome.error, errors.TimedOut)
    assert "total_s" in outcome.failure.provider_message


async def test_closing_the_stream_closes_the_upstream_connection_at_once(
    wire: Wire, server: ScriptedServer, provider: Provider
) -> None:
    server.script(event_stream(*wire.beginning("a"), Hang()))

    async with aclosing(provider.stream(a_request())) as stream:
        await until_text(stream)

    await asyncio.wait_for((await server.call()).client_left.wait(), 1)


@pytest.mark.parametrize("opened", [False, True])
async def test_cancelling_the_task_closes_the_upstream_connection_at_once(
    wire: Wire, server: ScriptedServer, provider: Provider, opened: bool
) -> None:
    server.script(event_stream(*wire.beginning("a"), Hang()) if opened else no_answer(Hang()))
    running = asyncio.ensure_future(outcome_of(provider, a_request()))
    call = await server.call()
    assert not call.client_left.is_set()

    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.wait_for(call.client_left.wait(), 1)


# --- Usage


async def test_what_was_cached_or_reasoning_is_part_of_the_totals_and_counted_once(
    wire: Wire, server: ScriptedServer, provider: Provider
) -> None:
    counts = {
        "input_tokens": 3210,
        "output_tokens": 50,
        "cache_read_tokens": 3000,
        "cache_write_tokens": 200,
        "reasoning_tokens": 30,
    }
    server.script(wire.completion("a", usage=counts))

    assert (await outcome_of(provider, a_request())).usage == Usage(**counts)


async def test_interim_usage_is_cumulative(wire: Wire, server: ScriptedServer, provider: Provider) -> None:
    counts = [{"input_tokens": 11, "output_tokens": number} for number in (2, 4, 6)]
    interim = [] if wire.interim is None else [wire.interim(so_far) for so_far in counts]
    server.script(event_stream(*wire.beginning("a"), *interim, *wire.ending(HELLO)))

    outcome = await outcome_of(provider, a_request())

    assert outcome.usage == Usage(input_tokens=11, output_tokens=7)
    assert [report.final for report in outcome.reports] == [False] * (len(outcome.reports) - 1) + [True]
    reported = [report.usage.output_tokens for report in outcome.reports]
    assert reported == sorted(reported)


async def test_missing_usage_is_estimated_and_says_so(wire: Wire, server: ScriptedServer, provider: Provider) -> None:
    server.script(wire.completion("x" * 40, usage=None))

    outcome = await outcome_of(provider, a_request("12345678"))

    assert outcome.error is None
    assert outcome.final.estimated
    assert outcome.usage.output_tokens == 10
    assert outcome.usage.input_tokens in {6, 11}
    assert outcome.finished is not None


async def test_usage_of_zero_for_what_was_said_is_estimated(
    wire: Wire, server: ScriptedServer, provider: Provider
) -> None:
    server.script(wire.completion("x" * 40, usage={"input_tokens": 0, "output_tokens": 0}))

    outcome = await outcome_of(provider, a_request("12345678"))

    assert outcome.final.estimated
    assert outcome.usage == Usage(input_tokens=6, output_tokens=10)


async def test_an_answer_of_no_tokens_may_be_empty(wire: Wire, server: ScriptedServer, provider: Provider) -> None:
    server.script(wire.completion(usage={"input_tokens": 11, "output_tokens": 0}))

    outcome = await outcome_of(provider, a_request())

    assert outcome.text == ""
    assert outcome.usage == Usage(input_tokens=11)
    assert not outcome.final.estimated


@pytest.mark.parametrize(
    "counts",
    [
        {"input_tokens": -1, "output_tokens": 7},
        {"input_tokens": 11, "output_tokens": -7},
        {"input_tokens": 11, "output_tokens": 10**12},
        {"input_tokens": 11, "output_tokens": "seven"},
        {"input_tokens": 11, "output_tokens": 7.5},
    ],
)
async def test_impossible_usage_is_refused(
    wire: Wire, server: ScriptedServer, provider: Provider, counts: dict[str, object]
) -> None:
    server.script(wire.completion("a", usage=counts))

    outcome = await outcome_of(provider, a_request())

    assert isinstance(outcome.error, errors.MalformedUsage)
    assert outcome.finished is None


async def test_a_refusal_reports_its_usage_and_then_its_reason(
    wire: Wire, server: ScriptedServer, provider: Provider
) -> None:
    server.script(event_stream(*wire.beginning(), *wire.refused("not this")))

    outcome = await outcome_of(provider, a_request())

    assert isinstance(outcome.error, errors.ContentRefused)
    assert outcome.usage == Usage(input_tokens=11, output_tokens=7)
    assert outcome.failure.provider_message
    assert outcome.finished is None


# --- Structured output


async def test_a_structured_answer_arrives_in_pieces(wire: Wire, server: ScriptedServer, provider: Provider) -> None:
    server.script(wire.structured('{"name": "A', 'da 😀", "a', 'ge": 36}'))

    outcome = await outcome_of(provider, a_request(mode="structured", output_schema=SCHEMA))

    assert outcome.error is None
    assert json.loads(outcome.json) == {"name": "Ada 😀", "age": 36}
    assert outcome.text == ""
    assert outcome.usage == Usage(input_tokens=11, output_tokens=7)
    assert outcome.finished is not None
    assert outcome.finished.reason == "stop"


async def test_the_schema_goes_upstream_as_the_one_tool_to_call(
    wire: Wire, server: ScriptedServer, provider: Provider
) -> None:
    server.script(wire.structured("{}"))

    await outcome_of(provider, a_request(mode="structured", output_schema=SCHEMA))

    body = (await server.call()).body
    assert len(json.loads(json.dumps(body["tools"]))) == 1
    assert json.dumps(SCHEMA) in json.dumps(body["tools"])
    assert body["tool_choice"] not in ("auto", "none")


async def test_an_answer_in_words_where_json_was_asked_for_is_malformed(
    wire: Wire, server: ScriptedServer, provider: Provider
) -> None:
    server.script(wire.completion("Her name is Ada."))

    outcome = await outcome_of(provider, a_request(mode="structured", output_schema=SCHEMA))

    assert isinstance(outcome.error, errors.MalformedResponse)
    assert outcome.text == ""
    assert outcome.usage == Usage(input_tokens=11, output_tokens=7)


async def test_a_structured_answer_that_is_no_json_is_malformed(
    wire: Wire, server: ScriptedServer, provider: Provider
) -> None:
    server.script(wire.structured('{"name": "A'))

    outcome = await outcome_of(provider, a_request(mode="structured", output_schema=SCHEMA))

    assert isinstance(outcome.error, errors.MalformedResponse)
    assert outcome.finished is None


async def test_a_structured_answer_that_met_the_token_limit_says_so(
    wire: Wire, server: ScriptedServer, provider: Provider
) -> None:
    server.script(event_stream(*wire.answer('{"name": "A'), *wire.cut_off(HELLO)))

    outcome = await outcome_of(provider, a_request(mode="structured", output_schema=SCHEMA))

    assert outcome.json == '{"name": "A'
    assert outcome.finished is not None
    assert outcome.finished.reason == "length"


async def test_a_structured_answer_without_usage_is_estimated(
    wire: Wire, server: ScriptedServer, provider: Provider
) -> None:
    server.script(wire.structured('{"name": "' + "x" * 28 + '"}', usage=None))

    outcome = await outcome_of(provider, a_request(mode="structured", output_schema=SCHEMA))

    assert outcome.final.estimated
    assert outcome.usage.output_tokens == 10


async def test_a_structured_answer_that_stalls_times_out_by_the_gap(
    wire: Wire, server: ScriptedServer, provider: Provider
) -> None:
    server.script(event_stream(*wire.answer('{"name": "A'), Hang()))
    request = a_request(mode="structured", output_schema=SCHEMA, timeouts=Timeouts(gap_s=0.1))

    outcome = await outcome_of(provider, request)

    assert isinstance(outcome.error, errors.TimedOut)
    assert "gap_s" in outcome.failure.provider_message


async def test_a_tool_call_that_nobody_asked_for_is_malformed(
    wire: Wire, server: ScriptedServer, provider: Provider
) -> None:
    if wire.provider == "anthropic":
        ending = wire.ending_of_answer(HELLO)
    else:
        ending = tuple(step.replace(b'"stop"', b'"tool_calls"') for step in wire.ending(HELLO))
    server.script(event_stream(*wire.answer("{}"), *ending))

    outcome = await outcome_of(provider, a_request())

    assert isinstance(outcome.error, errors.MalformedResponse)
    assert outcome.text == outcome.json == ""
