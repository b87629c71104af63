"""The time-outs of one call, kept by one clock.

The SDKs only offer a read time-out between two packets, which every ping resets: a provider could keep a customer
waiting for ever. Here every wait has an absolute end.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from workers.providers.errors import TimedOut
from workers.providers.interface import Timeouts

Waited = TypeVar("Waited")


class Deadlines:
    """When the next event of one call must be there. Starts to count when it is made."""

    def __init__(self, timeouts: Timeouts, *, provider: str) -> None:
        self._clock = asyncio.get_running_loop().time
        self._timeouts = timeouts
        self._provider = provider
        started = self._clock()
        self._total_at = started + timeouts.total_s
        self._first_token_at = started + timeouts.first_token_s
        self._text_began = False

    def text_began(self) -> None:
        """From now on the gap between events counts instead of the wait for the first text."""
        self._text_began = True

    async def wait(self, event: Awaitable[Waited]) -> Waited:
        """Return the event, unless a deadline passes first; then what was awaited is cancelled.

        Raises:
            TimedOut: says which of the time-outs it was.
        """
        name, limit_s, ends_at = self._next()
        timeout = asyncio.timeout_at(ends_at)
        try:
            async with timeout:
                return await event
        except TimeoutError as error:
            if not timeout.expired():
                raise
            raise TimedOut(provider=self._provider, provider_message=f"{name} of {limit_s:g} s passed") from error

    def _next(self) -> tuple[str, float, float]:
        if self._text_began:
            name, limit_s = "gap_s", self._timeouts.gap_s
            ends_at = self._clock() + limit_s
        else:
            name, limit_s, ends_at = "first_token_s", self._timeouts.first_token_s, self._first_token_at
        if self._total_at < ends_at:
            return "total_s", self._timeouts.total_s, self._total_at
        return name, limit_s, ends_at
