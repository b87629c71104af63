"""What each mode of the offline provider can be told, and its bounds."""

from typing import Annotated, Final, Literal, TypeAlias, TypeVar

from msgspec import Meta, Struct

from workers.providers.conversation import parse_options
from workers.providers.errors import RequestRejected
from workers.providers.interface import ProviderRequest

PROVIDER: Final = "offline"

MAX_DELAY_MS: Final = 10_000
MAX_PICTURES: Final = 10
MIN_SIDE: Final = 64
MAX_SIDE: Final = 2_048
MAX_FILM_SIDE: Final = 1_280
MAX_FILM_S: Final = 10
MAX_SPOKEN_FILM_MS: Final = 60_000
MAX_SONG_S: Final = 120
MAX_LYRICS_CHARACTERS: Final = 5_000
MAX_SPOKEN_CHARACTERS: Final = 5_000
MAX_SPOKEN_WORDS: Final = 600

Delay: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_DELAY_MS)]
PictureSize: TypeAlias = Annotated[str, Meta(pattern=r"^[1-9][0-9]{1,3}x[1-9][0-9]{1,3}\Z")]
Seed: TypeAlias = Annotated[int, Meta(ge=0, le=2**53 - 1)]
MediaId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200)]


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every mode can be told."""

    delay_ms: Delay = 0
    """Pause before each step: a word, or a part of the work on a picture, film or recording."""


class ImageOptions(Options, frozen=True, kw_only=True):
    """Mode `image`."""

    size: PictureSize = "512x512"
    n: Annotated[int, Meta(ge=1, le=MAX_PICTURES)] = 1
    seed: Seed = 0


class ImageEditOptions(Options, frozen=True, kw_only=True):
    """Mode `image-edit`. Without a size the picture keeps its own, as far as that is within bounds."""

    image: MediaId | None = None
    size: PictureSize | None = None
    n: Annotated[int, Meta(ge=1, le=MAX_PICTURES)] = 1
    seed: Seed = 0


class VideoOptions(Options, frozen=True, kw_only=True):
    """Mode `video`."""

    size: PictureSize = "480x270"
    duration_s: Annotated[int, Meta(ge=1, le=MAX_FILM_S)] = 3
    seed: Seed = 0


class SpeechToVideoOptions(Options, frozen=True, kw_only=True):
    """Mode `speech-to-video`: the recording decides how long the film is, a picture is its ground."""

    audio: MediaId | None = None
    image: MediaId | None = None
    size: PictureSize = "480x270"
    seed: Seed = 0


class SpeechOptions(Options, frozen=True, kw_only=True):
    """Mode `speech`."""

    voice: Literal["low", "middle", "high"] = "middle"


class MusicOptions(Options, frozen=True, kw_only=True):
    """Mode `music`."""

    variant: Literal["inspiration", "custom", "lyrics", "instrumental", "cover"] | None = None
    duration_s: Annotated[int, Meta(ge=1, le=MAX_SONG_S)] = 15
    lyrics: Annotated[str, Meta(max_length=MAX_LYRICS_CHARACTERS)] = ""
    instrumental: bool = False
    audio: MediaId | None = None
    """For a cover: the recording whose bytes decide the tune."""
    seed: Seed = 0


OptionsT = TypeVar("OptionsT", bound=Options)


def options_of(request: ProviderRequest, kind: type[OptionsT]) -> OptionsT:
    """Return the options of the request's mode.

    Raises:
        RequestRejected: an option is unknown or out of range.
    """
    return parse_options(request, kind, provider=PROVIDER)


def size_within(text: str, *, longest_side: int) -> tuple[int, int]:
    """Return width and height of a size such as `640x480`.

    Raises:
        RequestRejected: a side is shorter or longer than may be.
    """
    width, _, height = text.partition("x")
    size = int(width), int(height)
    if not MIN_SIDE <= min(size) <= max(size) <= longest_side:
        raise rejected(f"size must be from {MIN_SIDE}x{MIN_SIDE} to {longest_side}x{longest_side}")
    return size


def rejected(problem: str) -> RequestRejected:
    """Return the error for a request that this provider never takes."""
    return RequestRejected(provider=PROVIDER, provider_message=problem)
