"""What one thread of a worker does once it was woken: run what is next, and what waited for the place that comes free.

Everything that waits has a message that wakes a thread for it. One that comes while there is no room, at a provider or
for the free tier, is spent; so whoever makes room looks for what was passed over.

A message passes two threads before its work begins here. The bell that rang for it is heard before that, and what is
next is claimed meanwhile: who of those that come gets it is all the same.
"""

import asyncio
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
        self._early: asyncio.Task[Claim | None] | None = None

    def end(self) -> None:
        """Take nothing new on."""
        self._ended = True

    @property
    def expects(self) -> bool:
        """Whether something is being claimed, or was, for whoever works next."""
        return self._early is not None

    def expect(self) -> bool:
        """Begin to claim for whoever works next, whose message is still on its way; false if that began before."""
        if self._ended or self._early is not None:
            return False
        self._early = asyncio.create_task(self._picker.next(), name="early claim")
        return True

    async def expect_no_more(self) -> None:
        """Give back what was claimed for somebody who did not come, after `end`.

        Raises:
            psycopg.Error, PoolTimeout, Contended, OSError: Postgres is away; the lease brings it back.
        """
        claim = None if self._early is None else await self._take_early()
        if claim is not None:
            await self._picker.done(claim)
            await self._runner.give_back(claim)

    async def work(self) -> None:
        """Run what is next, and go on while something may be ready that no message tells of.

        Raises:
            psycopg.Error, PoolTimeout, Contended, OSError: Postgres is away.
        """
        ends_s = time.monotonic() + WORK_LIMIT_S
        last: Claim | None = None
        while not self._ended and time.monotonic() < ends_s:
            if last is not None and not self._may_go_on(last):
                return
            claim = (await self._take_early() if last is None else None) or await self._picker.next()
            if last is not None:
                self._pass_on(last, claim)
            if claim is None:
                return
            last = claim
            self._pace.note(claim.tier)
            try:
                await self._runner.run_claimed(claim)
            finally:
                await self._picker.done(claim)
        # Whatever this thread was woken for, or would have taken next, still waits.
        again = WakeUp(Tier.paid, "") if last is None else WakeUp(last.tier, last.request_id)
        self._runner.queue.send(again)

    async def _take_early(self) -> Claim | None:
        early, self._early = self._early, None
        return None if early is None else await early

    def _may_go_on(self, last: Claim) -> bool:
        """Whether something may be ready that no message tells of: it waited for the place that came free."""
        return self._picker.left_something or self._limits.is_limited(last.provider)

    def _pass_on(self, last: Claim, claim: Claim | None) -> None:
        """Wake another thread for the place at a provider that came free, unless it was taken just now.

        If nothing at all was ready, nothing was ready there either.
        """
        if claim is not None and claim.provider != last.provider and self._limits.is_limited(last.provider):
            self._runner.queue.send(WakeUp(last.tier, last.request_id))
