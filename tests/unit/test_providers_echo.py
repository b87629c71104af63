"""Echo: the prompt comes back exactly, at the asked pace, and its usage can be counted by hand."""

import asyncio
import time
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.provider_calls import a_request, outcome_of
from workers.providers import Message, TextDelta, Timeouts, Usage
from workers.providers.echo import MAX_DELAY_MS, Echo, count_words, split_words
from workers.providers.errors import RequestRejected, TimedOut

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
SPACED_TEXT = st.text(st.sampled_from("ab \n\t\r\u2028\u00a0é😀"), max_size=300)


@given(ANY_TEXT | SPACED_TEXT)
def test_words_joined_are_the_text_again(text: str) -> None:
    assert "".join(split_words(text)) == text


@given(ANY_TEXT | SPACED_TEXT, st.integers(0, 300))
def test_a_prefix_of_whole_words_counts_as_that_many_words(text: str, words: int) -> None:
    delivered = list(split_words(text))[:words]

    assert count_words("".join(delivered)) == len(delivered)


async def test_echo_streams_the_prompt_back_exactly() -> None:
    prompt = "  One two,\r\nthree\t\u2028four \x00 👩‍👩‍👧 five "

    outcome = await outcome_of(Echo(), a_request(prompt))

    assert outcome.text == prompt
    assert outcome.finished is not None
    assert outcome.finished.reason == "stop"


async def test_echo_counts_one_token_a_word_of_what_went_in_and_out() -> None:
    messages = (Message("system", "be brief"), Message("user", "one two three"))

    outcome = await outcome_of(Echo(), a_request(messages=messages))

    assert outcome.usage == Usage(input_tokens=5, output_tokens=3)


async def test_echo_stops_at_the_token_limit() -> None:
    outcome = await outcome_of(Echo(), a_request("one two three", max_output_tokens=2))

    assert outcome.text == "one two "
    assert outcome.usage.output_tokens == 2
    assert outcome.finished is not None
    assert outcome.finished.reason == "length"


async def test_echo_says_stop_when_the_prompt_fits_the_limit_exactly() -> None:
    outcome = await outcome_of(Echo(), a_request("one two three", max_output_tokens=3))

    assert outcome.finished is not None
    assert outcome.finished.reason == "stop"


async def test_echo_pauses_before_each_word() -> None:
    started = time.monotonic()

    await outcome_of(Echo(), a_request("one two three four", options={"delay_ms": 20}))

    assert time.monotonic() - started >= 0.08


async def test_without_a_delay_the_first_word_is_there_at_once() -> None:
    async with aclosing(Echo().stream(a_request("one two"))) as stream:
        first = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)

        assert first.done()
        assert first.result() == TextDelta("one ")


async def test_without_a_delay_other_tasks_still_get_their_turn() -> None:
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.ensure_future(count_turns())
    await outcome_of(Echo(), a_request("word " * 1000, max_output_tokens=1000))
    counting.cancel()

    assert turns >= 1000 // 64


async def test_a_pause_longer_than_the_gap_times_out() -> None:
    request = a_request("one two", options={"delay_ms": 1000}, timeouts=Timeouts(first_token_s=0.01))

    outcome = await outcome_of(Echo(), request)

    assert isinstance(outcome.error, TimedOut)


def test_usage_of_a_cut_echo_is_exact() -> None:
    usage = Echo().estimate_usage(a_request("one two three"), delivered="one two ", reported=None)

    assert usage == Usage(input_tokens=3, output_tokens=2)


def test_a_cut_echo_that_delivered_nothing_used_nothing() -> None:
    assert Echo().estimate_usage(a_request("one two three"), delivered="", reported=None) == Usage()


@pytest.mark.parametrize("delay_ms", [-1, MAX_DELAY_MS + 1, 1.5, "20", True, None])
def test_echo_refuses_a_delay_that_is_not_one(delay_ms: object) -> None:
    with pytest.raises(RequestRejected):
        Echo().check(a_request(options={"delay_ms": delay_ms}))


@pytest.mark.parametrize("delay_ms", [0, MAX_DELAY_MS])
def test_echo_takes_the_shortest_and_the_longest_delay(delay_ms: int) -> None:
    Echo().check(a_request(options={"delay_ms": delay_ms}))


def test_echo_refuses_an_option_it_does_not_know() -> None:
    with pytest.raises(RequestRejected, match="effort"):
        Echo().check(a_request(options={"effort": "low"}))
