"""Pages of a list: `limit`, `cursor` and `next_cursor`. Cursors are opaque to callers."""

import base64
from collections.abc import Callable, Sequence
from typing import Annotated, Final, Generic, TypeAlias, TypeVar
from uuid import UUID

import msgspec
from litestar.params import QueryParameter

from workers.errors import InvalidCursor

LIMIT_DEFAULT: Final = 50
LIMIT_MAX: Final = 200
VERSION_FORMAT: Final = "holdfast-version-cursor"
ID_FORMAT: Final = "holdfast-id-cursor"
TEXT_FORMAT: Final = "holdfast-text-cursor"
"""Formats mark in the OpenAPI document what only an earlier page can give."""

VERSION_BYTES: Final = 8
ID_BYTES: Final = 16
TEXT_CURSOR_MAX: Final = 1_000
LARGEST_VERSION: Final = 2**63 - 1

Item = TypeVar("Item")

PageLimit: TypeAlias = Annotated[int, QueryParameter(name="limit", ge=1, le=LIMIT_MAX)]
VersionCursor: TypeAlias = Annotated[str | None, QueryParameter(name="cursor", schema_extra={"format": VERSION_FORMAT})]
IdCursor: TypeAlias = Annotated[str | None, QueryParameter(name="cursor", schema_extra={"format": ID_FORMAT})]
TextCursor: TypeAlias = Annotated[
    str | None, QueryParameter(name="cursor", max_length=TEXT_CURSOR_MAX, schema_extra={"format": TEXT_FORMAT})
]


class Page(msgspec.Struct, Generic[Item], frozen=True):
    """One page of a list; `next_cursor` is null on the last."""

    items: list[Item]
    next_cursor: str | None


def page_of(items: Sequence[Item], *, limit: int, cursor_of: Callable[[Item], int | UUID]) -> Page[Item]:
    """Make a page from up to `limit + 1` items: one more than fits says that there is another page."""
    if len(items) <= limit:
        return Page(list(items), None)
    shown = list(items[:limit])
    return Page(shown, _encode(cursor_of(shown[-1])))


def after_version(cursor: str | None) -> int:
    """Read a cursor of a list in version order; 0 for the beginning.

    Raises:
        InvalidCursor: not one of ours.
    """
    if cursor is None:
        return 0
    version = int.from_bytes(_decode(cursor, VERSION_BYTES), "big")
    if version > LARGEST_VERSION:
        raise InvalidCursor
    return version


def before_id(cursor: str | None) -> UUID | None:
    """Read a cursor of a list that goes from new ids to old.

    Raises:
        InvalidCursor: not one of ours.
    """
    return None if cursor is None else UUID(bytes=_decode(cursor, ID_BYTES))


def after_text(cursor: str | None) -> str:
    """Read a cursor of a list in the order of its keys; empty for the beginning.

    Raises:
        InvalidCursor: not one of ours.
    """
    if cursor is None:
        return ""
    try:
        text = _raw(cursor).decode()
    except UnicodeDecodeError:
        raise InvalidCursor from None
    if not text or "\0" in text:
        raise InvalidCursor
    return text


def text_cursor(keys: Sequence[str], *, limit: int) -> str | None:
    """Return the cursor of what follows the first `limit` keys; None where nothing does."""
    return _encoded(keys[limit - 1].encode()) if len(keys) > limit else None


def _encode(place: int | UUID) -> str:
    return _encoded(place.bytes if isinstance(place, UUID) else place.to_bytes(VERSION_BYTES, "big"))


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decode(cursor: str, length: int) -> bytes:
    raw = _raw(cursor)
    if len(raw) != length:
        raise InvalidCursor
    return raw


def _raw(cursor: str) -> bytes:
    try:
        return base64.b64decode(cursor.encode() + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise InvalidCursor from None
