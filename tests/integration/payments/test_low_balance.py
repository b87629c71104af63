"""Notices of low balances: one for each time that a balance falls below its threshold, however many clocks look."""

import asyncio
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.errors import AccountNotFound
from tests.api_in_process import Api
from tests.builders import charge, open_account, top_up
from tests.payments import CREDIT
from workers.payments.context import PaymentContext
from workers.payments.low_balance import (
    BATCH,
    forget_low_balance,
    notice_low_balances,
    read_low_balance,
    set_low_balance,
)

THRESHOLD = 50


class Purse:
    """One account, whose owner wants to be told."""

    def __init__(self, context: PaymentContext, url: str) -> None:
        self.context = context
        self.url = url
        self.account_id = uuid4()

    async def open(self, amount: int, threshold: int = THRESHOLD) -> None:
        await self.context.writer.submit(open_account(self.account_id))
        await self.put_in(amount)
        await self.wish(threshold)

    async def wish(self, threshold: int) -> None:
        await set_low_balance(self.context.database, self.account_id, threshold_microcredits=threshold * CREDIT)

    async def put_in(self, amount: int) -> None:
        await self.context.writer.submit(top_up(amount * CREDIT, self.account_id))

    async def spend(self, amount: int) -> None:
        await self.context.writer.submit(charge(amount * CREDIT, self.account_id))

    async def look(self, clocks: int = 1) -> None:
        await asyncio.gather(*(notice_low_balances(self.context) for _ in range(clocks)))

    def told(self) -> list[str]:
        """The balances that the owner was told, in order."""
        with psycopg.connect(self.url) as connection:
            rows = connection.execute(
                "SELECT values ->> 'available' FROM messages WHERE account_id = %s AND kind = 'low_balance'"
                " ORDER BY substr(key, 13)::bigint",
                [self.account_id],
            )
            return [row[0] for row in rows]


@pytest.fixture
async def purse(context: PaymentContext, database_url: str) -> Purse:
    purse = Purse(context, database_url)
    await purse.open(100)
    return purse


async def test_a_balance_that_falls_below_is_told_once_and_not_at_the_threshold_itself(purse: Purse) -> None:
    await purse.spend(50)
    await purse.look()
    assert purse.told() == []

    await purse.spend(1)
    await purse.look()
    await purse.spend(1)
    await purse.look()

    assert purse.told() == ["49"]
    told_at = (await read_low_balance(purse.context.database, purse.account_id)).told_at
    assert told_at is not None


async def test_it_is_told_again_only_after_it_has_risen(purse: Purse) -> None:
    for _ in range(3):
        await purse.spend(60)
        await purse.look()
        await purse.put_in(9)
        await purse.look()
        await purse.put_in(51)
        await purse.look()

    assert purse.told() == ["40", "40", "40"]


async def test_it_is_told_again_where_it_rose_and_fell_before_anybody_looked(purse: Purse) -> None:
    await purse.spend(60)
    await purse.look()

    await purse.put_in(10)
    await purse.spend(20)
    await purse.look()
    await purse.spend(5)
    await purse.look()

    assert purse.told() == ["40", "30"]


async def test_many_clocks_at_once_tell_it_once(purse: Purse) -> None:
    for _ in range(5):
        await purse.spend(60)
        await purse.look(clocks=8)
        await purse.put_in(60)
        await purse.look(clocks=8)

    assert purse.told() == ["40"] * 5


async def test_a_balance_that_is_low_when_the_threshold_is_set_has_to_rise_first(purse: Purse) -> None:
    await purse.spend(60)
    await purse.wish(70)
    await purse.look()
    assert purse.told() == []

    await purse.put_in(40)
    await purse.look()
    await purse.spend(15)
    await purse.look()

    assert purse.told() == ["65"]


async def test_the_same_threshold_set_again_tells_nothing_twice(purse: Purse) -> None:
    await purse.spend(60)
    await purse.look()
    await purse.wish(THRESHOLD)
    await purse.spend(1)
    await purse.look()

    assert purse.told() == ["40"]


async def test_whoever_wants_no_notices_gets_none(purse: Purse) -> None:
    await forget_low_balance(purse.context.database, purse.account_id)
    await forget_low_balance(purse.context.database, purse.account_id)
    await purse.spend(60)
    await purse.look()

    assert purse.told() == []
    assert (await read_low_balance(purse.context.database, purse.account_id)).threshold_microcredits is None


async def test_an_account_that_is_not_there_has_no_threshold(context: PaymentContext) -> None:
    with pytest.raises(AccountNotFound):
        await set_low_balance(context.database, uuid4(), threshold_microcredits=1)


async def test_more_balances_than_are_looked_at_in_one_go_are_all_told(
    context: PaymentContext, database_url: str
) -> None:
    purses = [Purse(context, database_url) for _ in range(BATCH + 10)]
    await asyncio.gather(*(purse.open(100) for purse in purses))
    await asyncio.gather(*(purse.spend(60) for purse in purses))

    while await notice_low_balances(context) >= BATCH:
        pass

    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM messages WHERE kind = 'low_balance'").fetchone() == (
            BATCH + 10,
        )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=st.lists(st.one_of(st.integers(-40, 40).filter(bool), st.none()), max_size=15))
async def test_there_are_as_many_notices_as_times_that_it_was_seen_to_have_fallen(
    context: PaymentContext, database_url: str, moves: list[int | None]
) -> None:
    purse = Purse(context, database_url)
    await purse.open(100)
    balance, is_told, expected = 100, False, list[str]()

    for move in [*moves, None]:
        if move is None:
            await purse.look(clocks=2)
            if balance < THRESHOLD and not is_told:
                expected.append(str(balance))
                is_told = True
        elif move > 0:
            await purse.put_in(move)
            balance += move
        elif balance + move >= 0:
            await purse.spend(-move)
            balance += move
        is_told = is_told and balance < THRESHOLD

    assert purse.told() == expected


async def test_the_threshold_is_set_and_read_over_http(api: Api) -> None:
    headers, _ = await api.user()
    path = "/v1/me/low-balance"

    assert (await api.get(path, headers=headers)).json() == {"threshold": None, "told_at": None}
    put = await api.client.put(path, json={"threshold": "12.5"}, headers=headers)
    assert (put.status_code, put.json()) == (200, {"threshold": "12.5", "told_at": None})
    assert (await api.get(path, headers=headers)).json() == put.json()
    refused = await api.client.put(path, json={"threshold": "0"}, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_amount")
    assert (await api.client.delete(path, headers=headers)).status_code == 204
    assert (await api.get(path, headers=headers)).json()["threshold"] is None
