"""Which attachments and output schemas are refused before any credits are frozen, and how many tokens they may be."""

import pytest

from tests.provider_calls import a_request
from workers.providers import Attachment, InputFile, Message
from workers.providers.anthropic.vision import MAX_IMAGE_TOKENS
from workers.providers.anthropic.vision import bound_image_tokens as claude_tokens
from workers.providers.attachments import MAX_EDGE_PIXELS, MAX_IMAGES, check_attachments
from workers.providers.conversation import check_conversation
from workers.providers.errors import RequestRejected
from workers.providers.interface import MediaKind, ProviderRequest, Role
from workers.providers.openai.vision import bound_image_tokens as openai_tokens
from workers.providers.openai.vision import bound_other_image_tokens
from workers.providers.structured import (
    MAX_SCHEMA_BYTES,
    MAX_SCHEMA_DEPTH,
    check_output_schema,
    output_schema,
)
from workers.providers.tokens import bound_input_tokens, estimate_input_tokens


def a_file(
    *,
    kind: MediaKind = "image",
    media_type: str = "image/png",
    width: int | None = None,
    height: int | None = None,
) -> InputFile:
    return InputFile(media_id="1", kind=kind, media_type=media_type, size_bytes=9, width=width, height=height)


def with_file(file: InputFile, *, role: Role = "user", times: int = 1) -> ProviderRequest:
    message = Message(role, "Look", tuple(Attachment(media_id="1") for _ in range(times)))
    return a_request(messages=(Message("user", "Hi"), message), files={"1": file})


@pytest.mark.parametrize("media_type", ["image/jpeg", "image/png", "image/gif", "image/webp"])
def test_a_picture_of_a_user_is_fine(media_type: str) -> None:
    request = with_file(a_file(media_type=media_type, width=MAX_EDGE_PIXELS, height=1), times=MAX_IMAGES)

    check_attachments(request, provider="test", takes_images=True)


@pytest.mark.parametrize(
    "request_",
    [
        with_file(a_file(kind="video", media_type="video/mp4")),
        with_file(a_file(kind="audio", media_type="audio/wav")),
        with_file(a_file(media_type="image/tiff")),
        with_file(a_file(media_type="image/svg+xml")),
        with_file(a_file(width=MAX_EDGE_PIXELS + 1, height=10)),
        with_file(a_file(), role="assistant"),
        with_file(a_file(), times=MAX_IMAGES + 1),
        a_request(messages=(Message("user", "Look", (Attachment(media_id="nowhere"),)),)),
    ],
)
def test_an_attachment_that_no_model_takes_is_refused(request_: ProviderRequest) -> None:
    with pytest.raises(RequestRejected):
        check_attachments(request_, provider="test", takes_images=True)


def test_a_provider_that_does_not_see_refuses_pictures() -> None:
    with pytest.raises(RequestRejected, match="no attachments of kind image"):
        check_attachments(with_file(a_file()), provider="test", takes_images=False)


def test_a_message_may_be_a_picture_alone() -> None:
    check_conversation(a_request(messages=(Message("user", "", (Attachment(media_id="1"),)),)), provider="test")


@pytest.mark.parametrize(
    ("width", "height", "tokens"),
    [
        (200, 200, 64),
        (1000, 1000, 1334),
        (1, 1, 1),
        (28, 28, 2),
        (1, 2800, 100),
        (8000, 8000, MAX_IMAGE_TOKENS),
        (None, None, MAX_IMAGE_TOKENS),
        (100, None, MAX_IMAGE_TOKENS),
    ],
)
def test_claude_counts_pictures_by_area(width: int | None, height: int | None, tokens: int) -> None:
    assert claude_tokens(a_file(width=width, height=height)) == tokens


@pytest.mark.parametrize(
    ("model", "width", "height", "at_least"),
    [
        ("gpt-4o", 1024, 1024, 765),
        ("gpt-4o", 2048, 4096, 1105),
        ("gpt-4.1-nano", 1024, 1024, 2520),
        ("gpt-4o-mini-2024-07-18", 512, 512, 8500),
        ("gpt-4o-mini", 2048, 4096, 36835),
        ("gpt-4o", None, None, 1105),
        ("gpt-5", None, None, 6150),
    ],
)
def test_openai_counts_pictures_at_least_as_documented(
    model: str, width: int | None, height: int | None, at_least: int
) -> None:
    assert openai_tokens(model, a_file(width=width, height=height)) >= at_least


@pytest.mark.parametrize(
    ("width", "height", "tokens"),
    [(10, 10, 2_880), (2_800, 2_800, 10_000), (8_000, 8_000, 16_384), (None, 10, 16_384), (None, None, 16_384)],
)
def test_other_models_count_patches_between_two_bounds(width: int | None, height: int | None, tokens: int) -> None:
    assert bound_other_image_tokens(a_file(width=width, height=height)) == tokens


def test_a_picture_of_unknown_size_is_bounded_by_the_largest() -> None:
    sizes = [(10, 10), (768, 768), (2048, 2048), (8000, 8000), (8000, 10), (10, 8000)]
    for model in ("gpt-5", "gpt-4o-mini"):
        largest = openai_tokens(model, a_file())
        assert all(openai_tokens(model, a_file(width=width, height=height)) <= largest for width, height in sizes)


def structured(schema: dict[str, object] | None) -> ProviderRequest:
    return a_request(mode="structured", output_schema=schema)


def nested(depth: int) -> dict[str, object]:
    """An object schema of that many levels."""
    schema: dict[str, object] = {"type": "object"}
    for _ in range(depth - 1):
        schema = {"type": "object", "not": schema}
    return schema


def test_a_schema_of_an_object_is_fine() -> None:
    check_output_schema(structured({"type": "object"}), provider="test")
    check_output_schema(structured(nested(MAX_SCHEMA_DEPTH - 1)), provider="test")


@pytest.mark.parametrize(
    "schema",
    [
        None,
        {},
        {"type": "array"},
        {"type": ["object", "null"]},
        nested(MAX_SCHEMA_DEPTH + 1),
        nested(50_000),
        {"type": "object", "description": "x" * MAX_SCHEMA_BYTES},
        {"type": "object", "description": "half an emoji \ud83d"},
        {"type": "object", "enum": [[[[[1]]]] * 2, {1, 2}.union]},
    ],
    ids=["none", "empty", "array", "two types", "deep", "very deep", "long", "surrogate", "no JSON"],
)
def test_a_schema_no_tool_could_have_is_refused(schema: dict[str, object] | None) -> None:
    with pytest.raises(RequestRejected):
        check_output_schema(structured(schema), provider="test")


def test_a_schema_means_nothing_where_text_is_asked_for() -> None:
    request = a_request(output_schema={"type": "array"})

    check_output_schema(request, provider="test")
    assert output_schema(request) is None
    assert bound_input_tokens(request) == bound_input_tokens(a_request())


def test_a_schema_counts_as_input() -> None:
    schema: dict[str, object] = {"type": "object", "description": "x" * 4_000}

    assert bound_input_tokens(structured(schema)) > bound_input_tokens(a_request()) + 4_000
    assert estimate_input_tokens(structured(schema)) > estimate_input_tokens(a_request()) + 1_000
    assert estimate_input_tokens(structured(schema)) < bound_input_tokens(structured(schema))
