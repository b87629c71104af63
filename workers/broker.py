"""The queue between the API and the workers: Dramatiq, on a Redis database of its own or on RabbitMQ."""

from typing import Final

import redis
from dramatiq import Broker, Middleware
from dramatiq.brokers.redis import RedisBroker
from redis.backoff import NoBackoff
from redis.retry import Retry

from workers.doorbell import DoorbellBroker
from workers.queue import PAYMENTS_QUEUE, QUEUES
from workers.settings import Settings, SettingsError
from workers.tiers import Tier

HEARTBEAT_TIMEOUT_MS: Final = 5_000
EVERY_COMMAND: Final = 1_000_000
"""Maintenance, in chances out of a million per command: what a killed worker had fetched is put back within seconds."""

CONNECTIONS: Final = 16
PAYMENTS_THREADS: Final = 4
"""One of them works, the others find that it does."""

POOL_TIMEOUT_S: Final = 10.0
SOCKET_TIMEOUT_S: Final = 2.0
CONNECT_TIMEOUT_S: Final = 1.0


def make_sending_broker(settings: Settings) -> Broker:
    """Return a broker that only sends; no connection is made yet.

    Raises:
        SettingsError: `BROKER_URL` is of a kind we do not know, or its library is not installed.
    """
    return make_broker(settings, middleware=[])


def make_broker(settings: Settings, *, middleware: list[Middleware]) -> Broker:
    """Return a broker with this middleware; no connection is made yet.

    Raises:
        SettingsError: `BROKER_URL` is of a kind we do not know, or its library is not installed.
    """
    scheme = settings.broker_url.partition(":")[0]
    if scheme in {"redis", "rediss", "unix"}:
        broker: Broker = _make_redis_broker(settings, middleware)
    elif scheme in {"amqp", "amqps"}:
        broker = _make_rabbitmq_broker(settings.broker_url, middleware)
    else:
        raise SettingsError("BROKER_URL must begin with redis://, rediss://, unix://, amqp:// or amqps://")
    for name in (*QUEUES.values(), PAYMENTS_QUEUE):
        broker.declare_queue(name)
    return broker


def _make_redis_broker(settings: Settings, middleware: list[Middleware]) -> RedisBroker:
    return DoorbellBroker(
        url=settings.broker_url,
        client=_make_client(settings.broker_url),
        room=settings.worker_threads,
        shares={QUEUES[Tier.free]: settings.free_threads, PAYMENTS_QUEUE: PAYMENTS_THREADS},
        middleware=middleware,
        heartbeat_timeout=HEARTBEAT_TIMEOUT_MS,
        maintenance_chance=EVERY_COMMAND,
    )


def _make_client(url: str) -> redis.Redis:
    # Hundreds of threads acknowledge at once: they wait for a connection instead of failing for want of one.
    pool = redis.BlockingConnectionPool.from_url(  # pyright: ignore[reportUnknownMemberType]  # untyped arguments
        url,
        max_connections=CONNECTIONS,
        timeout=POOL_TIMEOUT_S,
        socket_timeout=SOCKET_TIMEOUT_S,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        # One more try: a pooled connection may be left over from before Redis restarted.
        retry=Retry(NoBackoff(), 1),
    )
    return redis.Redis(connection_pool=pool)


def _make_rabbitmq_broker(url: str, middleware: list[Middleware]) -> Broker:
    try:
        # Only where it is used: the library it needs is optional.
        from dramatiq.brokers.rabbitmq import RabbitmqBroker  # noqa: PLC0415
    except ImportError:
        raise SettingsError("BROKER_URL names RabbitMQ; install dramatiq[rabbitmq]") from None
    return RabbitmqBroker(url=url, middleware=middleware, confirm_delivery=True)
