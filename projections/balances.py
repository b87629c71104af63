"""What accounts had, now and then: a snapshot with lots every so many events of an account.

Events carry what was available and frozen after them, but not in which lots. What an account had at any moment is the
last snapshot before it, and at most `INTERVAL` events more. Accounts with fewer events have no snapshot at all.
"""

import itertools
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ledger.account import Account
from ledger.arrays import ByteaArray, Int8Array, TimestampArray, UuidArray
from ledger.rows import event_of_row
from projections.account_state import AccountState, account_of, decode_state, encode_state, go_on, state_of
from projections.projection import KNOWN_KINDS, Batch, Projection, UnknownKind, sql

INTERVAL: Final = 256
"""Events of an account between snapshots: reading and folding half as many on average takes about two milliseconds."""

BATCH_LIMIT: Final = 20_000


class _Snapshot(msgspec.Struct, frozen=True):
    account_id: UUID
    version: int
    seq: int
    due_version: int
    recorded_at_us: int
    state: bytes


class _Due(msgspec.Struct, frozen=True):
    account_id: UUID
    version: int
    seq: int
    kind: int


async def apply(connection: AsyncConnection[Any], batch: Batch) -> None:
    """Make the snapshots that fall due in this batch.

    Raises:
        UnknownKind: an event is of a kind that this version does not know.
        AssertionError: the events of an account contradict each other.
    """
    rows = await (await batch.execute(connection, sql.READ_DUE_SNAPSHOTS, {"interval": INTERVAL})).fetchall()
    due = [_Due(*row) for row in rows]
    unknown = {event.kind for event in due} - set(KNOWN_KINDS)
    if unknown:
        raise UnknownKind(sorted(unknown))
    if not due:
        return
    due.sort(key=lambda event: (event.account_id, event.version))
    accounts = await _last_states(connection, batch.build, {event.account_id for event in due})
    snapshots: list[_Snapshot] = []
    for account_id, group in itertools.groupby(due, key=lambda event: event.account_id):
        due_version, account = accounts.get(account_id, (0, Account(account_id)))
        snapshots += await _snapshots(connection, account, due_version, list(group))
    if snapshots:
        await connection.execute(sql.INSERT_SNAPSHOTS, {"build": batch.build, **_columns(snapshots)})


def next_due(version: int, state: AccountState) -> int:
    """Return from which version on the next snapshot is due after one that lists so much."""
    return version + max(INTERVAL, state.items)


async def _last_states(
    connection: AsyncConnection[Any], build: int, account_ids: set[UUID]
) -> dict[UUID, tuple[int, Account]]:
    parameters = {"build": build, "account_ids": UuidArray.of(list(account_ids))}
    cursor = await connection.execute(sql.READ_LAST_SNAPSHOTS, parameters)
    return {row[0]: (row[1], account_of(decode_state(row[2]))) async for row in cursor}


async def _snapshots(
    connection: AsyncConnection[Any], account: Account, due_version: int, due: Sequence[_Due]
) -> list[_Snapshot]:
    """Go through one account's events up to each place where a snapshot may be due.

    The more an account lists, the longer until the next snapshot, so that they never outgrow the events.
    """
    made: list[_Snapshot] = []
    for place in due:
        if place.version < due_version:
            continue
        parameters = {"account_id": account.id, "after_version": account.version, "upto_version": place.version}
        rows = await (await connection.execute(sql.READ_ACCOUNT_EVENTS, parameters)).fetchall()
        await go_on(connection, account, [event_of_row(row) for row in rows])
        state = state_of(account)
        due_version = next_due(place.version, state)
        made.append(
            _Snapshot(account.id, place.version, place.seq, due_version, account.updated_at_us, encode_state(state))
        )
        account = account_of(state)
    return made


def _columns(snapshots: Sequence[_Snapshot]) -> dict[str, object]:
    return {
        "account_ids": UuidArray.of([snapshot.account_id for snapshot in snapshots]),
        "versions": Int8Array.of([snapshot.version for snapshot in snapshots]),
        "seqs": Int8Array.of([snapshot.seq for snapshot in snapshots]),
        "due_versions": Int8Array.of([snapshot.due_version for snapshot in snapshots]),
        "recorded_ats": TimestampArray.of([snapshot.recorded_at_us for snapshot in snapshots]),
        "states": ByteaArray.of([snapshot.state for snapshot in snapshots]),
    }


BALANCES: Final = Projection("balances", apply, BATCH_LIMIT)
