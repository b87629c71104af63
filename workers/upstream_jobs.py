"""Jobs that providers run for us in the background, written down before they are started.

Whoever calls a provider plugs it in so:

    jobs = await stack.enter_async_context(UpstreamJobs(database, settings.redis_url, settings.environment))
    ...
    handle = await jobs.open(lease, number, provider, request, model=model.name, price_version=model.price_version)
    # instead of `request`, `provider.stream(handle.request)` is read; its first chunk is `JobStarted`:
    await handle.started(chunk.job)
    # when the call is over, however it ended, and before the generation is settled:
    await handle.ended("completed" | "stopped" | "failed", error)

for every provider that is a `BackgroundProvider`. `handle.request` has the webhook URL of this call, hears its
webhooks, and goes on with the job that a lost worker had started, or may have started. An error that is `ambiguous`
must not be tried again.

A job that nobody waits for any more is not forgotten: see `late_results.py`.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Literal, Self
from uuid import UUID
from weakref import WeakValueDictionary

import msgspec
import psycopg
import structlog
from psycopg_pool import PoolTimeout

from ledger.database import Database
from workers.generations import sql
from workers.leases import Lease
from workers.notices import hear_webhooks
from workers.providers import ProviderError, ProviderRequest, UpstreamJob
from workers.providers.background.provider import BackgroundProvider
from workers.providers.background.state import asked_for
from workers.providers.background.verifiers import WebhookVerifiers
from workers.settings import SettingsError

PUBLIC_URL_VARIABLE: Final = "HOLDFAST_PUBLIC_URL"
WEBHOOK_PATH: Final = "/webhooks/providers/{provider}/{token}"
TOKEN_BYTES: Final = 32

MAX_KEPT_BYTES: Final = 262_144
"""Of the body of a webhook. Of a larger one is kept that it came, and about which job."""

LOOK_ANYWAY_S: Final = 5.0
"""How long a call waits for the notice of a webhook before it looks whether one came without."""

ASK_AFTER_S: Final = 2.0
"""When a job that was left is first asked for: its cancellation has had time to work."""

_AWAY: Final = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, OSError)

_log = structlog.stdlib.get_logger(__name__)

CallOutcome = Literal["completed", "stopped", "failed"]


class JobKey(msgspec.Struct, frozen=True):
    """Which row of `upstream_jobs` a job is kept in: that of the call which started it."""

    generation_id: UUID
    account_id: UUID
    attempt: int
    call: int

    def parameters(self) -> dict[str, object]:
        """Return it as the parameters of a statement."""
        return msgspec.structs.asdict(self)


class WebhookNews:
    """What one call hears of its job's webhooks. A lost notice costs at most `LOOK_ANYWAY_S`."""

    def __init__(self, database: Database, lease: Lease, key: JobKey, *, seen: int) -> None:
        self._database = database
        self._lease = lease
        self._key = key
        self._seen = seen
        self._rung = asyncio.Event()
        self._look_at_s = 0.0

    @property
    def is_wanted(self) -> bool:
        """See `JobNews.is_wanted`. A worker that drains, or lost its lease, leaves the job to another."""
        return self._lease.stop_reason != "cancelled"

    def ring(self) -> None:
        """A webhook was kept."""
        self._rung.set()

    async def webhook(self) -> bytes:
        """See `JobNews.webhook`."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self._look_at_s - time.monotonic())):
                    await self._rung.wait()
            self._rung.clear()
            try:
                found = await self._read()
            except asyncio.CancelledError:
                self._rung.set()
                raise
            self._look_at_s = time.monotonic() + LOOK_ANYWAY_S
            if found is not None:
                return found

    async def _read(self) -> bytes | None:
        parameters = {**self._key.parameters(), "seen": self._seen}
        try:
            async with self._database.connection() as connection:
                row = await (await connection.execute(sql.READ_UPSTREAM_WEBHOOK, parameters)).fetchone()
        except _AWAY as away:
            _log.info("webhook_unreadable", error=repr(away))
            return None
        if row is None:
            return None
        self._seen = row[0]
        return b"" if row[1] is None else bytes(row[1])


class JobHandle:
    """One call for a job in the background."""

    def __init__(self, database: Database, key: JobKey, request: ProviderRequest, news: WebhookNews) -> None:
        self._database = database
        self._key = key
        self._news = news
        self.request = request
        """What to ask the provider for."""

    async def started(self, job: UpstreamJob) -> None:
        """Write down that the provider runs the job. A second call changes nothing."""
        parameters = {
            **self._key.parameters(),
            "upstream_id": job.id,
            "status_url": job.status_url,
            "result_url": job.result_url,
            "cancel_url": job.cancel_url,
        }
        async with self._database.connection() as connection:
            await connection.execute(sql.START_UPSTREAM_JOB, parameters)

    async def ended(self, outcome: CallOutcome, error: ProviderError | None = None) -> None:
        """Write down how the call ended. The job may go on: then it is asked for later, or another worker goes on."""
        if outcome == "stopped" and self._news.is_wanted:
            return
        is_over = outcome == "completed" or (error is not None and not error.ambiguous)
        parameters = {
            **self._key.parameters(),
            "is_over": is_over,
            "outcome": outcome if error is None else error.code,
            "ask_after": f"{ASK_AFTER_S} s",
        }
        async with self._database.connection() as connection:
            await connection.execute(sql.END_UPSTREAM_JOB, parameters)


class UpstreamJobs:
    """The jobs of one worker process. An async context manager: it listens for webhooks while it is open."""

    def __init__(self, database: Database, redis_url: str, environment: Mapping[str, str]) -> None:
        self._database = database
        self._redis_url = redis_url
        self._public_url = public_url(environment)
        self._verifiers = WebhookVerifiers(environment)
        self._waiting: WeakValueDictionary[str, WebhookNews] = WeakValueDictionary()
        self._listening: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._public_url is not None:
            self._listening = asyncio.create_task(hear_webhooks(self._redis_url, self._ring), name="webhooks")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait({self._listening})
        await self._verifiers.aclose()

    async def open(
        self,
        lease: Lease,
        call: int,
        provider: BackgroundProvider,
        request: ProviderRequest,
        *,
        model: str,
        price_version: int,
    ) -> JobHandle:
        """Write down that a job is about to be started, or take over the one that an earlier attempt has.

        `model` and `price_version` say by which rates the job costs us. `call` must be new within the attempt.
        """
        claim = lease.claim
        parameters = {
            "generation_id": claim.generation_id,
            "account_id": claim.account_id,
            "attempt": claim.attempt,
            "call": call,
            "model": model,
            "price_version": price_version,
            "provider": provider.name,
            "upstream_model": request.upstream_model,
            "token": secrets.token_urlsafe(TOKEN_BYTES),
            "asked": msgspec.json.encode(asked_for(request)).decode(),
        }
        async with self._database.connection() as connection:
            row = await (await connection.execute(sql.OPEN_UPSTREAM_JOB, parameters)).fetchone()
        assert row is not None, "either there is an earlier job or one is opened"
        attempt, kept_call, token, upstream_id, status_url, result_url, cancel_url, webhooks, is_earlier = row
        key = JobKey(claim.generation_id, claim.account_id, attempt, kept_call)
        resume: UpstreamJob | None = None
        if upstream_id is not None and not status_url:
            resume = provider.job_of_id(request.upstream_model, upstream_id)
        elif is_earlier:
            resume = UpstreamJob(
                id=upstream_id or "", status_url=status_url, result_url=result_url, cancel_url=cancel_url
            )
        news = WebhookNews(self._database, lease, key, seen=webhooks if upstream_id is not None else 0)
        self._waiting[token] = news
        prepared = msgspec.structs.replace(
            request, webhook_url=self._webhook_url(provider.name, token), news=news, resume=resume
        )
        return JobHandle(self._database, key, prepared, news)

    def _webhook_url(self, provider: str, token: str) -> str | None:
        if self._public_url is None or self._verifiers.get(provider) is None:
            return None
        return webhook_url(self._public_url, provider, token)

    def _ring(self, token: str) -> None:
        news = self._waiting.get(token)
        if news is not None:
            news.ring()


def public_url(environment: Mapping[str, str]) -> str | None:
    """Return where providers can reach our API; `None` if they cannot.

    Raises:
        SettingsError: it is no http(s) URL.
    """
    url = environment.get(PUBLIC_URL_VARIABLE, "").strip().rstrip("/")
    if not url:
        return None
    if not url.startswith(("https://", "http://")) or not url.isprintable() or "?" in url or "#" in url:
        raise SettingsError(f"{PUBLIC_URL_VARIABLE} must be an http:// or https:// URL")
    return url


def webhook_url(public: str, provider: str, token: str) -> str:
    """Return the webhook URL of a call."""
    return public + WEBHOOK_PATH.format(provider=provider, token=token)


async def is_webhook_token(database: Database, *, provider: str, token: str) -> bool:
    """Whether some job of this provider has this token in its webhook URL."""
    parameters = {"provider": provider, "token": token}
    async with database.connection() as connection:
        return await (await connection.execute(sql.FIND_UPSTREAM_TOKEN, parameters)).fetchone() is not None


async def keep_webhook(database: Database, *, provider: str, token: str, upstream_id: str, body: bytes) -> bool:
    """Keep a genuine webhook; false if it is about another job than its URL. Any number may come for one job."""
    parameters = {
        "provider": provider,
        "token": token,
        "upstream_id": upstream_id,
        "body": body if len(body) <= MAX_KEPT_BYTES else None,
    }
    async with database.connection() as connection:
        return await (await connection.execute(sql.KEEP_UPSTREAM_WEBHOOK, parameters)).fetchone() is not None
