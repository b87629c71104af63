"""Whose generations are: known where they were admitted, read where they were not."""

from collections.abc import Mapping
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from api.lookups import LookupConnection
from api.ownership import ADMITTED_KEPT, GenerationOwners
from api.principal import Principal, Role
from workers.errors import GenerationNotFound


class Table:
    """Generations of a database by their accounts, and how often it was asked."""

    def __init__(self) -> None:
        self.rows: dict[UUID, UUID] = {}
        self.reads = 0

    async def fetch(self, statement: str, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
        self.reads += 1
        return list(self.rows.items())


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def owners(table: Table) -> GenerationOwners:
    return GenerationOwners(cast("LookupConnection", cast("Any", table)))


def user(account_id: UUID) -> Principal:
    return Principal(Role.user, "key:1", account_id)


async def test_what_was_admitted_here_is_known_and_still_only_its_owners(
    table: Table, owners: GenerationOwners
) -> None:
    generation_id, account_id = uuid4(), uuid4()
    owners.remember(generation_id, account_id)

    await owners.check(generation_id, user(account_id))
    with pytest.raises(GenerationNotFound):
        await owners.check(generation_id, user(uuid4()))

    assert table.reads == 0


async def test_what_was_admitted_elsewhere_is_read(table: Table, owners: GenerationOwners) -> None:
    generation_id, account_id = uuid4(), uuid4()
    table.rows[generation_id] = account_id

    await owners.check(generation_id, user(account_id))
    with pytest.raises(GenerationNotFound):
        await owners.check(generation_id, user(uuid4()))
    with pytest.raises(GenerationNotFound):
        await owners.check(uuid4(), user(account_id))


async def test_the_oldest_is_forgotten_and_read_again(table: Table, owners: GenerationOwners) -> None:
    account_id = uuid4()
    generation_ids = [uuid4() for _ in range(ADMITTED_KEPT + 1)]
    table.rows[generation_ids[0]] = account_id
    for generation_id in generation_ids:
        owners.remember(generation_id, account_id)
        owners.remember(generation_id, account_id)

    await owners.check(generation_ids[1], user(account_id))
    assert table.reads == 0
    await owners.check(generation_ids[0], user(account_id))
    assert table.reads == 1
