"""`echo`: streams the prompt back, word by word. No model is behind it, and it says so.

It exists so that everything else (freezing, streaming, resuming, cancelling, settling) can be tried and tested offline,
at any pace, with usage that can be counted by hand: one token is one word.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator
from typing import Annotated, Literal

from msgspec import Meta, Struct

from workers.providers.conversation import check_conversation, parse_options
from workers.providers.deadlines import Deadlines
from workers.providers.factories import ProviderFactory
from workers.providers.interface import Chunk, Finished, ProviderRequest, TextDelta, Usage, UsageReport

MAX_DELAY_MS = 10_000
WORDS_BETWEEN_YIELDS = 64
"""At no delay, other tasks of the process get a turn this often."""

_WORD = re.compile(r"\S{1,64}\s{0,64}|\s{1,64}")
"""A word with the whitespace after it. Bounded, because a prompt may be one endless word; whitespace in front of the
first word counts as one. Any prefix made of whole words splits into the same words again, so counting what was
delivered is exact."""


class EchoOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """The options of echo."""

    delay_ms: Annotated[int, Meta(ge=0, le=MAX_DELAY_MS)] = 0
    """Pause before each word."""


class Echo:
    """The offline provider. Its output is the content of the last message, exactly."""

    name = "echo"
    description = "Streams the prompt back word by word, for trying things out. There is no model behind it."
    modes = frozenset({"chat"})

    def check(self, request: ProviderRequest) -> None:
        """See `Provider.check`."""
        check_conversation(request, provider=self.name)
        parse_options(request, EchoOptions, provider=self.name)

    def count_input_tokens(self, request: ProviderRequest) -> int:
        """Exact: the words of all messages."""
        return sum(count_words(message.content) for message in request.messages)

    def estimate_usage(self, request: ProviderRequest, *, delivered: str, reported: Usage | None) -> Usage:
        """Exact: the words that were read and delivered. Nothing delivered and nothing reported is no usage."""
        if reported is None and not delivered:
            return Usage()
        return Usage(input_tokens=self.count_input_tokens(request), output_tokens=count_words(delivered))

    async def stream(self, request: ProviderRequest) -> AsyncGenerator[Chunk]:
        """Yield the last message, a word at a time, at most `max_output_tokens` words."""
        self.check(request)
        delay_s = parse_options(request, EchoOptions, provider=self.name).delay_ms / 1000
        deadlines = Deadlines(request.timeouts, provider=self.name)
        output_tokens = 0
        reason: Literal["stop", "length"] = "stop"
        for word in split_words(request.messages[-1].content):
            if output_tokens == request.max_output_tokens:
                reason = "length"
                break
            if delay_s or output_tokens % WORDS_BETWEEN_YIELDS == WORDS_BETWEEN_YIELDS - 1:
                await deadlines.wait(asyncio.sleep(delay_s))
            yield TextDelta(word)
            deadlines.text_began()
            output_tokens += 1
        usage = Usage(input_tokens=self.count_input_tokens(request), output_tokens=output_tokens)
        yield UsageReport(usage=usage, final=True)
        yield Finished(reason=reason, provider_reason=f"echo_{reason}")

    async def aclose(self) -> None:
        """Nothing is open."""


def split_words(text: str) -> Iterator[str]:
    """Split a text into words, each with the whitespace after it; joined they are the text again."""
    return (match[0] for match in _WORD.finditer(text))


def count_words(text: str) -> int:
    """How many words `split_words` gives: the tokens of echo."""
    return sum(1 for _ in _WORD.finditer(text))


FACTORY = ProviderFactory(name=Echo.name, make=lambda _: Echo())
