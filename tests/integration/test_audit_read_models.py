"""`holdfast audit verify` finds what somebody changes in a read model, names it, and exits with 1."""

import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import psycopg
import pytest

from ledger.database import Database
from ledger.writer import LedgerWriter
from ops.audit.pool import Job, Run
from ops.audit.verify import Report, verify
from projections import balances
from projections.audit import analytics as audited_analytics
from projections.audit import balances as audited_balances
from projections.catalogue import PROJECTIONS
from projections.rebuild import rebuild
from tests.builders import NOW_US, charge, freeze, top_up
from tests.generated_year import generate_year
from tests.projected import MovableClock, bring_up, lives, opened, submit


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snapshots every ten events, and batches of which a short history has several."""
    for module in (balances, audited_balances):
        monkeypatch.setattr(module, "INTERVAL", 10)
    monkeypatch.setattr(audited_analytics, "BATCH_EVENTS", 30)


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run all jobs here: another process would not know of the small steps."""

    @contextlib.asynccontextmanager
    async def processes(module: str, *, total: int, progress: object) -> AsyncGenerator[Run]:
        async def run(jobs: Sequence[Job]) -> list[Any]:
            return [await function(argument) for function, argument in jobs]

        yield run

    monkeypatch.setattr("ops.audit.verify.processes", processes)


def tamper(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        changed = connection.execute(statement.encode())
        assert changed.rowcount > 0, "there is something to change"


async def verified(url: str) -> Report:
    return await verify(url, claims=[], trusted=[], progress=lambda _done, _total: None)


async def some_history(database: Database, url: str) -> None:
    clock = MovableClock(NOW_US)
    async with LedgerWriter(url, clock_us=clock) as writer:
        await lives(writer, clock, seed=5, accounts=3, steps=120)
    await bring_up(database, *PROJECTIONS)


async def test_what_projections_made_of_any_history_is_in_order(database: Database, database_url: str) -> None:
    clock = MovableClock(NOW_US)
    async with LedgerWriter(database_url, clock_us=clock) as writer:
        await generate_year(writer, clock)
        await lives(writer, clock, seed=6, accounts=4, steps=250)
    await bring_up(database, *PROJECTIONS)

    report = await verified(database_url)

    assert [str(finding) for finding in report.findings] == []
    assert report.read_models == dict.fromkeys((projection.name for projection in PROJECTIONS), report.sealed)


async def test_read_models_are_compared_as_far_as_each_of_them_is(
    database: Database, database_url: str, writer: LedgerWriter
) -> None:
    account_id = await opened(writer)
    await submit(writer, top_up(500, account_id))
    for number, projection in enumerate(PROJECTIONS):
        for _ in range(20):
            await submit(writer, charge(1, account_id))
        await submit(writer, freeze(1, account_id))
        await bring_up(database, *PROJECTIONS[number:])
        await rebuild(database, projection, progress=lambda _done, _total: None)

    report = await verified(database_url)

    assert report.findings == []
    assert sorted(report.read_models.values()) == [23, 44, 65, 86]


PLACE = "array_position(seqs, 150)"
OF_LINE = "WHERE 150 = ANY(seqs)"


@pytest.mark.parametrize(
    ("statement", "check"),
    [
        (f"UPDATE statement_blocks SET available_changes[{PLACE}] = 1 {OF_LINE}", "statements"),
        (f"UPDATE statement_blocks SET frozen_changes[{PLACE}] = 1 {OF_LINE}", "statements"),
        (f"UPDATE statement_blocks SET frozen_changes = frozen_changes[:{PLACE} - 1] {OF_LINE}", "statements"),
        (f"UPDATE statement_blocks SET seqs[{PLACE}] = 151 {OF_LINE}", "statements"),
        (f"UPDATE statement_blocks SET seqs = seqs[:{PLACE} - 1] {OF_LINE}", "statements"),
        ("UPDATE journal_lines SET amount = amount + 1 WHERE seq = 150", "journal"),
        ("UPDATE journal_lines SET credit = 9350 WHERE seq = 150 AND credit = 9320", "journal"),
        ("UPDATE journal_lines SET booked_on = booked_on + 1 WHERE seq = 150", "journal"),
        ("UPDATE journal_lines SET account_id = gen_random_uuid() WHERE seq = 150", "journal"),
        ("DELETE FROM journal_lines WHERE seq = 150", "journal"),
    ],
)
async def test_a_line_that_was_changed_is_named(
    database: Database, database_url: str, superuser_url: str, statement: str, check: str
) -> None:
    await some_history(database, database_url)
    with psycopg.connect(database_url) as connection:
        place = connection.execute("SELECT seq FROM journal_lines WHERE credit = 9320 AND seq > 150 LIMIT 1").fetchone()
    assert place is not None

    tamper(superuser_url, statement.replace("150", str(place[0])))

    report = await verified(database_url)
    assert {finding.check for finding in report.findings} == {check}
    assert report.findings[0].seq == place[0]
    assert report.findings[0].account_id is not None


EXTRA_STATEMENT_LINES = """
    INSERT INTO statement_blocks
    SELECT build, account_id, first_version + 3200, seqs, available_changes, frozen_changes
    FROM statement_blocks WHERE 150 = ANY(seqs)
"""
LONGER_BLOCK = """
    UPDATE statement_blocks SET seqs = seqs || 151::bigint, available_changes = available_changes || 0::bigint,
        frozen_changes = frozen_changes || 0::bigint
    WHERE 150 = ANY(seqs)
"""
EXTRA_JOURNAL_LINE = """
    INSERT INTO journal_lines
    SELECT build, debit, credit, line + 900, booked_on, seq, version, lot, amount, account_id, commodity
    FROM journal_lines WHERE line = 1 AND seq > 100
"""
LINES_OF_A_STRANGER = """
    INSERT INTO journal_lines
    SELECT build, debit, credit, line, booked_on, seq + 100000, version, lot, amount, gen_random_uuid(), commodity
    FROM journal_lines WHERE line = 1 AND seq > 100
"""
SNAPSHOT_OF_LATER = """
    UPDATE balance_snapshots SET state = later.state FROM balance_snapshots AS later
    WHERE later.version = 20 AND later.account_id = balance_snapshots.account_id AND balance_snapshots.version = 10
"""


@pytest.mark.parametrize(
    ("statement", "check"),
    [
        (EXTRA_STATEMENT_LINES, "statements"),
        (LONGER_BLOCK, "statements"),
        ("DELETE FROM statement_blocks WHERE 150 = ANY(seqs)", "statements"),
        ("UPDATE statement_blocks SET account_id = gen_random_uuid() WHERE 150 = ANY(seqs)", "statements"),
        (EXTRA_JOURNAL_LINE, "journal"),
        (LINES_OF_A_STRANGER, "journal"),
        ("UPDATE journal_lots SET held = held + 1 WHERE held < amount - expired", "journal"),
        ("UPDATE journal_lots SET paid = paid + 1", "journal"),
        ("DELETE FROM journal_lots WHERE number = 2", "journal"),
        ("UPDATE journal_lots SET account_id = gen_random_uuid() WHERE number = 2", "journal"),
        ("UPDATE balance_snapshots SET state = convert_to('', 'UTF8') WHERE version = 10", "balances"),
        ("UPDATE balance_snapshots SET recorded_at = recorded_at + interval '1 us' WHERE version = 10", "balances"),
        ("UPDATE balance_snapshots SET due_version = 1 WHERE version = 20", "balances"),
        (SNAPSHOT_OF_LATER, "balances"),
        ("DELETE FROM balance_snapshots WHERE version = 10", "balances"),
        ("UPDATE balance_snapshots SET account_id = gen_random_uuid() WHERE version = 10", "balances"),
        ("UPDATE analytics_account_days SET spent = spent + 1", "analytics"),
        ("UPDATE analytics_accounts SET first_bought_at = now()", "analytics"),
        ("DELETE FROM analytics_account_days", "analytics"),
        ("UPDATE projection_builds SET seq = seq + 100000 WHERE name = 'statements'", "statements"),
    ],
)
async def test_what_no_event_made_is_found(
    database: Database, database_url: str, superuser_url: str, statement: str, check: str
) -> None:
    await some_history(database, database_url)

    tamper(superuser_url, statement)

    assert {finding.check for finding in (await verified(database_url)).findings} == {check}


async def test_a_changed_event_is_named_once_and_not_for_all_that_was_made_of_it(
    database: Database, database_url: str, superuser_url: str
) -> None:
    await some_history(database, database_url)
    tamper(superuser_url, "UPDATE events SET version = version + 1000 WHERE version = 50")

    report = await verified(database_url)

    assert report.findings[0].check == "chain"
    assert "journal" not in {finding.check for finding in report.findings}
