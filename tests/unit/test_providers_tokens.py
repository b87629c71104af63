"""Bounds and estimates of tokens, and usage that is checked before it becomes money."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.provider_calls import a_request
from workers.providers import Message, Usage, estimate_output_tokens
from workers.providers.errors import MalformedUsage
from workers.providers.tokens import bound_input_tokens, estimate_cut_usage, estimate_input_tokens
from workers.providers.usage import MAX_TOKENS_PER_CALL, checked_usage

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@given(st.lists(ANY_TEXT, min_size=1, max_size=5))
def test_the_bound_is_at_least_the_bytes_and_the_estimate(texts: list[str]) -> None:
    request = a_request(messages=tuple(Message("user", text) for text in texts))

    assert bound_input_tokens(request) >= sum(len(text.encode()) for text in texts)
    assert bound_input_tokens(request) >= estimate_input_tokens(request)


def test_the_bound_covers_text_that_grows_when_normalised() -> None:
    assert bound_input_tokens(a_request("\ufdfa" * 100)) >= 3300


@given(ANY_TEXT, ANY_TEXT)
def test_more_text_never_estimates_to_fewer_tokens(text: str, more: str) -> None:
    assert estimate_output_tokens(text + more) >= max(estimate_output_tokens(text), estimate_output_tokens(more))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("a", 1), ("four", 1), ("five5", 2), ("x" * 4000, 1000), ("漢字", 2), ("Привет", 4), ("a漢", 2)],
)
def test_an_estimate_is_a_quarter_an_ascii_character_and_a_third_a_byte_of_others(text: str, tokens: int) -> None:
    assert estimate_output_tokens(text) == tokens


def test_a_cut_call_keeps_reported_input_and_counts_output() -> None:
    reported = Usage(input_tokens=40, output_tokens=1, cache_read_tokens=30)

    usage = estimate_cut_usage(a_request(), delivered="x" * 40, reported=reported)

    assert usage == Usage(input_tokens=40, output_tokens=10, cache_read_tokens=30)


def test_a_cut_call_never_counts_less_output_than_was_reported() -> None:
    usage = estimate_cut_usage(a_request(), delivered="x", reported=Usage(input_tokens=4, output_tokens=50))

    assert usage.output_tokens == 50


def test_a_cut_call_counts_no_more_output_than_was_asked_for() -> None:
    usage = estimate_cut_usage(a_request(max_output_tokens=5), delivered="x" * 400, reported=None)

    assert usage.output_tokens == 5


def test_a_cut_call_without_any_report_counts_both_sides() -> None:
    usage = estimate_cut_usage(a_request("12345678"), delivered="1234", reported=None)

    assert usage == Usage(input_tokens=6, output_tokens=1)


@pytest.mark.parametrize("reported", [Usage(), Usage(output_tokens=3)])
def test_a_reported_input_of_zero_is_no_count(reported: Usage) -> None:
    usage = estimate_cut_usage(a_request("12345678"), delivered="x" * 40, reported=reported, image_tokens=100)

    assert usage == Usage(input_tokens=106, output_tokens=10)


def test_a_call_cut_before_anything_came_used_nothing() -> None:
    assert estimate_cut_usage(a_request(), delivered="", reported=None) == Usage()


@pytest.mark.parametrize("count", [-1, MAX_TOKENS_PER_CALL + 1, 3.0, True, None, "7", float("nan"), [7]])
@pytest.mark.parametrize("field", ["input_tokens", "output_tokens"])
def test_a_count_that_is_none_is_malformed(field: str, count: object) -> None:
    counts = {"input_tokens": 1, "output_tokens": 1, field: count}

    with pytest.raises(MalformedUsage):
        checked_usage(provider="test", input_tokens=counts["input_tokens"], output_tokens=counts["output_tokens"])


@pytest.mark.parametrize("count", [-1, MAX_TOKENS_PER_CALL + 1, 0.0, False, ""])
def test_a_part_that_is_no_count_is_malformed(count: object) -> None:
    for part in ("cache_read_tokens", "cache_write_tokens", "reasoning_tokens"):
        with pytest.raises(MalformedUsage, match=part):
            checked_usage(provider="test", input_tokens=5, output_tokens=5, **{part: count})


@pytest.mark.parametrize("count", [0, MAX_TOKENS_PER_CALL])
def test_the_smallest_and_the_largest_count_are_taken(count: int) -> None:
    usage = checked_usage(provider="test", input_tokens=count, output_tokens=count, reasoning_tokens=None)

    assert usage == Usage(input_tokens=count, output_tokens=count)


def test_more_read_from_the_cache_than_was_read_is_malformed() -> None:
    with pytest.raises(MalformedUsage):
        checked_usage(provider="test", input_tokens=5, output_tokens=1, cache_read_tokens=6)


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
def test_parts_never_exceed_their_totals(total_in: int, total_out: int, read: int, written: int, reasoned: int) -> None:
    usage = checked_usage(
        provider="test",
        input_tokens=total_in,
        output_tokens=total_out,
        cache_read_tokens=min(read, total_in),
        cache_write_tokens=written,
        reasoning_tokens=reasoned,
    )

    assert usage.cache_read_tokens + usage.cache_write_tokens <= usage.input_tokens
    assert usage.reasoning_tokens <= usage.output_tokens
