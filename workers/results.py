"""What one attempt has delivered so far: text, structured output, progress and media, as readers get them."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, Protocol

import structlog

from workers.providers import JsonDelta, MediaResult, Progress, TextDelta
from workers.providers.errors import MalformedResponse
from workers.streams.errors import EventRefused
from workers.streams.generation_stream import GenerationStream

MAX_OUTPUT_CHARACTERS: Final = 16_000_000
MAX_MEDIA_RESULTS: Final = 100
MAX_PROGRESS_CHARACTERS: Final = 200

_log = structlog.stdlib.get_logger(__name__)

Delivered = TextDelta | JsonDelta | Progress | MediaResult


class MediaKeeping(Protocol):
    """Whoever keeps a picture, recording or film before the provider deletes it."""

    async def keep(self, ordinal: int, result: MediaResult, *, tell: "Tell") -> Mapping[str, object]:
        """Keep it and return what its `artifact` event says; `tell` announces it earlier, to who moves it itself.

        Raises:
            ProviderError: it is gone, or is not what it is said to be.
        """
        ...


class Tell(Protocol):
    """Announces an artifact in the stream."""

    def __call__(self, data: Mapping[str, object]) -> None:
        """Announce it, or announce it anew: the latest with its index counts."""
        ...


class AttemptResults:
    """Takes what a provider yields, streams it, and has its media kept meanwhile."""

    def __init__(self, stream: GenerationStream, media: MediaKeeping, *, provider: str) -> None:
        self.stream = stream
        self.provider = provider
        self._media = media
        self._keeping: list[asyncio.Task[None]] = []
        self._characters = 0
        self._json: list[str] = []
        self.kept_duration_ms = 0
        """How long the media play that were kept, as their files say."""

    @property
    def has_output(self) -> bool:
        """Whether anything came that a second call would repeat."""
        return bool(self._characters or self._keeping)

    @property
    def text(self) -> str:
        """Everything said so far, as usage is estimated by: text, or the text of the structured output."""
        return self.json if self._json else self.stream.output_text

    @property
    def json(self) -> str:
        """The structured output so far, as the JSON text it is."""
        if len(self._json) > 1:
            self._json = ["".join(self._json)]
        return self._json[0] if self._json else ""

    def take(self, chunk: Delivered) -> None:
        """Pass on one chunk. Returns at once.

        Raises:
            MalformedResponse: the output has no end.
            StreamFenced: a later attempt writes the stream.
        """
        match chunk:
            case TextDelta():
                self._count(len(chunk.text))
                self.stream.text(chunk.text)
            case JsonDelta():
                self._count(len(chunk.text))
                self._json.append(chunk.text)
                self.stream.json(chunk.text)
            case Progress():
                message = chunk.message[:MAX_PROGRESS_CHARACTERS]
                self._tell("progress", {"percent": chunk.percent, "message": message})
            case MediaResult():
                self._keep(chunk)

    async def kept(self) -> None:
        """Wait until all media are kept.

        Raises:
            ProviderError: one of them could not be.
        """
        if self._keeping:
            await asyncio.gather(*self._keeping)

    async def kept_whole(self, timeout_s: float) -> bool:
        """Wait until what was delivered before a stop is kept; false if some of it could not be in time."""
        if self._keeping:
            await asyncio.wait(self._keeping, timeout=timeout_s)
        return all(task.done() and not task.cancelled() and task.exception() is None for task in self._keeping)

    async def aclose(self) -> None:
        """Stop keeping what nobody waits for any more."""
        for task in self._keeping:
            task.cancel()
        if self._keeping:
            await asyncio.wait(self._keeping)
        for task in self._keeping:
            if not task.cancelled() and (error := task.exception()) is not None:
                _log.info("media_not_kept", error=repr(error))

    def _count(self, characters: int) -> None:
        self._characters += characters
        if self._characters > MAX_OUTPUT_CHARACTERS:
            raise MalformedResponse(provider=self.provider, provider_message="the output has no end")

    def _tell(self, kind: str, data: Mapping[str, object]) -> None:
        try:
            self.stream.event(kind, data)
        except EventRefused as refused:
            raise MalformedResponse(provider=self.provider, provider_message=str(refused)) from refused

    def _keep(self, result: MediaResult) -> None:
        ordinal = len(self._keeping)
        if ordinal == MAX_MEDIA_RESULTS:
            raise MalformedResponse(provider=self.provider, provider_message="the results have no end")
        self._keeping.append(asyncio.create_task(self._keep_one(ordinal, result), name="keep media"))

    async def _keep_one(self, ordinal: int, result: MediaResult) -> None:
        def tell(data: Mapping[str, object]) -> None:
            self._tell("artifact", {"index": ordinal, **data})

        told: Mapping[str, Any] = await self._media.keep(ordinal, result, tell=tell)
        self.kept_duration_ms += int(told.get("duration_ms", 0))
        tell(told)
