"""Anthropic's Messages API, and whatever speaks it under another base URL."""

from anthropic import AsyncAnthropic, AsyncStream, Timeout, omit
from anthropic.types import RawMessageStreamEvent

from workers.providers.anthropic.content import ANSWER_BY_TOOL, answer_tool, turn
from workers.providers.anthropic.errors import translate
from workers.providers.anthropic.reading import MessageReading
from workers.providers.anthropic.vision import bound_image_tokens
from workers.providers.conversation import ModelOptions, split_system
from workers.providers.delivery import Delivery
from workers.providers.errors import ProviderError
from workers.providers.headers import trace_headers
from workers.providers.interface import InputFile, ProviderRequest
from workers.providers.structured import output_schema
from workers.providers.text_provider import TextProvider


class AnthropicMessages(TextProvider[RawMessageStreamEvent]):
    """Claude. Input is known from the first event on, so a call that is cut mostly has only its output counted."""

    def __init__(self, *, api_key: str, base_url: str) -> None:
        super().__init__(name="anthropic", description="Claude models through Anthropic's Messages API.")
        self._client = AsyncAnthropic(api_key=api_key, base_url=base_url, max_retries=0)

    def count_image_tokens(self, request: ProviderRequest, image: InputFile) -> int:
        """See `bound_image_tokens`."""
        del request
        return bound_image_tokens(image)

    async def open(self, request: ProviderRequest, options: ModelOptions) -> AsyncStream[RawMessageStreamEvent]:
        """See `TextProvider.open`."""
        system, turns = split_system(request)
        schema = output_schema(request)
        return await self._client.messages.create(
            model=request.upstream_model,
            max_tokens=request.max_output_tokens,
            system=system or omit,
            messages=[turn(message, request) for message in turns],
            stop_sequences=list(options.stop_sequences) or omit,
            output_config=omit if options.effort is None else {"effort": options.effort},
            tools=omit if schema is None else [answer_tool(schema)],
            tool_choice=omit if schema is None else ANSWER_BY_TOOL,
            stream=True,
            extra_headers=trace_headers(request),
            timeout=Timeout(None, connect=request.timeouts.connect_s, pool=request.timeouts.connect_s),
        )

    def reading(self, request: ProviderRequest, delivery: Delivery) -> MessageReading:
        """See `MessageReading`."""
        del request
        return MessageReading(delivery)

    def translate(self, error: Exception, broken: type[ProviderError]) -> ProviderError | None:
        """See `translate`."""
        return translate(error, broken)

    async def aclose(self) -> None:
        """See `Provider.aclose`."""
        await self._client.close()
