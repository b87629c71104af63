"""What every model provider looks like from our side.

A provider turns a `ProviderRequest` into a stream of chunks or one `ProviderError`. It knows nothing of credits, leases
or retries. The order of a stream that ends well is fixed:

    [UsageReport(final=False)] → TextDelta* → UsageReport(final=True) → Finished

Interim usage reports may come anywhere before the final one. A stream that ends in any other way raises. A refusal by
the provider's filters reports its final usage, where there is one, before `ContentRefused`, because the provider bills
for it.
"""

from collections.abc import AsyncGenerator
from typing import Literal, Protocol

from msgspec import Struct

Role = Literal["system", "user", "assistant"]

FinishReason = Literal["stop", "length", "other"]
"""`stop`: the model was done. `length`: the token limit ended it. `other`: a reason we have no word for."""


class Message(Struct, frozen=True):
    """One turn of the conversation."""

    role: Role
    content: str


class Timeouts(Struct, frozen=True, kw_only=True):
    """How long each part of a call may take, in seconds. Each ends the call with `ProviderTimedOut`.

    Pings and keep-alive comments are not progress: a provider that only pings runs into `first_token_s` or `gap_s`.
    Time the consumer spends between chunks counts towards `total_s` alone.
    """

    connect_s: float = 5.0
    first_token_s: float = 120.0
    """From the start of the call to the first text; for a reasoning model this includes its thinking."""
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
    options: dict[str, object] = {}
    """`stop_sequences` and `effort` for models, `delay_ms` for echo. `check` refuses what a provider does not know."""
    timeouts: Timeouts = Timeouts()


class Usage(Struct, frozen=True, kw_only=True):
    """Tokens of one call, in one vocabulary for all providers. Every number is ≥ 0.

    `input_tokens` and `output_tokens` are totals; the other three say what part of a total was of a special kind, so
    `cache_read_tokens + cache_write_tokens <= input_tokens` and `reasoning_tokens <= output_tokens` always hold.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


class TextDelta(Struct, frozen=True):
    """Text that follows what was delivered before; never empty, never half of a surrogate pair."""

    text: str


class UsageReport(Struct, frozen=True, kw_only=True):
    """Usage so far. Reports are cumulative: each replaces the one before."""

    usage: Usage
    final: bool
    """The last report of the call; nothing but `Finished` or an error follows."""
    estimated: bool = False
    """The provider gave no usage and we counted."""


class Finished(Struct, frozen=True, kw_only=True):
    """The provider said that it was done. Without this chunk a stream did not complete."""

    reason: FinishReason
    provider_reason: str
    """The provider's own word for it."""


Chunk = TextDelta | UsageReport | Finished


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
