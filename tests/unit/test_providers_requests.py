"""What is refused before any credits are frozen, and what headers say."""

from datetime import UTC, datetime

import pytest

from tests.provider_calls import a_request
from workers.providers import Message
from workers.providers.conversation import ModelOptions, check_conversation, parse_options
from workers.providers.errors import MAX_RETRY_AFTER_S, RateLimited, RequestRejected
from workers.providers.headers import retry_after_s, trace_headers
from workers.providers.interface import ProviderRequest

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
HELLO = Message("user", "hello")


def test_leading_system_messages_and_turns_are_fine() -> None:
    messages = (Message("system", "a"), Message("system", "b"), HELLO, Message("assistant", "hi"), HELLO)

    check_conversation(a_request(messages=messages), provider="test")


@pytest.mark.parametrize(
    "request_",
    [
        a_request(messages=(Message("system", "only a system message"),)),
        a_request(messages=(HELLO, Message("system", "too late"), HELLO)),
        a_request(messages=(Message("user", ""),)),
        a_request(messages=(Message("user", "half an emoji \ud83d"),)),
        a_request(max_output_tokens=0),
    ],
)
def test_a_conversation_no_provider_could_take_is_refused(request_: ProviderRequest) -> None:
    with pytest.raises(RequestRejected):
        check_conversation(request_, provider="test")


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 1},
        {"stop_sequences": ["a", "b", "c", "d", "e"]},
        {"stop_sequences": [""]},
        {"stop_sequences": "END"},
        {"effort": "enormous"},
    ],
)
def test_an_option_that_is_unknown_or_out_of_range_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(RequestRejected):
        parse_options(a_request(options=options), ModelOptions, provider="test")


def test_options_of_models_are_parsed() -> None:
    request = a_request(options={"stop_sequences": ["END"], "effort": "low"})

    assert parse_options(request, ModelOptions, provider="test") == ModelOptions(stop_sequences=("END",), effort="low")


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:09 GMT"}, 9.0),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:09 -0000"}, 9.0),
        ({"retry-after": "Fri, 20 Nov 2026 11:00:00 GMT"}, 0.0),
    ],
)
def test_retry_after_is_read_in_all_its_forms(headers: dict[str, str], wait_s: float | None) -> None:
    assert retry_after_s(headers, now=NOW) == wait_s


@pytest.mark.parametrize(
    ("asked_s", "kept_s"), [(3600.0, MAX_RETRY_AFTER_S), (float("inf"), MAX_RETRY_AFTER_S), (59.0, 59.0)]
)
def test_a_long_retry_after_is_capped(asked_s: float, kept_s: float) -> None:
    assert RateLimited(provider="test", retry_after_s=asked_s).retry_after_s == kept_s


def test_ids_go_upstream_as_headers() -> None:
    headers = trace_headers(a_request(request_id="abc-123"))

    assert headers["X-Request-ID"] == headers["X-Client-Request-Id"] == "abc-123"
    assert headers["X-Holdfast-Generation-ID"] == "0199aa00-0000-7000-8000-000000000001"


@pytest.mark.parametrize("request_id", ["", "two\r\nlines", "späm", "x" * 513])
def test_an_id_no_header_can_carry_is_left_out(request_id: str) -> None:
    assert "X-Request-ID" not in trace_headers(a_request(request_id=request_id))
