"""OpenAI's Images API: generating and editing. One picture is streamed, so that it says how far it is; more are not."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from typing import Any, Final, cast

import httpx
from openai import AsyncOpenAI, AsyncStream, Timeout, omit

from workers.providers.conversation import parse_options
from workers.providers.errors import RequestRejected, Unavailable
from workers.providers.headers import trace_headers
from workers.providers.interface import Chunk, InputFile, ProviderRequest, Usage
from workers.providers.openai.errors import translate
from workers.providers.openai_images.options import EditOptions, ImageOptions
from workers.providers.openai_images.reading import PROVIDER, ImageEvent, ImagesReading
from workers.providers.tokens import bound_input_tokens
from workers.providers.upstream import UpstreamStream, read_upstream

MAX_FILE_BYTES: Final = 50 * 1024 * 1024
FETCH_S: Final = 30.0

BOUND_TOKENS_PER_PICTURE: Final = 10_000
"""What goes in at high fidelity comes to about six thousand, whatever its size."""

_FILE_TYPES: Final = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}


class OpenAIImages:
    """One connection pool to the Images API. Retries are off: an SDK that retries would bill twice unseen."""

    name = PROVIDER
    description = "GPT Image models through OpenAI's Images API."
    modes = frozenset({"image", "image-edit"})

    def __init__(self, *, api_key: str, base_url: str) -> None:
        self._client = AsyncOpenAI(api_key=api_key, base_url=base_url, max_retries=0)
        self._files = httpx.AsyncClient(timeout=FETCH_S, follow_redirects=False)

    def check(self, request: ProviderRequest) -> None:
        """See `Provider.check`."""
        if request.mode not in self.modes:
            raise RequestRejected(provider=PROVIDER, provider_message=f"mode {request.mode} is not one of its modes")
        options = _options(request)
        if not _prompt(request, options).strip():
            raise RequestRejected(provider=PROVIDER, provider_message="there is no prompt")
        if isinstance(options, EditOptions):
            for media_id in options.media_ids:
                _check_file(media_id, request.files.get(media_id))

    def count_input_tokens(self, request: ProviderRequest) -> int:
        """The prompt, at most one token per byte, and as much as a picture can come to for each that goes in."""
        options = _options(request)
        pictures = len(options.media_ids) if isinstance(options, EditOptions) else 0
        return bound_input_tokens(request) + pictures * BOUND_TOKENS_PER_PICTURE

    def estimate_usage(self, request: ProviderRequest, *, delivered: str, reported: Usage | None) -> Usage:
        """What was reported, else nothing: a call that was cut before its end delivered no picture."""
        del request, delivered
        return reported or Usage()

    def stream(self, request: ProviderRequest) -> AsyncGenerator[Chunk]:
        """See `Provider.stream`."""
        self.check(request)
        options = _options(request)
        return read_upstream(
            request=request,
            provider=PROVIDER,
            open_stream=lambda: self._open(request, options),
            reading=ImagesReading(request, partial_images=options.partial_images),
            translate=partial(translate, provider=PROVIDER),
        )

    async def aclose(self) -> None:
        """See `Provider.aclose`."""
        await self._client.close()
        await self._files.aclose()

    async def _open(self, request: ProviderRequest, options: ImageOptions) -> UpstreamStream[ImageEvent]:
        call: dict[str, Any] = {
            "model": request.upstream_model,
            "prompt": _prompt(request, options),
            "n": options.n,
            "size": options.size or omit,
            "quality": options.quality or omit,
            "background": options.background or omit,
            "output_format": options.output_format or omit,
            "output_compression": omit if options.output_compression is None else options.output_compression,
            "extra_headers": trace_headers(request),
            "timeout": Timeout(None, connect=request.timeouts.connect_s, pool=request.timeouts.connect_s),
        }
        create: Any = self._client.images.generate
        if isinstance(options, EditOptions):
            create = self._client.images.edit
            pictures = [await self._upload(request.files[media_id]) for media_id in options.pictures]
            call |= {"image": pictures, "input_fidelity": options.input_fidelity or omit}
            if options.mask is not None:
                call["mask"] = await self._upload(request.files[options.mask])
        else:
            call["moderation"] = options.moderation or omit
        if options.n > 1:
            return _Single(await create(**call))
        stream: AsyncStream[ImageEvent] = await create(**call, stream=True, partial_images=options.partial_images)
        return stream

    async def _upload(self, file: InputFile) -> tuple[str, bytes, str]:
        """Return a file as it goes up: name, bytes, type."""
        content = file.content if file.content is not None else await self._fetched(file)
        return f"{file.media_id}.{_FILE_TYPES[file.media_type]}", content, file.media_type

    async def _fetched(self, file: InputFile) -> bytes:
        """Read a file out of our own store, by the URL that was made for this call."""
        assert file.url is not None, f"the file {file.media_id} has neither a URL nor bytes"
        content = bytearray()
        try:
            async with asyncio.timeout(FETCH_S), self._files.stream("GET", file.url) as reply:
                reply.raise_for_status()
                async for piece in reply.aiter_bytes():
                    content += piece
                    if len(content) > MAX_FILE_BYTES:
                        raise RequestRejected(provider=PROVIDER, provider_message="a picture is too large")
        except (httpx.HTTPError, OSError) as error:
            words = f"a picture could not be read from our store: {type(error).__name__}"
            raise Unavailable(provider=PROVIDER, provider_message=words) from error
        return bytes(content)


class _Single:
    """An answer that is not streamed, in the form of a stream of one event."""

    def __init__(self, event: ImageEvent) -> None:
        self._events = self._once(event)

    async def __anext__(self) -> ImageEvent:
        return await anext(self._events)

    async def close(self) -> None:
        """It is read whole already."""

    async def _once(self, event: ImageEvent) -> AsyncIterator[ImageEvent]:
        yield event


def _options(request: ProviderRequest) -> ImageOptions:
    options_type = EditOptions if request.mode == "image-edit" else ImageOptions
    return parse_options(request, cast("type[ImageOptions]", options_type), provider=PROVIDER)


def _prompt(request: ProviderRequest, options: ImageOptions) -> str:
    if options.prompt is not None:
        return options.prompt
    return next((message.content for message in reversed(request.messages) if message.role == "user"), "")


def _check_file(media_id: str, file: InputFile | None) -> None:
    problem: str | None = None
    if file is None:
        problem = f"there is no file {media_id}"
    elif file.media_type not in _FILE_TYPES:
        problem = f"{media_id} is {file.media_type}, not one of {', '.join(_FILE_TYPES)}"
    elif file.size_bytes > MAX_FILE_BYTES:
        problem = f"{media_id} has more than {MAX_FILE_BYTES} bytes"
    if problem is not None:
        raise RequestRejected(provider=PROVIDER, provider_message=problem)
