"""What OpenAI's Images API sends: the events of one picture, or one answer with several."""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeAlias

from msgspec import structs
from openai.types import (
    ImageEditCompletedEvent,
    ImageEditStreamEvent,
    ImageGenCompletedEvent,
    ImageGenStreamEvent,
    ImagesResponse,
)

from workers.providers.errors import MalformedResponse, Truncated
from workers.providers.interface import Chunk, Finished, MediaResult, Progress, ProviderRequest, Usage, UsageReport
from workers.providers.tokens import estimate_input_tokens
from workers.providers.usage import checked_usage

PROVIDER: Final = "openai-images"

PATIENCE_AFTER_RESULT_S: Final = 0.1
"""Nothing of interest follows; waiting for the end of the body lets the connection be used again."""

MAX_PICTURE_BYTES: Final = 64 * 1024 * 1024

ImageEvent: TypeAlias = ImageGenStreamEvent | ImageEditStreamEvent | ImagesResponse

_SIZE: Final = re.compile(r"(\d{1,5})x(\d{1,5})", re.ASCII)
_MEDIA_TYPES: Final = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}


class ImagesReading:
    """One call. Complete once the pictures are there: a stream may end cleanly before."""

    def __init__(self, request: ProviderRequest, *, partial_images: int) -> None:
        self._request = request
        self._partial_images = partial_images
        self._is_complete = False
        self._report: UsageReport | None = None

    @property
    def patience_s(self) -> float | None:
        """See `Reading.patience_s`."""
        return PATIENCE_AFTER_RESULT_S if self._is_complete else None

    def feed(self, event: ImageEvent) -> Iterable[Chunk]:
        """Yield the chunks of one event; of a kind of event that is new, none."""
        if self._is_complete:
            return
        # By name: of an event that is new to it, the SDK makes an object of some class that it knows. By `==`, because
        # that is what tells the type checker which class has which name.
        if isinstance(event, ImagesResponse):
            yield from self._complete([picture.b64_json for picture in event.data or []], event)
        elif event.type == "image_generation.partial_image" or event.type == "image_edit.partial_image":  # noqa: PLR1714
            yield self._progress(event.partial_image_index)
        elif event.type == "image_generation.completed" or event.type == "image_edit.completed":  # noqa: PLR1714
            yield from self._complete([event.b64_json], event)

    def end(self) -> Iterator[Chunk]:
        """Yield the usage and that it is over. See `Reading.end`."""
        if not self._is_complete or self._report is None:
            raise Truncated(provider=PROVIDER, provider_message="the stream ended without a picture")
        yield self._report
        yield Finished(reason="stop", provider_reason="completed")

    def _progress(self, index: int) -> Progress:
        steps = self._partial_images + 1
        return Progress(percent=min(100 * (index + 1) // steps, 99), message=f"sketch {index + 1}")

    def _complete(
        self, encoded: list[str | None], event: ImageGenCompletedEvent | ImageEditCompletedEvent | ImagesResponse
    ) -> Iterator[Chunk]:
        if not encoded:
            raise MalformedResponse(provider=PROVIDER, provider_message="the answer has no picture")
        pictures = [_picture(text, event) for text in encoded]
        # Before any picture is out: a usage that cannot be fails the call, and then nothing is delivered.
        self._report = self._usage(getattr(event, "usage", None), pictures)
        yield from pictures
        self._is_complete = True

    def _usage(self, counted: Any, pictures: list[MediaResult]) -> UsageReport:
        pixels = sum((picture.width or 0) * (picture.height or 0) for picture in pictures)
        if counted is None:
            usage = Usage(input_tokens=estimate_input_tokens(self._request))
        else:
            usage = checked_usage(
                provider=PROVIDER, input_tokens=counted.input_tokens, output_tokens=counted.output_tokens
            )
        usage = structs.replace(usage, images=len(pictures), pixels=pixels)
        return UsageReport(usage=usage, final=True, estimated=counted is None)


def _picture(
    encoded: str | None, event: ImageGenCompletedEvent | ImageEditCompletedEvent | ImagesResponse
) -> MediaResult:
    if not encoded or len(encoded) > MAX_PICTURE_BYTES * 4 // 3 + 4:
        raise MalformedResponse(provider=PROVIDER, provider_message="a picture is missing or too large")
    try:
        content = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise MalformedResponse(provider=PROVIDER, provider_message=f"a picture is no base64: {error}") from error
    size = _SIZE.fullmatch(event.size or "")
    return MediaResult(
        kind="image",
        media_type=_MEDIA_TYPES.get(event.output_format or "png", "image/png"),
        content=content,
        width=int(size[1]) if size else None,
        height=int(size[2]) if size else None,
    )
