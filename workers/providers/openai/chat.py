"""OpenAI's Chat Completions API, and the many servers that speak it under another base URL."""

from openai import AsyncOpenAI, AsyncStream, Omit, Timeout, omit
from openai.types.chat import ChatCompletionChunk

from workers.providers.conversation import ModelOptions
from workers.providers.delivery import Delivery
from workers.providers.errors import ProviderError
from workers.providers.headers import trace_headers
from workers.providers.interface import InputFile, ProviderRequest
from workers.providers.openai.chat_reading import ChatReading
from workers.providers.openai.content import answer_tool, message_param
from workers.providers.openai.dialect import OPENAI, Dialect
from workers.providers.openai.errors import translate
from workers.providers.openai.vision import bound_image_tokens, bound_other_image_tokens
from workers.providers.structured import output_schema
from workers.providers.text_provider import TextProvider

NO_KEY = "none"
"""The SDK insists on a key; servers that need none ignore it."""


class OpenAIChat(TextProvider[ChatCompletionChunk]):
    """Usage comes at the end, so a call that is cut mostly has both sides counted."""

    def __init__(
        self, *, api_key: str, base_url: str, name: str = "openai", description: str = "", dialect: Dialect = OPENAI
    ) -> None:
        super().__init__(name=name, description=description or "GPT models through OpenAI's Chat Completions API.")
        self._client = AsyncOpenAI(api_key=api_key or NO_KEY, base_url=base_url, max_retries=0)
        self._dialect = dialect

    def count_image_tokens(self, request: ProviderRequest, image: InputFile) -> int:
        """See `bound_image_tokens`, and for the models of others `bound_other_image_tokens`."""
        if self._dialect.counts_pictures_as_openai:
            return bound_image_tokens(request.upstream_model, image)
        return bound_other_image_tokens(image)

    async def open(self, request: ProviderRequest, options: ModelOptions) -> AsyncStream[ChatCompletionChunk]:
        """See `TextProvider.open`."""
        dialect = self._dialect
        schema = output_schema(request)
        return await self._client.chat.completions.create(
            model=request.upstream_model,
            max_completion_tokens=self._limit(request, "max_completion_tokens"),
            max_tokens=self._limit(request, "max_tokens"),
            messages=[message_param(message, request) for message in request.messages],
            stop=list(options.stop_sequences) or omit,
            reasoning_effort=omit if options.effort is None else options.effort,
            tools=omit if schema is None else [answer_tool(schema)],
            # There is only the one tool, and servers know this word better than a tool by its name.
            tool_choice=omit if schema is None else "required",
            parallel_tool_calls=omit if schema is None or not dialect.forbids_parallel_calls else False,
            stream=True,
            stream_options={"include_usage": True} if dialect.asks_for_usage else omit,
            extra_headers=trace_headers(request),
            timeout=Timeout(None, connect=request.timeouts.connect_s, pool=request.timeouts.connect_s),
        )

    def reading(self, request: ProviderRequest, delivery: Delivery) -> ChatReading:
        """See `ChatReading`."""
        del request
        return ChatReading(delivery, provider=self.name, says_cost=self._dialect.says_cost)

    def translate(self, error: Exception, broken: type[ProviderError]) -> ProviderError | None:
        """See `translate`."""
        return translate(error, broken, provider=self.name)

    async def aclose(self) -> None:
        """See `Provider.aclose`."""
        await self._client.close()

    def _limit(self, request: ProviderRequest, name: str) -> int | Omit:
        return request.max_output_tokens if self._dialect.limit_name == name else omit
