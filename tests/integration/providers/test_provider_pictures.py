"""Pictures in a conversation, as each API takes them."""

import base64

import pytest

from tests.fakes.scripted_server import ScriptedServer
from tests.provider_calls import a_request, outcome_of
from tests.provider_wires import WIRES
from workers.providers import Attachment, InputFile, Message, Provider, ProviderRequest

PIXELS = b"\x89PNG fake"
ENCODED = base64.b64encode(PIXELS).decode()


def a_question(content: str = "What is this?") -> ProviderRequest:
    """About two pictures: one at an address, one whose bytes we have."""
    at_url = InputFile(media_id="1", kind="image", media_type="image/jpeg", size_bytes=9, url="https://r2.test/1.jpg")
    in_hand = InputFile(media_id="2", kind="image", media_type="image/png", size_bytes=9, content=PIXELS)
    attachments = (Attachment(media_id="1"), Attachment(media_id="2"))
    messages = (Message("user", "Hi"), Message("assistant", "Yes?"), Message("user", content, attachments))
    return a_request(messages=messages, files={"1": at_url, "2": in_hand})


@pytest.mark.parametrize("wire", [WIRES["anthropic"]])
async def test_claude_is_shown_pictures_before_the_words(server: ScriptedServer, provider: Provider) -> None:
    await outcome_of(provider, a_question())

    assert (await server.call()).body["messages"] == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yes?"},
        {
            "role": "user",
            "content": [
                {"type": "image", "source": {"type": "url", "url": "https://r2.test/1.jpg"}},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": ENCODED}},
                {"type": "text", "text": "What is this?"},
            ],
        },
    ]


@pytest.mark.parametrize("wire", [WIRES["openai"], WIRES["openrouter"]], ids=lambda wire: wire.provider)
async def test_chat_models_are_shown_pictures_as_urls(server: ScriptedServer, provider: Provider) -> None:
    await outcome_of(provider, a_question())

    assert (await server.call()).body["messages"] == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yes?"},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "https://r2.test/1.jpg", "detail": "high"}},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{ENCODED}", "detail": "high"}},
                {"type": "text", "text": "What is this?"},
            ],
        },
    ]


@pytest.mark.parametrize("wire", [WIRES["openai-responses"]])
async def test_the_responses_api_is_shown_pictures_as_input_items(server: ScriptedServer, provider: Provider) -> None:
    await outcome_of(provider, a_question())

    assert (await server.call()).body["input"] == [
        {"type": "message", "role": "user", "content": "Hi"},
        {"type": "message", "role": "assistant", "content": "Yes?"},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_image", "image_url": "https://r2.test/1.jpg", "detail": "high"},
                {"type": "input_image", "image_url": f"data:image/png;base64,{ENCODED}", "detail": "high"},
                {"type": "input_text", "text": "What is this?"},
            ],
        },
    ]


async def test_a_picture_may_come_without_words(server: ScriptedServer, provider: Provider) -> None:
    outcome = await outcome_of(provider, a_question(""))

    assert outcome.error is None
    assert b'"text":""' not in (await server.call()).raw_body


async def test_pictures_are_bounded_before_they_are_there(provider: Provider) -> None:
    """When a request is admitted, files have neither addresses nor bytes yet, and perhaps no known size."""
    unknown = InputFile(media_id="1", kind="image", media_type="image/png", size_bytes=9)
    small = InputFile(media_id="1", kind="image", media_type="image/png", size_bytes=9, width=100, height=100)
    messages = (Message("user", "Hi", (Attachment(media_id="1"),)),)
    without = provider.count_input_tokens(a_request("Hi"))

    bounds = [
        provider.count_input_tokens(a_request(messages=messages, files={"1": file})) - without
        for file in (small, unknown)
    ]

    assert bounds[0] > 0
    assert bounds[1] >= max(bounds[0], 1_600)
    provider.check(a_request(messages=messages, files={"1": unknown}))


async def test_a_cut_call_counts_the_pictures_it_was_shown(provider: Provider) -> None:
    file = InputFile(media_id="1", kind="image", media_type="image/png", size_bytes=9, width=800, height=600)
    with_picture = a_request(messages=(Message("user", "Hi", (Attachment(media_id="1"),)),), files={"1": file})

    plain = provider.estimate_usage(a_request("Hi"), delivered="a", reported=None)
    seen = provider.estimate_usage(with_picture, delivered="a", reported=None)

    assert plain.input_tokens < seen.input_tokens <= provider.count_input_tokens(with_picture)
