"""What one thread of a worker does once it was woken: run what is next, and what waited for the place that comes free.

Everything that waits has a message that wakes a thread for it. One that comes while there is no room, at a provider or
for the free tier, is spent; so whoever makes room looks for what was passed over.
"""

import time
from typing import Final

from workers.claims import Claim
from workers.execution import Runner
from workers.limits import ProviderLimits
from workers.picking import Picker
from workers.positions import Pace
from workers.queue import WakeUp
from workers.tiers import Tier

WORK_LIMIT_S: Final = 60.0
"""After this long a thread takes nothing new on; another message wakes it, or another worker, to go on."""


class Shift:
    """The work of all threads of a process."""

    def __init__(self, runner: Runner, picker: Picker, *, limits: ProviderLimits, pace: Pace) -> None:
        self._runner = runner
        self._picker = picker
        self._limits = limits
        self._pace = pace
        self._ended = False

    def end(self) -> None:
        """Take nothing new on."""
        self._ended = True

    async def work(self) -> bool:
        """Run what is next, and go on while something may be ready that no message tells of; false if nothing was.

        Raises:
            psycopg.Error, PoolTimeout, Contended, OSError: Postgres is away.
        """
        ends_s = time.monotonic() + WORK_LIMIT_S
        last: Claim | None = None
        while not self._ended and time.monotonic() < ends_s:
            if last is not None and not self._may_go_on(last):
                return True
            claim = await self._picker.next()
            if last is not None:
                self._pass_on(last, claim)
            if claim is None:
                return last is not None
            last = claim
            self._pace.note(claim.tier)
            try:
                await self._runner.run_claimed(claim)
            finally:
                await self._picker.done(claim)
        # Whatever this thread was woken for, or would have taken next, still waits.
        again = WakeUp(Tier.paid, "") if last is None else WakeUp(last.tier, last.request_id)
        self._runner.queue.send(again)
        return True

    def _may_go_on(self, last: Claim) -> bool:
        """Whether something may be ready that no message tells of: it waited for the place that came free."""
        return self._picker.left_something or self._limits.is_limited(last.provider)

    def _pass_on(self, last: Claim, claim: Claim | None) -> None:
        """Wake another thread for the place at a provider that came free, unless it was taken just now.

        If nothing at all was ready, nothing was ready there either.
        """
        if claim is not None and claim.provider != last.provider and self._limits.is_limited(last.provider):
            self._runner.queue.send(WakeUp(last.tier, last.request_id))
