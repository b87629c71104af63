"""Processing kept webhooks: asking the gateway's module what they say, and settling that."""

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Final

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from ledger.errors import Contended
from workers.logs import redact_text
from workers.payments import inbox
from workers.payments.context import PaymentContext
from workers.payments.facts import Fact, NotYet
from workers.payments.gateway import GatewayError
from workers.payments.gateways.registry import GatewayNotConfigured
from workers.payments.inbox import Kept
from workers.payments.settling import settle

TRIES: Final = 12
"""A webhook that could not be processed so often waits for somebody to look at it."""

FIRST_PAUSE_S: Final = 1.0
"""Pauses double, and half of each is left to chance: the last try is about half an hour after the first."""

AT_ONCE: Final = 32
SLOW_S: Final = 1.0
"""What has waited longer for its gateway makes room, so that no gateway holds up another's webhooks."""

AT_MOST: Final = 8 * AT_ONCE
"""With all that wait for their gateways. They hold no connection to the database meanwhile."""

PROCESS_TIMEOUT_S: Final = inbox.LEASE_S * 0.75
WORK_LIMIT_S: Final = 60.0
"""Who has worked for this long is woken again, so that a process can stop."""

MAX_ERROR_CHARACTERS: Final = 500

AWAY: Final = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, Contended, OSError)

_log = structlog.stdlib.get_logger(__name__)


class InboxProcessor:
    """Processes what is due in this process; however many wake-ups come, one of them does the work."""

    def __init__(self, context: PaymentContext) -> None:
        self._context = context
        self._is_working = False
        self._was_woken = False
        self._wake: asyncio.Future[None] | None = None
        self._ended = False
        self._asked_since_s: dict[int, float] = {}
        """Since when gateways have been asked what webhooks say, by the ids of these."""

    def end(self) -> None:
        """Take nothing new."""
        self._ended = True

    async def work(self) -> int:
        """Process until nothing is due, and return how many webhooks that were.

        Raises:
            psycopg.Error, PoolTimeout, OSError: Postgres is away. What was taken comes again.
        """
        self._was_woken = True
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
        if self._is_working:
            return 0
        self._is_working = True
        done, ends_s = 0, time.monotonic() + WORK_LIMIT_S
        try:
            while self._was_woken and not self._ended and time.monotonic() < ends_s:
                done += await self._drain(ends_s)
        finally:
            self._is_working = False
        return done

    async def _drain(self, ends_s: float) -> int:
        """Keep `AT_ONCE` of them going; whatever ends, or turns out to be slow, makes room for the next."""
        done = 0
        running: set[asyncio.Task[int | None]] = set()
        finished: list[int] = []
        is_all_taken = False
        try:
            while not self._ended and time.monotonic() < ends_s:
                if (room := self._room(running)) >= AT_ONCE // 2:
                    self._was_woken = False
                    due = await inbox.claim_due(self._context.database, limit=room)
                    is_all_taken = len(due) < room
                    running |= {asyncio.create_task(self._process(webhook)) for webhook in due}
                if not running:
                    break
                ended = await self._any_ended(running)
                done += len(ended)
                finished += [webhook_id for task in ended if (webhook_id := task.result()) is not None]
                if finished and (len(finished) >= AT_ONCE // 2 or is_all_taken):
                    await inbox.finish(self._context.database, finished)
                    finished = []
        finally:
            if running:
                await asyncio.wait(running)
                finished += [webhook_id for task in running if (webhook_id := task.result()) is not None]
            if finished:
                await inbox.finish(self._context.database, finished)
        return done

    async def _any_ended(self, running: "set[asyncio.Task[int | None]]") -> "set[asyncio.Task[int | None]]":
        """Wait until any has ended, or it is time to look for others; return what has ended, and let go of it."""
        if not self._was_woken or self._room(running) < AT_ONCE // 2:
            self._wake = asyncio.get_running_loop().create_future()
            await asyncio.wait({*running, self._wake}, timeout=SLOW_S, return_when=asyncio.FIRST_COMPLETED)
        ended = {task for task in running if task.done()}
        running -= ended
        return ended

    def _room(self, running: "set[asyncio.Task[int | None]]") -> int:
        """Return how many more may be taken now."""
        slow_since_s = time.monotonic() - SLOW_S
        slow = sum(since_s <= slow_since_s for since_s in self._asked_since_s.values())
        return min(AT_ONCE - (len(running) - slow), AT_MOST - len(running))

    async def _process(self, webhook: Kept) -> int | None:
        """Process one; return its id if that is done."""
        log = _log.bind(
            request_id=webhook.request_id, webhook_id=webhook.id, gateway=webhook.gateway, kind=webhook.kind
        )
        try:
            async with asyncio.timeout(PROCESS_TIMEOUT_S):
                for fact in await self._facts(webhook):
                    settled = await settle(self._context, webhook.gateway, fact)
                    log.info("payment_fact_settled", fact=type(fact).__name__, settled=settled)
        except Exception as error:  # noqa: BLE001 - whatever it is, the webhook stays, and somebody sees why
            await self._put_off(webhook, error, log)
            return None
        return webhook.id

    async def _facts(self, webhook: Kept) -> Sequence[Fact]:
        gateway = self._context.gateways.get(webhook.gateway)
        self._asked_since_s[webhook.id] = time.monotonic()
        try:
            return await gateway.facts(webhook.kind, webhook.headers, webhook.body)
        finally:
            del self._asked_since_s[webhook.id]

    async def _put_off(self, webhook: Kept, error: Exception, log: structlog.stdlib.BoundLogger) -> None:
        is_expected = isinstance(error, (GatewayError, NotYet, GatewayNotConfigured, TimeoutError, *AWAY))
        is_dead = webhook.tries >= TRIES or (isinstance(error, GatewayError) and not error.retryable)
        text = _storable(redact_text(f"{type(error).__name__}: {error}")[:MAX_ERROR_CHARACTERS])
        if is_dead or not is_expected:
            log.error(
                "webhook_not_processed", error=text, tries=webhook.tries, is_dead=is_dead, exc_info=not is_expected
            )
        else:
            log.warning("webhook_postponed", error=text, tries=webhook.tries)
        pause = pause_s(webhook.tries, random.random())  # noqa: S311 - spreads load
        try:
            await inbox.postpone(self._context.database, webhook.id, pause_s=pause, error=text, is_dead=is_dead)
        except AWAY as away:
            log.warning("webhook_left_to_its_lease", error=repr(away))


def pause_s(tries: int, chance: float) -> float:
    """Return how long to wait after so many tries; `chance`, from 0 to 1, decides about half of it."""
    return FIRST_PAUSE_S * 2 ** (tries - 1) * (0.5 + chance / 2)


def _storable(text: str) -> str:
    # What an error says must not keep anybody from noting it: the webhook would come again for ever, and unseen.
    return text.replace("\x00", "").encode(errors="replace").decode()
