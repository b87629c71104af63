"""What a worker process has open while it runs generations, and how it stops."""

import asyncio
import contextlib
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Final, NamedTuple, Self
from uuid import UUID, uuid4

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from ledger.database import Database
from ledger.errors import Contended
from ledger.writer import LedgerWriter
from workers import claims
from workers.answering import Answerer
from workers.breakers import Breakers
from workers.broker import make_sending_broker
from workers.catalogue import Catalogue
from workers.context import make_redis
from workers.execution import Runner
from workers.leases import LeaseKeeper
from workers.limits import ProviderLimits
from workers.media.fetching import Fetcher
from workers.media.opening import open_media
from workers.media.results import ResultKeeper
from workers.notices import hear_cancels
from workers.payments.context import PaymentContext
from workers.payments.gateways.registry import Gateways
from workers.payments.processing import InboxProcessor
from workers.picking import Picker
from workers.positions import Pace
from workers.prompt_cache import PromptCache
from workers.providers import ProviderRegistry
from workers.queue import GenerationQueue
from workers.routes import Router
from workers.settings import Settings
from workers.shifts import Shift
from workers.streams.announcements import BalanceAnnouncer
from workers.streams.writer import StreamWriter
from workers.upstream_jobs import UpstreamJobs

DRAIN_S: Final = 2.0
"""How long generations may go on after the process was told to stop; then they are given back for another worker."""

GIVE_BACK_S: Final = 1.0
DONE_KEPT: Final = 1_024
"""Of how many messages we remember that their work has ended before they came: others may have fetched some of them."""

POOL_SIZE: Final = 8

_AWAY = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, Contended, OSError)

_log = structlog.stdlib.get_logger(__name__)


class _Begun(NamedTuple):
    """Work that began before its message was fetched, in a place set aside for it."""

    task: asyncio.Task[bool]
    give_back: Callable[[], None]


class WorkerRuntime:
    """One per worker process, on the event loop its actors share. An async context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = contextlib.AsyncExitStack()
        self._runner: Runner | None = None
        self._shift: Shift | None = None
        self._payments: InboxProcessor | None = None
        self._idle = asyncio.Event()
        self._running = 0
        self._draining: asyncio.Task[None] | None = None
        self._begun: dict[str, _Begun] = {}
        self._done: dict[str, None] = {}
        """The messages whose work has ended before they came, in this order."""

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            settings = self._settings
            database = await stack.enter_async_context(
                Database(
                    settings.database_url,
                    name="holdfast worker",
                    max_size=POOL_SIZE,
                    statement_timeout_s=settings.database_timeout_s,
                    warm_up=claims.WARM_UP,
                )
            )
            announcer = await stack.enter_async_context(BalanceAnnouncer(settings.redis_url))
            providers = ProviderRegistry(settings.environment)
            stack.push_async_callback(providers.aclose)
            broker = make_sending_broker(settings)
            stack.callback(broker.close)
            catalogue = Catalogue(database, providers)
            redis = await stack.enter_async_context(make_redis(settings.redis_url))
            limits = await stack.enter_async_context(ProviderLimits(redis, settings.provider_limits))
            jobs = await stack.enter_async_context(UpstreamJobs(database, settings.redis_url, settings.environment))
            media = open_media(settings.environment)
            stack.push_async_callback(media.store.aclose)
            writer = await stack.enter_async_context(LedgerWriter(settings.database_url, on_commit=announcer.note))
            gateways = Gateways(settings.environment)
            stack.push_async_callback(gateways.aclose)
            self._payments = InboxProcessor(PaymentContext(database, writer, gateways))
            self._runner = Runner(
                database=database,
                writer=writer,
                streams=await stack.enter_async_context(StreamWriter(settings.redis_url)),
                answerer=Answerer(
                    database=database,
                    catalogue=catalogue,
                    router=Router(
                        database=database,
                        providers=providers,
                        catalogue=catalogue,
                        breakers=Breakers(),
                        limits=limits,
                        jobs=jobs,
                    ),
                    cache=PromptCache(redis),
                    media=media,
                    keeper=ResultKeeper(database, media, await stack.enter_async_context(Fetcher(media.settings))),
                ),
                catalogue=catalogue,
                leases=await stack.enter_async_context(LeaseKeeper(settings.database_url)),
                redis=redis,
                queue=await stack.enter_async_context(GenerationQueue(broker)),
                owner=uuid4(),
            )
            self._shift = Shift(
                self._runner,
                Picker(database, limits, owner=self._runner.owner, free_threads=settings.free_threads),
                limits=limits,
                pace=await stack.enter_async_context(Pace(redis)),
            )
            notices = asyncio.create_task(hear_cancels(settings.redis_url, self._runner.leases.cancel))
            stack.push_async_callback(_stop, notices)
            self._stack = stack.pop_all()
        self._idle.set()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give back what still runs, and close everything."""
        if self._draining is not None:
            await _stop(self._draining)
        await self._give_back()
        await self._stack.aclose()

    def begin_work(self, message_id: str, give_back: Callable[[], None]) -> None:
        """Begin what a message is about to ask for, whose bell has rung; its actor joins in. Called on the event loop.

        If another process fetched the message, the work goes on all the same, in the place that was set aside for it.
        A message that was sent again rings again.
        """
        if self._draining is not None or message_id in self._begun:
            give_back()
            return
        begun = _Begun(asyncio.create_task(self._work(), name="begun work"), give_back)
        self._begun[message_id] = begun
        begun.task.add_done_callback(lambda _: self._ended(message_id, begun))

    def _ended(self, message_id: str, begun: _Begun) -> None:
        """Remember work that ended before its message came, if it found something to do."""
        if self._no_longer_alone(message_id, begun) and not begun.task.cancelled() and begun.task.result():
            self._done[message_id] = None
            if len(self._done) > DONE_KEPT:
                del self._done[next(iter(self._done))]

    def _no_longer_alone(self, message_id: str, begun: _Begun) -> bool:
        """Give back the place of work that has ended, or that a thread waits for from now on; once, whichever is first.

        Under the same message other work may have begun since.
        """
        was_alone = self._begun.get(message_id) is begun
        if was_alone:
            del self._begun[message_id]
            begun.give_back()
        return was_alone

    async def work(self, message_id: str = "") -> None:
        """Run what is next, and then what was passed over for want of the room that came free.

        What cannot be done because a database is away is left to the outbox or to the lease: both bring it back.
        """
        begun = self._begun.get(message_id)
        if begun is not None:
            self._no_longer_alone(message_id, begun)
            if await begun.task:
                return
        elif message_id in self._done:
            del self._done[message_id]
            return
        await self._work()

    async def _work(self) -> bool:
        """Work; whether there was anything to do."""
        assert self._shift is not None, "the runtime is open while there are actors"
        with self._counted():
            try:
                return await self._shift.work()
            except _AWAY as away:
                _log.warning("work_left_to_sweeper", error=repr(away))
                return False

    async def process_payments(self) -> None:
        """Process the webhooks of payment gateways that are due; what Postgres cannot take now comes again."""
        assert self._payments is not None, "the runtime is open while there are actors"
        with self._counted():
            try:
                await self._payments.work()
            except _AWAY as away:
                _log.warning("webhooks_left_to_the_clock", error=repr(away))

    async def run(self, generation_id: UUID, *, account_id: UUID) -> None:
        """Run one generation out of turn to its end, or give it back if the process stops meanwhile.

        What cannot be done because a database is away is left to the outbox or to the lease: both bring it back.
        """
        assert self._runner is not None, "the runtime is open while there are actors"
        with self._counted():
            try:
                await self._runner.run(generation_id, account_id=account_id)
            except _AWAY as away:
                _log.warning("generation_left_to_sweeper", generation_id=str(generation_id), error=repr(away))

    @contextlib.contextmanager
    def _counted(self) -> Generator[None]:
        """Count as running."""
        self._running += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._running -= 1
            if self._running == 0:
                self._idle.set()

    def drain(self) -> None:
        """Give back what has not ended within `DRAIN_S`. Returns at once."""
        if self._draining is None:
            _log.info("worker_drains", running=self._running)
            if self._shift is not None:
                self._shift.end()
            if self._payments is not None:
                self._payments.end()
            self._draining = asyncio.create_task(self._drain(), name="drain")

    async def drained(self) -> None:
        """Drain, and wait until it is done."""
        self.drain()
        assert self._draining is not None
        await asyncio.wait({self._draining})

    async def _drain(self) -> None:
        await self._until_idle(DRAIN_S)
        await self._give_back()

    async def _give_back(self) -> None:
        if self._running and self._runner is not None:
            self._runner.leases.stop_all("draining")
            await self._until_idle(GIVE_BACK_S)

    async def _until_idle(self, timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()


async def _stop(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait({task})
