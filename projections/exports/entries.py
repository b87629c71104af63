"""The journal event by event, in bounded memory, and what every account holds at the end of each month."""

from collections.abc import AsyncGenerator
from datetime import date, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg import AsyncConnection

from ledger.events import Kind
from projections.chart import NAME_OF_ACCOUNT
from projections.exports.extent import Extent, sql

ROWS_AT_A_TIME: Final = 5_000

NAMES: Final = {int(account): name for account, name in NAME_OF_ACCOUNT.items()}


class EntryLine(NamedTuple):
    """One line of an entry; the amount is in millionths."""

    debit: int
    credit: int
    commodity: str
    amount: int
    lot: int


class JournalEntry(NamedTuple):
    """All lines of one event."""

    seq: int
    booked_on: date
    account_id: UUID
    version: int
    kind: str
    about: str
    lines: list[EntryLine]


class Assertion(NamedTuple):
    """What an account holds of a commodity at the end of a day, in millionths."""

    day: date
    account: str
    commodity: str
    balance: int


async def read_entries(connection: AsyncConnection[Any], extent: Extent) -> AsyncGenerator[JournalEntry]:
    """Yield the entry of each event that has one, in the sealed order."""
    entry: JournalEntry | None = None
    async with connection.cursor(name="entries", binary=True) as cursor:
        cursor.itersize = ROWS_AT_A_TIME
        await cursor.execute(sql.READ_ENTRIES, {"build": extent.build, "seq": extent.seq})
        async for seq, booked_on, account_id, version, kind, *line, about in cursor:
            if entry is None or entry.seq != seq:
                if entry is not None:
                    yield entry
                entry = JournalEntry(seq, booked_on, account_id, version, Kind(kind).name, about, [])
            entry.lines.append(EntryLine(*line))
    if entry is not None:
        yield entry


async def read_assertions(connection: AsyncConnection[Any], extent: Extent) -> list[Assertion]:
    """Sum the journal, and say what each account holds at the end of each month in which anything was booked."""
    rows = await (await connection.execute(sql.READ_MONTHS, {"build": extent.build, "seq": extent.seq})).fetchall()
    held: dict[tuple[str, str], int] = {}
    assertions: list[Assertion] = []
    for month in sorted({row[0] for row in rows}):
        for _, debit, credit, commodity, amount in (row for row in rows if row[0] == month):
            for account, moved in ((debit, int(amount)), (credit, -int(amount))):
                key = (NAMES[account], commodity)
                held[key] = held.get(key, 0) + moved
        day = _last_day(month)
        assertions += [
            Assertion(day, account, commodity, held[account, commodity]) for account, commodity in sorted(held)
        ]
    return assertions


def _last_day(month: date) -> date:
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
