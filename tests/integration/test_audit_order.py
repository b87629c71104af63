"""The sealed order in files: every position finds its place, whatever gaps there are, and every place its hash."""

import itertools
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.audit import order as order_module
from ledger.audit.order import POSITION_LIMIT, Order, OrderFiles, reserve, write_places
from ledger.merkle import HASH_BYTES
from ops.audit.snapshot import one_moment

PLACES = {1: 1, 2: 3, 3: 2, 4: 4, 9: 5, 10: 6, 4_000: 7, 4_001: 8, 2**33: 9}
"""By position: in and out of order, with gaps small and large."""


def hash_of(seq: int) -> bytes:
    return sha256(str(seq).encode()).digest()


async def written(
    url: str, superuser_url: str, directory: Path, places: Iterable[tuple[int, int]], *, size: int
) -> OrderFiles:
    """What a database leads to in which these positions have these places."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("ALTER TABLE sealed DROP CONSTRAINT sealed_position_key")
        for position, seq in places:
            connection.execute("INSERT INTO sealed (seq, position) VALUES (%s, %s)", [seq, position])
    files = OrderFiles(directory, size)
    reserve(files)
    async with one_moment(url) as (connection, _):
        await write_places(connection, files)
    return files


@pytest.mark.parametrize("page", [1, 2, 3, 100])
async def test_every_position_finds_its_place(
    database_url: str, superuser_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(order_module, "PAGE", page)
    files = await written(database_url, superuser_url, tmp_path, PLACES.items(), size=9)

    with Order(files) as order:
        assert order.places(list(PLACES)) == list(PLACES.values())
        assert order.places([-1, 0, 5, 8, 11, 3_999, 4_002, 2**33 - 1, 2**33 + 1, 2**62]) == [0] * 10


async def test_places_that_cannot_be_are_none(database_url: str, superuser_url: str, tmp_path: Path) -> None:
    places = {1: 1, 2: 3, POSITION_LIMIT: 2}
    files = await written(database_url, superuser_url, tmp_path, places.items(), size=2)

    with Order(files) as order:
        assert order.places(list(places)) == [1, 0, 0]


async def test_an_order_of_nothing_has_nothing(database_url: str, superuser_url: str, tmp_path: Path) -> None:
    files = await written(database_url, superuser_url, tmp_path, (), size=0)

    with Order(files) as order:
        assert order.places([0, 1]) == [0, 0]
        assert order.put([]) == []
        assert order.entries(0, 0) == (b"", None)


@pytest.mark.parametrize("again", range(1, 9))
async def test_a_position_with_two_places_has_none(
    database_url: str, superuser_url: str, tmp_path: Path, again: int
) -> None:
    # As after `UPDATE sealed SET position = position - 1 WHERE seq = again + 1`: the others are where they were.
    places = [(seq - (seq == again + 1), seq) for seq in range(1, 10)]
    files = await written(database_url, superuser_url, tmp_path, places, size=9)

    with Order(files) as order:
        expected = [0 if position in {again, again + 1} else position for position in range(1, 10)]
        assert order.places(range(1, 10)) == expected


def test_too_little_room_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="space"):
        reserve(OrderFiles(tmp_path, 2**57))


@pytest.fixture
def files(tmp_path: Path) -> OrderFiles:
    return empty(tmp_path, size=4)


def empty(directory: Path, *, size: int) -> OrderFiles:
    files = OrderFiles(directory, size)
    files.places.touch()
    files.hashes.write_bytes(bytes(size * HASH_BYTES))
    return files


def test_what_one_process_puts_another_finds(files: OrderFiles) -> None:
    with Order(files) as one, Order(files) as other:
        assert one.put([(1, hash_of(1)), (3, hash_of(3))]) == []
        assert other.put([(4, hash_of(4)), (2, hash_of(2))]) == []

        assert one.entries(0, 4) == (b"".join(map(hash_of, (1, 2, 3, 4))), None)
        assert other.entries(1, 3) == (b"".join(map(hash_of, (2, 3))), None)


def test_a_place_that_is_taken_is_told(files: OrderFiles) -> None:
    with Order(files) as order:
        order.put([(2, hash_of(2))])

        assert order.put([(1, hash_of(1)), (2, hash_of(9)), (1, hash_of(1))]) == [2, 1]


def test_a_hash_that_is_none_leaves_a_gap_and_moves_nothing(files: OrderFiles) -> None:
    with Order(files) as order:
        order.put([(1, hash_of(1)), (2, b"short"), (3, hash_of(3)), (4, bytes(99))])

        entries, gap = order.entries(0, 4)
    assert gap == 2
    assert entries == hash_of(1) + bytes(HASH_BYTES) + hash_of(3) + bytes(HASH_BYTES)


@settings(deadline=None)
@given(st.lists(st.sampled_from([bytes(32), b"\1" + bytes(31), bytes(31) + b"\1", b"\1" * 32]), min_size=1, max_size=6))
def test_the_first_gap_is_found_among_hashes_with_many_zeros(
    tmp_path_factory: pytest.TempPathFactory, hashes: list[bytes]
) -> None:
    files = empty(tmp_path_factory.mktemp("order"), size=len(hashes))
    with Order(files) as order:
        order.put(list(zip(itertools.count(1), hashes, strict=False)))

        entries, gap = order.entries(0, len(hashes))

    assert entries == b"".join(hashes)
    assert gap == next((seq for seq, kept in enumerate(hashes, 1) if kept == bytes(32)), None)
