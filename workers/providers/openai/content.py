"""A conversation as the Chat Completions API takes it."""

from openai.types.chat import (
    ChatCompletionContentPartImageParam,
    ChatCompletionContentPartParam,
    ChatCompletionFunctionToolParam,
    ChatCompletionMessageParam,
)

from workers.providers.attachments import images_of, url_of
from workers.providers.interface import InputFile, Message, ProviderRequest
from workers.providers.openai.vision import DETAIL
from workers.providers.structured import TOOL_DESCRIPTION, TOOL_NAME


def answer_tool(schema: dict[str, object]) -> ChatCompletionFunctionToolParam:
    """Return the tool whose arguments are the answer. Not `strict`: that allows only a part of JSON Schema."""
    return {
        "type": "function",
        "function": {"name": TOOL_NAME, "description": TOOL_DESCRIPTION, "parameters": schema, "strict": False},
    }


def message_param(message: Message, request: ProviderRequest) -> ChatCompletionMessageParam:
    """Return one message."""
    match message.role:
        case "system":
            return {"role": "system", "content": message.content}
        case "user":
            return {"role": "user", "content": _content(message, request)}
        case "assistant":
            return {"role": "assistant", "content": message.content}


def _content(message: Message, request: ProviderRequest) -> str | list[ChatCompletionContentPartParam]:
    images = images_of(message, request)
    if not images:
        return message.content
    parts: list[ChatCompletionContentPartParam] = [_image(image) for image in images]
    if message.content:
        parts.append({"type": "text", "text": message.content})
    return parts


def _image(image: InputFile) -> ChatCompletionContentPartImageParam:
    return {"type": "image_url", "image_url": {"url": url_of(image), "detail": DETAIL}}
