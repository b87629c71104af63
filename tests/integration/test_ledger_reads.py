"""What readers are told about an account: consistent at every moment, and as it was at any moment before."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from ledger import errors
from ledger.account import FreezeState
from ledger.database import Database
from ledger.reads import (
    read_account,
    read_balance,
    read_events,
    read_freeze,
    read_heads,
    read_open_freezes,
)
from ledger.rows import from_us
from ledger.sealer import seal
from ledger.writer import LedgerWriter
from projections.as_of import read_balance_as_of
from tests.builders import NOW_US, SECOND_US, adjust, charge, confirm, freeze, grant, open_account, top_up

NOW = from_us(NOW_US)


async def test_a_balance_and_its_lots_are_of_one_moment(writer: LedgerWriter, database: Database) -> None:
    account_id = uuid4()
    await writer.submit(open_account(account_id))
    await writer.submit(top_up(100_000, account_id))

    async def spend() -> None:
        for _ in range(150):
            await asyncio.gather(*[writer.submit(charge(1, account_id)) for _ in range(3)])

    spending = asyncio.create_task(spend())
    while not spending.done():
        async with database.connection() as connection:
            balance = await read_balance(connection, account_id, now=datetime.now(UTC))
        assert balance.available == sum(lot.remaining for lot in balance.lots)
    await spending


async def test_a_balance_is_what_can_be_spent_whether_or_not_a_sweeper_ran(
    database_url: str, database: Database
) -> None:
    account_id, freeze_id = uuid4(), uuid4()
    async with LedgerWriter(database_url, clock_us=lambda: NOW_US) as writer:
        await writer.submit(open_account(account_id, owner="ann"))
        await writer.submit(grant(50, account_id, expires_at_us=NOW_US + SECOND_US, priority=1))
        await writer.submit(top_up(100, account_id))
        await writer.submit(freeze(20, account_id, freeze_id=freeze_id, ttl_us=SECOND_US))

    async with database.connection() as connection:
        before = await read_balance(connection, account_id, now=NOW + timedelta(seconds=1, microseconds=-1))
        after = await read_balance(connection, account_id, now=NOW + timedelta(seconds=1))
        moment = NOW + timedelta(seconds=1)
        then = await read_balance_as_of(connection, account_id, at=moment, now=moment)
        account = await read_account(connection, account_id, now=moment)
        heads = await read_heads(connection, [account_id, uuid4()])
        frozen = await read_freeze(connection, freeze_id)
        open_freezes = await read_open_freezes(connection, account_id, limit=5)

    assert (before.available, before.frozen, before.version) == (130, 20, 4)
    assert [(lot.source, lot.remaining, lot.frozen) for lot in before.lots] == [("grant", 30, 20), ("top_up", 100, 0)]
    assert (after.available, after.frozen) == (100, 20)
    assert [(lot.source, lot.remaining, lot.frozen) for lot in after.lots] == [("grant", 0, 20), ("top_up", 100, 0)]
    assert then.lots == after.lots
    assert (then.available, then.frozen) == (after.available, after.frozen)
    assert (account.owner, account.available, account.version) == ("ann", 100, 4)
    assert heads[account_id].frozen == 20
    assert len(heads) == 1
    assert open_freezes == [frozen]
    assert (frozen.state, frozen.amount, frozen.released) == (FreezeState.open, 20, 0)


async def test_an_account_that_owes_has_a_balance_below_zero_and_no_lots(
    writer: LedgerWriter, database: Database
) -> None:
    account_id = uuid4()
    await writer.submit(open_account(account_id))
    await writer.submit(adjust(-5, account_id, allow_negative=True))

    async with database.connection() as connection:
        balance = await read_balance(connection, account_id, now=datetime.now(UTC))

    assert (balance.available, balance.lots) == (-5, ())


async def test_a_balance_as_of_a_time_or_a_seq_is_what_it_was_then(database_url: str, database: Database) -> None:
    account_id, freeze_id, now_us = uuid4(), uuid4(), NOW_US
    async with LedgerWriter(database_url, clock_us=lambda: now_us) as writer:
        for command in (
            open_account(account_id), top_up(100, account_id), freeze(30, account_id, freeze_id=freeze_id),
            confirm(freeze_id, 10, account_id),
        ):  # fmt: skip
            await writer.submit(command)
            now_us += SECOND_US
    later = NOW + timedelta(days=1)

    async with database.connection() as connection:
        assert await seal(connection) == 4
        by_time = [
            await read_balance_as_of(connection, account_id, at=NOW + timedelta(seconds=second), now=later)
            for second in range(4)
        ]
        by_seq = [await read_balance_as_of(connection, account_id, seq=seq, now=later) for seq in range(1, 5)]
        just_before = await read_balance_as_of(
            connection, account_id, at=NOW + timedelta(seconds=1, microseconds=-1), now=later
        )
        events = await read_events(connection, account_id, after_version=1, limit=2)
        with pytest.raises(errors.AccountNotFound):
            await read_balance_as_of(connection, account_id, at=NOW - timedelta(microseconds=1), now=later)
        with pytest.raises(errors.AccountNotFound):
            await read_balance_as_of(connection, account_id, seq=0, now=later)

    expected = [(0, 0, 1), (100, 0, 2), (70, 30, 3), (90, 0, 4)]
    assert [(one.available, one.frozen, one.version) for one in by_time] == expected
    assert [(one.available, one.frozen, one.version) for one in by_seq] == expected
    assert just_before.version == 1
    assert [(event.version, seq) for event, seq in events] == [(2, 2), (3, 3)]


async def test_what_does_not_exist_is_told_as_such(database: Database) -> None:
    async with database.connection() as connection:
        with pytest.raises(errors.AccountNotFound):
            await read_account(connection, uuid4(), now=NOW)
        with pytest.raises(errors.AccountNotFound):
            await read_balance(connection, uuid4(), now=NOW)
        with pytest.raises(errors.FreezeNotFound):
            await read_freeze(connection, uuid4())
