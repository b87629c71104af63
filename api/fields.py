"""Field types that many requests and answers share, with the constraints that keep bad input out."""

import re
from datetime import UTC, datetime
from typing import Annotated, Final, TypeAlias
from uuid import UUID

from msgspec import Meta, ValidationError, convert

from api.errors import MalformedRequest
from ledger.amounts import format_credits, parse_credits
from ledger.rows import from_us, to_us

NO_NUL: Final = r"^[^\x00]*$"
"""Postgres cannot store NUL in text."""

MAX_PLACE: Final = 2**63 - 1

END: Final = r"$(?!\n)"
"""The end of a text in a pattern. Python's `$` alone would let a line feed follow."""

_ZERO: Final = re.compile(r"0{1,13}(\.0{1,6})?", re.ASCII)

_NOT_ZERO: Final = r"(?!0+(\.0+)?$)"

Credits: TypeAlias = Annotated[
    str,
    Meta(
        max_length=40,
        description="A decimal string of credits with at most 6 places, such as 12.5; never a JSON number.",
        extra_json_schema={"pattern": rf"^{_NOT_ZERO}[0-9]{{1,13}}(\.[0-9]{{1,6}})?$", "examples": ["12.5"]},
    ),
]
CreditsOrNone: TypeAlias = Annotated[
    str,
    Meta(
        max_length=40,
        description="A decimal string with at most 6 places; may be 0.",
        extra_json_schema={"pattern": r"^[0-9]{1,13}(\.[0-9]{1,6})?$", "examples": ["3.75"]},
    ),
]
SignedCredits: TypeAlias = Annotated[
    str,
    Meta(
        max_length=40,
        description="A decimal string of credits that may be negative, such as -5.",
        extra_json_schema={"pattern": rf"^-?{_NOT_ZERO}[0-9]{{1,13}}(\.[0-9]{{1,6}})?$", "examples": ["-5"]},
    ),
]
Reference: TypeAlias = Annotated[str, Meta(max_length=200, pattern=NO_NUL, description="The caller's own reference.")]
Reason: TypeAlias = Annotated[str, Meta(min_length=1, max_length=500, pattern=NO_NUL)]
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200, pattern=NO_NUL)]
Moment: TypeAlias = Annotated[datetime, Meta(tz=True, description="RFC 3339 with an offset.")]


def moment_us(moment: datetime | None) -> int | None:
    """Turn a time that may be missing into microseconds since the epoch."""
    return None if moment is None else to_us(moment)


def us_moment(time_us: int | None) -> datetime | None:
    """Turn microseconds since the epoch, which may be missing, into a time."""
    return None if time_us is None else from_us(time_us)


def credits_of(amount_microcredits: int) -> str:
    """Write credits as the API does."""
    return format_credits(amount_microcredits)


def parse_credits_or_zero(text: str) -> int:
    """Read credits where nothing at all is a fair answer, such as what a confirm takes.

    Raises:
        InvalidAmount: see `parse_credits`.
    """
    return 0 if _ZERO.fullmatch(text) else parse_credits(text)


def parse_place(text: str) -> int:
    """Read a place in the sealed order from a query parameter. Litestar would take `null` for none and `1.0` for one.

    Raises:
        MalformedRequest: it is not a whole number from 1 on.
    """
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= MAX_PLACE):
        raise MalformedRequest("seq must be a whole number from 1 on")
    return int(text)


def parse_id(text: str, *, name: str) -> UUID:
    """Read an id from a query parameter.

    Raises:
        MalformedRequest: it is not one.
    """
    try:
        return UUID(text)
    except ValueError:
        raise MalformedRequest(f"{name} must be a UUID") from None


def parse_moment(text: str) -> datetime:
    """Read an RFC 3339 time from a query parameter.

    Raises:
        MalformedRequest: it is not one, or has no offset.
    """
    try:
        return convert(text, type=Moment).astimezone(UTC)
    except (ValidationError, OverflowError):
        raise MalformedRequest("at must be an RFC 3339 time with an offset, such as 2026-01-31T12:00:00Z") from None
