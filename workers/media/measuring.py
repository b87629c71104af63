"""How large a picture is and how long a recording plays, where the first bytes of the file say so.

Whatever is malformed, or further inside, is simply not known.
"""

import struct
from collections.abc import Iterator
from typing import Final

import msgspec

MAX_SIDE: Final = 1_000_000
MAX_DURATION_MS: Final = 24 * 3_600_000
MAX_BOXES: Final = 64

_SIZE_MARKERS: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""JPEG's start of frame, in all its variants."""

_BARE_MARKERS: Final = frozenset({0x01, *range(0xD0, 0xD9)})
"""JPEG's markers that no length follows."""


class Measures(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a file beside its type; in pixels and milliseconds."""

    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None


def measure(media_type: str, head: bytes) -> Measures:
    """Read the measures of a file of this type from its first bytes."""
    try:
        return _sensible(_measure(media_type, head))
    except (struct.error, IndexError):
        return Measures()


def _measure(media_type: str, head: bytes) -> Measures:  # noqa: PLR0911 - one format a line
    match media_type:
        case "image/png":
            return _sides(*struct.unpack_from(">II", head, 16))
        case "image/gif":
            return _sides(*struct.unpack_from("<HH", head, 6))
        case "image/jpeg":
            return _jpeg(head)
        case "image/webp":
            return _webp(head)
        case "audio/wav":
            return _wav(head)
        case "audio/flac":
            return _flac(head)
        case "video/mp4" | "audio/mp4" | "video/quicktime":
            return _mp4(head)
        case _:
            return Measures()


def _sides(width: int, height: int) -> Measures:
    return Measures(width=width, height=height)


def _sensible(found: Measures) -> Measures:
    """Take nothing on trust: a header may claim anything."""
    sides = found.width, found.height
    has_sides = all(side is not None and 0 < side <= MAX_SIDE for side in sides)
    has_duration = found.duration_ms is not None and 0 < found.duration_ms <= MAX_DURATION_MS
    return Measures(
        width=found.width if has_sides else None,
        height=found.height if has_sides else None,
        duration_ms=found.duration_ms if has_duration else None,
    )


def _jpeg(head: bytes) -> Measures:
    place = 2
    while head[place] == 0xFF:
        marker = head[place + 1]
        if marker in _SIZE_MARKERS:
            height, width = struct.unpack_from(">HH", head, place + 5)
            return _sides(width, height)
        is_padding = marker == 0xFF
        if is_padding or marker in _BARE_MARKERS:
            place += 1 if is_padding else 2
        else:
            place += 2 + struct.unpack_from(">H", head, place + 2)[0]
    return Measures()


def _webp(head: bytes) -> Measures:
    match head[12:16]:
        case b"VP8 ":
            width, height = struct.unpack_from("<HH", head, 26)
            return _sides(width & 0x3FFF, height & 0x3FFF)
        case b"VP8L":
            (bits,) = struct.unpack_from("<I", head, 21)
            return _sides((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
        case b"VP8X":
            return _sides(int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1)
        case _:
            return Measures()


def _wav(head: bytes) -> Measures:
    place, bytes_per_s = 12, 0
    while True:
        name, length = struct.unpack_from("<4sI", head, place)
        if name == b"fmt ":
            (bytes_per_s,) = struct.unpack_from("<I", head, place + 16)
        if name == b"data":
            return Measures(duration_ms=length * 1000 // bytes_per_s if bytes_per_s else None)
        place += 8 + length + length % 2


def _flac(head: bytes) -> Measures:
    packed = int.from_bytes(head[18:26], "big")
    sample_rate, samples = packed >> 44, packed & (1 << 36) - 1
    return Measures(duration_ms=samples * 1000 // sample_rate if sample_rate else None)


def _mp4(head: bytes) -> Measures:
    for name, movie in _boxes(head):
        if name == b"moov":
            return _movie(movie)
    return Measures()


def _movie(movie: bytes) -> Measures:
    duration_ms, sides = None, (None, None)
    for name, box in _boxes(movie):
        if name == b"mvhd":
            layout, place = (">IQ", 20) if box[0] == 1 else (">II", 12)
            scale, duration = struct.unpack_from(layout, box, place)
            duration_ms = duration * 1000 // scale if scale else None
        elif name == b"trak":
            sides = _track(box) or sides
    return Measures(width=sides[0], height=sides[1], duration_ms=duration_ms)


def _track(track: bytes) -> tuple[int, int] | None:
    """Return the sides of what the track shows; nothing for sound. They are 16.16 fixed-point numbers."""
    for name, box in _boxes(track):
        if name == b"tkhd":
            width, height = struct.unpack_from(">II", box, 88 if box[0] == 1 else 76)
            return (width >> 16, height >> 16) if width and height else None
    return None


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the boxes of an ISO base media file that are, or begin, within `content`."""
    place = 0
    for _ in range(MAX_BOXES):
        if place + 8 > len(content):
            return
        length, name = struct.unpack_from(">I4s", content, place)
        header = 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", content, place + 8)
            header = 16
        if length < header:
            return
        yield name, content[place + header : place + length]
        place += length
