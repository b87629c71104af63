"""What an account had at a time, or as of a place in the sealed order.

The answer never depends on how far the projection is: it only decides how many events are read. Amounts are
microcredits.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection

from ledger import errors
from ledger.account import Account
from ledger.events import Event
from ledger.lots import Lot
from ledger.reads import Balance, LotView, read_events
from ledger.rows import from_us, to_us
from projections.account_state import account_of, decode_state, go_on
from projections.balances import INTERVAL
from projections.projection import sql

PAGE: Final = INTERVAL + 1


async def read_balance_as_of(
    connection: AsyncConnection[Any],
    account_id: UUID,
    *,
    at: datetime | None = None,
    seq: int | None = None,
    now: datetime,
) -> Balance:
    """Read what an account had at a time, or as of a place in the sealed order, and in which lots.

    As of a `seq`, lots are as the last event that is included left them; an event that is not sealed yet is in no
    `seq`.

    Raises:
        AccountNotFound: there is none with this id, or it did not exist then.
    """
    account = await account_as_of(connection, account_id, at=at, seq=seq)
    if account.version == 0:
        raise errors.AccountNotFound(account_id)
    as_of_us = account.updated_at_us if at is None else to_us(min(at, now))
    over = {lot.number for lot in account.lots.values() if lot.is_expired(as_of_us)}
    gone = sum(account.lots[number].remaining for number in over)
    lots = sorted((lot for lot in account.lots.values() if lot.frozen or lot.remaining), key=Lot.draw_order)
    views = tuple(_view(lot, as_of_us) for lot in lots if lot.frozen or lot.number not in over)
    return Balance(account.available - gone, account.frozen, account.version, from_us(as_of_us), views)


async def account_as_of(
    connection: AsyncConnection[Any], account_id: UUID, *, at: datetime | None = None, seq: int | None = None
) -> Account:
    """Return the state of an account after the last of its events that is included; version 0 if none is.

    Of lots that are used up and freezes that are resolved, only the latest are listed.
    """
    account = await _last_snapshot(connection, account_id, at=at, seq=seq)
    included = _included(at=at, seq=seq)
    while True:
        page = await read_events(connection, account_id, after_version=account.version, limit=PAGE)
        following = [event for event, place in page if included(event, place)]
        await go_on(connection, account, following)
        # Versions, times and places of an account rise together: the first that is not included ends it.
        if len(following) < PAGE:
            return account


async def _last_snapshot(
    connection: AsyncConnection[Any], account_id: UUID, *, at: datetime | None, seq: int | None
) -> Account:
    if seq is not None:
        cursor = await connection.execute(sql.READ_SNAPSHOT_BY_SEQ, {"account_id": account_id, "seq": seq})
    else:
        cursor = await connection.execute(sql.READ_SNAPSHOT_BY_TIME, {"account_id": account_id, "at": at or "infinity"})
    row = await cursor.fetchone()
    return Account(account_id) if row is None else account_of(decode_state(row[0]))


def _included(*, at: datetime | None, seq: int | None) -> Callable[[Event, int | None], bool]:
    at_us = None if at is None else to_us(at)

    def included(event: Event, place: int | None) -> bool:
        in_time = at_us is None or event.recorded_at_us <= at_us
        return in_time and (seq is None or (place is not None and place <= seq))

    return included


def _view(lot: Lot, as_of_us: int) -> LotView:
    expires_at = None if lot.expires_at_us is None else from_us(lot.expires_at_us)
    remaining = 0 if lot.is_expired(as_of_us) else lot.remaining
    return LotView(lot.id, lot.source, remaining, lot.frozen, lot.priority, expires_at)
