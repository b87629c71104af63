"""What only OpenAI's Responses API does, against a server that speaks its wire format and fails as it does."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from tests.fakes import openai_responses_server as fake
from tests.fakes.openai_responses_server import FakeOpenAIResponses
from tests.fakes.openai_server import API_KEY
from tests.fakes.scripted_server import event_stream
from tests.provider_calls import a_request, outcome_of
from workers.providers import Finished, Message, ProviderError, ProviderRequest, Usage, errors
from workers.providers.openai.responses import OpenAIResponses

SCHEMA: dict[str, object] = {"type": "object", "properties": {"name": {"type": "string"}}}


@pytest.fixture
async def server() -> AsyncIterator[FakeOpenAIResponses]:
    async with FakeOpenAIResponses() as server:
        yield server


@pytest.fixture
async def provider(server: FakeOpenAIResponses) -> AsyncIterator[OpenAIResponses]:
    provider = OpenAIResponses(api_key=API_KEY, base_url=server.base_url)
    yield provider
    await provider.aclose()


async def test_the_request_goes_upstream_as_documented_and_nothing_is_stored(
    server: FakeOpenAIResponses, provider: OpenAIResponses
) -> None:
    messages = (Message("system", "Be kind."), Message("user", "Hi"), Message("assistant", "Yes"), Message("user", "?"))

    await outcome_of(provider, a_request(messages=messages, options={"effort": "low"}, max_output_tokens=50))

    assert (await server.call()).body == {
        "model": "fake-model",
        "max_output_tokens": 50,
        "instructions": "Be kind.",
        "input": [
            {"type": "message", "role": "user", "content": "Hi"},
            {"type": "message", "role": "assistant", "content": "Yes"},
            {"type": "message", "role": "user", "content": "?"},
        ],
        "reasoning": {"effort": "low"},
        "store": False,
        "stream": True,
    }


async def test_the_schema_goes_upstream_as_a_function_that_must_be_called(
    server: FakeOpenAIResponses, provider: OpenAIResponses
) -> None:
    await outcome_of(provider, a_request(mode="structured", output_schema=SCHEMA))

    body = (await server.call()).body
    assert body["tool_choice"] == {"type": "function", "name": "answer"}
    assert body["parallel_tool_calls"] is False
    (tool,) = msgspec.convert(body["tools"], list[dict[str, object]])
    assert tool["parameters"] == SCHEMA
    assert tool["strict"] is False


async def test_arguments_that_come_without_deltas_are_delivered_whole(
    server: FakeOpenAIResponses, provider: OpenAIResponses
) -> None:
    server.script(event_stream(fake.call_start(1), fake.arguments_done('{"a": 1}', 1), fake.completed(fake.usage())))

    outcome = await outcome_of(provider, a_request(mode="structured", output_schema=SCHEMA))

    assert outcome.json == '{"a": 1}'
    assert outcome.finished == Finished(reason="stop", provider_reason="completed")


async def test_arguments_that_came_in_deltas_are_not_delivered_again(
    server: FakeOpenAIResponses, provider: OpenAIResponses
) -> None:
    calls = (fake.call_start(), fake.arguments('{"a": '), fake.arguments("1}"), fake.arguments_done('{"a": 1}'))
    another = (fake.call_start(1), fake.arguments('{"b": 2}', 1), fake.arguments_done('{"b": 2}', 1))
    server.script(event_stream(*calls, *another, fake.completed(fake.usage())))

    assert (await outcome_of(provider, a_request(mode="structured", output_schema=SCHEMA))).json == '{"a": 1}'


async def test_reasoning_is_not_text(server: FakeOpenAIResponses, provider: OpenAIResponses) -> None:
    counted = fake.usage(output_tokens_details={"reasoning_tokens": 5})
    server.script(event_stream(fake.reasoning("hm"), *fake.beginning("a"), fake.completed(counted)))

    outcome = await outcome_of(provider, a_request())

    assert outcome.text == "a"
    assert outcome.usage == Usage(input_tokens=11, output_tokens=7, reasoning_tokens=5)


async def test_usage_without_its_details_is_understood(server: FakeOpenAIResponses, provider: OpenAIResponses) -> None:
    counted = {"input_tokens": 4, "output_tokens": 2, "total_tokens": 6}
    server.script(event_stream(*fake.beginning("a"), fake.completed(counted)))

    assert (await outcome_of(provider, a_request())).usage == Usage(input_tokens=4, output_tokens=2)


@pytest.mark.parametrize(
    ("incomplete", "reason"), [("max_output_tokens", "length"), ("max_messages", "other"), ("next_year", "other")]
)
async def test_every_reason_to_end_early_has_a_word(
    server: FakeOpenAIResponses, provider: OpenAIResponses, incomplete: str, reason: str
) -> None:
    server.script(event_stream(*fake.beginning("a"), fake.incomplete(incomplete, fake.usage())))

    finished = (await outcome_of(provider, a_request())).finished

    assert finished is not None
    assert (finished.reason, finished.provider_reason) == (reason, incomplete)


async def test_the_content_filter_reports_usage_and_then_refuses(
    server: FakeOpenAIResponses, provider: OpenAIResponses
) -> None:
    server.script(event_stream(*fake.beginning("I"), fake.incomplete("content_filter", fake.usage(11, 4))))

    outcome = await outcome_of(provider, a_request())

    assert isinstance(outcome.error, errors.ContentRefused)
    assert outcome.usage == Usage(input_tokens=11, output_tokens=4)


async def test_a_refusal_by_the_model_keeps_its_words(server: FakeOpenAIResponses, provider: OpenAIResponses) -> None:
    refusal = (fake.refusal("I can't "), fake.refusal("do that."))
    server.script(event_stream(*fake.beginning(), *refusal, fake.completed(fake.usage())))

    assert (await outcome_of(provider, a_request())).failure.provider_message == "I can't do that."


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("server_error", errors.Unavailable),
        ("rate_limit_exceeded", errors.RateLimited),
        ("invalid_prompt", errors.ContentRefused),
        ("image_content_policy_violation", errors.ContentRefused),
        ("image_too_large", errors.RequestRejected),
        ("vector_store_timeout", errors.TimedOut),
        ("a_code_of_next_year", errors.Unavailable),
    ],
)
@pytest.mark.parametrize("is_event", [True, False])
async def test_a_failure_in_mid_stream_has_its_kind(
    server: FakeOpenAIResponses, provider: OpenAIResponses, code: str, kind: type[ProviderError], is_event: bool
) -> None:
    last = fake.stream_error("words", code=code) if is_event else fake.failed(code, "words")
    server.script(event_stream(*fake.beginning("a"), last))

    outcome = await outcome_of(provider, a_request())

    assert type(outcome.failure) is kind
    assert outcome.failure.provider_message == "words"
    assert outcome.reports == []


async def test_a_failed_response_reports_the_usage_it_has(
    server: FakeOpenAIResponses, provider: OpenAIResponses
) -> None:
    server.script(event_stream(*fake.beginning("a"), fake.failed("server_error", "words", fake.usage(11, 3))))

    outcome = await outcome_of(provider, a_request())

    assert isinstance(outcome.error, errors.Unavailable)
    assert outcome.usage == Usage(input_tokens=11, output_tokens=3)


async def test_an_error_object_in_an_event_of_another_shape_is_an_error(
    server: FakeOpenAIResponses, provider: OpenAIResponses
) -> None:
    nested = fake.event("error", error={"type": "server_error", "code": "server_error", "message": "words"})
    server.script(event_stream(*fake.beginning("a"), nested))

    assert isinstance((await outcome_of(provider, a_request())).error, errors.Unavailable)


async def test_events_that_are_new_are_passed_over(server: FakeOpenAIResponses, provider: OpenAIResponses) -> None:
    new = fake.event("response.hologram.delta", delta="no text of ours")
    server.script(event_stream(*fake.beginning("a"), new, fake.completed(fake.usage())))

    assert (await outcome_of(provider, a_request())).text == "a"


@pytest.mark.parametrize("request_", [a_request(options={"stop_sequences": ["END"]}), a_request(max_output_tokens=15)])
async def test_what_the_api_does_not_take_is_refused_without_a_call(
    server: FakeOpenAIResponses, provider: OpenAIResponses, request_: ProviderRequest
) -> None:
    outcome = await outcome_of(provider, request_)

    assert isinstance(outcome.error, errors.RequestRejected)
    assert server.calls == []
