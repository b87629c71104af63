"""A worker process: `python -m workers.main`. Dramatiq's own command can load it too, as `workers.main:setup`."""

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from typing import Final

import dramatiq
import dramatiq.worker
import msgspec
import structlog
from dramatiq import Broker, Worker

from ledger.garbage import collect_rarely
from workers.actors import RuntimeMiddleware, declare_actors, worker_middleware
from workers.broker import make_broker
from workers.logs import configure_logs
from workers.settings import Settings, SettingsError

IDLE_WAKE_MS: Final = 1_000
"""How often an idle thread looks whether it should stop. Messages wake it at once."""

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
STOP_TIMEOUT_MS: Final = 1_200
RECONNECT_S: Final = 0.5
ACKNOWLEDGE_AGAIN_S: Final = 1.0
"""After Redis restarted, Dramatiq would leave a queue alone for three seconds and an acknowledgement for five."""

_log = structlog.stdlib.get_logger("workers.main")


def setup(settings: Settings | None = None) -> Broker:
    """Make the worker's broker with its actors the broker of this process, and return it.

    Raises:
        SettingsError: the environment lacks something, or has something that makes no sense.
    """
    broker, _ = _make_worker_broker(settings or Settings.from_environment())
    return broker


def run_worker(settings: Settings) -> None:
    """Run one worker in this process until SIGTERM or SIGINT; a second signal ends it at once."""
    broker, middleware = _make_worker_broker(settings)
    # Blocked here, they are so in every thread that starts below, and wait for us in `sigwait`.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    broker.emit_after("process_boot")
    collect_rarely()
    worker = Worker(broker, worker_threads=settings.worker_threads, worker_timeout=IDLE_WAKE_MS)
    worker.start()
    _log.info("worker_ready", threads=settings.worker_threads)
    signal.sigwait(STOP_SIGNALS)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)  # a second one ends the process at once
    _stop(worker, middleware)
    broker.close()


def _make_worker_broker(settings: Settings) -> tuple[Broker, RuntimeMiddleware]:
    configure_logs(process="worker", log_format=settings.log_format, level=settings.log_level)
    runtime, middleware = worker_middleware(settings)
    broker = make_broker(settings, middleware=middleware)
    declare_actors(broker, runtime)
    dramatiq.set_broker(broker)
    dramatiq.worker.CONSUMER_RESTART_DELAY_SECS = RECONNECT_S
    dramatiq.worker.POST_PROCESS_MESSAGE_RETRY_DELAY_SECS = ACKNOWLEDGE_AGAIN_S
    return broker, runtime


def _stop(worker: Worker, middleware: RuntimeMiddleware) -> None:
    """Take nothing new, let what runs end or be given back, and stop.

    Dramatiq would do this too, but it counts the time it has waited once for every thread, and with hundreds of them
    gives up after half a second.
    """
    for thread in (*worker.consumers.values(), *worker.workers):
        thread.stop()
    middleware.drain()
    ends_s = time.monotonic() + STOP_TIMEOUT_MS / 1_000
    for thread in worker.workers:
        thread.join(max(0.0, ends_s - time.monotonic()))
    worker.stop(timeout=STOP_TIMEOUT_MS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a worker; return the exit status."""
    parser = argparse.ArgumentParser(prog="workers.main", description="Run one worker process.")
    parser.add_argument("--threads", type=int, help="how many generations run at once")
    threads = parser.parse_args(arguments).threads
    try:
        settings = Settings.from_environment()
        run_worker(settings if threads is None else msgspec.structs.replace(settings, worker_threads=threads))
    except SettingsError as error:
        sys.stderr.write(f"worker: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
