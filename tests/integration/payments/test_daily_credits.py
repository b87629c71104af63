"""Credits that are free each day: one grant for each local day, whatever happens."""

import asyncio
import itertools
from uuid import UUID, uuid4

import psycopg
import pytest

from ledger.database import Database
from ledger.rows import to_us
from ledger.writer import LedgerWriter
from tests.builders import charge, open_account, top_up
from tests.ledger_state import check_everything
from tests.payments import CREDIT, payments_in
from tests.subscribed import at, offer_plans, subscription
from workers.payments.context import PaymentContext
from workers.payments.facts import SubscriptionStatus
from workers.payments.settling import settle
from workers.payments.subscriptions.daily_credits import DailyCredits

HOUR_US = 3_600_000_000
TEN = {"HOLDFAST_DAILY_FREE_CREDITS": "10"}


class Clock:
    """Both the ledger's and the clock's."""

    now_us = at(2026, 3, 28, 12)

    def __call__(self) -> int:
        return self.now_us


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def context(database: Database, database_url: str, clock: Clock):
    async with LedgerWriter(database_url, clock_us=clock) as writer:
        yield payments_in(database, writer)


@pytest.fixture
async def account_id(context: PaymentContext) -> UUID:
    account_id = uuid4()
    await context.writer.submit(open_account(account_id))
    return account_id


def lives_in(url: str, account_id: UUID, zone: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(
            """
            INSERT INTO account_contacts (account_id, email, locale, time_zone) VALUES (%s, 'a@example.com', 'en', %s)
            ON CONFLICT (account_id) DO UPDATE SET time_zone = excluded.time_zone
            """,
            [account_id, zone],
        )


def given_to(url: str, account_id: UUID) -> list[tuple[str, int]]:
    """The days for which an account was given something, and how much, in whole credits."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT command_key, amount FROM events WHERE account_id = %s AND kind = 3 ORDER BY version", [account_id]
        )
        return [(row[0].removeprefix("holdfast:daily:"), row[1] // CREDIT) for row in rows]


def last_day(url: str) -> tuple[int, int]:
    """Begin and end of the day for which something was given last."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT begins_at, ends_at FROM daily_credits").fetchone()
    assert row is not None
    return to_us(row[0]), to_us(row[1])


async def test_a_day_is_granted_once_and_gone_at_its_end(
    context: PaymentContext, account_id: UUID, clock: Clock, database_url: str
) -> None:
    lives_in(database_url, account_id, "Europe/Berlin")
    daily = DailyCredits(TEN, clock_us=clock)

    # An hour at a time over the three days of which one has 23 hours.
    for hour in range(60):
        clock.now_us = at(2026, 3, 28, 0) + hour * HOUR_US
        await daily.run(context)

    assert given_to(database_url, account_id) == [("2026-03-28", 10), ("2026-03-29", 10), ("2026-03-30", 10)]
    await context.writer.submit(charge(10 * CREDIT, account_id))
    (account,) = check_everything(database_url)
    assert (account.available, account.spent, account.expired) == (0, 10 * CREDIT, 20 * CREDIT)


async def test_several_clocks_at_once_grant_once(
    context: PaymentContext, account_id: UUID, clock: Clock, database_url: str
) -> None:
    clocks = [DailyCredits(TEN, clock_us=clock) for _ in range(5)]

    for day in (28, 29):
        clock.now_us = at(2026, 3, day, 1)
        await asyncio.gather(*(one.run(context) for one in clocks))

    assert given_to(database_url, account_id) == [("2026-03-28", 10), ("2026-03-29", 10)]


async def test_free_credits_are_spent_before_bought_ones(
    context: PaymentContext, account_id: UUID, clock: Clock, database_url: str
) -> None:
    await context.writer.submit(top_up(5 * CREDIT, account_id, expires_at_us=clock.now_us + 1_000_000))
    await DailyCredits(TEN, clock_us=clock).run(context)

    await context.writer.submit(charge(12 * CREDIT, account_id))

    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT source, remaining FROM lots ORDER BY number").fetchall()
    assert rows == [("top_up", 3 * CREDIT), ("grant", 0)]


@pytest.mark.parametrize(
    ("zones", "days"),
    [
        # To the east, to the west, to and fro, and round the world, twelve hours apart from 28 March, 00:30 UTC.
        (["UTC", "Asia/Tokyo", "Asia/Tokyo", "Asia/Tokyo"], ["2026-03-28", "2026-03-30"]),
        (["UTC", "America/Los_Angeles", "UTC", "America/Los_Angeles"], ["2026-03-28", "2026-03-29"]),
        (["Pacific/Kiritimati", "Etc/GMT+12"] * 2, ["2026-03-28", "2026-03-29", "2026-03-30"]),
        (["Etc/GMT+12", "Pacific/Kiritimati"] * 2, ["2026-03-27", "2026-03-28", "2026-03-29"]),
    ],
)
async def test_a_change_of_time_zone_never_gives_two_grants_for_days_that_overlap(
    context: PaymentContext, account_id: UUID, clock: Clock, database_url: str, zones: list[str], days: list[str]
) -> None:
    daily = DailyCredits(TEN, clock_us=clock)
    noted: list[tuple[int, int]] = []

    for half_day, zone in enumerate(zones):
        lives_in(database_url, account_id, zone)
        for quarter in range(48):
            clock.now_us = at(2026, 3, 28, 0, 30) + (half_day * 48 + quarter) * 900_000_000
            await daily.run(context)
            noted += [day for day in [last_day(database_url)] if day not in noted]

    assert [day for day, _ in given_to(database_url, account_id)] == days
    assert len(noted) == len(days)
    for earlier, later in itertools.pairwise(noted):
        assert later[0] >= earlier[1]
        assert later[0] >= earlier[0] + 20 * HOUR_US


async def test_the_best_plan_that_is_paid_for_says_how_much(
    context: PaymentContext, account_id: UUID, clock: Clock, database_url: str
) -> None:
    await offer_plans(context.database, daily_free_credits="25")
    begun = subscription(None, account_id, asked_at_us=1)
    daily = DailyCredits({}, clock_us=clock)
    assert await daily.run(context) == 0

    await settle(context, "plain", begun)
    clock.now_us = at(2026, 3, 28, 1)
    move_due(database_url, clock.now_us)
    await daily.run(context)
    await settle(context, "plain", subscription(None, account_id, subscription_id=begun.subscription_id,
                                                status=SubscriptionStatus.ended, asked_at_us=2))  # fmt: skip
    clock.now_us = at(2026, 3, 29, 1)
    await daily.run(context)

    assert given_to(database_url, account_id) == [("2026-03-28", 25)]
    assert await daily.run(context) == 0


async def test_whoever_is_new_is_found_and_a_full_account_holds_nobody_up(
    context: PaymentContext, account_id: UUID, clock: Clock, database_url: str
) -> None:
    daily = DailyCredits(TEN, clock_us=clock)
    for _ in range(4):
        await context.writer.submit(top_up(2**60, account_id))
    await daily.run(context)
    last = UUID("ffffffff-ffff-7fff-bfff-ffffffffffff")
    await context.writer.submit(open_account(last))

    await daily.run(context)

    assert given_to(database_url, account_id) == []
    assert given_to(database_url, last) == [("2026-03-28", 10)]
    assert await daily.run(context) == 0


def move_due(url: str, now_us: int) -> None:
    """The database's clock is the real one; the test's is not."""
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE daily_credits SET due_at = to_timestamp(%s)", [now_us // 1_000_000])
