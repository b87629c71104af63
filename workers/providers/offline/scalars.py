"""Strings and numbers that satisfy the bounds of a schema."""

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Final
from uuid import UUID

from workers.providers.offline.patterns import UnreadablePattern, matching_text

MAX_LENGTH: Final = 10_000
WORDS_PER_TEXT: Final = 3
_HIGHEST: Final = 2**53

_FORMATS: Final[dict[str, Callable[[int], str]]] = {
    "date": lambda number: f"2026-01-{1 + number % 28:02}",
    "time": lambda number: f"12:00:{number % 60:02}Z",
    "date-time": lambda number: f"2026-01-{1 + number % 28:02}T12:00:00Z",
    "duration": lambda number: f"PT{1 + number}S",
    "email": lambda number: f"person{number}@example.com",
    "idn-email": lambda number: f"person{number}@example.com",
    "hostname": lambda number: f"host{number}.example.com",
    "idn-hostname": lambda number: f"host{number}.example.com",
    "ipv4": lambda number: f"192.0.2.{1 + number % 254}",
    "ipv6": lambda number: f"2001:db8::{1 + number % 9_999:x}",
    "uri": lambda number: f"https://example.com/{number}",
    "uri-reference": lambda number: f"/{number}",
    "iri": lambda number: f"https://example.com/{number}",
    "iri-reference": lambda number: f"/{number}",
    "uri-template": lambda number: f"https://example.com/{{id}}/{number}",
    "uuid": lambda number: str(UUID(int=(0x4000 << 64) | (0x8000 << 48) | number)),
    "json-pointer": lambda number: f"/{number}",
    "relative-json-pointer": lambda number: f"{number}",
    "regex": lambda number: f"x{{{number}}}",
}


class Unsatisfiable(Exception):
    """No value could be found for a schema; a better search might find one."""


def text_for(schema: Mapping[str, object], *, words: tuple[str, ...], number: int) -> str:
    """Return a string: of the format, for the pattern, else words of the prompt cut to the length.

    Raises:
        Unsatisfiable: the pattern is not readable or the length out of bounds.
    """
    least, most = count_of(schema, "minLength", 0), count_of(schema, "maxLength", MAX_LENGTH)
    if least > MAX_LENGTH:
        raise Unsatisfiable("a string would be too long")
    pattern, known = schema.get("pattern"), schema.get("format")
    if isinstance(pattern, str):
        try:
            return matching_text(pattern).ljust(least, "x")
        except UnreadablePattern as error:
            raise Unsatisfiable(f"the pattern {pattern:.100} is not one that can be written to") from error
    if isinstance(known, str) and known in _FORMATS:
        return _FORMATS[known](number)
    chosen = [words[(WORDS_PER_TEXT * number + at) % len(words)] for at in range(WORDS_PER_TEXT)]
    # Once the words come round again a number in front tells texts apart, however short they are cut.
    text = " ".join(chosen if WORDS_PER_TEXT * number < len(words) else [str(number), *chosen])
    if len(text) < least:
        text = (f"{text} " * (least // (len(text) + 1) + 1))[:least]
    return text[:most]


def number_for(schema: Mapping[str, object], *, is_integer: bool, number: int) -> int | float:
    """Return the number of that ordinal among those the schema allows, counted from its lower bound.

    Raises:
        Unsatisfiable: there is none between the bounds.
    """
    step = _fraction(schema.get("multipleOf"))
    if step is None or step <= 0:
        step = Fraction(1) if is_integer else Fraction(1, 2)
    elif is_integer:
        # What is a multiple of both 1 and the step: for 3/2 every third whole number.
        step = Fraction(step.numerator)
    low = _bound(schema, "minimum", "exclusiveMinimum", max)
    high = _bound(schema, "maximum", "exclusiveMaximum", min)
    if not is_integer and "multipleOf" not in schema and low is not None and high is not None:
        step = min(step, (high - low) / 4) or step
    first = _first_step(schema, step, low, high)
    value = (first + number) * step
    if high is not None and not _is_below(schema, value, high):
        value = first * step
        if not _is_below(schema, value, high):
            raise Unsatisfiable("no number is between the bounds")
    if value.denominator == 1 and (is_integer or abs(value) < _HIGHEST):
        return int(value)
    return float(value)


def count_of(schema: Mapping[str, object], keyword: str, default: int) -> int:
    """Return a keyword that counts something, such as `minItems`."""
    value = schema.get(keyword)
    return int(value) if isinstance(value, int | float) and 0 <= value <= _HIGHEST else default


def _first_step(schema: Mapping[str, object], step: Fraction, low: Fraction | None, high: Fraction | None) -> int:
    if low is not None:
        first = math.ceil(low / step)
        return first + 1 if schema.get("exclusiveMinimum") is not None and first * step <= low else first
    if high is not None and high < step:
        last = math.floor(high / step)
        return last - 1 if not _is_below(schema, last * step, high) else last
    return 1


def _is_below(schema: Mapping[str, object], value: Fraction, high: Fraction) -> bool:
    exclusive = _fraction(schema.get("exclusiveMaximum"))
    return value < high if exclusive is not None and exclusive == high else value <= high


def _bound(
    schema: Mapping[str, object], inclusive: str, exclusive: str, tighter: Callable[[Fraction, Fraction], Fraction]
) -> Fraction | None:
    bounds = [bound for keyword in (inclusive, exclusive) if (bound := _fraction(schema.get(keyword))) is not None]
    return tighter(bounds[0], bounds[-1]) if bounds else None


def _fraction(value: object) -> Fraction | None:
    """Return a number of a schema as it was written: 0.1 is a tenth, not the nearest binary fraction."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return Fraction(value) if isinstance(value, int) else Fraction(repr(value))
