"""Choosing what a worker runs next: from Postgres, whatever message woke it.

Paid work comes first. Free work may take a share of the process, and no provider gets more than its limit; what has no
room now never holds up what waits behind it.
"""

from typing import Any, Final
from uuid import UUID

import structlog
from psycopg import AsyncConnection

from ledger.database import Database
from workers.claims import Claim, claim_next
from workers.limits import ProviderLimits
from workers.tiers import Tier

LAVISH: Final = 2
"""While no more than one in so many of the free places is taken, one is set aside without asking what it is for."""

TRIES: Final = 16
"""How often one choice may turn out to have no room before the next wake-up is waited for."""

_log = structlog.stdlib.get_logger(__name__)


class Picker:
    """Picks for one worker process, and remembers what it runs."""

    def __init__(self, database: Database, limits: ProviderLimits, *, owner: UUID, free_threads: int) -> None:
        self._database = database
        self._limits = limits
        self._owner = owner
        self._free_threads = free_threads
        self._free_running = 0
        self._passed_over = 0
        """How often something may have been passed over for want of room."""
        self._passed_over_before = 0
        """How often that had been when nothing at all was found."""

    @property
    def left_something(self) -> bool:
        """Whether something may be ready whose message was spent while there was no room for it."""
        return self._passed_over > self._passed_over_before

    async def next(self) -> Claim | None:
        """Claim what is next and may run here now; `None` if there is nothing. Give it to `done` in the end.

        Raises:
            psycopg.Error, PoolTimeout, OSError: Postgres is away; what was chosen waits still, or comes back.
        """
        if self._limits.are_none and (self._free_running + 1) * LAVISH <= self._free_threads:
            return await self._next_of_all()
        return await self._next_with_room()

    async def _next_of_all(self) -> Claim | None:
        """Claim what is next where there is room for anything, in one round trip: nothing can turn out not to fit."""
        before = self._passed_over
        claim: Claim | None = None
        self._free_running += 1
        try:
            async with self._database.autocommit() as connection:
                claim = await claim_next(connection, owner=self._owner, tiers=list(Tier), full_providers=[])
        finally:
            self._free_running -= claim is None or claim.tier is not Tier.free
        if claim is None:
            self._passed_over_before = max(self._passed_over_before, before)
        return claim

    async def _next_with_room(self) -> Claim | None:
        full = await self._limits.full_providers()
        for _ in range(TRIES):
            tiers, before = self._open_tiers(), self._passed_over
            looks_at_all = not full and len(tiers) == len(Tier)
            # Counted before looking: whoever makes room meanwhile must know of it.
            self._passed_over += not looks_at_all
            async with self._database.connection() as connection:
                claim = await claim_next(connection, owner=self._owner, tiers=tiers, full_providers=full)
                if claim is None and looks_at_all:
                    self._passed_over_before = max(self._passed_over_before, before)
                if claim is None or await self._enter(claim, connection, full):
                    return claim
                await connection.rollback()
        self._passed_over += 1
        _log.warning("nothing_has_room", tries=TRIES, full_providers=full)
        return None

    async def done(self, claim: Claim) -> None:
        """Give back the place of something that does not run any more."""
        if claim.tier is Tier.free:
            self._free_running -= 1
        await self._limits.give_back(claim.holder)

    def _open_tiers(self) -> list[Tier]:
        return [Tier.paid, Tier.free] if self._free_running < self._free_threads else [Tier.paid]

    async def _enter(self, claim: Claim, connection: AsyncConnection[Any], full: list[str]) -> bool:
        """Count what a claim takes up and commit it; false if there is no room for it after all."""
        if claim.tier is Tier.free and self._free_running >= self._free_threads:
            return False
        self._free_running += claim.tier is Tier.free
        has_room = False
        try:
            has_room = await self._limits.take(claim.holder, connection)
            if has_room:
                await connection.commit()
        except BaseException:
            await self.done(claim)
            raise
        if not has_room:
            full.append(claim.provider)
            await self.done(claim)
        return has_room
