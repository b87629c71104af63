"""Months as customers count them: after the 31st comes the last day of a shorter month, and then the 31st again.

Everything is in UTC. Times are microseconds since the Unix epoch.
"""

import calendar
from typing import Final

from ledger.rows import from_us, to_us
from workers.payments.facts import Period

_MONTHS_OF_YEAR: Final = 12


def months_after(begins_us: int, months: int) -> int:
    """Return the time so many months later, on the same day of the month or else on the last one it has."""
    begins = from_us(begins_us)
    years, month = divmod(begins.month - 1 + months, _MONTHS_OF_YEAR)
    year = begins.year + years
    day = min(begins.day, calendar.monthrange(year, month + 1)[1])
    return to_us(begins.replace(year=year, month=month + 1, day=day))


def period_after(anchored_us: int, begins_us: int, *, months: int) -> Period:
    """Return the period that begins when another one ended, where the first of them all began at the anchor."""
    anchor, begins = from_us(anchored_us), from_us(begins_us)
    passed = (begins.year - anchor.year) * _MONTHS_OF_YEAR + begins.month - anchor.month
    if months_after(anchored_us, passed) == begins_us:
        return Period(begins_us, months_after(anchored_us, passed + months))
    return Period(begins_us, months_after(begins_us, months))


def lot_expiry_us(period: Period, *, months: int, rolls_over: bool) -> int:
    """Return when the credits of a period expire: with the period, or with the one after it."""
    if not rolls_over:
        return period.ends_us
    if months_after(period.begins_us, months) == period.ends_us:
        # Not from its end: after February comes a March of 31 days.
        return months_after(period.begins_us, 2 * months)
    return months_after(period.ends_us, months)
