"""What a mode that renders media looks like inside the offline provider.

A rendering is a plain generator: each `next` does one piece of the work, some milliseconds of it, and says how far it
has come or gives a result. So the provider decides where it runs (a thread), how fast (`delay_ms`), and when it ends.
"""

from collections.abc import Callable, Generator
from typing import TypeAlias

from msgspec import Struct

from workers.providers.interface import InputFile, MediaKind, MediaResult, Progress, ProviderRequest
from workers.providers.offline.options import rejected

Rendering: TypeAlias = Generator[Progress | MediaResult]


class Craft(Struct, frozen=True):
    """How one mode is checked and rendered."""

    check: Callable[[ProviderRequest], None]
    """Raises `RequestRejected`. Files have no bytes yet."""
    render: Callable[[ProviderRequest], Rendering]
    """Called with what `check` let pass; every file has its bytes."""


def prompt_of(request: ProviderRequest) -> str:
    """Return the text of the last message; empty where a mode needs none and none was given."""
    return request.messages[-1].content if request.messages else ""


def needs_prompt(request: ProviderRequest) -> None:
    """Refuse a request without a text to work from.

    Raises:
        RequestRejected: there is none.
    """
    if not prompt_of(request).strip():
        raise rejected("a prompt is needed")


def file_of(request: ProviderRequest, kind: MediaKind, media_id: str) -> InputFile:
    """Return the file that a parameter names.

    Raises:
        RequestRejected: it is missing or of another kind.
    """
    file = request.files.get(media_id)
    if file is None or file.kind != kind:
        raise rejected(f"{media_id} is no {kind} of this request")
    return file


def bytes_of(file: InputFile) -> bytes:
    """Return the bytes of a file that was loaded before the rendering began."""
    assert file.content is not None
    return file.content
