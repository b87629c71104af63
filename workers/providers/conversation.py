"""What every provider asks of a conversation and its options, checked before any credits are frozen."""

from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from workers.providers.errors import RequestRejected
from workers.providers.interface import Message, ProviderRequest

OptionsT = TypeVar("OptionsT")


class ModelOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """Options that mean the same to every model provider, so that a fallback to another one changes nothing."""

    stop_sequences: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=500)], ...], Meta(max_length=4)] = ()
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    """How hard a reasoning model should think. A model that does not reason refuses it."""


def parse_options(request: ProviderRequest, options_type: type[OptionsT], *, provider: str) -> OptionsT:
    """Return the request's options as a struct.

    Raises:
        RequestRejected: an option is unknown or out of range.
    """
    try:
        return msgspec.convert(request.options, options_type)
    except msgspec.ValidationError as error:
        raise RequestRejected(provider=provider, provider_message=str(error)) from error


def check_conversation(request: ProviderRequest, *, provider: str) -> None:
    """Refuse a conversation that some provider could not take.

    System messages come first, because Anthropic has them apart from the conversation and their place would be lost.

    Raises:
        RequestRejected: no turn of user or assistant, an empty message, a system message later on, half of a surrogate
            pair, or no room for output.
    """
    if request.max_output_tokens < 1:
        raise RequestRejected(provider=provider, provider_message="max_output_tokens is below 1")
    _, turns = split_system(request)
    if not turns:
        raise RequestRejected(provider=provider, provider_message="the conversation is empty")
    if any(turn.role == "system" for turn in turns):
        raise RequestRejected(provider=provider, provider_message="a system message follows another kind of message")
    if any(not message.content and not message.attachments for message in request.messages):
        raise RequestRejected(provider=provider, provider_message="a message is empty")
    if not all(_is_encodable(message.content) for message in request.messages):
        raise RequestRejected(provider=provider, provider_message="a message contains half of a surrogate pair")


def split_system(request: ProviderRequest) -> tuple[str, tuple[Message, ...]]:
    """Return the leading system messages as one text, and the turns that follow."""
    turns_from = next(
        (at for at, message in enumerate(request.messages) if message.role != "system"), len(request.messages)
    )
    system = "\n\n".join(message.content for message in request.messages[:turns_from])
    return system, request.messages[turns_from:]


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
