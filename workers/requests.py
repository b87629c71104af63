"""What callers ask for, checked and turned into what providers take."""

import hashlib
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from workers.catalogue import Model
from workers.errors import InputTooLong, InvalidInput
from workers.providers import Message, Provider, ProviderRequest
from workers.providers.errors import RequestRejected

MAX_MESSAGES: Final = 1_000


class GenerationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller asks for. `input` has `prompt` or `messages`; whatever else it has are the model's options."""

    model: Annotated[str, Meta(min_length=1, max_length=100)]
    input: dict[str, object]
    mode: Literal["text"] = "text"
    max_output_tokens: Annotated[int, Meta(ge=1, le=100_000_000)] | None = None

    def sha256(self, *, retry_of: UUID | None = None) -> bytes:
        """Digest of the request, whatever the order of its fields; tells a repetition from another request.

        Raises:
            InvalidInput: it contains half of a surrogate pair, which is no text.
        """
        identity = [self.model, self.mode, self.input, self.max_output_tokens, retry_of]
        return hashlib.sha256(_encode(identity)).digest()


class StoredRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it is kept for the worker, and for a retry."""

    model: str
    mode: Literal["text"]
    messages: tuple[Message, ...]
    options: dict[str, object]
    max_output_tokens: int | None

    def encode(self) -> bytes:
        """Return the bytes to keep.

        Raises:
            InvalidInput: it contains half of a surrogate pair, which is no text.
        """
        return _encode(self)

    @classmethod
    def decode(cls, body: bytes) -> "StoredRequest":
        """Read what `encode` returned."""
        return msgspec.json.decode(body, type=cls)

    def again(self) -> GenerationRequest:
        """Return the request that led to this one."""
        messages = [{"role": message.role, "content": message.content} for message in self.messages]
        return GenerationRequest(
            model=self.model,
            mode=self.mode,
            input={"messages": messages, **self.options},
            max_output_tokens=self.max_output_tokens,
        )


def read_request(request: GenerationRequest) -> StoredRequest:
    """Tell the conversation from the options.

    Raises:
        InvalidInput: there is neither a prompt nor messages, or both, or they are not of the right kind.
    """
    options = {name: value for name, value in request.input.items() if name not in {"prompt", "messages"}}
    return StoredRequest(
        model=request.model,
        mode=request.mode,
        messages=_read_messages(request.input),
        options=options,
        max_output_tokens=request.max_output_tokens,
    )


def provider_request(
    stored: StoredRequest, model: Model, *, generation_id: UUID, request_id: str, max_output_tokens: int
) -> ProviderRequest:
    """Return the call that this request comes to."""
    return ProviderRequest(
        generation_id=str(generation_id),
        request_id=request_id,
        upstream_model=model.definition.upstream_name,
        messages=stored.messages,
        max_output_tokens=max_output_tokens,
        options=stored.options,
    )


def output_limit(stored: StoredRequest, model: Model) -> int:
    """Return how many tokens the model may write: what was asked for, within the model's ceiling."""
    asked = stored.max_output_tokens or model.definition.default_output_tokens
    return min(asked, model.definition.max_output_tokens)


def bound_cost(request: ProviderRequest, provider: Provider, model: Model) -> int:
    """Return the most that this call can cost, in microcredits.

    Raises:
        InvalidInput: the provider takes no such request.
        InputTooLong: the input does not fit into the model's context.
    """
    try:
        provider.check(request)
    except RequestRejected as rejected:
        raise InvalidInput(rejected.provider_message) from rejected
    context_tokens = model.definition.context_tokens
    probable = provider.estimate_usage(request, delivered=" ", reported=None)
    if probable.input_tokens > context_tokens:
        raise InputTooLong(input_tokens=probable.input_tokens, context_tokens=context_tokens)
    # The count is a bound and may be several times what is billed; no provider bills more than the context holds.
    input_tokens = min(provider.count_input_tokens(request), context_tokens)
    return model.prices.bound(input_tokens=input_tokens, output_tokens=request.max_output_tokens)


def _read_messages(given: dict[str, object]) -> tuple[Message, ...]:
    prompt, messages = given.get("prompt"), given.get("messages")
    if (prompt is None) == (messages is None):
        raise InvalidInput("input must have either prompt or messages")
    if prompt is not None:
        if not isinstance(prompt, str):
            raise InvalidInput("prompt must be a string")
        return (Message(role="user", content=prompt),)
    try:
        read = msgspec.convert(messages, tuple[Message, ...])
    except msgspec.ValidationError as error:
        raise InvalidInput(f"messages: {error}") from error
    if len(read) > MAX_MESSAGES:
        raise InvalidInput(f"messages: at most {MAX_MESSAGES}")
    return read


def _encode(value: object) -> bytes:
    try:
        return msgspec.json.encode(value, order="sorted")
    except UnicodeEncodeError:
        raise InvalidInput("half of a surrogate pair is not text") from None
