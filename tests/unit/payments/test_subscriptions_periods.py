"""Months and days as people count them."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.rows import from_us, to_us
from tests.subscribed import FEBRUARY, JANUARY, MARCH, at
from workers.payments.facts import Period, SubscriptionStatus
from workers.payments.subscriptions.charging import order_id_of
from workers.payments.subscriptions.daily_credits import daily_default
from workers.payments.subscriptions.local_days import day_at, first_day_from, zone_of
from workers.payments.subscriptions.periods import lot_expiry_us, months_after, period_after
from workers.payments.subscriptions.renewing import dunning_days
from workers.payments.subscriptions.subscription import Plan, Subscription
from workers.settings import SettingsError

HOUR_US = 3_600_000_000


@pytest.mark.parametrize(
    ("begins", "months", "ends"),
    [
        (at(2026, 1, 31), 1, at(2026, 2, 28)),
        (at(2026, 1, 31), 2, at(2026, 3, 31)),
        (at(2028, 1, 31), 1, at(2028, 2, 29)),
        (at(2028, 2, 29), 12, at(2029, 2, 28)),
        (at(2026, 12, 5, 7, 30), 1, at(2027, 1, 5, 7, 30)),
        (at(2026, 11, 30), 14, at(2028, 1, 30)),
    ],
)
def test_months_end_on_the_same_day_or_on_the_last_one_there_is(begins: int, months: int, ends: int) -> None:
    assert months_after(begins, months) == ends


def test_periods_after_a_short_month_are_long_again() -> None:
    anchor = JANUARY.begins_us

    periods = [Period(JANUARY.begins_us, JANUARY.ends_us)]
    for _ in range(2):
        periods.append(period_after(anchor, periods[-1].ends_us, months=1))

    assert periods == [JANUARY, FEBRUARY, MARCH]


def test_a_plan_of_a_year_after_one_of_a_month_lasts_a_year() -> None:
    assert period_after(JANUARY.begins_us, FEBRUARY.begins_us, months=12).ends_us == at(2027, 2, 28, 12)
    assert period_after(at(2026, 1, 5), at(2026, 1, 20), months=1).ends_us == at(2026, 2, 20)


def test_credits_expire_with_their_period_or_with_the_next_one() -> None:
    assert lot_expiry_us(JANUARY, months=1, rolls_over=False) == JANUARY.ends_us
    assert lot_expiry_us(JANUARY, months=1, rolls_over=True) == FEBRUARY.ends_us
    assert lot_expiry_us(Period(at(2026, 1, 1), at(2026, 1, 15)), months=1, rolls_over=True) == at(2026, 2, 15)


@pytest.mark.parametrize(
    ("zone", "moment", "date", "begins", "ends"),
    [
        # 23 and 25 hours in Berlin.
        ("Europe/Berlin", at(2026, 3, 29, 12), "2026-03-29", at(2026, 3, 28, 23), at(2026, 3, 29, 22)),
        ("Europe/Berlin", at(2026, 10, 25, 12), "2026-10-25", at(2026, 10, 24, 22), at(2026, 10, 25, 23)),
        # No midnight: in Cairo, 24 April 2026 begins at 01:00.
        ("Africa/Cairo", at(2026, 4, 24, 5), "2026-04-24", at(2026, 4, 23, 22), at(2026, 4, 24, 21)),
        ("Africa/Cairo", at(2026, 4, 23, 21, 59), "2026-04-23", at(2026, 4, 22, 22), at(2026, 4, 23, 22)),
        # Midnight twice: in Havana, clocks go back at 01:00.
        ("America/Havana", at(2026, 11, 1, 5, 30), "2026-11-01", at(2026, 11, 1, 4), at(2026, 11, 2, 5)),
        # Back from 00:00 to 23:00 of the evening before.
        ("America/Asuncion", at(2023, 3, 26, 3, 30), "2023-03-25", at(2023, 3, 25, 3), at(2023, 3, 26, 4)),
        # Back from 00:01 to 23:01: the new day has begun all the same.
        ("America/St_Johns", at(2010, 11, 7, 3, 0), "2010-11-07", at(2010, 11, 7, 2, 30), at(2010, 11, 8, 3, 30)),
        # A day that never was.
        ("Pacific/Apia", at(2011, 12, 30, 10), "2011-12-31", at(2011, 12, 30, 10), at(2011, 12, 31, 10)),
        ("Pacific/Apia", at(2011, 12, 30, 9, 59), "2011-12-29", at(2011, 12, 29, 10), at(2011, 12, 30, 10)),
        ("Asia/Kolkata", at(2026, 5, 1, 18, 30), "2026-05-02", at(2026, 5, 1, 18, 30), at(2026, 5, 2, 18, 30)),
        ("Nowhere/At_All", at(2026, 5, 1, 18), "2026-05-01", at(2026, 5, 1), at(2026, 5, 2)),
        ("../../etc/passwd", at(2026, 5, 1, 18), "2026-05-01", at(2026, 5, 1), at(2026, 5, 2)),
    ],
)
def test_a_day_is_that_of_its_place(zone: str, moment: int, date: str, begins: int, ends: int) -> None:
    day = day_at(moment, zone_of(zone))

    assert (day.date.isoformat(), from_us(day.begins_us), from_us(day.ends_us)) == (
        date,
        from_us(begins),
        from_us(ends),
    )


ZONES = ["UTC", "Europe/Berlin", "Africa/Cairo", "America/Havana", "America/Asuncion", "America/St_Johns",
         "Pacific/Apia", "Australia/Lord_Howe", "Pacific/Kiritimati", "America/Santiago", "Asia/Beirut"]  # fmt: skip


@given(
    zone=st.sampled_from(ZONES),
    moment=st.datetimes(datetime(1990, 1, 1), datetime(2037, 1, 1)),  # noqa: DTZ001 - hypothesis wants them naive
)
def test_days_follow_each_other_without_gap_or_overlap(zone: str, moment: datetime) -> None:
    now_us = to_us(moment.replace(tzinfo=UTC))
    there = zone_of(zone)

    day = day_at(now_us, there)

    assert day.begins_us <= now_us < day.ends_us
    assert day_at(day.begins_us, there) == day == day_at(day.ends_us - 1, there)
    after = day_at(day.ends_us, there)
    assert after.begins_us == day.ends_us
    assert after.date > day.date
    assert first_day_from(now_us, there) == (day if now_us == day.begins_us else after)
    assert from_us(now_us).astimezone(ZoneInfo(zone)).date() - day.date in {timedelta(0), timedelta(days=-1)}


def test_an_order_of_a_renewal_has_one_id_that_says_when_it_was_made() -> None:
    one = Subscription(
        gateway="plain", id="sub", account_id=uuid4(), order_id=None, status=SubscriptionStatus.active,
        plan=Plan("basic", 1, "us"), asked_us=1,
    )  # fmt: skip

    made_us = at(2026, 2, 28, 12)
    found = order_id_of(one, "renewal:1:0", made_us=made_us)

    assert found == order_id_of(one, "renewal:1:0", made_us=made_us)
    assert found.version == 7
    assert found.variant == "specified in RFC 4122"
    assert (found.int >> 80) * 1_000 == made_us
    assert found != order_id_of(one, "renewal:1:1", made_us=made_us)


@pytest.mark.parametrize("text", ["1,", "0", "3,1", "1,1", "a", "1.5", "61", "-1", "1," * 11])
def test_days_of_dunning_are_one_after_the_other(text: str) -> None:
    assert dunning_days({}) == (1, 3, 5)
    assert dunning_days({"HOLDFAST_DUNNING_DAYS": " 2, 4 "}) == (2, 4)
    with pytest.raises(SettingsError):
        dunning_days({"HOLDFAST_DUNNING_DAYS": text})


def test_free_credits_of_the_day_are_an_amount() -> None:
    assert daily_default({}) == 0
    assert daily_default({"HOLDFAST_DAILY_FREE_CREDITS": "0.0"}) == 0
    assert daily_default({"HOLDFAST_DAILY_FREE_CREDITS": "12.5"}) == 12_500_000
    for text in ("-1", "ten", "1e3"):
        with pytest.raises(SettingsError):
            daily_default({"HOLDFAST_DAILY_FREE_CREDITS": text})
