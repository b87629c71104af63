"""Servers that speak OpenAI's Chat Completions API with an accent of their own."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias

import pytest

from tests.fakes import openai_server as fake
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.scripted_server import Answer, Call, event_stream, json_answer
from tests.provider_calls import a_request, outcome_of
from workers.providers import Provider, ProviderRegistry, errors

SCHEMA: dict[str, object] = {"type": "object"}

Calling: TypeAlias = Callable[..., AbstractAsyncContextManager[Provider]]


class KeylessServer(FakeOpenAI):
    """One that everybody may call."""

    def refusal(self, call: Call) -> Answer | None:
        """Nothing but another path."""
        return None if call.path.endswith("/chat/completions") else fake.failure(404, "no")


@pytest.fixture
async def server() -> AsyncIterator[FakeOpenAI]:
    async with KeylessServer() as server:
        yield server


@pytest.fixture
def calling(server: FakeOpenAI) -> Calling:
    @asynccontextmanager
    async def calling(name: str, **environment: str) -> AsyncGenerator[Provider]:
        prefix = name.upper().replace("-", "_")
        given = {"HOLDFAST_COMPATIBLE_PROVIDERS": name, f"{prefix}_BASE_URL": server.base_url, **environment}
        registry = ProviderRegistry(given)
        yield registry.get(name)
        await registry.aclose()

    return calling


@pytest.mark.parametrize(
    ("name", "limit", "asks_for_usage", "forbids_parallel_calls"),
    [
        ("gemini", "max_completion_tokens", True, False),
        ("groq", "max_completion_tokens", False, True),
        ("featherless", "max_tokens", True, False),
        ("openrouter", "max_tokens", True, True),
        ("litellm", "max_tokens", True, True),
        ("vllm", "max_tokens", True, False),
        ("ollama", "max_tokens", True, False),
        ("my-gpu", "max_tokens", True, False),
    ],
)
async def test_every_server_is_asked_in_the_words_it_knows(
    server: FakeOpenAI, calling: Calling, name: str, limit: str, asks_for_usage: bool, forbids_parallel_calls: bool
) -> None:
    key = {f"{name.upper().replace('-', '_')}_API_KEY": "the-key"}

    async with calling(name, **key) as provider:
        await outcome_of(provider, a_request(mode="structured", output_schema=SCHEMA, max_output_tokens=50))

    call = await server.call()
    assert call.body[limit] == 50
    assert len({"max_tokens", "max_completion_tokens"} & call.body.keys()) == 1
    assert ("stream_options" in call.body) is asks_for_usage
    assert ("parallel_tool_calls" in call.body) is forbids_parallel_calls
    assert call.body["tool_choice"] == "required"
    assert call.headers["authorization"] == "Bearer the-key"


@pytest.mark.parametrize("name", ["vllm", "ollama", "my-gpu"])
async def test_a_server_of_ones_own_needs_no_key(server: FakeOpenAI, calling: Calling, name: str) -> None:
    async with calling(name) as provider:
        outcome = await outcome_of(provider, a_request())

    assert outcome.text == "Hello world"
    assert len(server.calls) == 1


def usage_with(**extra: object) -> bytes:
    return fake.usage(11, 7, 18, **extra)


@pytest.mark.parametrize(
    ("extra", "cost_microdollars"),
    [
        ({"cost": 0.0001234}, 124),
        ({"cost": 0}, 0),
        ({"cost": 0.000001}, 1),
        ({"cost": 1e-07}, 1),
        ({"cost": 0.95, "is_byok": False, "cost_details": {"upstream_inference_cost": 19}}, 950_000),
        ({"cost": 0.05, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.5}}, 550_000),
        ({"cost": 0.05, "is_byok": True, "cost_details": {"upstream_inference_cost": None}}, 50_000),
        ({"cost": None}, None),
        ({}, None),
    ],
)
async def test_openrouter_says_what_a_call_cost_us(
    server: FakeOpenAI, calling: Calling, extra: dict[str, object], cost_microdollars: int | None
) -> None:
    server.script(event_stream(*fake.beginning("a"), fake.finish(), usage_with(**extra), fake.DONE))

    async with calling("openrouter", OPENROUTER_API_KEY="k") as provider:
        outcome = await outcome_of(provider, a_request())

    assert outcome.final.cost_microdollars == cost_microdollars


@pytest.mark.parametrize("cost", [-0.1, "free", True, 10**9, [1]])
async def test_a_cost_that_cannot_be_is_refused(server: FakeOpenAI, calling: Calling, cost: object) -> None:
    server.script(event_stream(*fake.beginning("a"), fake.finish(), usage_with(cost=cost), fake.DONE))

    async with calling("openrouter", OPENROUTER_API_KEY="k") as provider:
        assert isinstance((await outcome_of(provider, a_request())).error, errors.MalformedUsage)


async def test_a_cost_from_a_server_that_means_something_else_by_it_is_ignored(
    server: FakeOpenAI, calling: Calling
) -> None:
    server.script(event_stream(*fake.beginning("a"), fake.finish(), usage_with(cost=5), fake.DONE))

    async with calling("vllm") as provider:
        assert (await outcome_of(provider, a_request())).final.cost_microdollars is None


async def test_an_openrouter_stream_that_ends_by_an_error_without_words_failed(
    server: FakeOpenAI, calling: Calling
) -> None:
    server.script(event_stream(*fake.beginning("a"), fake.finish("error"), fake.usage(), fake.DONE))

    async with calling("openrouter", OPENROUTER_API_KEY="k") as provider:
        assert isinstance((await outcome_of(provider, a_request())).error, errors.Unavailable)


async def test_moderation_by_openrouter_is_a_refusal_of_the_content(server: FakeOpenAI, calling: Calling) -> None:
    error = {"code": 403, "message": "flagged", "metadata": {"reasons": ["violence"], "flagged_input": "..."}}
    server.script(json_answer(403, {"error": error}))

    async with calling("openrouter", OPENROUTER_API_KEY="k") as provider:
        assert isinstance((await outcome_of(provider, a_request())).error, errors.ContentRefused)


async def test_a_wrong_key_for_gemini_is_no_fault_of_the_customer(server: FakeOpenAI, calling: Calling) -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
    error = {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT", "details": details}
    server.script(json_answer(400, [{"error": error}]))

    async with calling("gemini", GEMINI_API_KEY="k") as provider:
        outcome = await outcome_of(provider, a_request())

    assert isinstance(outcome.error, errors.AuthenticationFailed)
    assert "API key not valid." in outcome.failure.provider_message


async def test_usage_in_a_chunk_without_choices_is_understood(server: FakeOpenAI, calling: Calling) -> None:
    bare = fake.data({"usage": {"prompt_tokens": 4, "completion_tokens": 2}})
    server.script(event_stream(*fake.beginning("a"), fake.finish(), bare))

    async with calling("litellm", LITELLM_API_KEY="k") as provider:
        outcome = await outcome_of(provider, a_request())

    assert (outcome.usage.input_tokens, outcome.usage.output_tokens) == (4, 2)


async def test_a_second_call_of_the_tool_is_none_of_the_answer(server: FakeOpenAI, calling: Calling) -> None:
    calls = (fake.tool_call('{"a": 1}', first=True), fake.tool_call('{"b": 2}', first=True, index=1))
    server.script(event_stream(fake.role(), *calls, fake.finish("tool_calls"), fake.usage(), fake.DONE))

    async with calling("vllm") as provider:
        outcome = await outcome_of(provider, a_request(mode="structured", output_schema=SCHEMA))

    assert outcome.json == '{"a": 1}'
