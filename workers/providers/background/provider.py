"""Providers that work in the background: they take a job on, give it an id, and are asked for it until it is over.

A job is paid work that outlives every connection and every process of ours, so four rules hold for all of them:

- The id is yielded (`JobStarted`) before anything else; with it any process can go on.
- A create whose answer was lost is never repeated. The job is looked up by its webhook URL, which only this call has;
  where the provider has no list, its webhook is waited for, which tells the id. Else the call fails, `ambiguous`.
- A webhook only makes us ask sooner. What a job is, the provider is asked for, so that webhooks may come twice, in any
  order, or never.
- A call that is stopped cancels its job, unless another worker is to go on with it.
"""

import asyncio
import contextlib
import random
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterator
from typing import Final

import structlog
from msgspec import Struct

from workers.providers.background.state import MEDIA_MODES, AskedFor, JobState, asked_for
from workers.providers.deadlines import Deadlines
from workers.providers.errors import ProviderError, RequestRejected, TimedOut, Unavailable
from workers.providers.interface import (
    Chunk,
    Finished,
    JobStarted,
    Progress,
    ProviderRequest,
    UpstreamJob,
    Usage,
    UsageReport,
)

CANCEL_S: Final = 2.0
"""How long a call that is stopped may take to cancel its job."""

FAILED_ASKS_LIMIT: Final = 8
"""So many questions in a row without an answer, and the job is given up: about a minute."""

LOOK_UP_PAUSES_S: Final = (0.25, 1.0, 3.0)
"""Before each look for a job whose create was lost: it may not be in the list at once."""

_log = structlog.stdlib.get_logger(__name__)


class Pace(Struct, frozen=True, kw_only=True):
    """How often a provider is asked, in seconds. Half of each pause is left to chance."""

    first_s: float = 0.75
    factor: float = 1.4
    longest_s: float = 5.0
    longest_with_webhook_s: float = 15.0
    webhook_patience_s: float = 60.0
    """How long to wait for the webhook of a job whose create was lost, where nothing else tells its id."""
    look_up_s: tuple[float, ...] = LOOK_UP_PAUSES_S


class BackgroundProvider(ABC):
    """What all of them have in common: everything of `Provider` but the wire format."""

    name: str
    description: str
    modes: frozenset[str] = MEDIA_MODES
    can_find: bool = False
    """Whether `find` works: the provider lists what it runs for us, with the webhook URL of each."""

    def __init__(self, pace: Pace | None = None) -> None:
        self._pace = pace or Pace()
        self._farewells: set[asyncio.Task[None]] = set()

    @abstractmethod
    async def create(self, request: ProviderRequest) -> UpstreamJob:
        """Have the job started.

        Raises:
            ProviderError: it was not; or, if `ambiguous`, nobody knows.
        """

    @abstractmethod
    async def find(self, webhook_url: str) -> UpstreamJob | None:
        """Look for the job with this webhook URL among the latest ones; `None` if it is not there.

        Raises:
            ProviderError: the provider has no such list, or did not give it.
        """

    @abstractmethod
    async def state(self, job: UpstreamJob, asked: AskedFor) -> JobState:
        """Ask how the job is doing.

        Raises:
            ProviderError: there was no answer. An error of the job itself is in the state.
        """

    @abstractmethod
    async def cancel(self, job: UpstreamJob) -> None:
        """Ask to stop the job. One that is over already is no error.

        Raises:
            ProviderError: there was no answer.
        """

    @abstractmethod
    def id_of_webhook(self, body: bytes) -> str | None:
        """Return the id of the job that a verified webhook is about; `None` if the body does not say."""

    @abstractmethod
    def job_of_id(self, upstream_model: str, upstream_id: str) -> UpstreamJob:
        """Return a job of which only the id is known."""

    @abstractmethod
    async def aclose(self) -> None:
        """See `Provider.aclose`. Subclasses call this one first: it lets cancellations under way finish."""
        if self._farewells:
            await asyncio.wait(self._farewells, timeout=CANCEL_S)

    def check(self, request: ProviderRequest) -> None:
        """See `Provider.check`. The inputs are the model's own; its entry in the catalogue has their schema."""
        if request.mode not in self.modes:
            raise RequestRejected(provider=self.name, provider_message=f"mode {request.mode} is not one of its modes")
        if not request.messages and not request.options and not request.upstream_inputs:
            raise RequestRejected(provider=self.name, provider_message="there is no input")

    def count_input_tokens(self, request: ProviderRequest) -> int:
        """None: these providers do not bill by tokens."""
        del request
        return 0

    def estimate_usage(self, request: ProviderRequest, *, delivered: str, reported: Usage | None) -> Usage:
        """What was reported, else nothing: a job that was cut short delivered nothing."""
        del request, delivered
        return reported or Usage()

    async def stream(self, request: ProviderRequest) -> AsyncGenerator[Chunk]:
        """See `Provider.stream`."""
        self.check(request)
        deadlines = Deadlines(request.timeouts, provider=self.name)
        job: UpstreamJob | None = None
        try:
            job = await self._obtain(request, deadlines)
            yield JobStarted(job)
            asked, percent, message = asked_for(request), 0, ""
            pauses = self._pauses(has_webhook=request.webhook_url is not None)
            while not (state := await self._ask(job, asked, request, deadlines, pauses)).is_over:
                if (state.percent or 0) > percent or state.message != message:
                    percent, message = max(percent, state.percent or 0), state.message
                    yield Progress(percent=percent, message=message)
        except ProviderError as error:
            # Whatever the provider does from now on, nobody waits for it.
            error.ambiguous = error.ambiguous or isinstance(error, TimedOut)
            if job is not None:
                await self._farewell(job)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            if job is not None and (request.news is None or not request.news.is_wanted):
                await self._farewell(job)
            raise
        for chunk in _ending(state):
            yield chunk

    async def _obtain(self, request: ProviderRequest, deadlines: Deadlines) -> UpstreamJob:
        """Have the job started, or find the one that was.

        Raises:
            ProviderError: there is none; or, if `ambiguous`, nobody knows.
        """
        if request.resume is not None and request.resume.id:
            return request.resume
        if request.resume is None:
            try:
                return await deadlines.wait(self.create(request))
            except ProviderError as error:
                if not error.ambiguous:
                    raise
                lost = error
            _log.warning("create_was_lost", provider=self.name, provider_message=lost.provider_message)
        else:
            words = "an earlier worker may have started this job, and was lost before it knew"
            lost = Unavailable(provider=self.name, provider_message=words, ambiguous=True)
        if self.can_find and request.webhook_url is not None:
            found = await self._look_up(request.webhook_url, lost, deadlines)
            if found is not None:
                return found
            if request.resume is not None:
                return await deadlines.wait(self.create(request))
            raise Unavailable(provider=self.name, provider_message=f"not taken on: {lost.provider_message}") from lost
        return await self._told_by_webhook(request, lost, deadlines)

    async def _look_up(self, webhook_url: str, lost: ProviderError, deadlines: Deadlines) -> UpstreamJob | None:
        for pause_s in self._pace.look_up_s:
            await deadlines.wait(asyncio.sleep(pause_s))
            try:
                found = await deadlines.wait(self.find(webhook_url))
            except TimedOut:
                raise
            except ProviderError as error:
                raise lost from error
            if found is not None:
                return found
        return None

    async def _told_by_webhook(
        self, request: ProviderRequest, lost: ProviderError, deadlines: Deadlines
    ) -> UpstreamJob:
        if request.news is None or request.webhook_url is None:
            raise lost
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._pace.webhook_patience_s):
                while True:
                    body = await deadlines.wait(request.news.webhook())
                    if (upstream_id := self.id_of_webhook(body)) is not None:
                        return self.job_of_id(request.upstream_model, upstream_id)
        raise lost

    async def _ask(
        self,
        job: UpstreamJob,
        asked: AskedFor,
        request: ProviderRequest,
        deadlines: Deadlines,
        pauses: Iterator[float],
    ) -> JobState:
        """Pause, ask, and ask again while there is no answer.

        Raises:
            ProviderError: `TimedOut`, or there was no answer too often; the job may go on all the same.
        """
        failures = 0
        at_least_s = 0.0
        while True:
            await deadlines.wait(_pause(request, max(next(pauses), at_least_s)))
            answer = await deadlines.wait(self._state_or_error(job, asked))
            if isinstance(answer, JobState):
                return answer
            failures += 1
            at_least_s = answer.retry_after_s or 0.0
            _log.info("job_state_unknown", provider=self.name, upstream_id=job.id, error=str(answer))
            if failures >= FAILED_ASKS_LIMIT:
                answer.ambiguous = True
                raise answer

    async def _state_or_error(self, job: UpstreamJob, asked: AskedFor) -> JobState | ProviderError:
        try:
            return await self.state(job, asked)
        except ProviderError as error:
            return error

    def _pauses(self, *, has_webhook: bool) -> Iterator[float]:
        pace = self._pace
        longest_s = pace.longest_with_webhook_s if has_webhook else pace.longest_s
        pause_s = pace.first_s
        while True:
            yield pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
            pause_s = min(pause_s * pace.factor, longest_s)

    async def _farewell(self, job: UpstreamJob) -> None:
        """Cancel the job, as far as that is possible in the time; a second stop does not interrupt it."""
        task = asyncio.create_task(self._cancel_quietly(job), name=f"cancel {self.name} job")
        self._farewells.add(task)
        task.add_done_callback(self._farewells.discard)
        await asyncio.wait({task}, timeout=CANCEL_S)

    async def _cancel_quietly(self, job: UpstreamJob) -> None:
        try:
            async with asyncio.timeout(CANCEL_S):
                await self.cancel(job)
        except (ProviderError, TimeoutError) as error:
            _log.warning("job_not_cancelled", provider=self.name, upstream_id=job.id, error=repr(error))


async def _pause(request: ProviderRequest, pause_s: float) -> None:
    """Wait until it is time to ask again: the pause is over, or a webhook came."""
    if request.news is None:
        await asyncio.sleep(pause_s)
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(pause_s):
            await request.news.webhook()


def _ending(state: JobState) -> Iterator[Chunk]:
    if state.error is None:
        yield from state.results
    if state.usage is not None:
        yield UsageReport(usage=state.usage, final=True, estimated=state.usage_estimated)
    if state.error is not None:
        raise state.error
    yield Finished(reason="stop", provider_reason=state.reason)
