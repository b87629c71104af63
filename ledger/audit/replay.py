"""What accounts had at a time, or at a place in the sealed order, from the events alone."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ledger import statements
from ledger.account import Account, Decision, FreezeState, evolve
from ledger.audit.accounts import FETCH, AccountRange
from ledger.audit.totals import Totals
from ledger.rows import event_of_raw_row, read_raw

sql: Final = statements.load("ledger.audit")


class Point(msgspec.Struct, frozen=True):
    """Up to where events count: recorded by a time, or sealed by a place; all of them if neither is given."""

    at: datetime | None = None
    seq: int | None = None


class Replayed(msgspec.Struct):
    """What a range of accounts had."""

    events: int = 0
    totals: Totals = msgspec.field(default_factory=Totals)
    last: Account | None = None
    """The last account of the range, with the lots it had."""


async def replay_accounts(connection: AsyncConnection[Any], accounts: AccountRange, point: Point) -> Replayed:
    """Fold the events of a range of accounts, one account at a time.

    What an expired lot held counts as expired once its expiry is an event.
    """
    replayed = Replayed()
    bounds = {"first": accounts.first, "last": accounts.last, "at": point.at, "seq": point.seq}
    async with connection.cursor(name="replay", binary=True) as cursor:
        read_raw(cursor)
        await cursor.execute(sql.READ_ACCOUNT_EVENTS_UNTIL, bounds)
        while rows := await cursor.fetchmany(FETCH):
            for row in rows:
                _take(replayed, row)
    if replayed.last is not None:
        replayed.totals.add(replayed.last)
    return replayed


def _take(replayed: Replayed, row: Sequence[Any]) -> None:
    account = replayed.last
    if account is None or account.id.bytes != row[0]:
        if account is not None:
            replayed.totals.add(account)
        account = replayed.last = Account(UUID(bytes=row[0]))
    event = event_of_raw_row(account.id, row)
    decision = Decision(event.kind, event.amount_microcredits, event.decoded_body())
    evolve(account, decision, recorded_at_us=event.recorded_at_us)
    replayed.events += 1
    # An account may have had any number of freezes: those that are over are not needed again.
    for freeze_id in account.changed_freezes:
        if account.freezes[freeze_id].state is not FreezeState.open:
            del account.freezes[freeze_id]
    account.changed_freezes.clear()
