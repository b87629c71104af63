"""OpenAI's Chat Completions API, and the many servers that speak it under another base URL."""

from openai import AsyncStream
from openai.types.chat import ChatCompletionChunk, ChatCompletionStreamOptionsParam
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming

from workers.providers.conversation import ModelOptions
from workers.providers.delivery import Delivery
from workers.providers.errors import ProviderError
from workers.providers.headers import trace_headers
from workers.providers.interface import InputFile, ProviderRequest
from workers.providers.openai.chat_reading import ChatReading
from workers.providers.openai.content import answer_tool, message_param
from workers.providers.openai.dialect import OPENAI, Dialect
from workers.providers.openai.errors import translate
from workers.providers.openai.posting import OpenAIHttp
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
        self._http = OpenAIHttp("chat/completions", api_key=api_key or NO_KEY, base_url=base_url)
        self._dialect = dialect

    def count_image_tokens(self, request: ProviderRequest, image: InputFile) -> int:
        """See `bound_image_tokens`, and for the models of others `bound_other_image_tokens`."""
        if self._dialect.counts_pictures_as_openai:
            return bound_image_tokens(request.upstream_model, image)
        return bound_other_image_tokens(image)

    async def open(self, request: ProviderRequest, options: ModelOptions) -> AsyncStream[ChatCompletionChunk]:
        """See `TextProvider.open`."""
        response = await self._http.post(
            self._body(request, options),
            headers=trace_headers(request),
            timeouts=request.timeouts,
        )
        return AsyncStream(cast_to=ChatCompletionChunk, response=response, client=self._http.sdk)

    def reading(self, request: ProviderRequest, delivery: Delivery) -> ChatReading:
        """See `ChatReading`."""
        del request
        return ChatReading(delivery, provider=self.name, says_cost=self._dialect.says_cost)

    def translate(self, error: Exception, broken: type[ProviderError]) -> ProviderError | None:
        """See `translate`."""
        return translate(error, broken, provider=self.name)

    async def aclose(self) -> None:
        """See `Provider.aclose`."""
        await self._http.aclose()

    def _body(self, request: ProviderRequest, options: ModelOptions) -> CompletionCreateParamsStreaming:
        dialect = self._dialect
        schema = output_schema(request)
        body = CompletionCreateParamsStreaming(
            model=request.upstream_model,
            messages=[message_param(message, request) for message in request.messages],
            stream=True,
        )
        if dialect.limit_name == "max_tokens":
            body["max_tokens"] = request.max_output_tokens
        else:
            body["max_completion_tokens"] = request.max_output_tokens
        if options.stop_sequences:
            body["stop"] = list(options.stop_sequences)
        if options.effort is not None:
            body["reasoning_effort"] = options.effort
        if dialect.asks_for_usage:
            body["stream_options"] = ChatCompletionStreamOptionsParam(include_usage=True)
        if schema is not None:
            body["tools"] = [answer_tool(schema)]
            # There is only the one tool, and servers know this word better than a tool by its name.
            body["tool_choice"] = "required"
            if dialect.forbids_parallel_calls:
                body["parallel_tool_calls"] = False
        return body
