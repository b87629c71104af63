"""Pictures in a conversation: which ones a provider takes, and how they go into a request."""

import base64
from typing import Final, Literal, TypeAlias, cast

from workers.providers.errors import RequestRejected
from workers.providers.interface import InputFile, Message, ProviderRequest

ImageType: TypeAlias = Literal["image/jpeg", "image/png", "image/gif", "image/webp"]

IMAGE_TYPES: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
"""What every model that sees can read."""

MAX_IMAGES: Final = 100
"""The smallest of the providers' limits for one request."""

MAX_EDGE_PIXELS: Final = 8_000
"""Anthropic refuses larger ones; the others make them smaller."""


def check_attachments(request: ProviderRequest, *, provider: str, takes_images: bool) -> None:
    """Refuse attachments that the provider cannot take.

    Raises:
        RequestRejected: one is not of a user, is unknown, no picture, of a type no model reads, too large or one too
            many.
    """
    attached = [(message, file) for message in request.messages for file in attached_files(message, request)]
    if len(attached) > MAX_IMAGES:
        raise RequestRejected(provider=provider, provider_message=f"more than {MAX_IMAGES} attachments")
    for message, file in attached:
        problem = _problem(message, file, takes_images=takes_images)
        if problem is not None:
            raise RequestRejected(provider=provider, provider_message=problem)


def attached_files(message: Message, request: ProviderRequest) -> list[InputFile | None]:
    """Return the files that are attached to a message, in order; `None` for one that is not among the files."""
    return [request.files.get(attachment.media_id) for attachment in message.attachments]


def images_of(message: Message, request: ProviderRequest) -> list[InputFile]:
    """Return the pictures of a message whose attachments were checked."""
    return [file for file in attached_files(message, request) if file is not None]


def image_type(file: InputFile) -> ImageType:
    """Return the type of a picture that was checked."""
    assert file.media_type in IMAGE_TYPES
    return cast("ImageType", file.media_type)


def base64_content(file: InputFile) -> str:
    """Return the bytes of a file that has no URL, as base64."""
    assert file.content is not None, f"the file {file.media_id} has neither a URL nor bytes"
    return base64.b64encode(file.content).decode("ascii")


def url_of(file: InputFile) -> str:
    """Return where the file is, or a `data:` URL that contains it."""
    return file.url or f"data:{file.media_type};base64,{base64_content(file)}"


def _problem(message: Message, file: InputFile | None, *, takes_images: bool) -> str | None:
    if file is None:
        return "an attachment is not among the files"
    if message.role != "user":
        return "only messages of the user can have attachments"
    if file.kind != "image" or not takes_images:
        return f"it takes no attachments of kind {file.kind}"
    if file.media_type not in IMAGE_TYPES:
        return f"it takes no {file.media_type}"
    if max(file.width or 0, file.height or 0) > MAX_EDGE_PIXELS:
        return f"a picture is larger than {MAX_EDGE_PIXELS} pixels"
    return None
