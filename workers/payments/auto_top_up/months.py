"""Calendar months of a time zone, by which automatic top-ups are capped."""

from datetime import UTC, date, datetime, time

from msgspec import Struct

from ledger.rows import to_us
from workers.payments.subscriptions.local_days import day_at, zone_of

_DECEMBER = 12


class Month(Struct, frozen=True):
    """A month somewhere: its first day, and when it ends, in microseconds since the Unix epoch."""

    first: date
    ends_us: int


def month_at(now_us: int, time_zone: str | None) -> Month:
    """Return the month that it is in a time zone; in UTC where none is known."""
    zone = zone_of(time_zone or "UTC")
    first = day_at(now_us, zone).date.replace(day=1)
    following = first.replace(year=first.year + first.month // _DECEMBER, month=first.month % _DECEMBER + 1)
    return Month(first, to_us(datetime.combine(following, time(), tzinfo=zone).astimezone(UTC)))
