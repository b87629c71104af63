"""Closed periods stay as they are, rollforwards lead from opening to closing, and checks find what was changed."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

import msgspec
import psycopg
import pytest

from ledger.database import Database
from ledger.rows import to_us
from ledger.writer import LedgerWriter
from projections.catalogue import PROJECTIONS
from projections.chart import CREDIT
from projections.checking import check_journal, count_differences
from projections.closing import CannotClose, PeriodReport, changed_periods, close_period, read_periods
from projections.journal import JOURNAL
from projections.journal_policy import Policy, set_policy
from projections.rebuild import rebuild
from projections.rollforward import Rollforward, read_lot_ties, read_rollforwards
from projections.trial_balance import read_trial_balance
from tests.builders import NOW_US, charge, grant, top_up
from tests.generated_year import DAY_US, YEAR, generate_year
from tests.projected import MovableClock, bring_up, opened, seal_all, submit

JANUARY = date(YEAR, 1, 31)
FEBRUARY = date(YEAR, 2, 28)
MARCH_US = to_us(datetime(YEAR, 3, 10, tzinfo=UTC))


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock(NOW_US)


def ignore(taken: int, total: int) -> None:
    """Show no progress."""


async def rolled(database: Database, *, first: date | None, through: date) -> dict[str, Rollforward]:
    async with database.connection() as connection:
        found = await read_rollforwards(connection, build=0, seq=2**62, first=first, through=through)
    return {rollforward.commodity: rollforward for rollforward in found}


async def test_a_year_rolls_forward_month_by_month_to_the_trial_balance_and_the_lots(
    database: Database, database_url: str, clock: MovableClock
) -> None:
    async with LedgerWriter(database_url, clock_us=clock) as writer:
        await generate_year(writer, clock)
    await bring_up(database, JOURNAL)

    closing: dict[str, int] = {}
    first: date | None = None
    for month in range(1, 13):
        through = (date(YEAR, month, 28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
        for commodity, rollforward in (await rolled(database, first=first, through=through)).items():
            assert rollforward.holds
            assert rollforward.opening == closing.get(commodity, 0)
            closing[commodity] = rollforward.closing
        first = through + timedelta(days=1)

    assert {"EUR", "JPY", "USD", "KWD", CREDIT} <= closing.keys()
    whole = await rolled(database, first=None, through=date.max)
    async with database.connection() as connection:
        balances = await read_trial_balance(connection, build=0, seq=2**62)
        ties = await read_lot_ties(connection, build=0, seq=(await check_journal(connection)).seq)
        row = await (await connection.execute("SELECT sum(available + frozen) FROM accounts")).fetchone()
    contract = {line.commodity: -line.balance for line in balances if line.name == "Liabilities:Contract"}
    assert {name: line.closing for name, line in whole.items() if name != CREDIT} == contract
    assert row == (whole[CREDIT].closing,)
    assert ties.hold
    assert ties.lots > 100
    assert min(whole[CREDIT].movements[name] for name in ("bought", "granted")) > 0
    assert max(whole[CREDIT].movements[name] for name in ("used", "expired", "refunded")) < 0


async def two_months(writer: LedgerWriter, clock: MovableClock) -> Any:
    clock.now_us = to_us(datetime(YEAR, 1, 10, tzinfo=UTC))
    account_id = await opened(writer)
    await submit(writer, top_up(10_000_000, account_id, paid_amount="10.00", paid_currency="EUR"))
    clock.now_us = to_us(datetime(YEAR, 2, 10, tzinfo=UTC))
    await submit(writer, charge(2_000_000, account_id))
    return account_id


async def test_what_comes_after_a_close_lands_in_the_open_period_and_the_report_stays_the_same(
    database: Database, database_url: str, clock: MovableClock
) -> None:
    async with LedgerWriter(database_url, clock_us=clock) as writer:
        account_id = await two_months(writer, clock)
        await seal_all(database)
        january = await close_period(database, through=JANUARY, actor="finance")

        clock.now_us = MARCH_US
        for effective_us in (NOW_US - 900 * DAY_US, to_us(datetime(YEAR, 1, 5, tzinfo=UTC)), MARCH_US - DAY_US):
            await submit(
                writer,
                top_up(1, account_id, paid_amount="1.00", paid_currency="EUR", effective_at_us=effective_us),
            )
        await bring_up(database, JOURNAL)

    with psycopg.connect(database_url) as connection:
        booked = connection.execute(
            "SELECT DISTINCT booked_on, version FROM journal_lines WHERE version > 3 ORDER BY version"
        ).fetchall()
    assert booked == [(date(YEAR, 3, 10), 4), (date(YEAR, 3, 10), 5), (date(YEAR, 3, 9), 6)]
    async with database.connection() as connection:
        assert await changed_periods(connection) == []
        assert [period.report for period in await read_periods(connection)] == [january.report]
    assert january.report_sha256 == sha256(january.report).digest()
    report = msgspec.json.decode(january.report, type=PeriodReport)
    assert (report.through, report.seq, report.root) == ("2026-01-31", 3, january.root.hex() if january.root else None)
    euros = next(line for line in report.rollforward if line.commodity == "EUR")
    assert (euros.opening, euros.movements["bought"], euros.movements["used"], euros.closing) == ("0", "10", "0", "10")


async def test_a_rebuild_after_closes_and_policies_makes_the_same_entries(
    database: Database, database_url: str, clock: MovableClock
) -> None:
    async with LedgerWriter(database_url, clock_us=clock) as writer:
        account_id = await two_months(writer, clock)
        await seal_all(database)
        await close_period(database, through=JANUARY, actor="finance")
        async with database.connection() as connection:
            await set_policy(connection, Policy(promotion_value="0.01", promotion_currency="EUR"), actor="finance")
        await submit(writer, grant(5_000_000, account_id, priority=1))
        await submit(writer, charge(3_000_000, account_id))
        await submit(writer, top_up(7, account_id, paid_amount="7", paid_currency="EUR", effective_at_us=NOW_US))
        await seal_all(database)
        await close_period(database, through=FEBRUARY, actor="finance")
    before = rows_of(database_url)

    await rebuild(database, JOURNAL, progress=ignore)

    assert rows_of(database_url) == before
    async with database.connection() as connection:
        assert await changed_periods(connection) == []


def rows_of(url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT seq, line, account_id, version, booked_on, debit, credit, commodity, amount, lot FROM journal_lines"
            " WHERE build = (SELECT active FROM projections WHERE name = 'journal') ORDER BY seq, line"
        ).fetchall()


async def test_a_period_is_closed_once_and_in_order(database: Database, database_url: str, clock: MovableClock) -> None:
    with pytest.raises(CannotClose, match="nothing is sealed"):
        await close_period(database, through=JANUARY, actor="finance")
    async with LedgerWriter(database_url, clock_us=clock) as writer:
        await two_months(writer, clock)
    await seal_all(database)
    await close_period(database, through=FEBRUARY, actor="finance")

    for again in (JANUARY, FEBRUARY):
        with pytest.raises(CannotClose, match="2026-02-28"):
            await close_period(database, through=again, actor="finance")


async def test_a_period_is_closed_under_writers(database: Database, database_url: str, writer: LedgerWriter) -> None:
    account_id = await opened(writer)
    await seal_all(database)
    finished = asyncio.Event()

    async def write() -> None:
        effective_us = to_us(datetime(YEAR, 1, 5, tzinfo=UTC))
        while not finished.is_set():
            await submit(writer, top_up(3, account_id, effective_at_us=effective_us))
            await bring_up(database, JOURNAL)

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        for day in range(1, 20):
            await close_period(database, through=date(YEAR, 1, day), actor="finance")
        finished.set()
    await bring_up(database, JOURNAL)

    async with database.connection() as connection:
        assert await changed_periods(connection) == []
    for projection in PROJECTIONS:
        assert await count_differences(database, projection, progress=ignore) == 0


async def test_closed_periods_cannot_be_changed_by_the_application(
    database: Database, database_url: str, clock: MovableClock
) -> None:
    async with LedgerWriter(database_url, clock_us=clock) as writer:
        await two_months(writer, clock)
    await seal_all(database)
    await close_period(database, through=JANUARY, actor="finance")

    for statement in ("UPDATE closed_periods SET seq = 1", "DELETE FROM closed_periods", "TRUNCATE closed_periods"):
        with pytest.raises(psycopg.errors.Error):
            async with database.connection() as connection:
                await connection.execute(statement)  # type: ignore[call-overload]  # written above
        with psycopg.connect(database_url) as owner, pytest.raises(psycopg.errors.RestrictViolation):
            owner.execute(statement)  # type: ignore[call-overload]  # written above


async def test_the_checks_find_a_line_that_was_changed(
    database: Database, database_url: str, clock: MovableClock
) -> None:
    async with LedgerWriter(database_url, clock_us=clock) as writer:
        await two_months(writer, clock)
    await bring_up(database, *PROJECTIONS)
    async with database.connection() as connection:
        assert (await check_journal(connection)).holds
    assert await count_differences(database, JOURNAL, progress=ignore) == 0

    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE journal_lines SET amount = amount + 1 WHERE debit = 9200")
        connection.execute("UPDATE journal_lines SET amount = amount + 10000 WHERE debit = 2000")

    async with database.connection() as connection:
        found = await check_journal(connection)
    assert not found.holds
    assert (found.lots_with_other_credits, found.lots_with_other_money, found.accounts_with_other_credits) == (1, 1, 1)
    assert await count_differences(database, JOURNAL, progress=ignore) == 4
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM journal_lines WHERE build = 1").fetchone() == (0,)
