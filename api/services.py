"""What one API process opens when it starts and closes when it stops."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from functools import partial
from typing import Final
from uuid import UUID

from msgspec import Struct

from api.auth import Authenticator
from api.forgetting import forget_forever
from api.freeze_reads import FreezeReader
from api.keys import read_keys
from api.known_keys import KnownKeys
from api.lookups import LookupConnection
from api.ownership import GenerationOwners
from api.settings import ApiSettings
from ledger.database import Database
from ledger.reads import read_heads
from ledger.writer import LedgerWriter
from workers import admission
from workers.batches import read_batch
from workers.context import GenerationContext, open_context
from workers.generations import terminal_of
from workers.payments.gateways.registry import Gateways
from workers.payments.waking import InboxWaker
from workers.providers.background.verifiers import WebhookVerifiers
from workers.streams.announcements import BalanceAnnouncer
from workers.streams.balances import Balance, BalanceHub
from workers.streams.batch_stream import BatchHub
from workers.streams.hub import StreamHub

POOL_SIZE: Final = 8
DRAIN_TIMEOUT_S: Final = 1.0
CANCEL_AGAIN_S: Final = 0.1


class Services(Struct, frozen=True, kw_only=True):
    """The open resources of the process, and what is built on them."""

    settings: ApiSettings
    database: Database
    requests_database: Database
    """For requests that run once: they hold a connection while they work with the others."""
    writer: LedgerWriter
    generations: GenerationContext
    stream_hub: StreamHub
    balance_hub: BalanceHub
    batch_hub: BatchHub
    authenticator: Authenticator
    freezes: FreezeReader
    generation_owners: GenerationOwners
    webhook_verifiers: WebhookVerifiers
    gateways: Gateways
    inbox_waker: InboxWaker

    async def drain(self) -> None:
        """Ask the readers of all streams to reconnect elsewhere, and wait a moment for them to be told."""
        hubs = (self.stream_hub, self.balance_hub, self.batch_hub)
        await asyncio.gather(*(hub.drain(DRAIN_TIMEOUT_S) for hub in hubs))


@contextlib.asynccontextmanager
async def open_services(settings: ApiSettings) -> AsyncGenerator[Services]:
    """Open everything, and close it in the opposite order."""
    platform = settings.platform
    async with contextlib.AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            Database(
                platform.database_url,
                name="holdfast web",
                max_size=POOL_SIZE,
                statement_timeout_s=platform.database_timeout_s,
                warm_up=admission.WARM_UP,
            )
        )
        requests_database = await stack.enter_async_context(
            Database(
                platform.database_url,
                name="holdfast web requests",
                max_size=POOL_SIZE,
                statement_timeout_s=platform.database_timeout_s,
            )
        )
        lookups = await stack.enter_async_context(LookupConnection(platform.database_url))
        announcer = await stack.enter_async_context(BalanceAnnouncer(platform.redis_url))
        writer = await stack.enter_async_context(LedgerWriter(platform.database_url, on_commit=announcer.note))
        generations = await stack.enter_async_context(open_context(platform, database=database, writer=writer))
        stream_hub = await stack.enter_async_context(
            StreamHub(platform.redis_url, partial(terminal_of, database), max_age_s=settings.stream_max_age_s)
        )
        balance_hub = await stack.enter_async_context(
            BalanceHub(platform.redis_url, partial(_balances_of, database), max_age_s=settings.stream_max_age_s)
        )
        webhook_verifiers = WebhookVerifiers(platform.environment)
        stack.push_async_callback(webhook_verifiers.aclose)
        gateways = Gateways(platform.environment)
        stack.push_async_callback(gateways.aclose)
        gateways.make_configured()
        batch_hub = await stack.enter_async_context(
            BatchHub(platform.redis_url, partial(read_batch, database), max_age_s=settings.stream_max_age_s)
        )
        await stack.enter_async_context(_in_background(forget_forever(requests_database), name="forgetting"))
        await stack.enter_async_context(_in_background(generations.catalogue.keep_fresh(), name="catalogue"))
        await stack.enter_async_context(_in_background(generations.places.keep_fresh(), name="places"))
        keys = KnownKeys(partial(read_keys, lookups))
        await stack.enter_async_context(_in_background(keys.keep_fresh(), name="keys"))
        yield Services(
            settings=settings,
            database=database,
            requests_database=requests_database,
            writer=writer,
            generations=generations,
            stream_hub=stream_hub,
            balance_hub=balance_hub,
            batch_hub=batch_hub,
            authenticator=Authenticator(settings, keys),
            freezes=FreezeReader(lookups),
            generation_owners=GenerationOwners(lookups),
            webhook_verifiers=webhook_verifiers,
            gateways=gateways,
            inbox_waker=InboxWaker(generations.queue),
        )


@contextlib.asynccontextmanager
async def _in_background(work: Coroutine[None, None, None], *, name: str) -> AsyncGenerator[None]:
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        # A connection pool takes a cancellation in the middle of its check for a broken connection, and goes on.
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=CANCEL_AGAIN_S)


async def _balances_of(database: Database, account_ids: Sequence[UUID]) -> Mapping[UUID, Balance]:
    async with database.connection() as connection:
        heads = await read_heads(connection, list(account_ids))
    return {
        account_id: Balance(
            version=head.version, available_microcredits=head.available, frozen_microcredits=head.frozen
        )
        for account_id, head in heads.items()
    }
