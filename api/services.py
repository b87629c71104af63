"""What one API process opens when it starts and closes when it stops."""

import contextlib
from collections.abc import AsyncGenerator
from typing import Final

from msgspec import Struct

from api.auth import Authenticator
from api.freeze_reads import FreezeReader
from api.lookups import LookupConnection
from api.settings import ApiSettings
from ledger.database import Database
from ledger.writer import LedgerWriter

POOL_SIZE: Final = 8


class Services(Struct, frozen=True, kw_only=True):
    """The open resources of the process, and what is built on them."""

    settings: ApiSettings
    database: Database
    requests_database: Database
    """For requests that run once: they hold a connection while they work with the others."""
    writer: LedgerWriter
    lookups: LookupConnection
    authenticator: Authenticator
    freezes: FreezeReader


@contextlib.asynccontextmanager
async def open_services(settings: ApiSettings) -> AsyncGenerator[Services]:
    """Open everything, and close it in the opposite order."""
    async with contextlib.AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            Database(settings.platform.database_url, name="holdfast web", max_size=POOL_SIZE)
        )
        requests_database = await stack.enter_async_context(
            Database(settings.platform.database_url, name="holdfast web requests", max_size=POOL_SIZE)
        )
        lookups = await stack.enter_async_context(LookupConnection(settings.platform.database_url))
        writer = await stack.enter_async_context(LedgerWriter(settings.platform.database_url))
        yield Services(
            settings=settings,
            database=database,
            requests_database=requests_database,
            writer=writer,
            lookups=lookups,
            authenticator=Authenticator(settings, lookups),
            freezes=FreezeReader(lookups),
        )
