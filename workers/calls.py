"""Calling one route for one attempt.

What it says is streamed, it stops when told to, and it is tried again only while nobody has seen anything of it.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

import msgspec
import psycopg
import structlog
from psycopg_pool import PoolTimeout

from ledger.database import Database
from workers.call_records import Call, record_calls
from workers.leases import Lease
from workers.pricing import Prices
from workers.providers import (
    Finished,
    JobStarted,
    Progress,
    Provider,
    ProviderError,
    ProviderRequest,
    Timeouts,
    Usage,
    UsageReport,
)
from workers.providers.background.provider import BackgroundProvider
from workers.providers.errors import MalformedResponse, TimedOut
from workers.results import AttemptResults
from workers.upstream_jobs import JobHandle, UpstreamJobs

CALLS_LIMIT: Final = 3
BACKOFF_S: Final = 0.25
"""Before the second call; doubles with each further one, and half of it is left to chance."""

LONGEST_PAUSE_S: Final = 15.0
"""A provider that asks for more patience than this has failed: no customer waits so long for a first word."""

LEAST_TIME_S: Final = 1.0
KEEPING_TIMEOUT_S: Final = 60.0
"""How long a cancelled call still keeps what was delivered before."""


_AWAY = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, OSError)

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
    provider_us: int = 0
    """In all calls together."""
    records: list[Call] = msgspec.field(default_factory=list[Call])


class RouteCall(msgspec.Struct, frozen=True, kw_only=True):
    """One way to serve the generation, ready to be called."""

    model: str
    provider: Provider
    request: ProviderRequest
    price_version: int
    costs: Prices
    jobs: UpstreamJobs
    database: Database
    learn: Callable[[CallResult], None]
    """Told of every call when it is over."""


class ProviderCalls:
    """The calls one attempt makes by one route. What the attempt has come to so far goes on in `result`."""

    def __init__(self, route: RouteCall, results: AttemptResults, result: CallResult) -> None:
        self._route = route
        self._results = results
        self._result = result
        self._reported: UsageReport | None = None

    async def run(self, lease: Lease, *, ends_s: float) -> None:
        """Call until it completes, fails for good, the time is over or the lease is stopped.

        A failed call is tried again only while nothing has come and the provider says that it may help. A request
        that the provider may have taken on all the same is not repeated.

        Raises:
            StreamFenced: a later attempt writes the stream.
        """
        ends_s = min(ends_s, time.monotonic() + self._route.request.timeouts.total_s)
        for number in range(1, CALLS_LIMIT + 1):
            await self._call(lease, ends_s - time.monotonic())
            if not may_repeat(self._result, self._results):
                return
            pause_s = _pause_s(self._result.error, number)
            if number == CALLS_LIMIT or pause_s is None or time.monotonic() + pause_s + LEAST_TIME_S > ends_s:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await lease.stopped.wait()
                    # Nothing runs and nothing was delivered: what the failed call used is ours to pay.
                    self._result.outcome, self._result.error, self._result.usage = "stopped", None, None
                    return

    async def _call(self, lease: Lease, remaining_s: float) -> None:
        """Make one call and record it."""
        began_us, began_s = _now_us(), time.perf_counter()
        self._reported = None
        timeouts: Timeouts = msgspec.structs.replace(self._route.request.timeouts, total_s=remaining_s)
        request = msgspec.structs.replace(self._route.request, timeouts=timeouts)
        job = await self._open_job(lease, request)
        reading = asyncio.create_task(self._read(request if job is None else job.request, job))
        stopped = asyncio.create_task(lease.stopped.wait())
        try:
            await asyncio.wait({reading, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            reading.cancel()
            await asyncio.wait({reading})
        is_whole = lease.stop_reason != "cancelled" or await self._results.kept_whole(KEEPING_TIMEOUT_S)
        self._judge(reading)
        self._result.usage = self._measured(self._result.usage, is_whole=is_whole)
        self._result.provider_us += round((time.perf_counter() - began_s) * 1e6)
        self._record(lease, began_us)
        self._route.learn(self._result)
        if self._result.outcome == "failed":
            await self._write_down(lease)
        if job is not None:
            await job.ended(self._result.outcome, self._result.error)

    async def _open_job(self, lease: Lease, request: ProviderRequest) -> JobHandle | None:
        """Write down that a provider is about to work for us in the background; `None` for one that does not."""
        route = self._route
        if not isinstance(route.provider, BackgroundProvider):
            return None
        number = len(self._result.records) + 1
        return await route.jobs.open(
            lease, number, route.provider, request, model=route.model, price_version=route.price_version
        )

    async def _read(self, request: ProviderRequest, job: JobHandle | None) -> str:
        """Pass on what one call says; return why it finished."""
        async with contextlib.aclosing(self._route.provider.stream(request)) as chunks:
            async for chunk in chunks:
                match chunk:
                    case UsageReport():
                        self._reported = chunk
                    case Finished():
                        await self._results.kept()
                        return chunk.reason
                    case JobStarted():
                        assert job is not None, "only who works in the background starts jobs"
                        await job.started(chunk.job)
                    case _:
                        if self._result.first_token_at_us is None and not isinstance(chunk, Progress):
                            self._result.first_token_at_us = _now_us()
                        self._results.take(chunk)
        raise MalformedResponse(provider=self._results.provider, provider_message="the stream ended without a word")

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
        reported = self._reported
        if reported is not None and reported.final:
            self._result.usage_estimated = reported.estimated
            return reported.usage
        delivered = self._results.text
        if not delivered and reported is None:
            return None
        self._result.usage_estimated = True
        return self._route.provider.estimate_usage(
            self._route.request, delivered=delivered, reported=None if reported is None else reported.usage
        )

    def _measured(self, usage: Usage | None, *, is_whole: bool) -> Usage | None:
        """Return what was used as far as media go: measured where nobody said how long they play, and kept."""
        if usage is None:
            return None
        if not is_whole:
            # Something was delivered and could not be kept. Nobody pays for what they do not get.
            return msgspec.structs.replace(usage, images=0, pixels=0, duration_ms=0)
        if usage.duration_ms == 0 and self._results.kept_duration_ms:
            return msgspec.structs.replace(usage, duration_ms=self._results.kept_duration_ms)
        return usage

    def _record(self, lease: Lease, began_us: int) -> None:
        result, usage, error = self._result, self._result.usage, self._result.error
        number = len(result.records) + 1
        if error is not None:
            _log.warning(
                "provider_call_failed",
                model=self._route.model,
                provider=self._route.provider.name,
                call=number,
                code=error.code,
                status=error.status,
                upstream_request_id=error.upstream_request_id,
                provider_message=error.provider_message,
            )
        result.records.append(
            Call(
                attempt=lease.claim.attempt,
                call=number,
                model=self._route.model,
                provider=self._route.provider.name,
                outcome=error.code if error is not None else result.outcome,
                started_at_us=began_us,
                ended_at_us=_now_us(),
                usage=usage,
                cost_microdollars=self._cost(usage),
                status_code=None if error is None else error.status,
                provider_message=None if error is None else error.provider_message,
                upstream_request_id=None if error is None else error.upstream_request_id,
            )
        )

    async def _write_down(self, lease: Lease) -> None:
        """Write down a call that failed before another is made: a worker may be lost at any moment."""
        claim = lease.claim
        try:
            await record_calls(
                self._route.database,
                self._result.records[-1:],
                generation_id=claim.generation_id,
                account_id=claim.account_id,
            )
        except _AWAY as away:
            _log.info("call_written_down_later", error=repr(away))

    def _cost(self, usage: Usage | None) -> int | None:
        if self._reported is not None and self._reported.cost_microdollars is not None:
            return self._reported.cost_microdollars
        return None if usage is None else self._route.costs.cost(usage)


def may_repeat(result: CallResult, results: AttemptResults) -> bool:
    """Whether the same call could be made again without doing anything twice."""
    error = result.error
    return (
        result.outcome == "failed"
        and error is not None
        and error.retryable
        and not error.ambiguous
        and not results.has_output
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
