import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from uuid import UUID, uuid4

import pytest

from tests.waiting import eventually
from workers.streams import balances
from workers.streams.announcements import BalanceAnnouncer
from workers.streams.balances import Balance, BalanceHub
from workers.streams.sse import SseEvent, SseParser

WITHIN_S = 30
"""Whatever a reader waits for has come by then, also where the machine stalls for a while."""


class Accounts:
    """Postgres, as far as balances ask it."""

    def __init__(self) -> None:
        self.balances: dict[UUID, Balance] = {}
        self.asked = 0
        self.is_down = False

    async def balances_of(self, account_ids: Sequence[UUID]) -> Mapping[UUID, Balance]:
        self.asked += 1
        if self.is_down:
            raise ConnectionError("down")
        return {one: self.balances[one] for one in account_ids if one in self.balances}


class Reader:
    """One open balance channel."""

    def __init__(self, hub: BalanceHub, account_id: UUID) -> None:
        self._frames = hub.subscribe(account_id)
        self._parser = SseParser()
        self._events: list[SseEvent] = []

    async def next(self, within_s: float = WITHIN_S) -> SseEvent:
        async with asyncio.timeout(within_s):
            while not self._events:
                self._events += self._parser.feed(await anext(self._frames))
        return self._events.pop(0)

    async def close(self) -> None:
        await self._frames.aclose()


@pytest.fixture
def accounts() -> Accounts:
    return Accounts()


@pytest.fixture
async def hub(redis_url: str, accounts: Accounts) -> AsyncIterator[BalanceHub]:
    async with BalanceHub(redis_url, accounts.balances_of) as hub:
        yield hub


@pytest.fixture
async def announcer(redis_url: str) -> AsyncIterator[BalanceAnnouncer]:
    async with BalanceAnnouncer(redis_url) as announcer:
        yield announcer


@pytest.fixture
def account_id(accounts: Accounts) -> UUID:
    account_id = uuid4()
    accounts.balances[account_id] = Balance(version=1, available_microcredits=12_500_000, frozen_microcredits=1)
    return account_id


async def test_the_current_balance_comes_first(hub: BalanceHub, account_id: UUID) -> None:
    event = await Reader(hub, account_id).next()

    assert event.event == "balance"
    assert event.last_id == "1"
    assert json.loads(event.data) == {"available": "12.5", "frozen": "0.000001", "version": 1}


async def test_an_announced_change_is_shown_before_the_next_poll(
    hub: BalanceHub, announcer: BalanceAnnouncer, accounts: Accounts, account_id: UUID
) -> None:
    reader = Reader(hub, account_id)
    await reader.next()
    loop = asyncio.get_running_loop()
    quick: list[float] = []

    for version in range(2, 7):
        accounts.balances[account_id] = Balance(version, 0, 0)
        began_s = loop.time()
        announcer.note([account_id, uuid4()])
        assert (await reader.next()).last_id == str(version)
        quick.append(loop.time() - began_s)

    assert min(quick) < 0.2
    await reader.close()


async def test_a_change_whose_announcement_was_lost_is_shown_by_the_poll(
    hub: BalanceHub, accounts: Accounts, account_id: UUID
) -> None:
    reader = Reader(hub, account_id)
    await reader.next()

    accounts.balances[account_id] = Balance(2, 0, 0)

    assert (await reader.next()).last_id == "2"
    assert balances.POLL_S <= 1, "the promise that a machine which stalls cannot be timed by"


async def test_a_version_never_goes_back(
    hub: BalanceHub, announcer: BalanceAnnouncer, accounts: Accounts, account_id: UUID
) -> None:
    accounts.balances[account_id] = Balance(5, 50, 0)
    reader = Reader(hub, account_id)
    await reader.next()
    asked = accounts.asked
    accounts.balances[account_id] = Balance(4, 40, 0)
    announcer.note([account_id])
    await eventually(lambda: accounts.asked > asked)

    accounts.balances[account_id] = Balance(6, 60, 0)
    announcer.note([account_id])

    assert (await reader.next()).last_id == "6"


async def test_many_changes_in_a_row_may_be_shown_as_one_and_the_last_is_always_shown(
    hub: BalanceHub, announcer: BalanceAnnouncer, accounts: Accounts, account_id: UUID
) -> None:
    reader = Reader(hub, account_id)
    await reader.next()

    for version in range(2, 502):
        accounts.balances[account_id] = Balance(version, 0, 0)
        announcer.note([account_id])
    shown = [int((await reader.next()).last_id)]
    while shown[-1] < 501:
        shown.append(int((await reader.next()).last_id))

    assert shown == sorted(set(shown))
    assert len(shown) < 50


async def test_all_readers_of_all_accounts_are_served_by_one_question(hub: BalanceHub, accounts: Accounts) -> None:
    ids = [uuid4() for _ in range(200)]
    accounts.balances = {one: Balance(1, index, 0) for index, one in enumerate(ids)}
    readers = [Reader(hub, one) for one in ids]

    events = await asyncio.gather(*(reader.next() for reader in readers))

    assert [json.loads(event.data)["version"] for event in events] == [1] * 200
    assert accounts.asked <= 3


async def test_readers_wait_while_postgres_is_away(hub: BalanceHub, accounts: Accounts, account_id: UUID) -> None:
    accounts.is_down = True
    reader = Reader(hub, account_id)
    reading = asyncio.create_task(reader.next())
    await eventually(lambda: accounts.asked >= 1)

    accounts.is_down = False

    assert (await reading).last_id == "1"


async def test_draining_asks_readers_to_come_back(hub: BalanceHub, account_id: UUID) -> None:
    readers = [Reader(hub, account_id) for _ in range(3)]
    await asyncio.gather(*(reader.next() for reader in readers))
    last = [asyncio.create_task(reader.next()) for reader in readers]

    draining = asyncio.create_task(hub.drain(WITHIN_S))

    assert {event.data for event in await asyncio.gather(*last)} == {'{"reason":"drain"}'}
    for reader in readers:
        await reader.close()
    assert await draining
    assert hub.reader_count == 0
