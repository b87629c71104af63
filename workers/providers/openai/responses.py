"""OpenAI's Responses API. Nothing is stored there: every call brings its whole conversation."""

from openai import AsyncOpenAI, AsyncStream, Timeout, omit
from openai.types.responses import (
    EasyInputMessageParam,
    FunctionToolParam,
    ResponseInputContentParam,
    ResponseInputItemParam,
    ResponseStreamEvent,
)

from workers.providers.attachments import images_of, url_of
from workers.providers.conversation import ModelOptions, split_system
from workers.providers.delivery import Delivery
from workers.providers.errors import ProviderError, RequestRejected
from workers.providers.headers import trace_headers
from workers.providers.interface import InputFile, Message, ProviderRequest
from workers.providers.openai.errors import translate
from workers.providers.openai.responses_reading import ResponseReading
from workers.providers.openai.vision import DETAIL, bound_image_tokens
from workers.providers.structured import TOOL_DESCRIPTION, TOOL_NAME, output_schema
from workers.providers.text_provider import TextProvider

LEAST_OUTPUT_TOKENS = 16
"""The API refuses a lower limit."""


class OpenAIResponses(TextProvider[ResponseStreamEvent]):
    """Usage comes with the terminal event alone, so a call that is cut has both sides counted."""

    def __init__(self, *, api_key: str, base_url: str) -> None:
        super().__init__(name="openai-responses", description="GPT models through OpenAI's Responses API.")
        self._client = AsyncOpenAI(api_key=api_key, base_url=base_url, max_retries=0)

    def check_options(self, request: ProviderRequest, options: ModelOptions) -> None:
        """Refuse stop sequences, which this API does not have, and a limit below what it takes."""
        if options.stop_sequences:
            raise RequestRejected(provider=self.name, provider_message="it knows no stop_sequences")
        if request.max_output_tokens < LEAST_OUTPUT_TOKENS:
            message = f"max_output_tokens is below {LEAST_OUTPUT_TOKENS}"
            raise RequestRejected(provider=self.name, provider_message=message)

    def count_image_tokens(self, request: ProviderRequest, image: InputFile) -> int:
        """See `bound_image_tokens`."""
        return bound_image_tokens(request.upstream_model, image)

    async def open(self, request: ProviderRequest, options: ModelOptions) -> AsyncStream[ResponseStreamEvent]:
        """See `TextProvider.open`."""
        system, turns = split_system(request)
        schema = output_schema(request)
        return await self._client.responses.create(
            model=request.upstream_model,
            max_output_tokens=request.max_output_tokens,
            instructions=system or omit,
            input=[_turn(message, request) for message in turns],
            reasoning=omit if options.effort is None else {"effort": options.effort},
            tools=omit if schema is None else [_answer_tool(schema)],
            tool_choice=omit if schema is None else {"type": "function", "name": TOOL_NAME},
            parallel_tool_calls=omit if schema is None else False,
            store=False,
            stream=True,
            extra_headers=trace_headers(request),
            timeout=Timeout(None, connect=request.timeouts.connect_s, pool=request.timeouts.connect_s),
        )

    def reading(self, request: ProviderRequest, delivery: Delivery) -> ResponseReading:
        """See `ResponseReading`."""
        del request
        return ResponseReading(delivery, provider=self.name)

    def translate(self, error: Exception, broken: type[ProviderError]) -> ProviderError | None:
        """See `translate`."""
        return translate(error, broken, provider=self.name)

    async def aclose(self) -> None:
        """See `Provider.aclose`."""
        await self._client.close()


def _answer_tool(schema: dict[str, object]) -> FunctionToolParam:
    """Return the tool whose arguments are the answer. Not `strict`: that allows only a part of JSON Schema."""
    return {
        "type": "function",
        "name": TOOL_NAME,
        "description": TOOL_DESCRIPTION,
        "parameters": schema,
        "strict": False,
    }


def _turn(message: Message, request: ProviderRequest) -> ResponseInputItemParam:
    images = images_of(message, request)
    if not images:
        return EasyInputMessageParam(type="message", role=message.role, content=message.content)
    parts: list[ResponseInputContentParam] = [
        {"type": "input_image", "image_url": url_of(image), "detail": DETAIL} for image in images
    ]
    if message.content:
        parts.append({"type": "input_text", "text": message.content})
    return EasyInputMessageParam(type="message", role=message.role, content=parts)
