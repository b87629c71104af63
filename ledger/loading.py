"""Loading what the decisions of a batch need: the accounts locked, then everything else, in one round trip."""

from collections.abc import Callable, Sequence
from typing import Any, Final, LiteralString
from uuid import UUID

import msgspec
from psycopg import AsyncConnection, AsyncCursor

from ledger import commands, statements
from ledger.account import Account, FreezeState, OpenFreeze, Reversal
from ledger.arrays import Int8Array, PackedArray, TextArray, UuidArray
from ledger.batch import Loaded, Unit
from ledger.lots import Lot, Origin
from ledger.rows import decode_portions, event_of_row, to_us

sql: Final = statements.load("ledger")


class _Wanted(msgspec.Struct):
    """What a batch has to look up."""

    openings: dict[UUID, commands.OpenAccount] = msgspec.field(default_factory=dict[UUID, commands.OpenAccount])
    whole_accounts: set[UUID] = msgspec.field(default_factory=set[UUID])
    freezes: list[tuple[UUID, UUID]] = msgspec.field(default_factory=list[tuple[UUID, UUID]])
    reversals: list[tuple[UUID, int]] = msgspec.field(default_factory=list[tuple[UUID, int]])
    keys: list[tuple[UUID, str]] = msgspec.field(default_factory=list[tuple[UUID, str]])

    def add(self, command: commands.Command) -> None:
        self.keys.append((command.account_id, command.command_key))
        match command:
            case commands.Confirm() | commands.Rollback() | commands.ExpireFreeze():
                self.freezes.append((command.account_id, command.freeze_id))
            case commands.OpenAccount():
                self.openings.setdefault(command.account_id, command)
            case commands.ReverseTopUp() | commands.ExpireLot():
                self.whole_accounts.add(command.account_id)
            case commands.ReinstateReversal():
                self.whole_accounts.add(command.account_id)
                self.reversals.append((command.account_id, command.reversal_version))
            case _:
                pass


async def load(connection: AsyncConnection[Any], units: Sequence[Unit]) -> Loaded:
    """Lock the accounts of a batch and read what its decisions need.

    The reads are statements of their own after the lock: each then sees what the previous holder of the lock committed.
    """
    wanted = _Wanted()
    for unit in units:
        for command in unit.commands:
            wanted.add(command)
    ids = {"ids": UuidArray.of(list({unit.account_id for unit in units}))}

    async with connection.pipeline():
        if wanted.openings:
            await connection.execute(sql.OPEN_ACCOUNTS, _opening_columns(list(wanted.openings.values())))
        heads = await connection.execute(sql.LOCK_ACCOUNTS, ids, binary=True)
        lots = [await connection.execute(sql.READ_LIVE_LOTS, ids, binary=True)]
        if wanted.whole_accounts:
            whole = {"ids": UuidArray.of(list(wanted.whole_accounts))}
            lots.append(await connection.execute(sql.READ_ALL_LOTS, whole, binary=True))
        freezes = await _look_up(connection, sql.READ_FREEZES, wanted.freezes, "freeze_ids", UuidArray.of)
        reversals = await _look_up(connection, sql.READ_REVERSALS, wanted.reversals, "versions", Int8Array.of)
        earlier = await _look_up(connection, sql.READ_EARLIER_COMMANDS, wanted.keys, "command_keys", TextArray.of)
        guards = [
            (place, await connection.execute(*rider.guard))
            for place, unit in enumerate(units)
            for rider in unit.riders
            if rider.guard is not None
        ]

    loaded = Loaded({row[0]: _account_of_row(row) for row in await heads.fetchall()}, {})
    for row in [row for cursor in lots for row in await cursor.fetchall()]:
        loaded.accounts[row[0]].lots[row[1]] = _lot_of_row(row)
    for row in await _rows(freezes):
        loaded.accounts[row[0]].freezes[row[1]] = _freeze_of_row(row)
    for row in await _rows(reversals):
        loaded.accounts[row[0]].reversals[row[1]] = _reversal_of_row(row)
    for row in await _rows(earlier):
        event = event_of_row(row)
        loaded.earlier[event.account_id, event.command_key] = event
    loaded.guards_failed.update([place for place, cursor in guards if await cursor.fetchone() is None])
    return loaded


async def _rows(cursor: AsyncCursor[Any] | None) -> list[Any]:
    return [] if cursor is None else await cursor.fetchall()


async def _look_up(
    connection: AsyncConnection[Any],
    statement: LiteralString,
    pairs: Sequence[tuple[UUID, Any]],
    name: str,
    pack: Callable[[list[Any]], PackedArray],
) -> AsyncCursor[Any] | None:
    if not pairs:
        return None
    columns = {"account_ids": UuidArray.of([pair[0] for pair in pairs]), name: pack([pair[1] for pair in pairs])}
    return await connection.execute(statement, columns, binary=True)


def _account_of_row(row: Sequence[Any]) -> Account:
    account_id, version, available, frozen, credited, spent, expired, reversed_, head, updated_at = row
    return Account(account_id, version, available, frozen, credited, spent, expired, reversed_, head, to_us(updated_at))


def _lot_of_row(row: Sequence[Any]) -> Lot:
    _, number, lot_id, origin, source, priority, expires_at, amount, remaining, frozen, expired, reversed_ = row
    return Lot(
        number,
        lot_id,
        Origin(origin),
        source,
        priority,
        None if expires_at is None else to_us(expires_at),
        amount,
        remaining,
        frozen,
        expired,
        reversed_,
    )


def _freeze_of_row(row: Sequence[Any]) -> OpenFreeze:
    _, freeze_id, amount, draws, expires_at, state, confirmed = row
    return OpenFreeze(
        id=freeze_id,
        amount=amount,
        draws=decode_portions(draws),
        expires_at_us=to_us(expires_at),
        state=FreezeState(state),
        confirmed=confirmed,
        is_new=False,
    )


def _reversal_of_row(row: Sequence[Any]) -> Reversal:
    _, version, lot_number, amount, draws, already_expired, debt, reinstated = row
    return Reversal(version, lot_number, amount, decode_portions(draws), already_expired, debt, reinstated)


def _opening_columns(openings: Sequence[commands.OpenAccount]) -> dict[str, object]:
    return {
        "ids": UuidArray.of([opening.account_id for opening in openings]),
        "owners": TextArray.of([opening.owner for opening in openings]),
        "names": TextArray.of([opening.name for opening in openings]),
    }
