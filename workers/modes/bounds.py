"""The most that can come out of a generation, beside tokens: what its freeze has to cover. Pure.

What a parameter says counts; where it says nothing, the largest value that the model takes; where it takes any, what
the mode allows at most. Models do not keep exactly to what they were asked for, so there is a margin: they round the
sides of pictures, and films end with a whole picture.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, cast

from workers.modes.modes import MODES, Bounds, CharacterBound, DurationBound, ImageBound, PixelBound
from workers.modes.parameters import Property
from workers.modes.reading import ModeInput
from workers.providers import InputFile, Usage

SIDE_STEP_PIXELS: Final = 64
"""Models round the sides of a picture up to a multiple of this at most."""

DURATION_MARGIN_PERCENT: Final = 10
DURATION_MARGIN_MS: Final = 1_000

SPOKEN_MS_PER_CHARACTER: Final = 1_000
"""Slow speech has some ten characters a second, but a single one may be read as a word: an ideogram, a digit, an
emoji."""

_SIZE: Final = re.compile(r"([0-9]{1,5})x([0-9]{1,5})", re.ASCII)


def bound_units(given: ModeInput, files: Mapping[str, InputFile], *, total_s: float = 0.0) -> Usage:
    """Return the most that can come out, and with `total_s` the longest that a machine can work on it.

    Tokens are not among it: see `Provider.count_input_tokens`.
    """
    bounds = Bounds() if given.gives in {"text", "json"} else MODES[given.mode].bounds
    images = 0 if bounds.images is None else _images(bounds.images, given)
    return Usage(
        images=images,
        pixels=0 if bounds.pixels is None else images * _pixels(bounds.pixels, given),
        duration_ms=0 if bounds.duration is None else _duration_ms(bounds.duration, given, files),
        characters=0 if bounds.characters is None else _characters(bounds.characters, given),
        compute_ms=-int(-total_s * 1_000 // 1),
    )


def _images(bound: ImageBound, given: ModeInput) -> int:
    return int(_largest_number(bound.parameter, given, otherwise=bound.at_most))


def _pixels(bound: PixelBound, given: ModeInput) -> int:
    """Return the pixels of one picture."""
    width, height = given.options.get("width"), given.options.get("height")
    if isinstance(width, int) and isinstance(height, int):
        return _rounded(width) * _rounded(height)
    said = given.options.get(bound.size)
    if isinstance(said, str) and (pixels := _pixels_of(said)) is not None:
        return pixels
    listed = [_pixels_of(size) for size in _listed(bound.size, given) if isinstance(size, str)]
    known = [pixels for pixels in listed if pixels is not None]
    return max(known) if known else bound.at_most


def _pixels_of(size: str) -> int | None:
    found = _SIZE.fullmatch(size)
    return None if found is None else _rounded(int(found[1])) * _rounded(int(found[2]))


def _rounded(side: int) -> int:
    return -(-side // SIDE_STEP_PIXELS) * SIDE_STEP_PIXELS


def _duration_ms(bound: DurationBound, given: ModeInput, files: Mapping[str, InputFile]) -> int:
    """Return how long the result can play: as long as its input, as asked for, or as the mode allows."""
    known: list[int] = []
    if bound.file is not None and (media_id := given.options.get(bound.file)) is not None:
        played_ms = files[str(media_id)].duration_ms
        known.append(bound.at_most_s * 1_000 if played_ms is None else played_ms)
    if bound.parameter is not None and (not known or bound.parameter in given.options):
        known.append(int(_largest_number(bound.parameter, given, otherwise=bound.at_most_s) * 1_000))
    if bound.spoken is not None:
        speed = given.options.get(bound.speed or "", 1)
        slowdown = 1.0 if not isinstance(speed, int | float) else 1.0 / min(max(float(speed), 0.1), 1.0)
        known.append(int(_characters_of(given) * SPOKEN_MS_PER_CHARACTER * slowdown))
    longest_ms = max(known, default=bound.at_most_s * 1_000)
    return longest_ms * (100 + DURATION_MARGIN_PERCENT) // 100 + DURATION_MARGIN_MS


def _characters(bound: CharacterBound, given: ModeInput) -> int:
    assert bound.parameter == "prompt", "what is read out is the prompt"
    return _characters_of(given)


def _characters_of(given: ModeInput) -> int:
    # Some count as JavaScript does, where an emoji is two.
    return sum(len(message.content.encode("utf-16-le", "surrogatepass")) // 2 for message in given.messages)


def _largest_number(name: str, given: ModeInput, *, otherwise: float) -> float:
    said = given.options.get(name)
    if isinstance(said, int | float):
        return said
    listed = [value for value in _listed(name, given) if isinstance(value, int | float)]
    return max(listed) if listed else otherwise


def _listed(name: str, given: ModeInput) -> list[Any]:
    """Return the values that this model lists for a parameter, or the largest one."""
    known: Property = given.parameters.get(name, {})
    if "enum" in known:
        return list(cast("list[Any]", known["enum"]))
    return [known["maximum"]] if "maximum" in known else []
