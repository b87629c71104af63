"""Keys are relied on for a moment after they were read, and not for longer."""

from collections.abc import Callable, Mapping
from uuid import UUID, uuid4

import pytest

from api.keys import RELY_S, StoredKey
from api.known_keys import LOOK_ON_S, KnownKeys
from api.principal import Principal, Role


class Table:
    """The keys of a database, how often they were read, and a clock that stands still."""

    def __init__(self) -> None:
        self.rows: dict[UUID, StoredKey] = {}
        self.reads: list[set[UUID]] = []
        self.meanwhile: Callable[[], None] = lambda: None
        self.now_s = 1_000.0
        self.keys = KnownKeys(self.read, clock_s=lambda: self.now_s)

    def add(self) -> UUID:
        key_id = uuid4()
        self.rows[key_id] = StoredKey(b"", Principal(Role.admin, f"key:{key_id}"), is_revoked=False)
        return key_id

    def revoke(self, key_id: UUID) -> None:
        self.rows[key_id] = StoredKey(b"", self.rows[key_id].principal, is_revoked=True)

    async def read(self, key_ids: set[UUID]) -> Mapping[UUID, StoredKey]:
        self.reads.append(key_ids)
        found = {key_id: self.rows[key_id] for key_id in key_ids if key_id in self.rows}
        self.meanwhile()
        return found


@pytest.fixture
def table() -> Table:
    return Table()


async def test_who_asks_again_at_once_does_not_wait_for_the_database(table: Table) -> None:
    key_id = table.add()

    assert await table.keys.get(key_id) is await table.keys.get(key_id)
    assert len(table.reads) == 1


async def test_a_key_revoked_while_it_is_read_is_relied_on_no_longer_than_was_promised(table: Table) -> None:
    key_id = table.add()
    began_s = table.now_s

    def revoke() -> None:
        table.now_s += RELY_S / 2
        table.revoke(key_id)
        table.meanwhile = lambda: None

    table.meanwhile = revoke
    await table.keys.get(key_id)

    table.now_s = began_s + RELY_S
    key = await table.keys.get(key_id)

    assert key is not None
    assert key.is_revoked


async def test_keys_in_use_are_read_again_together_and_the_others_forgotten(table: Table) -> None:
    used, unused = table.add(), table.add()
    await table.keys.get(unused)
    table.now_s += LOOK_ON_S
    await table.keys.get(used)
    table.now_s += RELY_S / 2

    await table.keys.look()

    table.now_s += RELY_S / 2
    await table.keys.get(used)
    assert table.reads[2:] == [{used}]
    await table.keys.get(unused)
    assert table.reads[3:] == [{unused}]


async def test_what_is_not_there_is_asked_for_each_time_and_not_remembered(table: Table) -> None:
    stranger = uuid4()

    assert await table.keys.get(stranger) is None
    assert await table.keys.get(stranger) is None
    await table.keys.look()

    assert table.reads == [{stranger}, {stranger}]
