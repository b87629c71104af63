"""What every model provider looks like from our side.

A provider turns a `ProviderRequest` into a stream of chunks or one `ProviderError`. It knows nothing of credits, leases
or retries. The order of a stream that ends well is fixed:

    [JobStarted] → (Progress | TextDelta | JsonDelta | MediaResult)* → UsageReport(final=True) → Finished

Interim usage reports may come anywhere before the final one. A stream that ends in any other way raises. A refusal by
the provider's filters reports its final usage, where there is one, before `ContentRefused`, because the provider bills
for it.
"""

from collections.abc import AsyncGenerator, Mapping
from typing import Literal, Protocol

from msgspec import Struct

Role = Literal["system", "user", "assistant"]

FinishReason = Literal["stop", "length", "other"]
"""`stop`: the model was done. `length`: the token limit ended it. `other`: a reason we have no word for."""


MediaKind = Literal["image", "audio", "video"]


class Attachment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A picture or a recording that belongs to a message, by the id of the media object that holds it."""

    media_id: str


class Message(Struct, frozen=True, omit_defaults=True):
    """One turn of the conversation."""

    role: Role
    content: str
    attachments: tuple[Attachment, ...] = ()


class InputFile(Struct, frozen=True, kw_only=True):
    """A file that goes into a call: what an attachment, or a parameter such as `image`, refers to."""

    media_id: str
    kind: MediaKind
    media_type: str
    size_bytes: int
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None
    url: str | None = None
    """Where the provider can fetch it, for as long as the call may take; `None` where our store cannot be reached."""
    content: bytes | None = None
    """Its bytes, where there is no `url` to give. Both are `None` while a call is only being checked and bounded."""


class UpstreamJob(Struct, frozen=True, kw_only=True):
    """What a provider that works in the background runs for us: enough to find it again from another process."""

    id: str
    status_url: str = ""
    result_url: str = ""
    cancel_url: str = ""


class JobNews(Protocol):
    """What a call that waits for a job in the background hears meanwhile."""

    @property
    def is_wanted(self) -> bool:
        """False once nobody wants the result any more.

        A call that is stopped while its job is wanted leaves the job alone: another worker goes on waiting for it.
        """
        ...

    async def webhook(self) -> bytes:
        """Wait for the next webhook of this call and return its body, verified; empty if it was too large to keep."""
        ...


class Timeouts(Struct, frozen=True, kw_only=True):
    """How long each part of a call may take, in seconds. Each ends the call with `ProviderTimedOut`.

    Pings and keep-alive comments are not progress: a provider that only pings runs into `first_token_s` or `gap_s`.
    Time the consumer spends between chunks counts towards `total_s` alone.
    """

    connect_s: float = 5.0
    first_token_s: float = 120.0
    """From the start of the call to the first output; for a reasoning model this includes its thinking, for pictures
    and films all of the work."""
    gap_s: float = 60.0
    """Between two events of the provider, once text has begun."""
    total_s: float = 900.0


class ProviderRequest(Struct, frozen=True, kw_only=True):
    """One call to a provider: a single attempt at a generation."""

    generation_id: str
    request_id: str
    upstream_model: str
    """The name the provider knows the model by; ours is in the catalogue."""
    messages: tuple[Message, ...]
    max_output_tokens: int
    mode: str = "chat"
    options: dict[str, object] = {}
    """The parameters of the mode, checked against the model's schema: `stop_sequences` and `effort` for chat, `size`
    and `n` for pictures. `check` refuses what a provider does not know."""
    upstream_inputs: dict[str, object] = {}
    """What goes to a provider whose models all have inputs of their own: prompt, parameters and fixed inputs, by the
    names that the model knows. A media id in it stands for the file. Empty: `prompt` and the options by our names."""
    files: Mapping[str, InputFile] = {}
    """What the attachments and the file parameters refer to, by media id."""
    output_schema: dict[str, object] | None = None
    """In mode `structured`: the JSON Schema that the answer must satisfy."""
    webhook_url: str | None = None
    """Where a provider that works in the background may tell us that it is done; `None` where we cannot be reached."""
    resume: UpstreamJob | None = None
    """A job that an earlier call started: wait for it and start none. Without an id, one that it may have started under
    the same `webhook_url`: find out first."""
    news: JobNews | None = None
    """`None` where nobody listens; then only the provider itself is asked, and stopping the call cancels the job."""
    timeouts: Timeouts = Timeouts()


class Usage(Struct, frozen=True, kw_only=True):
    """What one call used, in one vocabulary for all providers. Every number is ≥ 0.

    `input_tokens` and `output_tokens` are totals; the other three kinds of tokens say what part of a total was of a
    special kind, so `cache_read_tokens + cache_write_tokens <= input_tokens` and `reasoning_tokens <= output_tokens`
    always hold. Media are measured by what came out: pictures, their pixels together, and how long it plays.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    images: int = 0
    pixels: int = 0
    """Of all pictures together."""
    duration_ms: int = 0
    """How long the audio or video plays."""
    characters: int = 0
    """Of the text that was spoken."""
    compute_ms: int = 0
    """How long the provider's machine worked, where it bills by that."""


class TextDelta(Struct, frozen=True):
    """Text that follows what was delivered before; never empty, never half of a surrogate pair."""

    text: str


class JsonDelta(Struct, frozen=True):
    """A piece of structured output, as the JSON text it is part of; never empty."""

    text: str


class Progress(Struct, frozen=True, kw_only=True):
    """How far work that has no partial output has come."""

    percent: int
    """0 to 100; never falls within one call."""
    message: str = ""


class MediaResult(Struct, frozen=True, kw_only=True):
    """A picture, recording or film that came out: either where to fetch it, or its bytes."""

    kind: MediaKind
    media_type: str
    url: str | None = None
    url_expires_in_s: float | None = None
    """How long the provider keeps it there."""
    content: bytes | None = None
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None


class JobStarted(Struct, frozen=True):
    """The provider has taken the work on under this id. It is written down before anything else is read."""

    job: UpstreamJob


class UsageReport(Struct, frozen=True, kw_only=True):
    """Usage so far. Reports are cumulative: each replaces the one before."""

    usage: Usage
    final: bool
    """The last report of the call; nothing but `Finished` or an error follows."""
    estimated: bool = False
    """The provider gave no usage and we counted."""
    cost_microdollars: int | None = None
    """What the provider itself says the call cost; `None` where it does not say, and our rates are used."""


class Finished(Struct, frozen=True, kw_only=True):
    """The provider said that it was done. Without this chunk a stream did not complete."""

    reason: FinishReason
    provider_reason: str
    """The provider's own word for it."""


Chunk = TextDelta | JsonDelta | Progress | MediaResult | JobStarted | UsageReport | Finished


class Provider(Protocol):
    """One company's API. Holds a connection pool; one per process, shared by all calls."""

    @property
    def name(self) -> str:
        """The name the catalogue uses: `echo`, `anthropic`, `openai`."""
        ...

    @property
    def description(self) -> str:
        """What it is, in a sentence for people."""
        ...

    @property
    def modes(self) -> frozenset[str]:
        """The modes it can run some model in."""
        ...

    def check(self, request: ProviderRequest) -> None:
        """Refuse what this provider could never run, before any credits are frozen. No I/O.

        Raises:
            RequestRejected: the messages, the token limit or an option are not ones it takes.
        """
        ...

    def count_input_tokens(self, request: ProviderRequest) -> int:
        """Return an upper bound of the input tokens that can be billed for this request, for the freeze. No I/O."""
        ...

    def estimate_usage(self, request: ProviderRequest, *, delivered: str, reported: Usage | None) -> Usage:
        """Return what to bill for a call that was cut before its final usage.

        `delivered` is the text that reached the customer, `reported` the last `UsageReport`, if any. Deterministic: the
        same arguments give the same answer in every process.
        """
        ...

    def stream(self, request: ProviderRequest) -> AsyncGenerator[Chunk]:
        """Run one call, without retries.

        Close it (`contextlib.aclosing`): that, or cancelling the task, ends the upstream call at once.

        Raises:
            ProviderError: the call did not complete; what was yielded before still stands.
        """
        ...

    async def aclose(self) -> None:
        """Close the connection pool. A second call does nothing."""
        ...
