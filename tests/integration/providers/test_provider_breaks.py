"""How every provider of text fails in the middle of an answer."""

import asyncio
import time
from contextlib import aclosing

import pytest

from tests.fakes.scripted_server import Cut, Hang, Hold, Repeat, ScriptedServer, event_stream, no_answer
from tests.provider_calls import a_request, outcome_of, until_text
from tests.provider_wires import HELLO, Wire
from workers.providers import Provider, TextDelta, Timeouts, errors

CLOSED_WITHIN_S = 15
"""A connection that is not closed at once stays open until the provider is closed, after the test."""


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
    server.script(*[event_stream(*wire.beginning("a"), *wire.ending(HELLO), Hang())] * 3)
    took_s: list[float] = []

    for _ in range(3):
        started = time.monotonic()
        outcome = await outcome_of(provider, a_request())
        took_s.append(time.monotonic() - started)

        assert outcome.finished is not None
        assert not outcome.final.estimated
    # A machine that stalls is slow once; waiting takes long every time.
    assert min(took_s) < 2


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

    outcome = await outcome_of(provider, a_request(timeouts=Timeouts(first_token_s=0.5)))

    assert isinstance(outcome.error, errors.TimedOut)
    assert "first_token_s" in outcome.failure.provider_message
    assert not outcome.failure.ambiguous
    await asyncio.wait_for((await server.call()).client_left.wait(), CLOSED_WITHIN_S)


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

    await asyncio.wait_for((await server.call()).client_left.wait(), CLOSED_WITHIN_S)


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
    await asyncio.wait_for(call.client_left.wait(), CLOSED_WITHIN_S)
