"""Calling a provider for one attempt.

What it says is streamed, it stops when told to, and it is tried again only while nobody has seen a word of it.
"""

import asyncio
import contextlib
import random
import time
from typing import Final, Literal, TypeAlias

import msgspec
import structlog

from workers.call_records import Call
from workers.leases import Lease
from workers.pricing import Prices
from workers.providers import Finished, Provider, ProviderError, ProviderRequest, TextDelta, Usage, UsageReport
from workers.providers.errors import MalformedResponse, TimedOut
from workers.streams.generation_stream import GenerationStream

CALLS_LIMIT: Final = 3
BACKOFF_S: Final = 0.25
"""Before the second call; doubles with each further one, and half of it is left to chance."""

LONGEST_PAUSE_S: Final = 15.0
"""A provider that asks for more patience than this has failed: no customer waits so long for a first word."""

MAX_OUTPUT_CHARACTERS: Final = 16_000_000
LEAST_TIME_S: Final = 1.0

Outcome: TypeAlias = Literal["completed", "stopped", "failed"]

_log = structlog.stdlib.get_logger(__name__)


class CallResult(msgspec.Struct, kw_only=True):
    """What came of the calls of one attempt."""

    outcome: Outcome = "stopped"
    usage: Usage | None = None
    usage_estimated: bool = False
    finish_reason: str | None = None
    error: ProviderError | None = None
    first_token_at_us: int | None = None
    records: list[Call] = msgspec.field(default_factory=list[Call])


class ProviderCalls:
    """The calls one attempt makes to its provider."""

    def __init__(
        self, provider: Provider, request: ProviderRequest, *, stream: GenerationStream, costs: Prices
    ) -> None:
        self._provider = provider
        self._request = request
        self._stream = stream
        self._costs = costs
        self._result = CallResult()
        self._reported: Usage | None = None
        self._reported_final = False

    async def run(self, lease: Lease) -> CallResult:
        """Call until it completes, fails for good or the lease is stopped.

        A failed call is tried again only while no text has come and the provider says that it may help. The time-outs
        of all calls together are those of one.

        Raises:
            StreamFenced: a later attempt writes the stream.
        """
        ends_s = time.monotonic() + self._request.timeouts.total_s
        for number in range(1, CALLS_LIMIT + 1):
            remaining_s = ends_s - time.monotonic()
            if not await self._call(lease, number, remaining_s):
                return self._result
            pause_s = _pause_s(self._result.error, number)
            if number == CALLS_LIMIT or pause_s is None or time.monotonic() + pause_s + LEAST_TIME_S > ends_s:
                return self._result
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await lease.stopped.wait()
                    self._result.outcome = "stopped"
                    return self._result
        return self._result

    async def _call(self, lease: Lease, number: int, remaining_s: float) -> bool:
        """Make one call and record it; true if another may be worth it."""
        began_us = _now_us()
        self._reported, self._reported_final = None, False
        timeouts = msgspec.structs.replace(self._request.timeouts, total_s=remaining_s)
        reading = asyncio.create_task(self._read(msgspec.structs.replace(self._request, timeouts=timeouts)))
        stopped = asyncio.create_task(lease.stopped.wait())
        try:
            await asyncio.wait({reading, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            reading.cancel()
            await asyncio.wait({reading})
        self._judge(reading)
        self._record(lease, number, began_us)
        error = self._result.error
        return self._result.outcome == "failed" and error is not None and error.retryable and not self._has_text

    @property
    def _has_text(self) -> bool:
        return self._result.first_token_at_us is not None

    async def _read(self, request: ProviderRequest) -> str:
        """Pass on what one call says; return why it finished."""
        characters = 0
        async with contextlib.aclosing(self._provider.stream(request)) as chunks:
            async for chunk in chunks:
                if isinstance(chunk, TextDelta):
                    if self._result.first_token_at_us is None:
                        self._result.first_token_at_us = _now_us()
                    characters += len(chunk.text)
                    if characters > MAX_OUTPUT_CHARACTERS:
                        raise MalformedResponse(provider=self._provider.name, provider_message="the output has no end")
                    self._stream.text(chunk.text)
                elif isinstance(chunk, UsageReport):
                    self._reported = chunk.usage
                    self._reported_final = chunk.final
                    self._result.usage_estimated = chunk.estimated
                elif isinstance(chunk, Finished):
                    return chunk.reason
        raise MalformedResponse(provider=self._provider.name, provider_message="the stream ended without a word")

    def _judge(self, reading: "asyncio.Task[str]") -> None:
        result = self._result
        result.error = None
        if reading.cancelled():
            result.outcome = "stopped"
        elif (error := reading.exception()) is None:
            result.outcome, result.finish_reason = "completed", reading.result()
        elif isinstance(error, ProviderError):
            result.outcome, result.error = "failed", error
        else:
            raise error
        result.usage = self._usage()

    def _usage(self) -> Usage | None:
        """Return what the call used: as reported, else counted from what was delivered."""
        if self._reported_final:
            return self._reported
        delivered = self._stream.output_text
        if not delivered and self._reported is None:
            return None
        self._result.usage_estimated = True
        return self._provider.estimate_usage(self._request, delivered=delivered, reported=self._reported)

    def _record(self, lease: Lease, number: int, began_us: int) -> None:
        result, usage = self._result, self._result.usage
        if result.error is not None:
            _log.warning(
                "provider_call_failed",
                provider=self._provider.name,
                call=number,
                code=result.error.code,
                status=result.error.status,
                upstream_request_id=result.error.upstream_request_id,
                provider_message=result.error.provider_message,
            )
        result.records.append(
            Call(
                attempt=lease.claim.attempt,
                call=number,
                provider=self._provider.name,
                outcome=result.error.code if result.error is not None else result.outcome,
                started_at_us=began_us,
                ended_at_us=_now_us(),
                usage=usage,
                cost_microdollars=None if usage is None else self._costs.cost(usage),
            )
        )


def timed_out_before_start(provider: str) -> TimedOut:
    """Return the error of a generation whose time was over before a call could be made."""
    return TimedOut(provider=provider, provider_message="no time was left when a worker took it up")


def _pause_s(error: ProviderError | None, number: int) -> float | None:
    """Return how long to wait before the next call; `None` if the provider asks for too much."""
    asked_s = None if error is None else error.retry_after_s
    if asked_s is not None and asked_s > LONGEST_PAUSE_S:
        return None
    backoff_s = BACKOFF_S * 2 ** (number - 1) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
    return max(asked_s or 0.0, backoff_s)


def _now_us() -> int:
    return time.time_ns() // 1_000
