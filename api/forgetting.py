"""Forgetting recorded answers after some days. What the ledger recorded under a key is never forgotten."""

import asyncio
from typing import Final

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from ledger import statements
from ledger.database import Database

sql: Final = statements.load("api")

KEEP_DAYS: Final = 7
BATCH_LIMIT: Final = 1_000
EVERY_S: Final = 600.0

_log: Final = structlog.get_logger("api.forgetting")


async def forget_forever(database: Database) -> None:
    """Forget what is due, now and every `EVERY_S`, until cancelled; several processes may do so at once."""
    while True:
        try:
            while await forget(database) == BATCH_LIMIT:
                pass
        except (psycopg.Error, PoolTimeout) as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                # Cancelled in the middle of a statement, psycopg may raise an error of its own instead.
                raise asyncio.CancelledError from error
            _log.warning("forgetting_failed", error=repr(error))
        await asyncio.sleep(EVERY_S)


async def forget(database: Database) -> int:
    """Forget up to `BATCH_LIMIT` answers that are older than `KEEP_DAYS`, and return how many."""
    async with database.connection() as connection:
        forgotten = await connection.execute(sql.FORGET_REQUESTS, {"days": KEEP_DAYS, "limit": BATCH_LIMIT})
        return forgotten.rowcount
