"""`offline`: every mode without a key, a network or a model, so that the whole path can be tried anywhere.

Nothing it gives pretends to be made by a model. Texts say where they come from, pictures are posters of the prompt,
songs and films are simple, and everything is the same for the same request. One token is one word, as for `echo`.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Final, Literal

from msgspec import structs

from workers.providers.conversation import check_conversation
from workers.providers.deadlines import Deadlines
from workers.providers.echo import WORDS_BETWEEN_YIELDS, count_words, split_words
from workers.providers.interface import (
    Chunk,
    Finished,
    JsonDelta,
    MediaResult,
    Progress,
    ProviderRequest,
    TextDelta,
    Usage,
    UsageReport,
)
from workers.providers.offline.composing import answer_chat, compose
from workers.providers.offline.craft import Craft, prompt_of
from workers.providers.offline.films import SPEECH_TO_VIDEO, VIDEO
from workers.providers.offline.inputs import with_contents
from workers.providers.offline.music import MUSIC
from workers.providers.offline.options import PROVIDER, Options, options_of, rejected
from workers.providers.offline.pictures import IMAGE, IMAGE_EDIT
from workers.providers.offline.scalars import Unsatisfiable
from workers.providers.offline.speech import SPEECH
from workers.providers.offline.values import value_for

MAX_WORDS_OF_PROMPT: Final = 64
"""So many words of the prompt end up in structured output."""

_CRAFTS: Final[dict[str, Craft]] = {
    "image": IMAGE,
    "image-edit": IMAGE_EDIT,
    "video": VIDEO,
    "speech-to-video": SPEECH_TO_VIDEO,
    "speech": SPEECH,
    "music": MUSIC,
}


def _structured(request: ProviderRequest) -> str:
    """Return the text of a value that satisfies the schema of the request."""
    if request.output_schema is None:
        raise rejected("a schema of the output is needed")
    words = tuple(word[:40] for word in prompt_of(request).split()[:MAX_WORDS_OF_PROMPT])
    try:
        value = value_for(request.output_schema, words=words)
    except Unsatisfiable as unsatisfiable:
        raise rejected(f"no value was found for the schema: {unsatisfiable}") from unsatisfiable
    return json.dumps(value, ensure_ascii=False)


_WRITERS: Final[dict[str, Callable[[ProviderRequest], str]]] = {
    "chat": answer_chat,
    "compose": compose,
    "structured": _structured,
}


class Offline:
    """The offline provider. Its pictures, films and recordings are rendered one at a time, in a thread of their own."""

    name = PROVIDER
    description = (
        "Covers every mode simply and always the same way, for trying things out. There is no model behind it."
    )
    modes = frozenset({*_WRITERS, *_CRAFTS})

    def __init__(self) -> None:
        # One thread: rendering must never take both processors, or the interpreter, from the streams beside it.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="offline")

    def check(self, request: ProviderRequest) -> None:
        """See `Provider.check`."""
        if request.mode not in self.modes:
            raise rejected(f"mode {request.mode:.40} is not one of its modes")
        if request.messages or request.mode in _WRITERS:
            check_conversation(request, provider=self.name)
        if (craft := _CRAFTS.get(request.mode)) is not None:
            craft.check(request)
            return
        options_of(request, Options)
        if request.mode == "structured":
            _structured(request)

    def count_input_tokens(self, request: ProviderRequest) -> int:
        """Exact: the words of all messages."""
        return sum(count_words(message.content) for message in request.messages)

    def estimate_usage(self, request: ProviderRequest, *, delivered: str, reported: Usage | None) -> Usage:
        """Exact: the words that were read and delivered, and the media that were reported as delivered."""
        if reported is None and not delivered:
            return Usage()
        so_far = Usage(input_tokens=self.count_input_tokens(request)) if reported is None else reported
        return structs.replace(so_far, output_tokens=max(so_far.output_tokens, count_words(delivered)))

    async def stream(self, request: ProviderRequest) -> AsyncGenerator[Chunk]:
        """Yield the words, or the progress and the results, of the request's mode."""
        self.check(request)
        deadlines = Deadlines(request.timeouts, provider=self.name)
        parts = self._rendered(request, deadlines) if request.mode in _CRAFTS else self._written(request, deadlines)
        async with aclosing(parts):
            async for chunk in parts:
                yield chunk

    async def aclose(self) -> None:
        """End the thread, after the piece of work it is at."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _written(self, request: ProviderRequest, deadlines: Deadlines) -> AsyncGenerator[Chunk]:
        """Yield a text word by word, at most `max_output_tokens` words."""
        delay_s = _delay_ms(request) / 1_000
        delta = JsonDelta if request.mode == "structured" else TextDelta
        reason: Literal["stop", "length"] = "stop"
        output_tokens = 0
        for word in split_words(_WRITERS[request.mode](request)):
            if output_tokens == request.max_output_tokens:
                reason = "length"
                break
            if delay_s or output_tokens % WORDS_BETWEEN_YIELDS == WORDS_BETWEEN_YIELDS - 1:
                await deadlines.wait(asyncio.sleep(delay_s))
            yield delta(word)
            deadlines.text_began()
            output_tokens += 1
        usage = Usage(input_tokens=self.count_input_tokens(request), output_tokens=output_tokens)
        yield UsageReport(usage=usage, final=True)
        yield Finished(reason=reason, provider_reason=f"offline_{reason}")

    async def _rendered(self, request: ProviderRequest, deadlines: Deadlines) -> AsyncGenerator[Chunk]:
        """Yield progress and results, and after each result what has been used so far."""
        delay_s = _delay_ms(request) / 1_000
        loop = asyncio.get_running_loop()
        rendering = _CRAFTS[request.mode].render(await deadlines.wait(with_contents(request)))
        usage = Usage(input_tokens=self.count_input_tokens(request))
        while (chunk := await deadlines.wait(loop.run_in_executor(self._thread, next, rendering, None))) is not None:
            if isinstance(chunk, Progress) and delay_s:
                await deadlines.wait(asyncio.sleep(delay_s))
            yield chunk
            if isinstance(chunk, MediaResult):
                usage = _with_result(usage, chunk, request)
                yield UsageReport(usage=usage, final=False)
        yield UsageReport(usage=usage, final=True)
        yield Finished(reason="stop", provider_reason="offline_stop")


def _delay_ms(request: ProviderRequest) -> int:
    delay_ms = request.options.get("delay_ms", 0)
    assert isinstance(delay_ms, int)
    return delay_ms


def _with_result(usage: Usage, result: MediaResult, request: ProviderRequest) -> Usage:
    """Add what one result counts for, by its own measures."""
    is_picture = result.kind == "image"
    return structs.replace(
        usage,
        images=usage.images + is_picture,
        pixels=usage.pixels + (result.width or 0) * (result.height or 0) * is_picture,
        duration_ms=usage.duration_ms + (result.duration_ms or 0),
        characters=len(prompt_of(request)) if request.mode == "speech" else 0,
    )
