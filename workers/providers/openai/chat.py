"""OpenAI's Chat Completions API, and the many servers that speak it under another base URL."""

from collections.abc import AsyncGenerator

from openai import AsyncOpenAI, AsyncStream, Timeout, omit
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

from workers.providers.conversation import ModelOptions, check_conversation, parse_options
from workers.providers.headers import trace_headers
from workers.providers.interface import Chunk, Message, ProviderRequest, Usage
from workers.providers.openai.chat_reading import ChatReading
from workers.providers.openai.errors import translate
from workers.providers.tokens import bound_input_tokens, estimate_cut_usage
from workers.providers.upstream import read_upstream


class OpenAIChat:
    """One connection pool to the Chat Completions API. Retries are off: an SDK that retries would bill twice unseen."""

    name = "openai"
    description = "GPT models through OpenAI's Chat Completions API, or models of another server that speaks it."
    modes = frozenset({"chat"})

    def __init__(self, *, api_key: str, base_url: str) -> None:
        self._client = AsyncOpenAI(api_key=api_key, base_url=base_url, max_retries=0)

    def check(self, request: ProviderRequest) -> None:
        """See `Provider.check`."""
        check_conversation(request, provider=self.name)
        parse_options(request, ModelOptions, provider=self.name)

    def count_input_tokens(self, request: ProviderRequest) -> int:
        """See `bound_input_tokens`."""
        return bound_input_tokens(request)

    def estimate_usage(self, request: ProviderRequest, *, delivered: str, reported: Usage | None) -> Usage:
        """See `estimate_cut_usage`. OpenAI reports only at the end, so mostly both sides are counted."""
        return estimate_cut_usage(request, delivered=delivered, reported=reported)

    def stream(self, request: ProviderRequest) -> AsyncGenerator[Chunk]:
        """See `Provider.stream`."""
        return read_upstream(
            request=request,
            provider=self.name,
            open_stream=lambda: self._open(request),
            reading=ChatReading(request),
            translate=translate,
        )

    async def aclose(self) -> None:
        """See `Provider.aclose`."""
        await self._client.close()

    async def _open(self, request: ProviderRequest) -> AsyncStream[ChatCompletionChunk]:
        self.check(request)
        options = parse_options(request, ModelOptions, provider=self.name)
        return await self._client.chat.completions.create(
            model=request.upstream_model,
            max_completion_tokens=request.max_output_tokens,
            messages=[_message(message) for message in request.messages],
            stop=list(options.stop_sequences) or omit,
            reasoning_effort=omit if options.effort is None else options.effort,
            stream=True,
            stream_options={"include_usage": True},
            extra_headers=trace_headers(request),
            timeout=Timeout(None, connect=request.timeouts.connect_s, pool=request.timeouts.connect_s),
        )


def _message(message: Message) -> ChatCompletionMessageParam:
    match message.role:
        case "system":
            return {"role": "system", "content": message.content}
        case "user":
            return {"role": "user", "content": message.content}
        case "assistant":
            return {"role": "assistant", "content": message.content}
