"""The clock: everything that happens because time passes, done by one leader while any number of others stand by.

`python -m workers.clock` runs one. Whoever holds the advisory lock leads; when its connection is gone, so is the lock,
and a standby takes over within about a second.
"""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
import psycopg
import structlog
from psycopg import AsyncConnection
from psycopg_pool import PoolTimeout
from redis.exceptions import RedisError

from ledger import database
from ledger.database import Database
from ledger.errors import Contended
from ledger.garbage import collect_rarely
from ledger.writer import LedgerWriter
from projections import unbilled
from workers import losses, outbox, sweeps
from workers.checkpoints.publisher import INTERVAL_S as PUBLISH_INTERVAL_S
from workers.checkpoints.publisher import Publisher
from workers.context import GenerationContext, open_context
from workers.generations import sql
from workers.late_results import BATCH as FOLLOW_BATCH
from workers.late_results import JobFollower
from workers.logs import configure_logs
from workers.media import sweeping
from workers.messages import sending
from workers.messages.sending import MessageSender
from workers.payments import inbox, low_balance
from workers.payments.auto_top_up import topping_up
from workers.payments.auto_top_up.topping_up import top_up_accounts
from workers.payments.catalogue.seed import seed_shop
from workers.payments.context import PaymentContext
from workers.payments.gateways.registry import Gateways
from workers.payments.low_balance import notice_low_balances
from workers.payments.subscriptions import daily_credits, renewing
from workers.payments.subscriptions.daily_credits import DailyCredits
from workers.payments.subscriptions.renewing import Renewals
from workers.queue import PaymentsDue
from workers.seed import seed_catalogue
from workers.settings import Settings, SettingsError
from workers.streams.announcements import BalanceAnnouncer
from workers.templates import seed_templates

LEADER_LOCK: Final = 0x686F6C6463  # "holdc"
CHECK_LEAD_S: Final = 1.0
CHECK_TIMEOUT_S: Final = 3.0
FAILURE_PAUSE_S: Final = 1.0
SEAL_INTERVAL_S: Final = 0.1
SEAL_BUSY_INTERVAL_S: Final = 0.02
FOLLOW_INTERVAL_S: Final = 2.0

DEPENDENCY_DOWN: Final = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, RedisError, OSError, Contended)

_log = structlog.stdlib.get_logger("workers.clock")


class PeriodicTask(msgspec.Struct, frozen=True):
    """Something to do again and again. It does a bounded amount each time and returns how much."""

    name: str
    interval_s: float
    run: Callable[[GenerationContext], Awaitable[int]]
    full_batch: int = sys.maxsize
    """Having done this much, it is run again at once: there may be more."""
    busy_interval_s: float | None = None
    """The pause after a run that did something, where that is shorter."""


async def _wake_payments(context: GenerationContext) -> int:
    """Wake a worker for webhooks whose wake-up was lost, or whose time to be tried again has come."""
    is_due = await inbox.has_due(context.database)
    if is_due:
        context.queue.send(PaymentsDue(""))
    return int(is_due)


TASKS: Final[tuple[PeriodicTask, ...]] = (
    PeriodicTask("resend_outbox", 0.5, outbox.resend_outbox, outbox.BATCH),
    PeriodicTask("recover_lost", 0.5, losses.recover_lost, losses.BATCH),
    PeriodicTask("end_overdue", 1.0, sweeps.end_overdue, sweeps.BATCH),
    PeriodicTask("expire_freezes", 1.0, sweeps.expire_freezes, sweeps.BATCH),
    PeriodicTask("expire_lots", 1.0, sweeps.expire_lots, sweeps.BATCH),
    PeriodicTask("place_unbilled_endings", 0.5, sweeps.place_unbilled_endings, unbilled.LIMIT),
    PeriodicTask("project_events", 0.2, sweeps.project_events, sweeps.FULL_PROJECTION),
    PeriodicTask("wake_payments", 1.0, _wake_payments),
    PeriodicTask(
        "sweep_media",
        sweeping.INTERVAL_S,
        lambda context: sweeping.sweep_media(context.database, context.media.store),
        sweeping.BATCH,
    ),
    PeriodicTask(
        "forget_unfinished_media",
        sweeping.UNFINISHED_INTERVAL_S,
        lambda context: sweeping.forget_unfinished(context.media.store),
    ),
)


def all_tasks(settings: Settings, gateways: Gateways) -> tuple[PeriodicTask, ...]:
    """Return what a clock does: `TASKS`, sealing, and what this installation's environment has a say in.

    Raises:
        SettingsError: what the environment says makes no sense.
    """
    publisher = Publisher.from_environment(settings.environment)
    follower = JobFollower(settings.environment)
    return (
        PeriodicTask("seal_events", SEAL_INTERVAL_S, sweeps.sealing(), busy_interval_s=SEAL_BUSY_INTERVAL_S),
        PeriodicTask("publish_checkpoints", PUBLISH_INTERVAL_S, lambda context: publisher.run(context.database)),
        PeriodicTask("follow_left_jobs", FOLLOW_INTERVAL_S, follower.run, FOLLOW_BATCH),
        *_payment_tasks(settings, gateways),
        *TASKS,
    )


def _payment_tasks(settings: Settings, gateways: Gateways) -> tuple[PeriodicTask, ...]:
    renewals, given_daily = Renewals(settings.environment), DailyCredits(settings.environment)
    sender = MessageSender(settings.environment)

    def with_gateways(run: Callable[[PaymentContext], Awaitable[int]]) -> Callable[[GenerationContext], Awaitable[int]]:
        return lambda context: run(PaymentContext(context.database, context.writer, gateways))

    return (
        PeriodicTask("renew_subscriptions", renewing.INTERVAL_S, with_gateways(renewals.run), renewing.BATCH),
        PeriodicTask("top_up_accounts", topping_up.INTERVAL_S, with_gateways(top_up_accounts), topping_up.BATCH),
        PeriodicTask(
            "notice_low_balances", low_balance.INTERVAL_S, with_gateways(notice_low_balances), low_balance.BATCH
        ),
        PeriodicTask("give_daily_credits", daily_credits.INTERVAL_S, given_daily.run, daily_credits.BATCH),
        PeriodicTask("send_messages", sending.INTERVAL_S, sender.send_messages, sending.BATCH),
    )


async def run_clock(settings: Settings, *, tasks: Sequence[PeriodicTask], gateways: Gateways | None = None) -> None:
    """Stand by, lead when nobody else does, and stand by again when the lead is lost; until cancelled.

    The `gateways` that tasks work with are closed in the end.
    """
    async with contextlib.AsyncExitStack() as stack:
        if gateways is not None:
            stack.push_async_callback(gateways.aclose)
        pool = await stack.enter_async_context(Database(settings.database_url, name="holdfast clock"))
        announcer = await stack.enter_async_context(BalanceAnnouncer(settings.redis_url))
        writer = await stack.enter_async_context(LedgerWriter(settings.database_url, on_commit=announcer.note))
        context = await stack.enter_async_context(open_context(settings, database=pool, writer=writer))
        while True:
            try:
                await _lead_once(settings, context, tasks)
            except (psycopg.Error, OSError, TimeoutError) as error:
                _log.warning("clock_connection_lost", error=repr(error))
            await asyncio.sleep(CHECK_LEAD_S)


async def _lead_once(settings: Settings, context: GenerationContext, tasks: Sequence[PeriodicTask]) -> None:
    """Lead for as long as the lock is ours; return at once if it is someone else's."""
    async with asyncio.timeout(CHECK_TIMEOUT_S):
        connection = await database.connect(settings.database_url, name="holdfast clock lead", autocommit=True)
    async with connection:
        if not await _ask(connection, sql.TRY_LEAD):
            return
        _log.info("clock_leads", tasks=[task.name for task in tasks])
        try:
            await seed_catalogue(context.database)
            await seed_templates(context.database)
            await seed_shop(context.database)
            async with asyncio.TaskGroup() as group:
                running = [group.create_task(_repeat(task, context), name=task.name) for task in tasks]
                await _until_lead_is_lost(connection)
                for task in running:
                    task.cancel()
        finally:
            _log.warning("clock_stopped_leading")


async def _until_lead_is_lost(connection: AsyncConnection[Any]) -> None:
    with contextlib.suppress(psycopg.Error, OSError, TimeoutError):
        while await _ask(connection, sql.CHECK_LEAD):  # noqa: ASYNC110 - no event here tells of the server's lock
            await asyncio.sleep(CHECK_LEAD_S)


async def _ask(connection: AsyncConnection[Any], statement: Any) -> bool:
    async with asyncio.timeout(CHECK_TIMEOUT_S):
        row = await (await connection.execute(statement, {"lock": LEADER_LOCK})).fetchone()
    return bool(row and row[0])


async def _repeat(task: PeriodicTask, context: GenerationContext) -> None:
    """Run one task for ever. Whatever goes wrong is logged and the next run comes: the others must not notice."""
    failing = False
    while True:
        pause_s = task.interval_s
        try:
            done = await task.run(context)
            if done:
                _log.debug("clock_task_done", task=task.name, done=done)
                pause_s = task.interval_s if task.busy_interval_s is None else task.busy_interval_s
            if done >= task.full_batch:
                pause_s = 0
            failing = False
        except DEPENDENCY_DOWN as error:
            if not failing:
                _log.warning("clock_task_waits", task=task.name, error=repr(error))
            failing, pause_s = True, FAILURE_PAUSE_S
        except Exception:  # noqa: BLE001 - a task that breaks must not take the others with it
            _log.exception("clock_task_failed", task=task.name)
            pause_s = FAILURE_PAUSE_S
        await asyncio.sleep(pause_s)


async def _run_until_stopped(settings: Settings, tasks: Sequence[PeriodicTask], gateways: Gateways) -> None:
    clock = asyncio.create_task(run_clock(settings, tasks=tasks, gateways=gateways))
    loop = asyncio.get_running_loop()
    for stop_signal in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(stop_signal, clock.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await clock


def main() -> int:
    """Run the clock until SIGTERM; return the exit status."""
    try:
        settings = Settings.from_environment()
        configure_logs(process="clock", log_format=settings.log_format, level=settings.log_level)
        gateways = Gateways(settings.environment)
        tasks = all_tasks(settings, gateways)
    except SettingsError as error:
        sys.stderr.write(f"clock: {error}\n")
        return 2
    collect_rarely()
    asyncio.run(_run_until_stopped(settings, tasks, gateways))
    return 0


if __name__ == "__main__":
    sys.exit(main())
