"""Reading the ledger: what an account has, had, and how it came to that.

Amounts are microcredits. All functions take a connection of the application's role and write nothing.
"""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ledger import errors, statements
from ledger.account import FreezeState
from ledger.events import Event
from ledger.rows import event_of_row

sql: Final = statements.load("ledger")


class AccountView(msgspec.Struct, frozen=True):
    """One account as it is."""

    id: UUID
    owner: str
    name: str
    version: int
    available: int
    frozen: int
    created_at: datetime


class LotView(msgspec.Struct, frozen=True):
    """One lot that holds credits."""

    id: UUID
    source: str
    remaining: int
    frozen: int
    priority: int
    expires_at: datetime | None


class Balance(msgspec.Struct, frozen=True):
    """What an account has at one moment, and in which lots."""

    available: int
    frozen: int
    version: int
    as_of: datetime
    lots: tuple[LotView, ...]


class FreezeView(msgspec.Struct, frozen=True):
    """One freeze as it is. What was frozen and not confirmed is released once it is resolved."""

    id: UUID
    account_id: UUID
    amount: int
    state: FreezeState
    confirmed: int
    opened_at: datetime
    expires_at: datetime
    resolved_at: datetime | None
    reference: str

    @property
    def released(self) -> int:
        """Microcredits that went back, none while it is open."""
        return 0 if self.state is FreezeState.open else self.amount - self.confirmed


class Head(msgspec.Struct, frozen=True):
    """The heads of one account."""

    available: int
    frozen: int
    version: int


async def read_account(connection: AsyncConnection[Any], account_id: UUID, *, now: datetime) -> AccountView:
    """Read one account.

    Raises:
        AccountNotFound: there is none with this id.
    """
    cursor = await connection.execute(sql.READ_ACCOUNT, {"account_id": account_id, "now": now})
    row = await cursor.fetchone()
    if row is None:
        raise errors.AccountNotFound(account_id)
    return AccountView(*row)


async def read_balance(connection: AsyncConnection[Any], account_id: UUID, *, now: datetime) -> Balance:
    """Read what an account has now.

    Raises:
        AccountNotFound: there is none with this id.
    """
    cursor = await connection.execute(sql.READ_BALANCE, {"account_id": account_id, "now": now})
    rows = await cursor.fetchall()
    if not rows:
        raise errors.AccountNotFound(account_id)
    available, frozen, version = rows[0][:3]
    lots = tuple(LotView(*row[3:]) for row in rows if row[3] is not None)
    return Balance(available, frozen, version, now, lots)


async def read_events(
    connection: AsyncConnection[Any], account_id: UUID, *, after_version: int, limit: int
) -> list[tuple[Event, int | None]]:
    """Read a page of an account's events in version order, each with its `seq` if it is sealed."""
    parameters = {"account_id": account_id, "after_version": after_version, "limit": limit}
    cursor = await connection.execute(sql.READ_EVENTS, parameters)
    return [(event_of_row(row[:-1]), row[-1]) async for row in cursor]


async def read_freeze(connection: AsyncConnection[Any], freeze_id: UUID) -> FreezeView:
    """Read one freeze.

    Raises:
        FreezeNotFound: there is none with this id.
    """
    row = await (await connection.execute(sql.READ_FREEZE, {"freeze_id": freeze_id})).fetchone()
    if row is None:
        raise errors.FreezeNotFound(freeze_id)
    return _freeze_view(row)


async def read_open_freezes(connection: AsyncConnection[Any], account_id: UUID, *, limit: int) -> list[FreezeView]:
    """Read the open freezes of one account, those that expire first first."""
    cursor = await connection.execute(sql.READ_OPEN_FREEZES, {"account_id": account_id, "limit": limit})
    return [_freeze_view(row) async for row in cursor]


def _freeze_view(row: tuple[Any, ...]) -> FreezeView:
    freeze_id, account_id, amount, state, *rest = row
    return FreezeView(freeze_id, account_id, amount, FreezeState(state), *rest)


async def read_heads(connection: AsyncConnection[Any], account_ids: list[UUID]) -> dict[UUID, Head]:
    """Read the heads of several accounts; those that do not exist are left out."""
    cursor = await connection.execute(sql.READ_HEADS, {"account_ids": account_ids})
    return {row[0]: Head(*row[1:]) async for row in cursor}
