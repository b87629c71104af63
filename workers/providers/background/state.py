"""What providers that work in the background say of a job, in one vocabulary."""

import base64
import binascii
import math
import mimetypes
import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal, TypeGuard
from urllib.parse import unquote_to_bytes, urlsplit

from msgspec import Struct

from workers.providers.errors import MalformedResponse, MalformedUsage, ProviderError
from workers.providers.interface import MediaKind, MediaResult, ProviderRequest, Usage

MAX_RESULTS: Final = 64
MAX_URL_CHARACTERS: Final = 8_192
MAX_INLINE_BYTES: Final = 20 * 1024 * 1024
"""Of a result that comes as a `data:` URL."""

MAX_SECONDS: Final = 7 * 86_400.0
"""No provider lets a job work longer; more is a broken clock."""

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,100}", re.ASCII)
_SIZE: Final = re.compile(r"(\d{1,5})\s*[xX*]\s*(\d{1,5})", re.ASCII)
_PERCENT: Final = re.compile(r"(\d{1,3})(?:\.\d+)?%\s*\|?", re.ASCII)
_LOG_TAIL_CHARACTERS: Final = 4_096

_KIND_OF_MODE: Final[dict[str, MediaKind]] = {
    "image": "image",
    "image-edit": "image",
    "video": "video",
    "speech-to-video": "video",
    "music": "audio",
    "speech": "audio",
}
_USUAL_TYPE: Final[dict[MediaKind, str]] = {"image": "image/png", "audio": "audio/mpeg", "video": "video/mp4"}
_TYPES_MISSING_IN_PYTHON: Final = {".webp": "image/webp", ".avif": "image/avif", ".opus": "audio/ogg"}

MEDIA_MODES: Final = frozenset(_KIND_OF_MODE)


class AskedFor(Struct, frozen=True, kw_only=True):
    """What a request asked for, by which a result is measured where the provider does not say what came out."""

    mode: str
    pixels: int = 0
    """Of one picture."""
    duration_ms: int = 0
    characters: int = 0

    @property
    def kind(self) -> MediaKind:
        """What comes out in this mode."""
        return _KIND_OF_MODE.get(self.mode, "image")


class JobState(Struct, frozen=True, kw_only=True):
    """How a job is doing, by the provider's own word."""

    phase: Literal["waiting", "running", "over"]
    percent: int | None = None
    message: str = ""
    results: tuple[MediaResult, ...] = ()
    usage: Usage | None = None
    """What we pay for, once it is over; `None` if nobody knows. `Usage()` if it is certainly nothing."""
    usage_estimated: bool = False
    error: ProviderError | None = None
    """Why it ended without a result."""
    reason: str = ""
    """The provider's own word for how it ended."""

    @property
    def is_over(self) -> bool:
        """Nothing more will happen to it."""
        return self.phase == "over"


def asked_for(request: ProviderRequest) -> AskedFor:
    """Measure what a request asks for."""
    options = request.options
    match = _SIZE.fullmatch(str(options.get("size", "")))
    width, height = (int(match[1]), int(match[2])) if match else (options.get("width"), options.get("height"))
    is_sized = type(width) is int and type(height) is int
    return AskedFor(
        mode=request.mode,
        pixels=width * height if is_sized and isinstance(width, int) and isinstance(height, int) else 0,
        duration_ms=milliseconds(options.get("duration_s")) or _recording_ms(request),
        characters=sum(len(message.content) for message in request.messages) if request.mode == "speech" else 0,
    )


def measure(asked: AskedFor, results: Sequence[MediaResult], *, compute_ms: int = 0) -> tuple[Usage, bool]:
    """Return the usage of these results, and whether some of it is only what was asked for."""
    pictures = [result for result in results if result.kind == "image"]
    unmeasured = sum(1 for picture in pictures if picture.width is None or picture.height is None)
    pixels = sum((picture.width or 0) * (picture.height or 0) for picture in pictures) + unmeasured * asked.pixels
    recordings = [result for result in results if result.kind != "image"]
    played_ms = sum(recording.duration_ms or 0 for recording in recordings)
    is_timed = all(recording.duration_ms for recording in recordings)
    usage = Usage(
        images=len(pictures),
        pixels=pixels,
        duration_ms=played_ms if is_timed else max(played_ms, asked.duration_ms),
        characters=asked.characters if recordings else 0,
        compute_ms=compute_ms,
    )
    return usage, bool(unmeasured and asked.pixels) or not is_timed


def checked_compute_ms(provider: str, field: str, seconds: object) -> int | None:
    """Return seconds that a provider says its machine worked as milliseconds, rounded up; `None` if it does not say.

    Raises:
        MalformedUsage: they are negative, absurd, or no number.
    """
    if seconds is None:
        return None
    found_ms = milliseconds(seconds)
    if found_ms is None:
        raise MalformedUsage(provider=provider, provider_message=f"{field} is {seconds!r:.100}")
    return found_ms


def milliseconds(seconds: object) -> int | None:
    """Return a number of seconds as milliseconds, rounded up; `None` of anything that is no such number."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= MAX_SECONDS:
        return None
    return math.ceil(seconds * 1000)


def media_result(
    provider: str,
    url: str,
    asked: AskedFor,
    *,
    media_type: str | None = None,
    width: object = None,
    height: object = None,
    duration_s: object = None,
    expires_in_s: float | None = None,
) -> MediaResult:
    """Make a result of what a provider says of a file. Whoever fetches it decides whether its host may be asked.

    Raises:
        MalformedResponse: the URL is none, or its `data:` cannot be read.
    """
    if url[:5].lower() == "data:":
        declared, content = _inline(provider, url)
        found_type = media_type or declared
        return MediaResult(
            kind=_kind_of(found_type, asked), media_type=found_type, content=content, width=_side(width),
            height=_side(height), duration_ms=milliseconds(duration_s),
        )  # fmt: skip
    if not is_web_url(url):
        raise MalformedResponse(provider=provider, provider_message=f"a result is no URL: {url[:200]!r}")
    found_type = media_type or _type_of_name(urlsplit(url).path) or _USUAL_TYPE[asked.kind]
    return MediaResult(
        kind=_kind_of(found_type, asked),
        media_type=found_type,
        url=url,
        url_expires_in_s=expires_in_s,
        width=_side(width),
        height=_side(height),
        duration_ms=milliseconds(duration_s),
    )


def is_web_url(text: object) -> bool:
    """Whether this is an absolute http(s) URL of sane length."""
    if not isinstance(text, str) or not 0 < len(text) <= MAX_URL_CHARACTERS or not text.isprintable():
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def is_job_id(text: object) -> TypeGuard[str]:
    """Whether this can be the id of a job, and be part of a path."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def percent_of_logs(logs: object) -> int | None:
    """Return the last percentage of a progress bar in a job's logs."""
    if not isinstance(logs, str):
        return None
    found = _PERCENT.findall(logs[-_LOG_TAIL_CHARACTERS:])
    return min(int(found[-1]), 100) if found else None


def no_results(provider: str, output: object) -> MalformedResponse:
    """Return the error of a job that succeeded and has nothing to show."""
    return MalformedResponse(provider=provider, provider_message=f"no media in the output: {output!r:.200}")


def bounded(results: Iterable[MediaResult]) -> tuple[MediaResult, ...]:
    """Return the results, of an absurd number only the first."""
    return tuple(result for result, _ in zip(results, range(MAX_RESULTS), strict=False))


def _recording_ms(request: ProviderRequest) -> int:
    """Return how long the recording plays that goes in, where the result is to be as long; 0 if there is none."""
    recording = request.files.get(str(request.options.get("audio", "")))
    return 0 if recording is None else recording.duration_ms or 0


def _inline(provider: str, url: str) -> tuple[str, bytes]:
    head, comma, data = url[5:].partition(",")
    if not comma or len(data) > MAX_INLINE_BYTES * 4 // 3 + 4:
        raise MalformedResponse(provider=provider, provider_message="a data URL is malformed or too large")
    media_type, *parameters = head.split(";")
    try:
        content = base64.b64decode(data, validate=True) if "base64" in parameters else unquote_to_bytes(data)
    except binascii.Error as error:
        raise MalformedResponse(provider=provider, provider_message=f"a data URL: {error}") from error
    return media_type or "application/octet-stream", content


def _kind_of(media_type: str, asked: AskedFor) -> MediaKind:
    kinds: dict[str, MediaKind] = {"image": "image", "audio": "audio", "video": "video"}
    return kinds.get(media_type.partition("/")[0], asked.kind)


def _type_of_name(path: str) -> str | None:
    suffix = "." + path.rpartition(".")[2].lower()
    found = _TYPES_MISSING_IN_PYTHON.get(suffix) or mimetypes.types_map.get(suffix)
    return found if found is not None and found.partition("/")[0] in {"image", "audio", "video"} else None


def _side(pixels: object) -> int | None:
    return pixels if type(pixels) is int and 0 < pixels <= 100_000 else None
