"""Reading the ledger: what an account has, had, and how it came to that.

Amounts are microcredits. All functions take a connection of the application's role and write nothing.
"""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ledger import errors, statements
from ledger.account import FreezeState, fold
from ledger.events import Event
from ledger.lots import Lot
from ledger.rows import event_of_row, from_us, to_us

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
    account = await read_account(connection, account_id, now=now)
    cursor = await connection.execute(sql.READ_ACCOUNT_LOTS, {"account_id": account_id, "now": now})
    lots = tuple([LotView(*row) async for row in cursor])
    return Balance(account.available, account.frozen, account.version, now, lots)


async def read_balance_as_of(
    connection: AsyncConnection[Any],
    account_id: UUID,
    *,
    at: datetime | None = None,
    seq: int | None = None,
    now: datetime,
) -> Balance:
    """Replay an account's events up to a time, or up to a place in the sealed order.

    As of a `seq`, lots are as the last event that is included left them; an event that is not sealed yet is in no
    `seq`.

    Raises:
        AccountNotFound: there is none with this id, or it did not exist then.
    """
    cursor = await connection.execute(sql.READ_EVENTS_UNTIL, {"account_id": account_id, "at": at, "seq": seq})
    account = fold(account_id, [event_of_row(row) for row in await cursor.fetchall()])
    if account.version == 0:
        raise errors.AccountNotFound(account_id)
    as_of_us = account.updated_at_us if at is None else to_us(min(at, now))
    over = [lot for lot in account.lots.values() if lot.is_expired(as_of_us)]
    gone = sum(lot.remaining for lot in over)
    lots = sorted((lot for lot in account.lots.values() if lot.frozen or lot.remaining), key=Lot.draw_order)
    views = tuple(_view(lot) for lot in lots if lot.frozen or lot not in over)
    return Balance(account.available - gone, account.frozen, account.version, from_us(as_of_us), views)


def _view(lot: Lot) -> LotView:
    expires_at = None if lot.expires_at_us is None else from_us(lot.expires_at_us)
    return LotView(lot.id, lot.source, lot.remaining, lot.frozen, lot.priority, expires_at)


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
