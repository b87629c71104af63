"""How many generations wait and run, by tier and provider."""

from typing import Literal, NamedTuple

from ledger.database import Database
from workers.generations import sql


class QueueCount(NamedTuple):
    """How many are in one state, of one tier and provider."""

    state: Literal["waiting", "running"]
    tier: int
    provider: str
    generations: int


async def read_queue_counts(database: Database) -> list[QueueCount]:
    """Return what waits and what runs now, by Postgres."""
    async with database.connection() as connection:
        rows = await (await connection.execute(sql.COUNT_QUEUES)).fetchall()
    return [QueueCount(*row) for row in rows]
