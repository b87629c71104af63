"""How every provider of text fails before it begins to answer."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tests.fakes.scripted_server import Answer, Cut, Hang, ScriptedServer, no_answer
from tests.provider_calls import a_request, outcome_of
from tests.provider_wires import Wire
from workers.providers import Provider, ProviderError, ProviderRegistry, ProviderRequest, Timeouts, errors


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


async def test_a_server_that_is_not_there_is_unavailable(wire: Wire) -> None:
    async with wire.server() as server:
        registry = ProviderRegistry(wire.environment(server.url))

    outcome = await outcome_of(registry.get(wire.provider), a_request())
    await registry.aclose()

    assert isinstance(outcome.error, errors.Unavailable)
    assert not outcome.failure.ambiguous


async def test_a_connection_cut_before_any_answer_may_be_tried_again(
    server: ScriptedServer, provider: Provider
) -> None:
    server.script(no_answer(Cut()))

    outcome = await outcome_of(provider, a_request())

    assert isinstance(outcome.error, errors.Unavailable)
    assert outcome.failure.retryable
    assert not outcome.failure.ambiguous


async def test_silence_before_any_answer_may_be_tried_again(server: ScriptedServer, provider: Provider) -> None:
    server.script(no_answer(Hang()))

    outcome = await outcome_of(provider, a_request(timeouts=Timeouts(first_token_s=0.5)))

    assert isinstance(outcome.error, errors.TimedOut)
    assert outcome.failure.retryable
    assert not outcome.failure.ambiguous
    await asyncio.wait_for((await server.call()).client_left.wait(), 5)


@pytest.mark.parametrize(
    "request_", [a_request(options={"temperature": 5}), a_request(mode="image"), a_request(mode="structured")]
)
async def test_a_request_it_cannot_take_is_refused_without_a_call(
    server: ScriptedServer, provider: Provider, request_: ProviderRequest
) -> None:
    outcome = await outcome_of(provider, request_)

    assert isinstance(outcome.error, errors.RequestRejected)
    assert server.calls == []
