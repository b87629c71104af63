"""Calls of the offline provider, and the files that go into them."""

import io
from array import array

from msgspec import structs
from PIL import Image

from tests.provider_calls import Outcome, a_request, outcome_of
from workers.providers import InputFile, MediaKind, MediaResult, Progress, ProviderRequest
from workers.providers.offline.provider import Offline
from workers.providers.offline.waves import SAMPLE_RATE, write_wav

PROMPT = "A lighthouse at dusk. Painted in oil!"


def offline_request(
    mode: str,
    prompt: str = PROMPT,
    *files: InputFile,
    schema: dict[str, object] | None = None,
    max_output_tokens: int = 1_000,
    **options: object,
) -> ProviderRequest:
    """A request in one mode; without a prompt it has no message."""
    return structs.replace(
        a_request(prompt, options=options, max_output_tokens=max_output_tokens),
        mode=mode,
        messages=a_request(prompt).messages if prompt else (),
        files={file.media_id: file for file in files},
        output_schema=schema,
    )


async def run_offline(request: ProviderRequest) -> Outcome:
    """Run one call with a provider of its own."""
    offline = Offline()
    try:
        return await outcome_of(offline, request)
    finally:
        await offline.aclose()


def results_of(outcome: Outcome) -> list[MediaResult]:
    """What came out; the call is to have completed."""
    assert outcome.error is None
    assert outcome.finished is not None
    return [chunk for chunk in outcome.chunks if isinstance(chunk, MediaResult)]


async def only_result(request: ProviderRequest) -> MediaResult:
    """The one result of a call."""
    (result,) = results_of(await run_offline(request))
    return result


def percents_of(outcome: Outcome) -> list[int]:
    """How far it said it was, in order."""
    return [chunk.percent for chunk in outcome.chunks if isinstance(chunk, Progress)]


def bytes_in(result: MediaResult) -> bytes:
    assert result.content is not None
    return result.content


def picture_in(result: MediaResult) -> Image.Image:
    return Image.open(io.BytesIO(bytes_in(result)))


def a_file(kind: MediaKind, media_type: str, content: bytes, **measures: int | None) -> InputFile:
    """A file of a request whose id is its kind."""
    return InputFile(
        media_id=kind,
        kind=kind,
        media_type=media_type,
        size_bytes=len(content),
        content=content,
        width=measures.get("width"),
        height=measures.get("height"),
        duration_ms=measures.get("duration_ms"),
    )


def a_picture(size: tuple[int, int] = (120, 90), *, mode: str = "RGB", file_format: str = "PNG") -> InputFile:
    """A picture whose left half is red and right half blue; with `RGBA` the left one is transparent."""
    picture = Image.new(mode, size, (0, 0, 255))
    picture.paste((255, 0, 0, 0)[: len(mode)], (0, 0, size[0] // 2, size[1]))
    buffer = io.BytesIO()
    picture.save(buffer, file_format)
    return a_file("image", f"image/{file_format.lower()}", buffer.getvalue(), width=size[0], height=size[1])


def a_recording(*levels: int, part_ms: int = 500, duration_ms: int | None = -1) -> InputFile:
    """A WAV whose parts are as loud as the levels say."""
    samples = array("h")
    for level in levels:
        samples.extend([level, -level] * (SAMPLE_RATE * part_ms // 2_000))
    played_ms = len(levels) * part_ms if duration_ms == -1 else duration_ms
    return a_file("audio", "audio/wav", write_wav(samples), duration_ms=played_ms)
