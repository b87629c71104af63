"""The sealed order: every event once, without gaps, and causal per account, whatever commits when."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import AsyncConnection, Connection

from ledger import database as ledger_database
from ledger.sealer import Sealer, lag_s, seal
from ledger.writer import LedgerWriter
from tests.builders import charge, open_account, top_up
from tests.sealed_state import check_sealed

INSERT_EVENT = b"""
    INSERT INTO events (
        account_id, version, kind, amount, available_after, frozen_after, recorded_at, command_key, request_digest,
        body, hash
    ) VALUES (%s, %s, 1, 0, 0, 0, now(), %s, 0, '', sha256(''))
    RETURNING position
"""


@pytest.fixture
async def sealer(database_url: str) -> AsyncIterator[AsyncConnection]:
    async with await ledger_database.connect(database_url) as connection:
        yield connection


@pytest.fixture
def other(database_url: str) -> Iterator[Connection]:
    """Someone whose transactions take long."""
    with contextlib.closing(psycopg.connect(database_url)) as connection:
        yield connection


def append(connection: Connection, account_id: UUID, version: int) -> int:
    """Append an event without committing; return its position."""
    row = connection.execute(INSERT_EVENT, [account_id, version, f"key {version}"]).fetchone()
    assert row is not None
    return row[0]


def sealed_positions(connection: Connection) -> list[int]:
    positions = [row[0] for row in connection.execute("SELECT position FROM sealed ORDER BY seq")]
    connection.rollback()
    return positions


async def new_account(writer: LedgerWriter) -> UUID:
    account_id = uuid4()
    await writer.submit(open_account(account_id))
    await writer.submit(top_up(10_000, account_id))
    return account_id


async def test_nothing_to_seal_leaves_no_trace(sealer: AsyncConnection, database_url: str) -> None:
    assert await seal(sealer) == 0
    assert await seal(sealer) == 0

    assert check_sealed(database_url) == 0


async def test_each_tick_seals_what_was_committed_since_the_last(
    sealer: AsyncConnection, writer: LedgerWriter, database_url: str
) -> None:
    account_id = await new_account(writer)

    assert await seal(sealer) == 2
    assert await seal(sealer) == 0
    await writer.submit(charge(1, account_id))
    assert await seal(sealer) == 1

    assert check_sealed(database_url) == 3


async def test_an_event_that_is_not_committed_is_sealed_once_it_is_and_holds_up_nobody(
    sealer: AsyncConnection, writer: LedgerWriter, database_url: str, other: Connection
) -> None:
    early = append(other, uuid4(), 1)
    account_id = await new_account(writer)

    assert await seal(sealer) == 2
    await writer.submit(charge(1, account_id))
    assert await seal(sealer) == 1
    other.commit()
    assert await seal(sealer) == 1

    positions = sealed_positions(other)
    assert positions[-1] == early
    assert early < min(positions[:-1])
    assert check_sealed(database_url) == 4


async def test_an_event_stays_unsealed_through_any_number_of_ticks_while_its_transaction_is_open(
    sealer: AsyncConnection, writer: LedgerWriter, database_url: str, other: Connection
) -> None:
    account_id = await new_account(writer)
    append(other, uuid4(), 1)

    for _ in range(5):
        await writer.submit(charge(1, account_id))
        await seal(sealer)
    other.commit()

    assert await seal(sealer) == 1
    assert check_sealed(database_url) == 8


async def test_events_of_a_savepoint_are_sealed_with_their_transaction(
    sealer: AsyncConnection, writer: LedgerWriter, database_url: str, other: Connection
) -> None:
    account_id = uuid4()
    append(other, account_id, 1)
    with other.transaction():
        append(other, account_id, 2)
    await new_account(writer)
    assert await seal(sealer) == 2
    with other.transaction():
        append(other, account_id, 3)
    other.commit()

    assert await seal(sealer) == 3
    assert check_sealed(database_url) == 5


async def test_what_was_rolled_back_is_never_sealed_and_leaves_no_gap(
    sealer: AsyncConnection, writer: LedgerWriter, database_url: str, other: Connection
) -> None:
    gone = append(other, uuid4(), 1)
    await seal(sealer)
    other.rollback()
    await new_account(writer)
    append(other, uuid4(), 1)
    other.rollback()

    assert await seal(sealer) == 2
    assert gone not in sealed_positions(other)
    assert check_sealed(database_url) == 2


async def test_a_transaction_that_began_before_a_tick_and_wrote_after_it_is_sealed(
    sealer: AsyncConnection, writer: LedgerWriter, database_url: str, other: Connection
) -> None:
    other.execute("SELECT pg_current_xact_id()")
    await new_account(writer)
    assert await seal(sealer) == 2
    append(other, uuid4(), 1)
    other.commit()

    assert await seal(sealer) == 1
    assert check_sealed(database_url) == 3


REFUSE = """
    CREATE FUNCTION refuse_to_commit() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'not now';
    END
    $$;
    CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON {table}
    DEFERRABLE {when} FOR EACH ROW EXECUTE FUNCTION refuse_to_commit();
"""


@pytest.mark.parametrize(
    ("table", "when"),
    [("sealed", "INITIALLY IMMEDIATE"), ("ticks", "INITIALLY IMMEDIATE"), ("ticks", "INITIALLY DEFERRED")],
    ids=["while it takes places", "while it writes the tick", "while it commits"],
)
async def test_a_rolled_back_seal_is_done_again(
    sealer: AsyncConnection, writer: LedgerWriter, database_url: str, superuser_url: str, table: str, when: str
) -> None:
    remembers = Sealer()
    account_id = await new_account(writer)
    assert await remembers.seal(sealer) == 2
    await writer.submit(charge(1, account_id))
    with psycopg.connect(superuser_url, autocommit=True) as superuser:
        superuser.execute(REFUSE.format(table=table, when=when).encode())
        for attempt in (remembers.seal, seal):
            with pytest.raises(psycopg.errors.RaiseException):
                await attempt(sealer)
            assert check_sealed(database_url, complete=False) == 2
        superuser.execute(f"DROP TRIGGER refuse ON {table}".encode())

    assert await remembers.seal(sealer) == 1
    assert await seal(sealer) == 0
    await writer.submit(charge(1, account_id))
    assert await seal(sealer) == 1

    assert check_sealed(database_url) == 4


async def test_several_sealers_at_once_seal_every_event_once(database_url: str, writer: LedgerWriter) -> None:
    account_ids = [await new_account(writer) for _ in range(5)]
    async with contextlib.AsyncExitStack() as stack:
        sealers = [await stack.enter_async_context(await ledger_database.connect(database_url)) for _ in range(4)]
        sealed = 0
        for _ in range(20):
            charges = [writer.submit(charge(1, account_id)) for account_id in account_ids]
            rounds = asyncio.gather(*[seal(sealer) for sealer in sealers])
            await asyncio.gather(*charges)
            sealed += sum(await rounds)
        sealed += await seal(sealers[0])

    assert sealed == 110
    assert check_sealed(database_url) == 110


async def test_while_several_writers_append_every_event_is_sealed_once_and_in_its_account_s_order(
    sealer: AsyncConnection, database_url: str, other: Connection
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        writers = [await stack.enter_async_context(LedgerWriter(database_url)) for _ in range(3)]
        account_ids = [await new_account(writers[0]) for _ in range(6)]

        async def append_many(writer: LedgerWriter) -> None:
            for _ in range(30):
                await asyncio.gather(*[writer.submit(charge(1, account_id)) for account_id in account_ids])

        appending = asyncio.gather(*[append_many(writer) for writer in writers])
        rounds = 0
        while not appending.done():
            if rounds % 5 == 0:
                other.rollback() if rounds % 10 else other.commit()
                append(other, uuid4(), 1)
            await seal(sealer)
            check_sealed(database_url, complete=False)
            rounds += 1
        await appending
        other.commit()
        await seal(sealer)

    assert rounds > 3
    assert check_sealed(database_url) >= 6 * 2 + 3 * 30 * 6


async def test_the_lag_is_the_age_of_the_oldest_event_that_is_not_sealed(
    sealer: AsyncConnection, writer: LedgerWriter
) -> None:
    assert await lag_s(sealer) == 0
    await new_account(writer)
    await sealer.commit()
    assert await lag_s(sealer) > 0

    await sealer.commit()
    await seal(sealer)

    assert await lag_s(sealer) == 0


async def test_the_lag_counts_an_event_that_was_not_committed_yet_when_others_were_sealed(
    sealer: AsyncConnection, writer: LedgerWriter, other: Connection
) -> None:
    append(other, uuid4(), 1)
    await new_account(writer)
    await seal(sealer)
    assert await lag_s(sealer) == 0
    other.commit()

    await sealer.commit()
    assert await lag_s(sealer) > 0
    await sealer.commit()
    await seal(sealer)

    assert await lag_s(sealer) == 0
