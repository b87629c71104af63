"""What every provider of text promises: answers arrive whole, and end when they are told to."""

import asyncio

from tests.fakes.scripted_server import ScriptedServer, event_stream
from tests.provider_calls import a_request, outcome_of
from tests.provider_wires import HELLO, Wire
from workers.providers import Provider, Usage


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
