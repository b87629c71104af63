"""How every provider of text answers by a schema."""

import json

from tests.fakes.scripted_server import Hang, ScriptedServer, event_stream
from tests.provider_calls import a_request, outcome_of
from tests.provider_wires import HELLO, Wire
from workers.providers import Provider, Timeouts, Usage, errors

SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name"],
}


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
