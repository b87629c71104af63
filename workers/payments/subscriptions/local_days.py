"""The days of a time zone: when one begins, and which one it is.

A day begins with the first moment at which its date is reached. So days follow each other without gap or overlap, also
where clocks are put forward past midnight, back to the evening before, or past a whole day.
"""

import functools
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

from ledger.rows import from_us, to_us

_DAY = timedelta(days=1)


class LocalDay(Struct, frozen=True):
    """A day somewhere: its date, and when it begins and ends, in microseconds since the Unix epoch."""

    date: date
    begins_us: int
    ends_us: int


@functools.lru_cache(maxsize=1_024)
def zone_of(name: str) -> tzinfo:
    """Return a time zone by its name; UTC where there is none of this name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def day_at(now_us: int, zone: tzinfo) -> LocalDay:
    """Return the day that it is somewhere."""
    today = from_us(now_us).astimezone(zone).date()
    # Put back past midnight, clocks show the old date once more: the day is the new one all the same.
    while _begin_us(today + _DAY, zone) <= now_us:
        today += _DAY
    return LocalDay(today, _begin_us(today, zone), _begin_us(today + _DAY, zone))


def first_day_from(begins_us: int, zone: tzinfo) -> LocalDay:
    """Return the first day that begins at a time or later."""
    day = day_at(begins_us, zone)
    return day if day.begins_us == begins_us else day_at(day.ends_us, zone)


def _begin_us(day: date, zone: tzinfo) -> int:
    # Of a midnight that comes twice the first; one that is left out stands for the moment at which it is (PEP 495).
    return to_us(datetime.combine(day, time(), tzinfo=zone).astimezone(UTC))
