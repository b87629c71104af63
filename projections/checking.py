"""Whether read models are what the log makes of them."""

from collections.abc import Callable
from typing import Any, Final, LiteralString

import msgspec
from psycopg import AsyncConnection

from ledger.database import Database
from projections.journal import JOURNAL
from projections.projection import Projection, sql
from projections.rebuild import built_beside, hold_level
from projections.rollforward import read_lot_ties
from projections.runner import active_build


class JournalCheck(msgspec.Struct, frozen=True):
    """What of the journal does not hold; every list and number is empty or zero where it does."""

    seq: int
    lots: int
    lots_with_other_credits: int
    lots_with_other_money: int
    accounts_with_other_credits: int

    @property
    def holds(self) -> bool:
        """Whether nothing was found."""
        return not (self.lots_with_other_credits or self.lots_with_other_money or self.accounts_with_other_credits)


DIFFERENCES: Final[dict[str, LiteralString]] = {
    "balances": sql.COUNT_BALANCE_DIFFERENCES,
    "statements": sql.COUNT_STATEMENT_DIFFERENCES,
    "journal": sql.COUNT_JOURNAL_DIFFERENCES,
    "analytics": sql.COUNT_ANALYTICS_DIFFERENCES,
}

SUMS: Final = frozenset({"analytics"})
"""Read models whose rows do not say up to which event they go: they are compared while both builds stand still."""


async def check_journal(connection: AsyncConnection[Any]) -> JournalCheck:
    """Hold the journal against its lots, and what accounts hold in it against what their events say.

    That it balances needs no check: each line takes from one account what it gives to another.
    """
    await connection.execute(sql.LIFT_TIME_LIMIT)
    build = await active_build(connection, JOURNAL.name)
    row = await (await connection.execute(sql.COUNT_ACCOUNT_DIFFERENCES, {"build": build})).fetchone()
    assert row is not None, "an aggregate has a row"
    seq, accounts = row
    ties = await read_lot_ties(connection, build=build, seq=seq)
    return JournalCheck(seq, ties.lots, ties.credits_differ, ties.money_differs, accounts)


async def count_differences(database: Database, projection: Projection, *, progress: Callable[[int, int], None]) -> int:
    """Build a read model anew beside the one that is read, and count the rows in which they differ.

    Nothing is switched, and the new build is gone afterwards.

    Raises:
        RebuildRunning, RebuildHalted: see `projections.rebuild`.
    """
    async with built_beside(database, projection, progress=progress) as (old, new), database.connection() as connection:
        await connection.execute(sql.LIFT_TIME_LIMIT)
        if projection.name in SUMS:
            await hold_level(connection, projection, old=old, new=new)
        parameters = {"name": projection.name, "old": old, "new": new}
        row = await (await connection.execute(DIFFERENCES[projection.name], parameters)).fetchone()
    assert row is not None, "an aggregate has a row"
    return row[0]
