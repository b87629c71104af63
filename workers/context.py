"""What admission, cancel and retry work with; one per process, opened by whoever serves requests."""

import contextlib
from collections.abc import AsyncGenerator
from typing import Final, NamedTuple

from redis.asyncio import BlockingConnectionPool, Redis

from ledger.database import Database
from ledger.writer import LedgerWriter
from workers.broker import make_sending_broker
from workers.catalogue import Catalogue
from workers.limits import ProviderLimits
from workers.media.opening import Media, open_media
from workers.positions import Places
from workers.providers import ProviderRegistry
from workers.queue import GenerationQueue
from workers.settings import Settings
from workers.tiers import Tiers

REDIS_CONNECTIONS: Final = 16


class GenerationContext(NamedTuple):
    """The parts of a process that generations need outside of a worker."""

    database: Database
    writer: LedgerWriter
    catalogue: Catalogue
    providers: ProviderRegistry
    queue: GenerationQueue
    redis: Redis
    tiers: Tiers
    places: Places
    limits: ProviderLimits
    media: Media


@contextlib.asynccontextmanager
async def open_context(
    settings: Settings, *, database: Database, writer: LedgerWriter
) -> AsyncGenerator[GenerationContext]:
    """Open what generations need beside a database and a ledger writer that the caller has."""
    async with contextlib.AsyncExitStack() as stack:
        providers = ProviderRegistry(settings.environment)
        stack.push_async_callback(providers.aclose)
        broker = make_sending_broker(settings)
        stack.callback(broker.close)
        queue = await stack.enter_async_context(GenerationQueue(broker))
        redis = await stack.enter_async_context(make_redis(settings.redis_url))
        media = open_media(settings.environment)
        stack.push_async_callback(media.store.aclose)
        yield GenerationContext(
            database=database,
            writer=writer,
            catalogue=Catalogue(database, providers),
            providers=providers,
            queue=queue,
            redis=redis,
            tiers=Tiers(database),
            places=Places(database, redis),
            limits=ProviderLimits(redis, settings.provider_limits),
            media=media,
        )


def make_redis(redis_url: str) -> Redis:
    """Return a client for short commands that nobody should wait long for."""
    pool = BlockingConnectionPool.from_url(  # pyright: ignore[reportUnknownMemberType]  # untyped arguments
        redis_url, max_connections=REDIS_CONNECTIONS, timeout=2.0, socket_timeout=2.0, socket_connect_timeout=1.0
    )
    return Redis.from_pool(pool)
