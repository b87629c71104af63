"""The media types that are kept, told by what their bytes begin with. A declared type is a claim, never a fact.

Nothing that a browser would run (SVG, HTML) is among them.
"""

from typing import Final, get_args

import msgspec

from workers.providers.interface import MediaKind

HEAD_BYTES: Final = 64 * 1024
"""How much of a file is looked at: enough for the type, and mostly for the size of the picture too."""

KINDS: Final[tuple[MediaKind, ...]] = get_args(MediaKind)

MEBIBYTE: Final = 1024 * 1024


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The largest file of each kind, in bytes. No store takes more than 5 GiB in one request."""

    image: int = 64 * MEBIBYTE
    audio: int = 256 * MEBIBYTE
    video: int = 2_048 * MEBIBYTE

    def of(self, kind: MediaKind) -> int:
        """Return the limit of a kind."""
        return {"image": self.image, "audio": self.audio, "video": self.video}[kind]


KIND_OF_TYPE: Final[dict[str, MediaKind]] = {
    "image/png": "image",
    "image/jpeg": "image",
    "image/webp": "image",
    "image/gif": "image",
    "audio/mpeg": "audio",
    "audio/wav": "audio",
    "audio/ogg": "audio",
    "audio/flac": "audio",
    "audio/aac": "audio",
    "audio/mp4": "audio",
    "audio/webm": "audio",
    "video/mp4": "video",
    "video/webm": "video",
    "video/quicktime": "video",
}

EXTENSION_OF_TYPE: Final[dict[str, str]] = {
    "image/jpeg": "jpg",
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a",
    "video/quicktime": "mov",
}
"""Where it is not the part after the slash."""

_ALIASES: Final = {
    "image/jpg": "image/jpeg",
    "audio/mp3": "audio/mpeg",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/x-flac": "audio/flac",
    "audio/m4a": "audio/mp4",
    "audio/x-m4a": "audio/mp4",
    "audio/opus": "audio/ogg",
    "application/ogg": "audio/ogg",
    "audio/aacp": "audio/aac",
}
_PREFIXES: Final = (
    (b"\x89PNG\r\n\x1a\n", ("image/png",)),
    (b"\xff\xd8\xff", ("image/jpeg",)),
    (b"GIF87a", ("image/gif",)),
    (b"GIF89a", ("image/gif",)),
    (b"ID3", ("audio/mpeg",)),
    (b"OggS", ("audio/ogg",)),
    (b"fLaC", ("audio/flac",)),
)
_EBML: Final = b"\x1aE\xdf\xa3"
_DOCTYPE_WITHIN: Final = 64
_AUDIO_BRANDS: Final = frozenset({b"M4A ", b"M4B ", b"M4P "})
_PICTURE_BRANDS: Final = frozenset({b"avif", b"avis", b"heic", b"heix", b"hevc", b"heim", b"mif1", b"msf1"})


def canonical_type(media_type: str) -> str | None:
    """Return the one name by which we know a declared type; nothing for one that is not kept."""
    name = media_type.partition(";")[0].strip().lower()
    name = _ALIASES.get(name, name)
    return name if name in KIND_OF_TYPE else None


def extension_of(media_type: str) -> str:
    """Return how names of files of this type end."""
    return EXTENSION_OF_TYPE.get(media_type) or media_type.partition("/")[2]


def sniff(head: bytes) -> tuple[str, ...]:
    """Return the types these first bytes may belong to, the likeliest first; none if it is nothing that is kept."""
    for prefix, types in _PREFIXES:
        if head.startswith(prefix):
            return types
    if head[:4] == b"RIFF":
        return {b"WEBP": ("image/webp",), b"WAVE": ("audio/wav",)}.get(head[8:12], ())
    if head[4:8] == b"ftyp":
        return _of_brand(head[8:12])
    if head.startswith(_EBML):
        return ("video/webm", "audio/webm") if b"webm" in head[:_DOCTYPE_WITHIN] else ()
    return _of_frame(head[:4])


def settle_type(head: bytes, declared: str, *, kind: MediaKind | None = None) -> str | None:
    """Return the type that a file is kept as: the declared one where the bytes allow it, else what they say.

    Some containers hold sound or films alike, and there the declaration, or at least the kind, decides. Nothing where
    the bytes are of no type, or not of this kind.
    """
    possible = [name for name in sniff(head) if kind is None or KIND_OF_TYPE[name] == kind]
    claimed = canonical_type(declared)
    if claimed in possible:
        return claimed
    return possible[0] if possible else None


def _of_brand(brand: bytes) -> tuple[str, ...]:
    if brand in _PICTURE_BRANDS:
        return ()
    if brand == b"qt  ":
        return ("video/quicktime", "video/mp4")
    return ("audio/mp4", "video/mp4") if brand in _AUDIO_BRANDS else ("video/mp4", "audio/mp4")


def _of_frame(head: bytes) -> tuple[str, ...]:
    """Tell by the header of a frame of MPEG audio, which has no signature before it."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return ()
    if head[1] & 0xF6 == 0xF0:
        return ("audio/aac",)
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bit_rate, sample_rate = head[2] >> 4, head[2] >> 2 & 3
    is_layer_three = version != 1 and layer == 1 and bit_rate not in {0, 15} and sample_rate != 3
    return ("audio/mpeg",) if is_layer_three else ()
