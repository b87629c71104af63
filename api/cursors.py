"""Pages of a list: `limit`, `cursor` and `next_cursor`. Cursors are opaque to callers."""

import base64
import binascii
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
"""Formats mark in the OpenAPI document what only an earlier page can give."""

Item = TypeVar("Item")

PageLimit: TypeAlias = Annotated[int, QueryParameter(name="limit", ge=1, le=LIMIT_MAX)]
VersionCursor: TypeAlias = Annotated[str | None, QueryParameter(name="cursor", schema_extra={"format": VERSION_FORMAT})]
IdCursor: TypeAlias = Annotated[str | None, QueryParameter(name="cursor", schema_extra={"format": ID_FORMAT})]


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
    return 0 if cursor is None else _decode(cursor, int)


def before_id(cursor: str | None) -> UUID | None:
    """Read a cursor of a list that goes from new ids to old.

    Raises:
        InvalidCursor: not one of ours.
    """
    return None if cursor is None else _decode(cursor, UUID)


Place = TypeVar("Place", int, UUID)


def _encode(place: int | UUID) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def _decode(cursor: str, kind: type[Place]) -> Place:
    try:
        place = msgspec.json.decode(
            base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True), type=kind
        )
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise InvalidCursor from None
    if _encode(place) != cursor or (isinstance(place, int) and not 0 <= place < 2**63):
        raise InvalidCursor
    return place
