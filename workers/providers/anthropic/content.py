"""A conversation as the Messages API takes it."""

from anthropic.types import (
    ContentBlockParam,
    ImageBlockParam,
    MessageParam,
    TextBlockParam,
    ToolChoiceToolParam,
    ToolParam,
)

from workers.providers.attachments import base64_content, image_type, images_of
from workers.providers.interface import InputFile, Message, ProviderRequest
from workers.providers.structured import TOOL_DESCRIPTION, TOOL_NAME

ANSWER_BY_TOOL: ToolChoiceToolParam = {"type": "tool", "name": TOOL_NAME, "disable_parallel_tool_use": True}


def answer_tool(schema: dict[str, object]) -> ToolParam:
    """Return the tool whose arguments are the answer."""
    return {"name": TOOL_NAME, "description": TOOL_DESCRIPTION, "input_schema": schema}


def turn(message: Message, request: ProviderRequest) -> MessageParam:
    """Return one turn. Pictures come before the text, as Anthropic advises."""
    if message.role == "assistant":
        return {"role": "assistant", "content": message.content}
    images = images_of(message, request)
    if not images:
        return {"role": "user", "content": message.content}
    blocks: list[ContentBlockParam] = [_image(image) for image in images]
    if message.content:
        blocks.append(TextBlockParam(type="text", text=message.content))
    return {"role": "user", "content": blocks}


def _image(image: InputFile) -> ImageBlockParam:
    if image.url is not None:
        return {"type": "image", "source": {"type": "url", "url": image.url}}
    return {
        "type": "image",
        "source": {"type": "base64", "media_type": image_type(image), "data": base64_content(image)},
    }
