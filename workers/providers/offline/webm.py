"""Films that browsers play, without a video encoder: WebM around pictures that WebP has already encoded.

A lossy WebP picture is one VP8 key frame in a RIFF file, and a WebM film may consist of VP8 key frames alone. So each
frame is saved as WebP, taken out of its RIFF file and put into a WebM one. The elements and their ids are those of
RFC 9559 (Matroska), as far as WebM allows them.
"""

import io
import struct
from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from PIL import Image

FRAME_MS: Final = 100
"""Ten frames a second: enough to see that it moves."""

FRAMES_PER_CLUSTER: Final = 10
"""A player jumps to the start of a cluster; a second is fine enough. Blocks count their time within the cluster in 16
bits of milliseconds, which this stays far below."""

_EBML: Final = 0x1A45DFA3
_EBML_VERSION: Final = 0x4286
_EBML_READ_VERSION: Final = 0x42F7
_EBML_MAX_ID_LENGTH: Final = 0x42F2
_EBML_MAX_SIZE_LENGTH: Final = 0x42F3
_DOC_TYPE: Final = 0x4282
_DOC_TYPE_VERSION: Final = 0x4287
_DOC_TYPE_READ_VERSION: Final = 0x4285
_SEGMENT: Final = 0x18538067
_INFO: Final = 0x1549A966
_TIMESTAMP_SCALE: Final = 0x2AD7B1
_DURATION: Final = 0x4489
_MUXING_APP: Final = 0x4D80
_WRITING_APP: Final = 0x5741
_TRACKS: Final = 0x1654AE6B
_TRACK_ENTRY: Final = 0xAE
_TRACK_NUMBER: Final = 0xD7
_TRACK_UID: Final = 0x73C5
_TRACK_TYPE: Final = 0x83
_FLAG_LACING: Final = 0x9C
_DEFAULT_DURATION: Final = 0x23E383
_CODEC_ID: Final = 0x86
_VIDEO: Final = 0xE0
_PIXEL_WIDTH: Final = 0xB0
_PIXEL_HEIGHT: Final = 0xBA
_CUES: Final = 0x1C53BB6B
_CUE_POINT: Final = 0xBB
_CUE_TIME: Final = 0xB3
_CUE_TRACK_POSITIONS: Final = 0xB7
_CUE_TRACK: Final = 0xF7
_CUE_CLUSTER_POSITION: Final = 0xF1
_CLUSTER: Final = 0x1F43B675
_TIMESTAMP: Final = 0xE7
_SIMPLE_BLOCK: Final = 0xA3

_NS_PER_MS: Final = 1_000_000
_VIDEO_TRACK: Final = 1
_TRACK_AS_SIZE: Final = b"\x81"
_IS_KEY_FRAME: Final = b"\x80"
_APPLICATION: Final = b"holdfast offline"
_RIFF_HEADER_BYTES: Final = 12
_INDEX_NUMBER_BYTES: Final = 8


class Film(Struct, frozen=True, kw_only=True):
    """A film before it is a file: its frames in order, each shown for `FRAME_MS`, the last one for what is left."""

    frames: Sequence[bytes]
    """VP8 key frames, see `vp8_frame`."""
    width: int
    height: int
    duration_ms: int


def vp8_frame(picture: Image.Image) -> bytes:
    """Encode one picture as a VP8 key frame. It must have no transparency."""
    assert picture.mode == "RGB"
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=70, method=0)
    riff = buffer.getvalue()
    at = _RIFF_HEADER_BYTES
    while riff[at : at + 4] != b"VP8 ":
        (size,) = struct.unpack_from("<I", riff, at + 4)
        at += 8 + size + size % 2
    (size,) = struct.unpack_from("<I", riff, at + 4)
    return riff[at + 8 : at + 8 + size]


def write_webm(film: Film) -> bytes:
    """Return the film as a WebM file: header, track, index, then the frames. The same film gives the same bytes."""
    clusters = [
        _cluster(film.frames[first : first + FRAMES_PER_CLUSTER], starts_ms=first * FRAME_MS)
        for first in range(0, len(film.frames), FRAMES_PER_CLUSTER)
    ]
    before = _info(film) + _tracks(film)
    # All numbers in the index are of one length, so its size is known before the places it speaks of.
    index_bytes = len(_cues([0] * len(clusters)))
    places: list[int] = []
    at = len(before) + index_bytes
    for cluster in clusters:
        places.append(at)
        at += len(cluster)
    return _header() + _element(_SEGMENT, b"".join([before, _cues(places), *clusters]))


def _header() -> bytes:
    return _element(
        _EBML,
        _number(_EBML_VERSION, 1)
        + _number(_EBML_READ_VERSION, 1)
        + _number(_EBML_MAX_ID_LENGTH, 4)
        + _number(_EBML_MAX_SIZE_LENGTH, 8)
        + _element(_DOC_TYPE, b"webm")
        + _number(_DOC_TYPE_VERSION, 2)
        + _number(_DOC_TYPE_READ_VERSION, 2),
    )


def _info(film: Film) -> bytes:
    return _element(
        _INFO,
        _number(_TIMESTAMP_SCALE, _NS_PER_MS)
        + _element(_DURATION, struct.pack(">d", film.duration_ms))
        + _element(_MUXING_APP, _APPLICATION)
        + _element(_WRITING_APP, _APPLICATION),
    )


def _tracks(film: Film) -> bytes:
    video = _number(_PIXEL_WIDTH, film.width) + _number(_PIXEL_HEIGHT, film.height)
    return _element(
        _TRACKS,
        _element(
            _TRACK_ENTRY,
            _number(_TRACK_NUMBER, _VIDEO_TRACK)
            + _number(_TRACK_UID, 1)
            + _number(_TRACK_TYPE, 1)
            + _number(_FLAG_LACING, 0)
            + _number(_DEFAULT_DURATION, FRAME_MS * _NS_PER_MS)
            + _element(_CODEC_ID, b"V_VP8")
            + _element(_VIDEO, video),
        ),
    )


def _cues(places: Sequence[int]) -> bytes:
    points = (
        _element(
            _CUE_POINT,
            _number(_CUE_TIME, at * FRAMES_PER_CLUSTER * FRAME_MS, size=_INDEX_NUMBER_BYTES)
            + _element(
                _CUE_TRACK_POSITIONS,
                _number(_CUE_TRACK, _VIDEO_TRACK) + _number(_CUE_CLUSTER_POSITION, place, size=_INDEX_NUMBER_BYTES),
            ),
        )
        for at, place in enumerate(places)
    )
    return _element(_CUES, b"".join(points))


def _cluster(frames: Sequence[bytes], *, starts_ms: int) -> bytes:
    blocks = (
        _element(_SIMPLE_BLOCK, _TRACK_AS_SIZE + struct.pack(">h", at * FRAME_MS) + _IS_KEY_FRAME + frame)
        for at, frame in enumerate(frames)
    )
    return _element(_CLUSTER, _number(_TIMESTAMP, starts_ms) + b"".join(blocks))


def _number(identity: int, value: int, *, size: int | None = None) -> bytes:
    """Return an element that is a whole number, in as many bytes as it needs or in `size`."""
    return _element(identity, value.to_bytes(size or max(1, (value.bit_length() + 7) // 8)))


def _element(identity: int, content: bytes) -> bytes:
    """Return an element: its id, its size with a bit that says in how many bytes, its content.

    Everything is as short as it can be: programs that tell a file by its beginning look for `webm` in the first bytes.
    """
    # All ones would mean an unknown size, so a number of n bytes holds up to 2^7n - 2.
    length = next(length for length in range(1, 9) if len(content) < (1 << 7 * length) - 1)
    size = (len(content) | 1 << 7 * length).to_bytes(length)
    return identity.to_bytes((identity.bit_length() + 7) // 8) + size + content
