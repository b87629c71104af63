"""What callers ask for, checked and turned into what providers take."""

import hashlib
from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from workers.errors import InputTooLong, InvalidInput
from workers.models import ModelDefinition
from workers.modes import MODES, FileReference, Gives, ModeInput, bound_units
from workers.modes.modes import ALIASES
from workers.providers import InputFile, Message, Provider, ProviderRequest, Usage
from workers.providers.errors import RequestRejected


class GenerationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller asks for. `input` has `prompt` or `messages`; whatever else it has are parameters of the mode."""

    model: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    """`None`: the model of the session."""
    input: dict[str, object]
    mode: str | None = None
    """`None`: the first mode of the model."""
    max_output_tokens: Annotated[int, Meta(ge=1, le=100_000_000)] | None = None
    cache: bool = False
    """An answer to the very same request of this account, up to a day old, is as good as a new one."""
    session_id: UUID | None = None
    """The conversation that this goes on with."""
    client_transfer: bool = False
    """The caller would rather move results into the store itself; what it has not moved in time is moved for it."""

    def sha256(self) -> bytes:
        """Digest of the request, whatever the order of its fields; tells a repetition from another request.

        Raises:
            InvalidInput: it contains half of a surrogate pair, which is no text.
        """
        identity: list[object] = [self.model, self.mode or "text", self.input, self.max_output_tokens, None]
        if self.cache or self.client_transfer or self.session_id is not None:
            identity += [self.cache, self.client_transfer, self.session_id]
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
    runs_as: str | None = None
    """The mode that the provider is asked for, where it is another."""
    gives: Gives = "text"
    output_schema: dict[str, object] | None = None
    template: str | None = None
    """Which version of which template was rendered."""
    files: tuple[FileReference, ...] = ()
    """Where media objects go into it."""
    routes: tuple[Route, ...] = ()
    """The model asked for, then its fallbacks. Empty in what was stored before there were fallbacks."""
    session_id: UUID | None = None
    cache: bool = False
    client_transfer: bool = False

    @property
    def provider_mode(self) -> str:
        """The mode that the provider is asked for."""
        return self.runs_as or self.mode

    @property
    def file_ids(self) -> tuple[str, ...]:
        """The media objects that go into it, each once."""
        return tuple(dict.fromkeys(file.media_id for file in self.files))

    def as_input(self, definition: ModelDefinition) -> ModeInput:
        """Return what the caller wanted, as the modes know it."""
        return ModeInput(
            mode=self.mode,
            runs_as=self.provider_mode,
            gives=self.gives,
            messages=self.messages,
            options=self.options,
            files=self.files,
            output_schema=self.output_schema,
            template=self.template,
            parameters={**MODES[self.mode].parameters, **definition.parameters},
        )

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


def mode_of(request: GenerationRequest, definition: ModelDefinition) -> str:
    """Return the mode that is meant.

    Raises:
        InvalidInput: the model has no such mode.
    """
    mode = definition.modes[0] if request.mode is None else ALIASES.get(request.mode, request.mode)
    if mode not in definition.modes:
        raise InvalidInput(f"mode: {definition.name} can do {', '.join(definition.modes)}")
    return mode


def stored_request(request: GenerationRequest, given: ModeInput, *, model: str) -> StoredRequest:
    """Return what is kept of a request whose input was read."""
    return StoredRequest(
        model=model,
        mode=given.mode,
        messages=given.messages,
        options=given.options,
        max_output_tokens=request.max_output_tokens,
        runs_as=None if given.runs_as == given.mode else given.runs_as,
        gives=given.gives,
        output_schema=given.output_schema,
        template=given.template,
        files=given.files,
        session_id=request.session_id,
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
        mode=stored.provider_mode,
        options=stored.options,
        upstream_inputs=_upstream_inputs(stored, definition),
        files=files or {},
        output_schema=stored.output_schema,
        timeouts=definition.timeouts.over(MODES[stored.mode].usual_timeouts),
    )


def _upstream_inputs(stored: StoredRequest, definition: ModelDefinition) -> dict[str, object]:
    """Return the inputs by the names that the provider's model has for them; nothing where it has ours."""
    if not definition.input_names and not definition.fixed_inputs:
        return {}
    said = {**stored.options, **({"prompt": stored.messages[-1].content} if stored.messages else {})}
    return {
        **{definition.input_names.get(name, name): value for name, value in said.items()},
        **definition.fixed_inputs,
    }


def output_limit(asked_tokens: int | None, definition: ModelDefinition) -> int:
    """Return how many tokens the model may write: what was asked for, within the model's ceiling."""
    return min(asked_tokens or definition.default_output_tokens, definition.max_output_tokens)


def bound_usage(request: ProviderRequest, provider: Provider, definition: ModelDefinition, given: ModeInput) -> Usage:
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
    return msgspec.structs.replace(
        bound_units(given, request.files), input_tokens=input_tokens, output_tokens=request.max_output_tokens
    )


def _encode(value: object) -> bytes:
    try:
        return msgspec.json.encode(value, order="sorted")
    except UnicodeEncodeError:
        raise InvalidInput("half of a surrogate pair is not text") from None
