"""The actors, and the middleware that gives them an event loop, a runtime and a request id."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import dramatiq
from dramatiq.asyncio import EventLoopThread, get_event_loop_thread, set_event_loop_thread
from dramatiq.middleware import AsyncIO, CurrentMessage, Middleware, Retries, TimeLimit
from structlog.contextvars import clear_contextvars

from workers.bells import Bells
from workers.doorbell import DoorbellBroker
from workers.execution import RUN_LIMIT_S
from workers.logs import bind_request
from workers.queue import ACTORS, PAYMENTS_ACTOR, PAYMENTS_QUEUE, QUEUES
from workers.runtime import WorkerRuntime
from workers.shifts import WORK_LIMIT_S
from workers.tiers import Tier

if TYPE_CHECKING:
    from dramatiq import Broker, MessageProxy, Worker

    from workers.settings import Settings

TIME_LIMIT_MS: Final = int((WORK_LIMIT_S + RUN_LIMIT_S) * 1_000) + 120_000
"""The last resort: calls to providers have time-outs of their own that are shorter."""

INTERRUPT_CHECK_S: Final = 1.0
"""How often a waiting thread looks whether it was interrupted. Dramatiq's tenth of a second costs hundreds of threads
more than their work does."""

LOOP_START_TIMEOUT_S: Final = 10.0


class RuntimeMiddleware(AsyncIO):
    """Opens the runtime on the actors' event loop before the first message, and closes it after the last."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings
        self._runtime: WorkerRuntime | None = None
        self._bells: Bells | None = None

    @property
    def runtime(self) -> WorkerRuntime:
        """The runtime of this process."""
        assert self._runtime is not None, "actors run between boot and shutdown"
        return self._runtime

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Start the event loop and open the runtime on it."""
        # What runs counts as prefetched: with as many as there are threads, none waits in a busy worker.
        worker.queue_prefetch = worker.worker_threads
        thread = EventLoopThread(logging.getLogger(__name__), interrupt_check_ival=INTERRUPT_CHECK_S)
        thread.daemon = True
        thread.start(timeout=LOOP_START_TIMEOUT_S)
        set_event_loop_thread(thread)
        self._runtime = thread.run_coroutine(self._open())
        if isinstance(broker, DoorbellBroker):
            bells = Bells(broker, begin=self._runtime.begin_work, begun_for=QUEUES.values())
            self._bells = thread.run_coroutine(bells.__aenter__())

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Let what runs come to an end, for a moment; Dramatiq waits for its threads meanwhile."""
        thread = get_event_loop_thread()
        if thread is not None and self._bells is not None:
            thread.run_coroutine(self._bells.__aexit__(None, None, None))
            self._bells = None
        if thread is not None and self._runtime is not None:
            thread.loop.call_soon_threadsafe(self._runtime.drain)

    def drain(self) -> None:
        """Wait until everything that ran here has ended or was given back."""
        thread = get_event_loop_thread()
        if thread is not None:
            thread.run_coroutine(self.runtime.drained())

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Close the runtime, then its event loop."""
        thread = get_event_loop_thread()
        if thread is not None and self._runtime is not None:
            thread.run_coroutine(self._runtime.__aexit__(None, None, None))
            self._runtime = None
        super().after_worker_shutdown(broker, worker)

    async def _open(self) -> WorkerRuntime:
        return await WorkerRuntime(self._settings).__aenter__()


class RequestContext(Middleware):
    """Puts the request id that came with a message into everything logged on its behalf."""

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        """Bind what the message brought."""
        bind_request(str(message.options.get("request_id", "")), actor=message.actor_name)

    def after_process_message(
        self, broker: Broker, message: MessageProxy, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        """Forget it."""
        clear_contextvars()

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        """Forget it."""
        clear_contextvars()


def worker_middleware(settings: Settings) -> tuple[RuntimeMiddleware, list[Middleware]]:
    """Return the middleware of a worker's broker, and the part of it that holds the runtime."""
    runtime = RuntimeMiddleware(settings)
    return runtime, [TimeLimit(), Retries(), CurrentMessage(), RequestContext(), runtime]


def declare_actors(broker: Broker, middleware: RuntimeMiddleware) -> None:
    """Declare all actors on a worker's broker."""

    async def run_generations() -> None:
        """Run what is next, and what was passed over for want of the room that comes free.

        Delivered at least once: a message says only that there is something to do, so a second one finds that done, and
        a settlement's command key is derived from its generation, so a crash after the provider answered may cost us a
        second call but never charges the customer twice. Not retried by Dramatiq: the outbox and the lease bring back
        whatever was not finished.
        """
        message = CurrentMessage.get_current_message()
        assert message is not None, "an actor has a message"
        await middleware.runtime.work(message.message_id)

    for tier in Tier:
        declare = dramatiq.actor(
            actor_name=ACTORS[tier],
            queue_name=QUEUES[tier],
            broker=broker,
            priority=tier,
            max_retries=0,
            time_limit=TIME_LIMIT_MS,
        )
        declare(run_generations)

    async def process_payments() -> None:
        """Process the webhooks of payment gateways that are due. Not retried by Dramatiq: the clock wakes us again."""
        await middleware.runtime.process_payments()

    dramatiq.actor(
        actor_name=PAYMENTS_ACTOR,
        queue_name=PAYMENTS_QUEUE,
        broker=broker,
        max_retries=0,
        time_limit=TIME_LIMIT_MS,
    )(process_payments)
