"""Which queue an account's generations wait in: paid ones come before free ones."""

import time
from collections import OrderedDict
from enum import IntEnum
from typing import Final
from uuid import UUID

import msgspec
import psycopg

from ledger.database import Database
from ledger.errors import AccountNotFound
from workers.generations import sql

FRESH_S: Final = 5.0
KEPT: Final = 10_000
"""Accounts whose tier a process remembers; the one that was asked for longest ago is forgotten first."""


class Tier(IntEnum):
    """A tier by the number it is stored under; smaller ones are served first."""

    paid = 0
    free = 1


class AccountTier(msgspec.Struct, frozen=True):
    """An account's tier. With `is_set`, an administrator decided it; otherwise what was paid does."""

    tier: Tier
    is_set: bool


class Tiers:
    """The tiers of accounts, as this process read them at most `FRESH_S` ago."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: OrderedDict[UUID, tuple[float, Tier]] = OrderedDict()

    async def of(self, account_id: UUID) -> Tier:
        """Return the tier of an account; `free` for one that does not exist."""
        read_at_s, tier = self._known.get(account_id, (float("-inf"), Tier.free))
        now_s = time.monotonic()
        if now_s - read_at_s < FRESH_S:
            return tier
        tier = await tier_of(self._database, account_id)
        self._known[account_id] = (now_s, tier)
        self._known.move_to_end(account_id)
        if len(self._known) > KEPT:
            self._known.popitem(last=False)
        return tier

    def forget(self, account_id: UUID) -> None:
        """Read this account's tier again the next time it is asked for."""
        self._known.pop(account_id, None)


async def tier_of(database: Database, account_id: UUID) -> Tier:
    """Return the tier of an account: what an administrator set, or paid while credits are left that were paid for."""
    return (await read_tier(database, account_id)).tier


async def read_tier(database: Database, account_id: UUID) -> AccountTier:
    """Return the tier of an account, and who decides it."""
    async with database.autocommit() as connection:
        row = await (await connection.execute(sql.READ_TIER, {"account_id": account_id})).fetchone()
    assert row is not None, "a query of two values has a row"
    chosen, has_paid = row
    if chosen is not None:
        return AccountTier(Tier(chosen), is_set=True)
    return AccountTier(Tier.paid if has_paid else Tier.free, is_set=False)


async def set_tier(database: Database, account_id: UUID, tier: Tier | None, *, changed_by: str) -> AccountTier:
    """Decide an account's tier, or leave it to what was paid; who did so stays recorded.

    Other processes follow within `FRESH_S`.

    Raises:
        AccountNotFound: there is no such account.
    """
    parameters = {"account_id": account_id, "tier": tier, "changed_by": changed_by}
    try:
        async with database.connection() as connection:
            await connection.execute(sql.INSERT_ACCOUNT_TIER, parameters)
    except psycopg.errors.ForeignKeyViolation:
        raise AccountNotFound(account_id) from None
    return await read_tier(database, account_id)
