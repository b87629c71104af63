"""What the sealer leaves for proofs: roots, tiles, and an edge it can take up again, even where there was none."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import AsyncConnection

from ledger import database as ledger_database
from ledger.merkle import check_consistency, check_inclusion, leaf_hash, root_of
from ledger.sealer import Sealer, TreeDamaged, seal
from ledger.tree import prove_consistency, prove_inclusion, root_at
from ledger.writer import LedgerWriter
from tests.builders import charge, open_account, top_up
from tests.sealed_state import check_sealed


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[AsyncConnection[Any]]:
    async with await ledger_database.connect(database_url) as connection:
        yield connection


@pytest.fixture
async def account_id(writer: LedgerWriter) -> UUID:
    account_id = uuid4()
    await writer.submit(open_account(account_id))
    await writer.submit(top_up(1_000_000, account_id))
    return account_id


async def append(writer: LedgerWriter, account_id: UUID, events: int) -> None:
    for start in range(0, events, 100):
        await writer.submit_unit([charge(1, account_id) for _ in range(min(100, events - start))])


async def leaves_of(connection: AsyncConnection[Any]) -> list[bytes]:
    cursor = await connection.execute("SELECT hash FROM sealed JOIN events USING (position) ORDER BY seq")
    leaves = [leaf_hash(row[0]) for row in await cursor.fetchall()]
    await connection.rollback()
    return leaves


async def ticks_of(connection: AsyncConnection[Any]) -> list[tuple[int, int, bytes, int]]:
    cursor = await connection.execute("SELECT number, size, root, epoch FROM ticks WHERE number > 0 ORDER BY number")
    rows = await cursor.fetchall()
    await connection.rollback()
    return rows


def as_superuser(url: str, *statements: Any) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        for statement in statements:
            connection.execute(statement)


async def test_every_tick_has_the_root_of_all_that_is_sealed(
    connection: AsyncConnection[Any], writer: LedgerWriter, account_id: UUID
) -> None:
    sealer = Sealer()
    for events in (0, 1, 252, 1, 1, 300):
        await append(writer, account_id, events)
        await sealer.seal(connection)
        await seal(connection)

    leaves = await leaves_of(connection)
    ticks = await ticks_of(connection)
    assert [size for _, size, _, _ in ticks] == [2, 3, 255, 256, 257, 557]
    for _, size, root, epoch in ticks:
        assert root == root_of(b"".join(leaves[:size]))
        assert epoch == 1


async def test_sealers_that_take_turns_notice_each_other(
    connection: AsyncConnection[Any], writer: LedgerWriter, account_id: UUID, database_url: str
) -> None:
    first, second = Sealer(), Sealer()
    sealed = [await first.seal(connection)]
    for sealer in (second, first, first, second, second, first):
        await append(writer, account_id, 100)
        sealed += [await sealer.seal(connection), await sealer.seal(connection)]
    sealed.append(await first.seal(connection))

    assert sum(sealed) == 602
    assert check_sealed(database_url) == 602
    assert (await ticks_of(connection))[-1][2] == root_of(b"".join(await leaves_of(connection)))


async def test_proofs_hold_at_every_size_there_was_a_tick_for(
    connection: AsyncConnection[Any], writer: LedgerWriter, account_id: UUID
) -> None:
    for events in (0, 255, 100, 400):
        await append(writer, account_id, events)
        await seal(connection)

    leaves = await leaves_of(connection)
    ticks = await ticks_of(connection)
    for _, size, root, _ in ticks:
        assert await root_at(connection, size) == root
        for index in {0, 1, size // 2, size - 1}:
            path = await prove_inclusion(connection, index, size=size)
            check_inclusion(index=index, size=size, leaf=leaves[index], path=path, root=root)
        for _, old_size, old_root, _ in ticks:
            if old_size <= size:
                path = await prove_consistency(connection, old_size, size=size)
                check_consistency(old_size=old_size, old_root=old_root, size=size, root=root, path=path)


async def test_events_that_were_sealed_before_there_was_a_tree_get_one(
    connection: AsyncConnection[Any], writer: LedgerWriter, account_id: UUID, superuser_url: str, database_url: str
) -> None:
    await append(writer, account_id, 600)
    await seal(connection)
    as_superuser(superuser_url, "UPDATE ticks SET root = NULL, xid = NULL", "DELETE FROM tiles")

    sealed = [await seal(connection)]
    await append(writer, account_id, 10)
    sealed.append(await seal(connection))

    assert sealed == [0, 10]
    assert check_sealed(database_url) == 612
    leaves = await leaves_of(connection)
    assert (await ticks_of(connection))[-1][2] == root_of(b"".join(leaves))
    assert await root_at(connection, 602) == root_of(b"".join(leaves[:602]))


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE ticks SET root = sha256('') WHERE number = 1",
        "UPDATE tiles SET root = sha256('') WHERE index = 1",
        "DELETE FROM tiles WHERE index = 1",
        "UPDATE events SET hash = sha256('') WHERE version = 601",
    ],
)
async def test_nothing_is_sealed_on_top_of_a_damaged_tree(
    connection: AsyncConnection[Any], writer: LedgerWriter, account_id: UUID, superuser_url: str, damage: str
) -> None:
    await append(writer, account_id, 600)
    await seal(connection)
    as_superuser(superuser_url, damage.encode())
    await append(writer, account_id, 1)

    with pytest.raises(TreeDamaged):
        await seal(connection)

    assert len(await ticks_of(connection)) == 1


async def test_a_backlog_is_sealed_in_one_tick_and_several_statements(
    connection: AsyncConnection[Any],
    writer: LedgerWriter,
    account_id: UUID,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ledger.sealer.STEP", 100)
    sealer = Sealer()
    await append(writer, account_id, 550)
    first = await sealer.seal(connection)
    await append(writer, account_id, 1_000)

    assert (first, await sealer.seal(connection), await sealer.seal(connection)) == (552, 1_000, 0)
    assert check_sealed(database_url) == 1_552
    assert (await ticks_of(connection))[-1][2] == root_of(b"".join(await leaves_of(connection)))


async def test_a_sealer_that_stops_in_the_middle_is_let_go_and_another_goes_on(
    connection: AsyncConnection[Any], account_id: UUID, database_url: str
) -> None:
    """Paused after it took its places and before it committed, until its session is ended for idling."""
    with contextlib.suppress(psycopg.Error):
        async with await ledger_database.connect(database_url) as paused:
            await paused.execute("INSERT INTO sealed (seq, position) SELECT position, position FROM events")
            # Last: its time runs from here on, and is not over before there is anything to let go of.
            await paused.execute("SET LOCAL idle_in_transaction_session_timeout = '200ms'")

            assert await seal(connection) == 2

    assert check_sealed(database_url) == 2
