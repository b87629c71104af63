"""Totals of generations since the beginning, for metrics: over all accounts and days, so there are few of them."""

from typing import NamedTuple

from ledger.database import Database
from projections.analytics import sql


class Total(NamedTuple):
    """One total; what the label says depends on the counter. Never of an account."""

    counter: str
    model: str
    provider: str
    operation: str
    label: str
    amount: int


async def read_totals(database: Database) -> list[Total]:
    """Return all totals of the build that is read. They never fall: a build is switched only to one that is as far."""
    async with database.connection() as connection:
        rows = await (await connection.execute(sql.READ_TOTALS)).fetchall()
    return [Total(*labels, amount=int(amount)) for *labels, amount in rows]
