"""What accounts had, at any place and time: the projection and a few events beside a full replay."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from ledger.account import Account, fold
from ledger.database import Database
from ledger.errors import AccountNotFound
from ledger.events import Event
from ledger.lots import Lot
from ledger.rows import from_us
from ledger.writer import LedgerWriter
from projections.as_of import read_balance_as_of
from projections.balances import BALANCES, INTERVAL
from tests.builders import NOW_US, SECOND_US, charge, top_up
from tests.ledger_state import events_of, snapshot_of
from tests.projected import MovableClock, bring_up, lives, opened, seal_all, submit

LATER = from_us(NOW_US + 10**15)


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock(NOW_US)


@pytest.fixture
async def busy_writer(database_url: str, clock: MovableClock) -> AsyncIterator[LedgerWriter]:
    async with LedgerWriter(database_url, clock_us=clock) as writer:
        yield writer


def events_in(url: str, account_id: UUID) -> list[Event]:
    with snapshot_of(url) as connection:
        return events_of(connection, account_id)


def lots_with_credits(account: Account) -> list[tuple[UUID, int, int]]:
    lots = sorted(account.lots.values(), key=Lot.draw_order)
    spendable = [(lot, 0 if lot.is_expired(account.updated_at_us) else lot.remaining) for lot in lots]
    return [(lot.id, remaining, lot.frozen) for lot, remaining in spendable if remaining or lot.frozen]


async def test_as_of_any_seq_is_what_the_events_up_to_it_fold_to(
    database: Database, database_url: str, busy_writer: LedgerWriter, clock: MovableClock
) -> None:
    (account_id,) = await lives(busy_writer, clock, seed=7, accounts=1, steps=3 * 2 * INTERVAL)
    await bring_up(database, BALANCES)
    events = events_in(database_url, account_id)
    with psycopg.connect(database_url) as connection:
        snapshots = connection.execute("SELECT count(*) FROM balance_snapshots").fetchone()
    assert snapshots == (len(events) // INTERVAL,)

    for seq in [1, INTERVAL - 1, INTERVAL, INTERVAL + 1, 2 * INTERVAL, len(events) - 1, len(events), 10**18]:
        replayed = fold(account_id, events[:seq])
        async with database.connection() as connection:
            found = await read_balance_as_of(connection, account_id, seq=seq, now=LATER)

        over = sum(lot.remaining for lot in replayed.lots.values() if lot.is_expired(replayed.updated_at_us))
        assert (found.version, found.frozen) == (replayed.version, replayed.frozen)
        assert found.available == replayed.available - over
        assert [(lot.id, lot.remaining, lot.frozen) for lot in found.lots] == lots_with_credits(replayed)


async def test_as_of_a_time_takes_in_every_event_of_that_very_moment(
    database: Database, database_url: str, busy_writer: LedgerWriter, clock: MovableClock
) -> None:
    (account_id,) = await lives(busy_writer, clock, seed=8, accounts=1, steps=2 * 2 * INTERVAL)
    await bring_up(database, BALANCES)
    events = events_in(database_url, account_id)

    for moment_us in sorted({event.recorded_at_us for event in events})[:: INTERVAL // 16]:
        included = [event for event in events if event.recorded_at_us <= moment_us]
        async with database.connection() as connection:
            at = await read_balance_as_of(connection, account_id, at=from_us(moment_us), now=LATER)
            before = await read_balance_as_of(
                connection, account_id, at=from_us(moment_us) - timedelta(microseconds=1), now=LATER
            ) if moment_us > NOW_US else None  # fmt: skip

        assert at.version == len(included)
        assert before is None or before.version < at.version


async def test_a_lot_that_is_over_counts_as_gone_though_nobody_swept_it(
    database: Database, busy_writer: LedgerWriter
) -> None:
    account_id = await opened(busy_writer)
    await submit(busy_writer, top_up(500, account_id, expires_at_us=NOW_US + SECOND_US))

    async with database.connection() as connection:
        just_before = await read_balance_as_of(connection, account_id, at=from_us(NOW_US + SECOND_US - 1), now=LATER)
        then = await read_balance_as_of(connection, account_id, at=from_us(NOW_US + SECOND_US), now=LATER)

    assert (just_before.available, len(just_before.lots)) == (500, 1)
    assert (then.available, len(then.lots)) == (0, 0)


async def test_the_answer_does_not_wait_for_the_projection(
    database: Database, database_url: str, busy_writer: LedgerWriter, clock: MovableClock
) -> None:
    (account_id,) = await lives(busy_writer, clock, seed=9, accounts=1, steps=2 * 2 * INTERVAL)
    await seal_all(database)
    events = events_in(database_url, account_id)

    async with database.connection() as connection:
        found = await read_balance_as_of(connection, account_id, seq=len(events), now=LATER)

    assert found.version == len(events)


async def test_as_of_a_seq_leaves_out_what_is_not_sealed(database: Database, busy_writer: LedgerWriter) -> None:
    account_id = await opened(busy_writer)
    await submit(busy_writer, top_up(500, account_id))
    await seal_all(database)
    await submit(busy_writer, charge(200, account_id))

    async with database.connection() as connection:
        sealed = await read_balance_as_of(connection, account_id, seq=10**18, now=LATER)
        now = await read_balance_as_of(connection, account_id, at=LATER, now=LATER)

    assert (sealed.available, now.available) == (500, 300)


async def test_an_account_that_did_not_exist_yet_is_not_found(database: Database, busy_writer: LedgerWriter) -> None:
    account_id = await opened(busy_writer)
    await seal_all(database)

    async with database.connection() as connection:
        for unknown in (
            {"account_id": account_id, "at": from_us(NOW_US - 1)},
            {"account_id": uuid4(), "at": LATER},
            {"account_id": uuid4(), "seq": 1},
        ):
            with pytest.raises(AccountNotFound):
                await read_balance_as_of(connection, now=LATER, **unknown)  # type: ignore[arg-type]
