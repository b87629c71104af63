"""Building requests to providers, and running them to the end."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from msgspec import Struct

from workers.providers import (
    Chunk,
    Finished,
    InputFile,
    JsonDelta,
    Message,
    Provider,
    ProviderError,
    ProviderRequest,
    TextDelta,
    Timeouts,
    Usage,
    UsageReport,
)


def a_request(
    prompt: str = "Say hello",
    *,
    messages: tuple[Message, ...] | None = None,
    max_output_tokens: int = 1000,
    options: dict[str, object] | None = None,
    timeouts: Timeouts | None = None,
    request_id: str = "request-1",
    mode: str = "chat",
    output_schema: dict[str, object] | None = None,
    files: dict[str, InputFile] | None = None,
    upstream_model: str = "fake-model",
) -> ProviderRequest:
    """A request of one user message, unless told otherwise. It gives up after some seconds, so that no test hangs."""
    return ProviderRequest(
        generation_id="0199aa00-0000-7000-8000-000000000001",
        request_id=request_id,
        upstream_model=upstream_model,
        messages=messages or (Message("user", prompt),),
        max_output_tokens=max_output_tokens,
        mode=mode,
        options=options or {},
        output_schema=output_schema,
        files=files or {},
        timeouts=timeouts or Timeouts(connect_s=5, first_token_s=10, gap_s=10, total_s=20),
    )


class Outcome(Struct, frozen=True):
    """All that one call gave."""

    chunks: tuple[Chunk, ...]
    error: ProviderError | None = None

    @property
    def text(self) -> str:
        """What the customer read."""
        return "".join(chunk.text for chunk in self.chunks if isinstance(chunk, TextDelta))

    @property
    def json(self) -> str:
        """The structured answer."""
        return "".join(chunk.text for chunk in self.chunks if isinstance(chunk, JsonDelta))

    @property
    def failure(self) -> ProviderError:
        """The error; for a call that is to have failed."""
        assert self.error is not None, f"the call did not fail: {self.chunks}"
        return self.error

    @property
    def reports(self) -> list[UsageReport]:
        """The usage reports, in order."""
        return [chunk for chunk in self.chunks if isinstance(chunk, UsageReport)]

    @property
    def final(self) -> UsageReport:
        """The final usage report; there is exactly one."""
        (report,) = (report for report in self.reports if report.final)
        return report

    @property
    def usage(self) -> Usage:
        """The final usage."""
        return self.final.usage

    @property
    def finished(self) -> Finished | None:
        """The last chunk of a call that completed."""
        return next((chunk for chunk in self.chunks if isinstance(chunk, Finished)), None)


async def outcome_of(provider: Provider, request: ProviderRequest) -> Outcome:
    """Run a call to its end, whatever the end is."""
    chunks: list[Chunk] = []
    try:
        async with aclosing(provider.stream(request)) as stream:
            async for chunk in stream:
                chunks.append(chunk)  # noqa: PERF401 - what came before an error counts too
    except ProviderError as error:
        return Outcome(tuple(chunks), error)
    return Outcome(tuple(chunks))


async def until_text(stream: AsyncGenerator[Chunk]) -> list[Chunk]:
    """The chunks of a call that goes on, up to its first text."""
    chunks: list[Chunk] = []
    while not chunks or not isinstance(chunks[-1], TextDelta):
        chunks.append(await anext(stream))
    return chunks
