import asyncio
from collections.abc import Mapping

import pytest

from api.coalescing import Coalescer


class Table:
    """A table whose queries wait until they are let go."""

    def __init__(self, rows: Mapping[int, str]) -> None:
        self.rows = dict(rows)
        self.queries: list[set[int]] = []
        self.gate = asyncio.Event()

    async def fetch(self, keys: set[int]) -> Mapping[int, str]:
        self.queries.append(keys)
        await self.gate.wait()
        return {key: self.rows[key] for key in keys if key in self.rows}


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_look_ups_that_wait_together_share_a_query() -> None:
    table = Table({1: "one", 2: "two"})
    names = Coalescer(table.fetch)

    asked = [asyncio.create_task(names.get(key)) for key in (1, 2, 2, 3)]
    await settle()
    table.gate.set()

    assert await asyncio.gather(*asked) == ["one", "two", "two", None]
    assert table.queries == [{1, 2, 3}]


async def test_nobody_is_answered_by_a_query_that_began_before_the_question() -> None:
    table = Table({1: "old"})
    names = Coalescer(table.fetch)

    first = asyncio.create_task(names.get(1))
    await settle()
    second = asyncio.create_task(names.get(1))
    await settle()
    table.gate.set()
    await asyncio.gather(first, second)

    assert table.queries == [{1}, {1}]


async def test_a_failed_query_fails_those_who_waited_for_it_and_nobody_after() -> None:
    fails = True

    async def fetch(keys: set[int]) -> Mapping[int, str]:
        if fails:
            raise ConnectionError
        return dict.fromkeys(keys, "found")

    names = Coalescer(fetch)
    for outcome in await asyncio.gather(names.get(1), names.get(2), return_exceptions=True):
        assert isinstance(outcome, ConnectionError)

    fails = False

    assert await names.get(1) == "found"


async def test_a_caller_who_leaves_disturbs_nobody() -> None:
    table = Table({1: "one"})
    names = Coalescer(table.fetch)
    leaving, staying = asyncio.create_task(names.get(1)), asyncio.create_task(names.get(1))
    await settle()

    leaving.cancel()
    table.gate.set()

    assert await staying == "one"
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_a_batch_is_bounded() -> None:
    table = Table({})
    table.gate.set()
    names = Coalescer(table.fetch)

    await asyncio.gather(*(names.get(key) for key in range(1_000)))

    assert [len(query) for query in table.queries] == [512, 488]
