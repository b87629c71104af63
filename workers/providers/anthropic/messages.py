"""Anthropic's Messages API, and whatever speaks it under another base URL."""

from collections.abc import AsyncGenerator

from anthropic import AsyncAnthropic, AsyncStream, Timeout, omit
from anthropic.types import MessageParam, RawMessageStreamEvent

from workers.providers.anthropic.errors import translate
from workers.providers.anthropic.reading import MessageReading
from workers.providers.conversation import ModelOptions, check_conversation, parse_options, split_system
from workers.providers.headers import trace_headers
from workers.providers.interface import Chunk, Message, ProviderRequest, Usage
from workers.providers.tokens import bound_input_tokens, estimate_cut_usage
from workers.providers.upstream import read_upstream


class AnthropicMessages:
    """One connection pool to the Messages API. Retries are off: an SDK that retries would bill twice unseen."""

    name = "anthropic"
    description = "Claude models through Anthropic's Messages API."
    modes = frozenset({"chat"})

    def __init__(self, *, api_key: str, base_url: str) -> None:
        self._client = AsyncAnthropic(api_key=api_key, base_url=base_url, max_retries=0)

    def check(self, request: ProviderRequest) -> None:
        """See `Provider.check`."""
        check_conversation(request, provider=self.name)
        parse_options(request, ModelOptions, provider=self.name)

    def count_input_tokens(self, request: ProviderRequest) -> int:
        """See `bound_input_tokens`."""
        return bound_input_tokens(request)

    def estimate_usage(self, request: ProviderRequest, *, delivered: str, reported: Usage | None) -> Usage:
        """See `estimate_cut_usage`. Input is known from the first event on, so mostly only output is counted."""
        return estimate_cut_usage(request, delivered=delivered, reported=reported)

    def stream(self, request: ProviderRequest) -> AsyncGenerator[Chunk]:
        """See `Provider.stream`."""
        return read_upstream(
            request=request,
            provider=self.name,
            open_stream=lambda: self._open(request),
            reading=MessageReading(request),
            translate=translate,
        )

    async def aclose(self) -> None:
        """See `Provider.aclose`."""
        await self._client.close()

    async def _open(self, request: ProviderRequest) -> AsyncStream[RawMessageStreamEvent]:
        self.check(request)
        options = parse_options(request, ModelOptions, provider=self.name)
        system, turns = split_system(request)
        return await self._client.messages.create(
            model=request.upstream_model,
            max_tokens=request.max_output_tokens,
            system=system or omit,
            messages=[_turn(turn) for turn in turns],
            stop_sequences=list(options.stop_sequences) or omit,
            output_config=omit if options.effort is None else {"effort": options.effort},
            stream=True,
            extra_headers=trace_headers(request),
            timeout=Timeout(None, connect=request.timeouts.connect_s, pool=request.timeouts.connect_s),
        )


def _turn(message: Message) -> MessageParam:
    if message.role == "assistant":
        return {"role": "assistant", "content": message.content}
    return {"role": "user", "content": message.content}
