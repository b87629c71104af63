"""The journal of any history ties to the ledger: lot by lot in credits, and to the cent in money."""

from collections import Counter
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from ledger.database import Database
from ledger.writer import LedgerWriter
from projections.chart import CREDIT, NAME_OF_ACCOUNT, LedgerAccount
from projections.journal import JOURNAL
from projections.journal_lots import JournalLot
from projections.journal_policy import Policy, read_policies, set_policy
from projections.money import parse_payment
from projections.projection import Projection
from projections.status import read_status
from projections.trial_balance import AccountBalance, read_trial_balance
from tests.builders import NOW_US, charge, grant, top_up
from tests.ledger_state import check_everything
from tests.projected import MovableClock, bring_up, lives, opened, seal_all, submit

A = LedgerAccount
SEEDS = range(6)


async def some_lives(url: str, *, seed: int, accounts: int = 3, steps: int = 250) -> None:
    clock = MovableClock(NOW_US)
    async with LedgerWriter(url, clock_us=clock) as writer:
        await lives(writer, clock, seed=seed, accounts=accounts, steps=steps)


async def journal_state(database: Database) -> str:
    async with database.connection() as connection:
        return next(build.state for build in await read_status(connection) if build.name == "journal")


async def trial_balance(database: Database) -> dict[tuple[LedgerAccount, str], int]:
    async with database.connection() as connection:
        balances: list[AccountBalance] = await read_trial_balance(connection, build=0, seq=2**62)
    return {(line.account, line.commodity): line.balance for line in balances}


def lots_of_the_journal(connection: Connection) -> list[JournalLot]:
    rows: list[Any] = connection.execute(
        "SELECT account_id, number, is_bought, currency, unit, paid::bigint, amount, held, reversed, expired,"
        " expired_deferred::bigint, expired_recognised::bigint FROM journal_lots"
    ).fetchall()
    return [JournalLot(*row) for row in rows]


def money_by_lot(connection: Connection, account: LedgerAccount) -> dict[tuple[Any, int], int]:
    return {
        (account_id, lot): int(amount)
        for account_id, lot, amount in connection.execute(
            "SELECT account_id, lot, sum(CASE WHEN debit = %(account)s THEN amount ELSE -amount END)"
            " FROM journal_lines WHERE %(account)s IN (debit, credit) GROUP BY account_id, lot",
            {"account": int(account)},
        )
    }


@pytest.mark.parametrize("seed", SEEDS)
async def test_every_lot_holds_in_the_journal_what_it_holds_in_the_ledger(
    database: Database, database_url: str, seed: int
) -> None:
    await some_lives(database_url, seed=seed)

    await bring_up(database, JOURNAL)

    assert await journal_state(database) == "current"
    check_everything(database_url)
    with psycopg.connect(database_url) as connection:
        in_the_ledger = {
            (account_id, number): held
            for account_id, number, held in connection.execute(
                "SELECT account_id, number, remaining + frozen FROM lots WHERE live"
            )
        }
        held = {key: -amount for key, amount in money_by_lot(connection, A.credits_held).items() if amount}
        assert held == in_the_ledger
        assert {(lot.account_id, lot.number): lot.held for lot in lots_of_the_journal(connection) if lot.held} == held
        debts = {
            account_id: -available
            for account_id, available in connection.execute("SELECT id, available FROM accounts WHERE available < 0")
        }
        owed: Counter[Any] = Counter()
        for (account_id, _), amount in money_by_lot(connection, A.credits_owed).items():
            owed[account_id] += amount
        assert {account_id: amount for account_id, amount in owed.items() if amount} == debts


@pytest.mark.parametrize("seed", SEEDS)
async def test_every_lot_carries_the_money_of_what_it_holds_and_no_more(
    database: Database, database_url: str, seed: int
) -> None:
    await some_lives(database_url, seed=seed)

    await bring_up(database, JOURNAL)

    with psycopg.connect(database_url) as connection:
        contract = money_by_lot(connection, A.contract_liability)
        expired = money_by_lot(connection, A.expired_liability)
        lots = lots_of_the_journal(connection)
        assert lots
        for lot in lots:
            key = (lot.account_id, lot.number)
            assert -contract.get(key, 0) == (lot.value_of(lot.held) if lot.is_bought else 0)
            assert -expired.get(key, 0) == lot.expired_deferred
        unpaid = {(lot.account_id, lot.number) for lot in lots if not lot.is_bought}
        assert not unpaid & money_by_lot(connection, A.usage).keys(), "no revenue without a payment"


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_trial_balance_ties_to_the_totals_of_the_ledger(
    database: Database, database_url: str, seed: int
) -> None:
    await some_lives(database_url, seed=seed)

    await bring_up(database, JOURNAL)

    balances = await trial_balance(database)
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT sum(credited), sum(spent), sum(expired), sum(reversed), sum(available) + sum(frozen) FROM accounts"
        ).fetchone()
        assert row is not None
        credited, spent, expired, reversed_, closing = map(int, row)
        paid: dict[str, int] = {}
        for amount, currency in connection.execute("SELECT paid_amount, paid_currency FROM lots").fetchall():
            payment = parse_payment(amount, currency)
            paid[payment.currency] = paid.get(payment.currency, 0) + payment.micros
        received = {
            commodity: int(amount)
            for commodity, amount in connection.execute(
                "SELECT commodity, sum(amount) FROM journal_lines WHERE debit = 1000 AND credit = 2000"
                " AND (account_id, version) IN (SELECT account_id, number FROM lots WHERE origin = 1)"
                " GROUP BY commodity"
            )
        }

    def units(*accounts: LedgerAccount) -> int:
        return sum(balances.get((account, CREDIT), 0) for account in accounts)

    assert units(A.credits_bought, A.credits_granted, A.credits_adjusted) == credited
    assert (-units(A.credits_used), -units(A.credits_expired), -units(A.credits_refunded)) == (
        spent, expired, reversed_,
    )  # fmt: skip
    assert -units(A.credits_held, A.credits_owed) == closing
    assert received == {currency: amount for currency, amount in paid.items() if currency}
    for commodity in {commodity for _, commodity in balances}:
        assert sum(amount for (_, of), amount in balances.items() if of == commodity) == 0


async def test_batches_may_begin_anywhere(database: Database, database_url: str) -> None:
    await some_lives(database_url, seed=11, accounts=2, steps=120)
    await bring_up(database, JOURNAL)
    at_once = journal_rows(database_url)
    with psycopg.connect(database_url) as connection:
        connection.execute("SET ROLE holdfast_app")
        connection.execute("SELECT empty_build('journal', 0::smallint)")
        connection.execute("UPDATE projection_builds SET seq = 0 WHERE name = 'journal'")

    await bring_up(database, Projection("journal", JOURNAL.apply, 7))

    assert journal_rows(database_url) == at_once


def journal_rows(url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT * FROM journal_lines ORDER BY seq, line").fetchall()


async def test_a_payment_that_is_no_money_halts_the_journal(database: Database, writer: LedgerWriter) -> None:
    account_id = await opened(writer)
    await submit(writer, top_up(5, account_id, paid_amount="nine", paid_currency="USD"))

    await bring_up(database, JOURNAL)

    async with database.connection() as connection:
        status = next(build for build in await read_status(connection) if build.name == "journal")
    assert (status.state, status.halted_seq) == ("halted", 2)
    assert "'nine' 'USD'" in (status.halt_reason or "")


async def test_a_policy_is_in_force_for_what_comes_after_it(database: Database, writer: LedgerWriter) -> None:
    account_id = await opened(writer)
    await submit(writer, grant(1_000_000, account_id))
    await bring_up(database, JOURNAL)
    shown_at_a_cent = Policy(promotion_value="0.01", promotion_currency="USD")
    async with database.connection() as connection:
        after_seq = await set_policy(connection, shown_at_a_cent, actor="test")

    await submit(writer, charge(1_000_000, account_id))
    await submit(writer, grant(3_000_000, account_id))
    await submit(writer, charge(2_000_000, account_id))
    await bring_up(database, JOURNAL)

    async with database.connection() as connection:
        policies = await read_policies(connection)
    assert (after_seq, policies.at(2), policies.at(3)) == (2, Policy(), shown_at_a_cent)
    balances = await trial_balance(database)
    assert balances[A.promotional_discount, "USD"] == 20_000
    assert balances[A.promotional_use, "USD"] == -20_000
    assert (A.usage, "USD") not in balances


async def test_a_line_that_moves_nothing_or_mixes_money_and_credits_is_refused(
    database_url: str, database: Database
) -> None:
    await seal_all(database)
    for debit, credit, commodity, amount in [
        (1000, 2000, "USD", 0), (1000, 2000, "USD", -1), (1000, 1000, "USD", 1), (1000, 2000, "CREDIT", 1),
        (1000, 9200, "USD", 1), (9100, 9200, "USD", 1),
    ]:  # fmt: skip
        with psycopg.connect(database_url) as connection, pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(
                "INSERT INTO journal_lines (build, seq, line, account_id, version, booked_on, debit, credit, commodity,"
                " amount, lot) VALUES (0, 1, 1, gen_random_uuid(), 1, '2026-01-01', %s, %s, %s, %s, 0)",
                [debit, credit, commodity, amount],
            )


def test_the_chart_in_the_database_is_the_chart_in_the_code(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        rows = dict(connection.execute("SELECT number, name FROM ledger_accounts").fetchall())

    assert rows == {int(account): name for account, name in NAME_OF_ACCOUNT.items()}
    assert set(NAME_OF_ACCOUNT) == set(LedgerAccount)
