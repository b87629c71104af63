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
MAX_FILM_S: Final = 10
MAX_SPOKEN_FILM_MS: Final = 60_000
MAX_SONG_S: Final = 120
MAX_LYRICS_CHARACTERS: Final = 5_000
MAX_SPOKEN_CHARACTERS: Final = 5_000
MAX_SPOKEN_WORDS: Final = 600

Delay: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_DELAY_MS)]
PictureSize: TypeAlias = Annotated[str, Meta(pattern=r"^[1-9][0-9]{1,3}x[1-9][0-9]{1,3}\Z")]
PictureCount: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_PICTURES)]
PictureFormat: TypeAlias = Literal["png", "jpeg", "webp"]
Seed: TypeAlias = Annotated[int, Meta(ge=0, le=2**53 - 1)]
MediaId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200)]
AspectRatio: TypeAlias = Literal["16:9", "4:3", "1:1", "3:4", "9:16"]
Resolution: TypeAlias = Literal["480p", "720p"]


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every mode can be told."""

    delay_ms: Delay = 0
    """Pause before each step: a word, or a part of the work on a picture, film or recording."""


class ImageOptions(Options, frozen=True, kw_only=True):
    """Mode `image`."""

    size: PictureSize = "512x512"
    n: PictureCount = 1
    seed: Seed = 0
    output_format: PictureFormat = "png"


class ImageEditOptions(Options, frozen=True, kw_only=True):
    """Mode `image-edit`. Without a size the picture keeps its own, as far as that is within bounds."""

    image: MediaId
    mask: MediaId | None = None
    """Where this picture is transparent the other one is changed."""
    strength: Annotated[float, Meta(ge=0, le=1)] = 1
    size: PictureSize | None = None
    n: PictureCount = 1
    seed: Seed = 0
    output_format: PictureFormat = "png"


class FilmOptions(Options, frozen=True, kw_only=True):
    """What both kinds of films can be told."""

    image: MediaId | None = None
    """The ground on which the film plays."""
    aspect_ratio: AspectRatio = "16:9"
    resolution: Resolution = "480p"
    seed: Seed = 0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels; the width is even."""
        across, _, down = self.aspect_ratio.partition(":")
        height = int(self.resolution.removesuffix("p"))
        return round(height * int(across) / int(down) / 2) * 2, height


class VideoOptions(FilmOptions, frozen=True, kw_only=True):
    """Mode `video`."""

    duration_s: Annotated[int, Meta(ge=1, le=MAX_FILM_S)] = 3


class SpeechToVideoOptions(FilmOptions, frozen=True, kw_only=True):
    """Mode `speech-to-video`: the recording decides how long the film is."""

    audio: MediaId


class SpeechOptions(Options, frozen=True, kw_only=True):
    """Mode `speech`."""

    voice: Literal["low", "middle", "high"] = "middle"
    speed: Annotated[float, Meta(ge=0.25, le=4)] = 1
    output_format: Literal["wav"] = "wav"


class MusicOptions(Options, frozen=True, kw_only=True):
    """Mode `music`."""

    variant: Literal["inspiration", "custom", "lyrics", "instrumental", "cover"] = "inspiration"
    lyrics: Annotated[str, Meta(max_length=MAX_LYRICS_CHARACTERS)] = ""
    title: Annotated[str, Meta(max_length=200)] = ""
    style: Annotated[str, Meta(max_length=1_000)] = ""
    vocal_gender: Literal["female", "male"] = "female"
    duration_s: Annotated[int, Meta(ge=1, le=MAX_SONG_S)] | None = None
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


def picture_size(text: str) -> tuple[int, int]:
    """Return width and height of a size such as `640x480`.

    Raises:
        RequestRejected: a side is shorter or longer than may be.
    """
    width, _, height = text.partition("x")
    size = int(width), int(height)
    if not MIN_SIDE <= min(size) <= max(size) <= MAX_SIDE:
        raise rejected(f"size must be from {MIN_SIDE}x{MIN_SIDE} to {MAX_SIDE}x{MAX_SIDE}")
    return size


def rejected(problem: str) -> RequestRejected:
    """Return the error for a request that this provider never takes."""
    return RequestRejected(provider=PROVIDER, provider_message=problem)
