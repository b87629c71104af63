"""What a reader needs to have of a stream without the events it came in: what a snapshot holds."""

from typing import Final

import msgspec
from msgspec import Struct

from workers.streams.errors import UnreadableEntry
from workers.streams.wire import ascii_of

_encode: Final = msgspec.json.Encoder().encode


class Content(Struct, frozen=True, omit_defaults=True):
    """Everything a stream has said up to some event."""

    text: str
    artifacts: list[dict[str, object]] = []
    """The data of every `artifact` event, in their order, without their seq."""
    structured: dict[str, object] | None = None
    """`{"json": text so far}` of structured output, and its `"value"` once that is known."""
    progress: dict[str, object] | None = None
    """The latest."""


NOTHING: Final = Content("")

_decode: Final = msgspec.json.Decoder(Content).decode


def content_entry(content: Content) -> bytes:
    """A snapshot as Redis keeps it: one JSON object in UTF-8."""
    return _encode(content)


def read_content_entry(payload: bytes) -> Content:
    """Read a snapshot out of Redis; those of earlier versions are only a JSON string.

    Raises:
        UnreadableEntry: it is neither.
    """
    try:
        return Content(msgspec.json.decode(payload, type=str)) if payload[:1] == b'"' else _decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableEntry(str(error)) from error


def content_json(content: Content) -> str:
    """A snapshot as readers get it, but for its seq and reason: one JSON object in ASCII."""
    return ascii_of(_encode(content).decode())
