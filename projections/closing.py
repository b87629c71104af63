"""Closing a period: its report is kept for ever, and what comes later is booked after it.

A close holds for the events sealed so far. An event that comes later and is effective in the closed period is booked in
the open one, so the report can be made again from the journal at any time, and is the same to the byte.
"""

from datetime import date, datetime, timedelta
from typing import Any

import msgspec
from psycopg import AsyncConnection

from ledger.database import Database
from projections.journal import JOURNAL
from projections.money import format_micros
from projections.projection import sql
from projections.rollforward import Rollforward, read_rollforwards
from projections.runner import active_build, advance_active, take_batch
from projections.trial_balance import AccountBalance, read_trial_balance


class CannotClose(Exception):
    """The period cannot be closed: it is not after the last one, or there is no journal of all that is sealed."""


class ReportLine(msgspec.Struct, frozen=True):
    """One line of the trial balance; amounts as decimals."""

    account: int
    name: str
    commodity: str
    debit: str
    credit: str
    balance: str


class ReportRollforward(msgspec.Struct, frozen=True):
    """One commodity from its opening balance to its closing one; amounts as decimals."""

    commodity: str
    opening: str
    movements: dict[str, str]
    closing: str


class PeriodReport(msgspec.Struct, frozen=True):
    """What is known of a period for ever."""

    first: str | None
    through: str
    seq: int
    root: str | None
    trial_balance: tuple[ReportLine, ...]
    rollforward: tuple[ReportRollforward, ...]


class ClosedPeriod(msgspec.Struct, frozen=True):
    """A period that is closed, as it was recorded."""

    through: date
    seq: int
    closed_at: datetime
    actor: str
    root: bytes | None
    report: bytes
    report_sha256: bytes


async def close_period(database: Database, *, through: date, actor: str) -> ClosedPeriod:
    """Close everything up to and on a day, as of all events sealed now. The journal stands still meanwhile.

    Raises:
        CannotClose: the day is in a period that is closed already, nothing is sealed, or the journal is halted.
    """
    while await advance_active(database, JOURNAL):
        pass
    async with database.connection() as connection:
        await connection.execute(sql.LIFT_TIME_LIMIT)
        await connection.execute(sql.LOCK_JOURNAL_BUILDS)
        build = await active_build(connection, JOURNAL.name)
        closed = await read_periods(connection)
        if closed and closed[-1].through >= through:
            raise CannotClose(f"the periods up to {closed[-1].through} are closed already")
        seq, root = await _bring_journal_to_last_tick(connection, build)
        first = closed[-1].through + timedelta(days=1) if closed else None
        report = await _report(connection, build=build, seq=seq, root=root, first=first, through=through)
        parameters = {"through": through, "seq": seq, "actor": actor, "root": root, "report": report}
        row = await (await connection.execute(sql.INSERT_CLOSED_PERIOD, parameters)).fetchone()
    assert row is not None, "an INSERT returns its row"
    return ClosedPeriod(*row)


async def read_periods(connection: AsyncConnection[Any]) -> list[ClosedPeriod]:
    """Read all closed periods, the first first."""
    cursor = await connection.execute(sql.READ_PERIODS)
    return [ClosedPeriod(*row) async for row in cursor]


async def changed_periods(connection: AsyncConnection[Any]) -> list[date]:
    """Make the report of every closed period again from the journal; return the last days of those that differ."""
    await connection.execute(sql.LIFT_TIME_LIMIT)
    build = await active_build(connection, JOURNAL.name)
    changed: list[date] = []
    first: date | None = None
    for period in await read_periods(connection):
        report = await _report(
            connection, build=build, seq=period.seq, root=period.root, first=first, through=period.through
        )
        if report != period.report:
            changed.append(period.through)
        first = period.through + timedelta(days=1)
    return changed


async def _bring_journal_to_last_tick(connection: AsyncConnection[Any], build: int) -> tuple[int, bytes | None]:
    """Take the rest in, so that no event is booked yet to which the close applies; return the place and its root."""
    row = await (await connection.execute(sql.READ_LAST_ROOT)).fetchone()
    if row is None:
        raise CannotClose("nothing is sealed yet")
    size, root = row
    while (seq := await _furthest(connection)) < size:
        limit = min(JOURNAL.batch_limit, size - seq)
        if not await take_batch(connection, JOURNAL, build=build, limit=limit):
            raise CannotClose("the journal is halted; see the status of the projections")
    return size, root


async def _furthest(connection: AsyncConnection[Any]) -> int:
    rows = await (await connection.execute(sql.LOCK_JOURNAL_BUILDS)).fetchall()
    return max(row[0] for row in rows)


async def _report(
    connection: AsyncConnection[Any], *, build: int, seq: int, root: bytes | None, first: date | None, through: date
) -> bytes:
    balances = await read_trial_balance(connection, build=build, seq=seq, through=through)
    rollforwards = await read_rollforwards(connection, build=build, seq=seq, first=first, through=through)
    report = PeriodReport(
        first=None if first is None else first.isoformat(),
        through=through.isoformat(),
        seq=seq,
        root=None if root is None else root.hex(),
        trial_balance=tuple(map(_line, balances)),
        rollforward=tuple(map(rollforward_report, rollforwards)),
    )
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def _line(line: AccountBalance) -> ReportLine:
    amounts = (format_micros(amount) for amount in (line.debit, line.credit, line.balance))
    return ReportLine(int(line.account), line.name, line.commodity, *amounts)


def rollforward_report(rolled: Rollforward) -> ReportRollforward:
    """Show a rollforward with its amounts as decimals."""
    movements = {name: format_micros(amount) for name, amount in rolled.movements.items()}
    return ReportRollforward(rolled.commodity, format_micros(rolled.opening), movements, format_micros(rolled.closing))
