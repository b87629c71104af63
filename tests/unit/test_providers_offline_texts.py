"""The offline provider in words: it repeats what it was asked for, and says that no model is behind it."""

import json

import pytest
from msgspec import structs

from tests.offline_calls import PROMPT, a_picture, a_recording, offline_request, run_offline
from workers.modes import MODES
from workers.providers import Attachment, JsonDelta, Message, ProviderRegistry, Usage
from workers.providers.errors import RequestRejected, TimedOut
from workers.providers.interface import Timeouts
from workers.providers.offline.provider import Offline

SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "stars": {"type": "integer", "minimum": 1, "maximum": 5}},
    "required": ["title", "stars"],
}


async def test_offline_needs_no_key_and_covers_every_mode() -> None:
    registry = ProviderRegistry({})

    assert registry.status("offline").problem is None
    assert registry.get("offline").modes == frozenset(MODES)
    await registry.aclose()


async def test_chat_repeats_the_last_message_exactly() -> None:
    request = structs.replace(
        offline_request("chat"),
        messages=(
            Message("system", "be brief"),
            Message("user", "  one\r\n two "),
            Message("user", "  three\n\nfour "),
        ),
    )

    outcome = await run_offline(request)

    assert outcome.text == "  three\n\nfour "
    assert outcome.usage == Usage(input_tokens=8, output_tokens=3)
    assert outcome.finished is not None
    assert outcome.finished.reason == "stop"


async def test_chat_says_what_was_attached_and_that_no_model_saw_it() -> None:
    request = structs.replace(
        offline_request("chat", "", a_picture((120, 90)), a_recording(1, part_ms=100)),
        messages=(Message("user", "What is it?", (Attachment(media_id="image"), Attachment(media_id="audio"))),),
    )

    outcome = await run_offline(request)

    assert outcome.text.startswith("No model is behind this answer. You attached:\n- image, image/png, 120x90, ")
    assert "- audio, audio/wav, 100 ms, " in outcome.text
    assert outcome.text.endswith("\n\nWhat is it?")


async def test_compose_makes_a_page_of_the_brief_and_says_what_it_is() -> None:
    outcome = await run_offline(offline_request("compose", "Describe the sea. Keep it short!"))

    assert outcome.text == (
        "# Describe the sea\n\n"
        "This page was put together offline. No model is behind it: it repeats what was asked for.\n\n"
        "1. Describe the sea.\n2. Keep it short!\n\n"
        "The brief has 6 words in 2 sentences.\n"
    )


async def test_a_text_ends_at_the_token_limit() -> None:
    outcome = await run_offline(offline_request("compose", max_output_tokens=3))

    assert outcome.usage.output_tokens == 3
    assert outcome.finished is not None
    assert outcome.finished.reason == "length"


async def test_structured_output_streams_pieces_of_json_that_fit_the_schema() -> None:
    outcome = await run_offline(offline_request("structured", schema=SCHEMA))

    pieces = [chunk.text for chunk in outcome.chunks if isinstance(chunk, JsonDelta)]
    assert outcome.text == ""
    assert len(pieces) > 3
    assert json.loads("".join(pieces)) == {"title": "A lighthouse at", "stars": 1}
    assert outcome.usage.output_tokens == len(pieces)


def test_a_schema_without_a_value_is_refused_before_any_credits_are_frozen() -> None:
    impossible: dict[str, object] = {"type": "object", "required": ["a"], "properties": {"a": False}}

    with pytest.raises(RequestRejected, match="no value was found for the schema: a part of it allows nothing"):
        Offline().check(offline_request("structured", schema=impossible))


def test_structured_output_needs_a_schema() -> None:
    with pytest.raises(RequestRejected, match="a schema of the output is needed"):
        Offline().check(offline_request("structured"))


def test_a_mode_that_there_is_not_is_refused() -> None:
    with pytest.raises(RequestRejected, match="mode sculpture is not one of its modes"):
        Offline().check(offline_request("sculpture"))


@pytest.mark.parametrize("mode", sorted(Offline.modes))
def test_an_option_that_a_mode_does_not_know_is_refused(mode: str) -> None:
    with pytest.raises(RequestRejected, match="brush"):
        Offline().check(offline_request(mode, PROMPT, schema=SCHEMA, brush="wide"))


@pytest.mark.parametrize("mode", sorted(Offline.modes - {"speech-to-video", "music"}))
def test_every_mode_that_works_from_a_prompt_needs_one(mode: str) -> None:
    with pytest.raises(RequestRejected, match=r"a prompt is needed|the conversation is empty"):
        Offline().check(offline_request(mode, "", schema=SCHEMA))


@pytest.mark.parametrize("mode", sorted(Offline.modes))
def test_half_of_a_surrogate_pair_is_refused(mode: str) -> None:
    with pytest.raises(RequestRejected, match="half of a surrogate pair"):
        Offline().check(offline_request(mode, "a \ud83d b", schema=SCHEMA))


async def test_a_pause_longer_than_the_time_out_ends_the_call() -> None:
    request = offline_request("image", delay_ms=1_000)

    outcome = await run_offline(structs.replace(request, timeouts=Timeouts(first_token_s=0.01)))

    assert isinstance(outcome.error, TimedOut)


def test_usage_of_a_cut_text_is_exact() -> None:
    usage = Offline().estimate_usage(offline_request("chat", "one two three"), delivered="one two ", reported=None)

    assert usage == Usage(input_tokens=3, output_tokens=2)


def test_usage_of_a_cut_rendering_is_what_was_reported_with_the_results() -> None:
    reported = Usage(input_tokens=3, images=1, pixels=4_096)

    usage = Offline().estimate_usage(offline_request("image", "one two three"), delivered="", reported=reported)

    assert usage == reported


def test_a_cut_call_that_delivered_nothing_used_nothing() -> None:
    assert Offline().estimate_usage(offline_request("image"), delivered="", reported=None) == Usage()
