"""On which day an event is booked, given the periods that were closed before it came."""

from typing import Any

import msgspec
from psycopg import AsyncConnection

from projections.projection import sql


class ClosedDay(msgspec.Struct, frozen=True):
    """A closed period: the events that it could hold, and its last day (days since 1970-01-01)."""

    seq: int
    through_day: int


class ClosedDays(msgspec.Struct, frozen=True):
    """All closed periods, in order."""

    periods: tuple[ClosedDay, ...] = ()

    def booked_day(self, seq: int, *, recorded_day: int, effective_day: int) -> int:
        """Return the day an event counts on: its effective day, unless that was closed before the event was sealed.

        Then it is the day it was recorded on, or the first open day if that is closed too.
        """
        for period in reversed(self.periods):
            if period.seq < seq:
                if effective_day > period.through_day:
                    return effective_day
                return max(recorded_day, period.through_day + 1)
        return effective_day


async def read_closed_days(connection: AsyncConnection[Any]) -> ClosedDays:
    """Read which periods are closed."""
    cursor = await connection.execute(sql.READ_CLOSED_PERIODS)
    return ClosedDays(tuple([ClosedDay(*row) async for row in cursor]))
