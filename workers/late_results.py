"""Jobs that go on at a provider though nobody waits for them: cancelled, and told to finance if they cost us anything.

A generation that timed out was refunded, and stays refunded whatever its provider says an hour later. What the provider
bills for it is ours to pay, so it is written down once, as an entry for whoever reconciles the provider's bill.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, Self
from uuid import UUID

import msgspec
import structlog
from uuid_utils.compat import uuid7

from ledger.database import Database
from workers.context import GenerationContext
from workers.generations import sql
from workers.providers import ProviderError, ProviderNotConfigured, UpstreamJob
from workers.providers.background.provider import BackgroundProvider
from workers.providers.background.state import AskedFor, JobState
from workers.providers.errors import MalformedUsage
from workers.upstream_jobs import JobKey, public_url, webhook_url

BATCH: Final = 50
AT_ONCE: Final = 10
ASK_S: Final = 20.0
"""How long one job may take us in one round."""

GRACE_S: Final = 5.0
"""After the end of a generation whose worker was lost, before its job is looked into."""

ASK_AFTER_S: Final = 2.0
LONGEST_S: Final = 600.0
"""Between two questions; they begin `ASK_AFTER_S` apart and each pause is twice the one before."""

GIVE_UP_AFTER: Final = timedelta(hours=24)
NOT_FOUND_AFTER: Final = timedelta(minutes=10)
"""When a job that is in no list of its provider was certainly never started."""

MAX_DETAIL_CHARACTERS: Final = 500

EntryKind = Literal["late_success", "late_cost", "unknown"]

_log = structlog.stdlib.get_logger(__name__)


class LeftJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that no call waits for."""

    generation_id: UUID
    account_id: UUID
    attempt: int
    call: int
    model: str
    price_version: int
    provider: str
    upstream_model: str
    token: str
    upstream_id: str | None
    status_url: str
    result_url: str
    cancel_url: str
    asked: Any
    left_at: datetime

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> Self:
        """Read a row of `take_left_jobs.sql`."""
        return cls(**dict(zip(cls.__struct_fields__, row, strict=True)))

    @property
    def key(self) -> JobKey:
        """Where it is kept."""
        return JobKey(self.generation_id, self.account_id, self.attempt, self.call)

    def upstream_job(self, provider: BackgroundProvider) -> UpstreamJob | None:
        """Return how its provider knows it; `None` if we do not know that."""
        if self.upstream_id is None:
            return None
        if not self.status_url:
            return provider.job_of_id(self.upstream_model, self.upstream_id)
        return UpstreamJob(
            id=self.upstream_id, status_url=self.status_url, result_url=self.result_url, cancel_url=self.cancel_url
        )


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What finance has to know of one job that nobody waited for."""

    id: UUID
    found_at: datetime
    kind: EntryKind
    account_id: UUID
    generation_id: UUID
    attempt: int
    call: int
    model: str
    provider: str
    upstream_id: str
    cost_microdollars: int | None
    detail: str


class JobFollower:
    """The clock's task that follows jobs which nobody waits for.

    Two of them at once, or one beside a webhook, do no harm: a job is closed once, and its entry is made with that.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._public_url = public_url(environment)

    async def run(self, context: GenerationContext) -> int:
        """Ask for those that are due, cancel what still runs, close what is over; return how many were asked for."""
        parameters = {
            "limit": BATCH,
            "grace": f"{GRACE_S} s",
            "ask_after": f"{ASK_AFTER_S} s",
            "longest": f"{LONGEST_S} s",
        }
        async with context.database.connection() as connection:
            rows = await (await connection.execute(sql.TAKE_LEFT_JOBS, parameters)).fetchall()
        at_once = asyncio.Semaphore(AT_ONCE)

        async def follow(job: LeftJob) -> None:
            async with at_once:
                await self._follow(context, job)

        await asyncio.gather(*(follow(LeftJob.of_row(row)) for row in rows))
        return len(rows)

    async def _follow(self, context: GenerationContext, job: LeftJob) -> None:
        age = datetime.now(UTC) - job.left_at
        try:
            provider = context.providers.get(job.provider)
            assert isinstance(provider, BackgroundProvider), "only these have jobs"
            async with asyncio.timeout(ASK_S):
                await self._look_into(context, job, provider, age=age)
        except (ProviderError, ProviderNotConfigured, TimeoutError) as error:
            _log.info("left_job_unanswered", generation_id=str(job.generation_id), error=repr(error))
            if age > GIVE_UP_AFTER:
                await _close(context, job, "unanswered", kind="unknown", detail=str(error))

    async def _look_into(
        self, context: GenerationContext, job: LeftJob, provider: BackgroundProvider, *, age: timedelta
    ) -> None:
        upstream = job.upstream_job(provider) or await self._found(job, provider)
        if upstream is None:
            # In a list it would be by now. Without one its webhook would tell of it, and reopen it even after this.
            if age > (NOT_FOUND_AFTER if provider.can_find else GIVE_UP_AFTER):
                await _close(context, job, "never_started", kind=None)
            return
        state = await provider.state(upstream, msgspec.convert(job.asked, AskedFor))
        if state.is_over:
            await _record(context, job, upstream, state)
        elif age > GIVE_UP_AFTER:
            await _close(context, job, "endless", kind="unknown", detail="it still runs", upstream_id=upstream.id)
        else:
            await provider.cancel(upstream)

    async def _found(self, job: LeftJob, provider: BackgroundProvider) -> UpstreamJob | None:
        if not provider.can_find or self._public_url is None:
            return None
        return await provider.find(webhook_url(self._public_url, job.provider, job.token))


async def list_entries(database: Database, *, account_id: UUID | None, before: UUID | None, limit: int) -> list[Entry]:
    """Return entries, newest first."""
    parameters = {"account_id": account_id, "before": before, "limit": limit}
    async with database.connection() as connection:
        rows = await (await connection.execute(sql.LIST_RECONCILIATION, parameters)).fetchall()
    return [Entry(**dict(zip(Entry.__struct_fields__, row, strict=True))) for row in rows]


async def _record(context: GenerationContext, job: LeftJob, upstream: UpstreamJob, state: JobState) -> None:
    """Close a job that is over, with our cost by the rates at admission."""
    cost: int | None = None
    if state.usage is not None:
        _, costs = await context.catalogue.price(job.model, job.price_version)
        cost = costs.cost(state.usage)
    detail = state.reason if state.error is None else f"{state.reason}: {state.error.provider_message}"
    kind = _kind(state.error, cost)
    await _close(context, job, state.reason, kind=kind, detail=detail, upstream_id=upstream.id, cost=cost)


def _kind(error: ProviderError | None, cost: int | None) -> EntryKind | None:
    """Return what finance has to know, if anything: a job that failed at no cost is of no interest."""
    if error is None:
        return "late_success"
    if cost:
        return "late_cost"
    return "unknown" if isinstance(error, MalformedUsage) else None


async def _close(
    context: GenerationContext,
    job: LeftJob,
    outcome: str,
    *,
    kind: EntryKind | None,
    detail: str = "",
    upstream_id: str | None = None,
    cost: int | None = None,
) -> None:
    parameters = {
        **job.key.parameters(),
        "id": uuid7(),
        "outcome": outcome,
        "kind": kind,
        "upstream_id": upstream_id or job.upstream_id or "",
        "cost_microdollars": cost,
        "detail": detail[:MAX_DETAIL_CHARACTERS].replace("\0", "\ufffd"),
    }
    async with context.database.connection() as connection:
        row = await (await connection.execute(sql.CLOSE_LEFT_JOB, parameters)).fetchone()
    if row is not None:
        _log.warning(
            "reconciliation_entry_made",
            kind=kind,
            generation_id=str(job.generation_id),
            provider=job.provider,
            upstream_id=upstream_id,
            cost_microdollars=cost,
        )
