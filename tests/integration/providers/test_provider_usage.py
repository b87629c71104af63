"""What every provider of text says that a call used."""

import pytest

from tests.fakes.scripted_server import ScriptedServer, event_stream
from tests.provider_calls import a_request, outcome_of
from tests.provider_wires import HELLO, Wire
from workers.providers import Provider, Usage, errors


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


async def test_usage_before_the_last_text_is_not_the_usage_of_the_whole(
    wire: Wire, server: ScriptedServer, provider: Provider
) -> None:
    interim = [] if wire.interim is None else [wire.interim({"input_tokens": 11, "output_tokens": 2})]
    server.script(event_stream(*wire.beginning("a"), *interim, wire.text("x" * 400), *wire.ending(None)))

    outcome = await outcome_of(provider, a_request())

    assert outcome.final.estimated
    assert outcome.usage.output_tokens >= 100


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
