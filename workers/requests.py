"""What callers ask for, checked and turned into what providers take."""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import Meta

from workers.errors import InputTooLong, InvalidInput
from workers.models import ModelDefinition
from workers.providers import InputFile, Message, Provider, ProviderRequest, Timeouts, Usage
from workers.providers.errors import RequestRejected

MAX_MESSAGES: Final = 1_000
ALIASES: Final = {"text": "chat"}
"""Names that a mode had before."""


class GenerationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller asks for. `input` has `prompt` or `messages`; whatever else it has are parameters of the mode."""

    model: Annotated[str, Meta(min_length=1, max_length=100)]
    input: dict[str, object]
    mode: str | None = None
    """`None`: the first mode of the model."""
    max_output_tokens: Annotated[int, Meta(ge=1, le=100_000_000)] | None = None
    cache: bool = False
    """An answer to the very same request of this account, up to a day old, is as good as a new one."""
    client_transfer: bool = False
    """The caller would rather move results into the store itself; what it has not moved in time is moved for it."""

    def sha256(self) -> bytes:
        """Digest of the request, whatever the order of its fields; tells a repetition from another request.

        Raises:
            InvalidInput: it contains half of a surrogate pair, which is no text.
        """
        identity: list[object] = [self.model, self.mode or "text", self.input, self.max_output_tokens, None]
        if self.cache or self.client_transfer:
            identity += [self.cache, self.client_transfer]
        return hashlib.sha256(_encode(identity)).digest()


class Route(msgspec.Struct, frozen=True):
    """One way to serve a generation, as it was when it was admitted: a model of the catalogue, in these versions."""

    model: str
    version: int
    price_version: int


class StoredRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request as it is kept for the worker, and for a retry."""

    model: str
    mode: str
    messages: tuple[Message, ...]
    options: dict[str, object]
    max_output_tokens: int | None
    output_schema: dict[str, object] | None = None
    file_ids: tuple[str, ...] = ()
    """The media objects that go into it."""
    routes: tuple[Route, ...] = ()
    """The model asked for, then its fallbacks. Empty in what was stored before there were fallbacks."""
    cache: bool = False
    client_transfer: bool = False

    def encode(self) -> bytes:
        """Return the bytes to keep.

        Raises:
            InvalidInput: it contains half of a surrogate pair, which is no text.
        """
        return _encode(self)

    @classmethod
    def decode(cls, body: bytes) -> "StoredRequest":
        """Read what `encode` returned."""
        stored = msgspec.json.decode(body, type=cls)
        return msgspec.structs.replace(stored, mode="chat") if stored.mode == "text" else stored

    def chain(self, price_version: int) -> tuple[Route, ...]:
        """Return the routes it was admitted with."""
        return self.routes or (Route(self.model, 1, price_version),)

    def retry_sha256(self, retry_of: UUID) -> bytes:
        """Digest of a wish to do this again; tells its repetition from another request."""
        return hashlib.sha256(_encode(["retry", self.model, str(retry_of)])).digest()


def read_request(request: GenerationRequest, definition: ModelDefinition) -> StoredRequest:
    """Tell the conversation from the parameters.

    Raises:
        InvalidInput: the model has no such mode, or the input is not what the mode takes.
    """
    mode = definition.modes[0] if request.mode is None else ALIASES.get(request.mode, request.mode)
    if mode not in definition.modes:
        raise InvalidInput(f"mode: {request.model} can do {', '.join(definition.modes)}")
    options = {name: value for name, value in request.input.items() if name not in {"prompt", "messages"}}
    return StoredRequest(
        model=request.model,
        mode=mode,
        messages=_read_messages(request.input),
        options=options,
        max_output_tokens=request.max_output_tokens,
        cache=request.cache,
        client_transfer=request.client_transfer,
    )


def provider_request(
    stored: StoredRequest,
    definition: ModelDefinition,
    *,
    generation_id: UUID,
    request_id: str,
    max_output_tokens: int,
    files: Mapping[str, InputFile] | None = None,
) -> ProviderRequest:
    """Return the call that this request comes to when this model serves it."""
    return ProviderRequest(
        generation_id=str(generation_id),
        request_id=request_id,
        upstream_model=definition.upstream_name,
        messages=stored.messages,
        max_output_tokens=min(max_output_tokens, definition.max_output_tokens),
        mode=stored.mode,
        options=stored.options,
        files=files or {},
        output_schema=stored.output_schema,
        timeouts=definition.timeouts.over(Timeouts()),
    )


def output_limit(stored: StoredRequest, definition: ModelDefinition) -> int:
    """Return how many tokens the model may write: what was asked for, within the model's ceiling."""
    return min(stored.max_output_tokens or definition.default_output_tokens, definition.max_output_tokens)


def bound_usage(request: ProviderRequest, provider: Provider, definition: ModelDefinition) -> Usage:
    """Return the most that this call can use.

    Raises:
        InvalidInput: the provider takes no such request.
        InputTooLong: the input does not fit into the model's context.
    """
    try:
        provider.check(request)
    except RequestRejected as rejected:
        raise InvalidInput(rejected.provider_message) from rejected
    context_tokens = definition.context_tokens
    probable = provider.estimate_usage(request, delivered=" ", reported=None)
    if probable.input_tokens > context_tokens:
        raise InputTooLong(input_tokens=probable.input_tokens, context_tokens=context_tokens)
    # The count is a bound and may be several times what is billed; no provider bills more than the context holds.
    input_tokens = min(provider.count_input_tokens(request), context_tokens)
    return Usage(input_tokens=input_tokens, output_tokens=request.max_output_tokens)


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
