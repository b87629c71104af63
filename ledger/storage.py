"""Loading the state that a batch decides on, and saving what it decided. All statements of a batch, in two round trips."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg import AsyncConnection, AsyncCursor

from ledger import commands, statements
from ledger.account import Account, FreezeState, OpenFreeze, Reversal
from ledger.arrays import ByteaArray, Int8Array, TextArray, TimestampArray, UuidArray
from ledger.batch import Decided, Loaded, Unit
from ledger.events import Event, Kind, Portion
from ledger.lots import Lot, Origin

sql: Final = statements.load("ledger")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_encode_portions: Final = msgspec.json.Encoder().encode
_decode_portions: Final = msgspec.json.Decoder(tuple[Portion, ...]).decode


def to_us(moment: datetime) -> int:
    """Return a time as exact microseconds since the Unix epoch."""
    return (moment - _EPOCH) // _MICROSECOND


def from_us(time_us: int) -> datetime:
    """Return microseconds since the Unix epoch as a time in UTC."""
    return _EPOCH + timedelta(microseconds=time_us)


def event_of_row(row: Sequence[Any]) -> Event:
    """Build an event from the columns that `read_earlier_commands.sql` and its like return."""
    account_id, version, kind, amount, available, frozen, recorded_at, key, digest, body, chain = row
    return Event(
        account_id, version, Kind(kind), amount, available, frozen, to_us(recorded_at), key, digest, body, chain
    )


async def load(connection: AsyncConnection[Any], units: Sequence[Unit]) -> Loaded:
    """Lock the accounts of a batch and read what its decisions need, in one round trip.

    The reads are statements of their own after the lock: each then sees what the previous holder of the lock committed.
    """
    openings: dict[UUID, commands.OpenAccount] = {}
    whole_ids: set[UUID] = set()
    resolving: list[tuple[UUID, UUID]] = []
    reinstating: list[tuple[UUID, int]] = []
    keys: list[tuple[UUID, str]] = []
    for unit in units:
        for command in unit.commands:
            keys.append((command.account_id, command.command_key))
            match command:
                case commands.Confirm() | commands.Rollback() | commands.ExpireFreeze():
                    resolving.append((command.account_id, command.freeze_id))
                case commands.OpenAccount():
                    openings[command.account_id] = command
                case commands.ReverseTopUp():
                    whole_ids.add(command.account_id)
                case commands.ReinstateReversal():
                    whole_ids.add(command.account_id)
                    reinstating.append((command.account_id, command.reversal_version))
                case _:
                    pass
    account_ids = UuidArray.of(list({unit.account_id for unit in units}))

    async with connection.pipeline():
        if openings:
            await connection.execute(sql.OPEN_ACCOUNTS, _opening_columns(list(openings.values())))
        heads = await connection.execute(sql.LOCK_ACCOUNTS, {"ids": account_ids}, binary=True)
        lots = [await connection.execute(sql.READ_LIVE_LOTS, {"ids": account_ids}, binary=True)]
        if whole_ids:
            ids = {"ids": UuidArray.of(list(whole_ids))}
            lots.append(await connection.execute(sql.READ_ALL_LOTS, ids, binary=True))
        freezes = await _execute_pairs(connection, sql.READ_FREEZES, resolving, "freeze_ids", UuidArray)
        reversals = await _execute_pairs(connection, sql.READ_REVERSALS, reinstating, "versions", Int8Array)
        earlier = await _execute_pairs(connection, sql.READ_EARLIER_COMMANDS, keys, "command_keys", TextArray)
        guards = [
            (place, await connection.execute(*rider.guard))
            for place, unit in enumerate(units)
            for rider in unit.riders
            if rider.guard is not None
        ]

    loaded = Loaded(accounts={}, earlier={})
    for row in await heads.fetchall():
        loaded.accounts[row[0]] = Account(*row[:9], to_us(row[9]))
    for cursor in lots:
        for account_id, number, lot_id, origin, source, priority, expires_at, *amounts in await cursor.fetchall():
            expires_at_us = None if expires_at is None else to_us(expires_at)
            lot = Lot(number, lot_id, Origin(origin), source, priority, expires_at_us, *amounts)
            loaded.accounts[account_id].lots[number] = lot
    for row in await freezes.fetchall() if freezes else ():
        loaded.accounts[row[0]].freezes[row[1]] = _freeze_of_row(row)
    for row in await reversals.fetchall() if reversals else ():
        account_id, version, lot_number, amount, draws, already_expired, debt, reinstated = row
        loaded.accounts[account_id].reversals[version] = Reversal(
            version, lot_number, amount, _decode_portions(draws), already_expired, debt, reinstated
        )
    for row in await earlier.fetchall() if earlier else ():
        event = event_of_row(row)
        loaded.earlier[event.account_id, event.command_key] = event
    for place, cursor in guards:
        if await cursor.fetchone() is None:
            loaded.guards_failed.add(place)
    return loaded


async def save(connection: AsyncConnection[Any], decided: Decided, loaded: Loaded) -> None:
    """Write what a batch decided and commit, in one round trip.

    Raises:
        psycopg.Error: nothing is written, or, if the connection died at the commit, perhaps everything is.
    """
    first_version: dict[UUID, int] = {}
    for event in decided.events:
        first_version.setdefault(event.account_id, event.version)
    accounts = [loaded.accounts[account_id] for account_id in first_version]

    async with connection.pipeline():
        if decided.events:
            await connection.execute(sql.APPEND_EVENTS, _event_columns(decided.events))
            await connection.execute(sql.UPDATE_ACCOUNTS, _head_columns(accounts))
            await _save_lots(connection, accounts, first_version)
            await _save_freezes(connection, accounts)
            await _save_reversals(connection, accounts)
        for statement, parameters in decided.rider_writes:
            await connection.execute(statement, parameters)
        await connection.commit()


async def _execute_pairs(
    connection: AsyncConnection[Any],
    statement: Any,
    pairs: Sequence[tuple[UUID, Any]],
    name: str,
    array: Any,
) -> AsyncCursor[Any] | None:
    if not pairs:
        return None
    columns = {"account_ids": UuidArray.of([pair[0] for pair in pairs]), name: array.of([pair[1] for pair in pairs])}
    return await connection.execute(statement, columns, binary=True)


def _freeze_of_row(row: Sequence[Any]) -> OpenFreeze:
    _, freeze_id, amount, draws, expires_at, reference, state, confirmed, opened_at, resolved_at = row
    return OpenFreeze(
        id=freeze_id,
        amount=amount,
        draws=_decode_portions(draws),
        expires_at_us=to_us(expires_at),
        reference=reference,
        state=FreezeState(state),
        confirmed=confirmed,
        opened_at_us=to_us(opened_at),
        resolved_at_us=None if resolved_at is None else to_us(resolved_at),
        is_new=False,
    )


def _opening_columns(openings: Sequence[commands.OpenAccount]) -> dict[str, object]:
    return {
        "ids": UuidArray.of([opening.account_id for opening in openings]),
        "owners": TextArray.of([opening.owner for opening in openings]),
        "names": TextArray.of([opening.name for opening in openings]),
    }


def _event_columns(events: Sequence[Event]) -> dict[str, object]:
    return {
        "account_ids": UuidArray.of([event.account_id for event in events]),
        "versions": Int8Array.of([event.version for event in events]),
        "kinds": Int8Array.of([event.kind for event in events]),
        "amounts": Int8Array.of([event.amount_microcredits for event in events]),
        "availables": Int8Array.of([event.available_after_microcredits for event in events]),
        "frozens": Int8Array.of([event.frozen_after_microcredits for event in events]),
        "recorded_ats": TimestampArray.of([event.recorded_at_us for event in events]),
        "command_keys": TextArray.of([event.command_key for event in events]),
        "request_digests": Int8Array.of([event.request_digest for event in events]),
        "bodies": ByteaArray.of([event.body for event in events]),
        "hashes": ByteaArray.of([event.hash for event in events]),
    }


def _head_columns(accounts: Sequence[Account]) -> dict[str, object]:
    return {
        "ids": UuidArray.of([account.id for account in accounts]),
        "versions": Int8Array.of([account.version for account in accounts]),
        "availables": Int8Array.of([account.available for account in accounts]),
        "frozens": Int8Array.of([account.frozen for account in accounts]),
        "crediteds": Int8Array.of([account.credited for account in accounts]),
        "spents": Int8Array.of([account.spent for account in accounts]),
        "expireds": Int8Array.of([account.expired for account in accounts]),
        "reverseds": Int8Array.of([account.reversed for account in accounts]),
        "hashes": ByteaArray.of([account.head for account in accounts]),
        "updated_ats": TimestampArray.of([account.updated_at_us for account in accounts]),
    }


async def _save_lots(
    connection: AsyncConnection[Any], accounts: Sequence[Account], first_version: dict[UUID, int]
) -> None:
    changed = [(account, account.lots[number]) for account in accounts for number in account.changed_lots]
    new = [(account, lot) for account, lot in changed if lot.number >= first_version[account.id]]
    old = [(account, lot) for account, lot in changed if lot.number < first_version[account.id]]
    if new:
        columns = _lot_columns(new) | {
            "ids": UuidArray.of([lot.id for _, lot in new]),
            "origins": Int8Array.of([lot.origin for _, lot in new]),
            "sources": TextArray.of([lot.source for _, lot in new]),
            "priorities": Int8Array.of([lot.priority for _, lot in new]),
            "expires_ats": TimestampArray.of([lot.expires_at_us for _, lot in new]),
            "amounts": Int8Array.of([lot.amount for _, lot in new]),
            "paid_amounts": TextArray.of([lot.paid_amount for _, lot in new]),
            "paid_currencies": TextArray.of([lot.paid_currency for _, lot in new]),
        }
        await connection.execute(sql.INSERT_LOTS, columns)
    if old:
        await connection.execute(sql.UPDATE_LOTS, _lot_columns(old))


def _lot_columns(lots: Sequence[tuple[Account, Lot]]) -> dict[str, object]:
    return {
        "account_ids": UuidArray.of([account.id for account, _ in lots]),
        "numbers": Int8Array.of([lot.number for _, lot in lots]),
        "remainings": Int8Array.of([lot.remaining for _, lot in lots]),
        "frozens": Int8Array.of([lot.frozen for _, lot in lots]),
        "expireds": Int8Array.of([lot.expired for _, lot in lots]),
        "reverseds": Int8Array.of([lot.reversed for _, lot in lots]),
    }


async def _save_freezes(connection: AsyncConnection[Any], accounts: Sequence[Account]) -> None:
    changed = [(account, account.freezes[freeze_id]) for account in accounts for freeze_id in account.changed_freezes]
    new = [(account, freeze) for account, freeze in changed if freeze.is_new]
    old = [(account, freeze) for account, freeze in changed if not freeze.is_new]
    if new:
        columns = _freeze_columns(new) | {
            "amounts": Int8Array.of([freeze.amount for _, freeze in new]),
            "draws": ByteaArray.of([_encode_portions(freeze.draws) for _, freeze in new]),
            "opened_ats": TimestampArray.of([freeze.opened_at_us for _, freeze in new]),
            "expires_ats": TimestampArray.of([freeze.expires_at_us for _, freeze in new]),
            "references": TextArray.of([freeze.reference for _, freeze in new]),
        }
        await connection.execute(sql.INSERT_FREEZES, columns)
    if old:
        await connection.execute(sql.RESOLVE_FREEZES, _freeze_columns(old))


def _freeze_columns(freezes: Sequence[tuple[Account, OpenFreeze]]) -> dict[str, object]:
    return {
        "account_ids": UuidArray.of([account.id for account, _ in freezes]),
        "ids": UuidArray.of([freeze.id for _, freeze in freezes]),
        "states": Int8Array.of([freeze.state for _, freeze in freezes]),
        "confirmeds": Int8Array.of([freeze.confirmed for _, freeze in freezes]),
        "resolved_ats": TimestampArray.of([freeze.resolved_at_us for _, freeze in freezes]),
    }


async def _save_reversals(connection: AsyncConnection[Any], accounts: Sequence[Account]) -> None:
    changed = [(account, account.reversals[version]) for account in accounts for version in account.changed_reversals]
    if not changed:
        return
    columns = {
        "account_ids": UuidArray.of([account.id for account, _ in changed]),
        "versions": Int8Array.of([reversal.version for _, reversal in changed]),
        "lot_numbers": Int8Array.of([reversal.lot_number for _, reversal in changed]),
        "amounts": Int8Array.of([reversal.amount for _, reversal in changed]),
        "draws": ByteaArray.of([_encode_portions(reversal.draws) for _, reversal in changed]),
        "already_expireds": Int8Array.of([reversal.already_expired for _, reversal in changed]),
        "debts": Int8Array.of([reversal.debt for _, reversal in changed]),
        "reinstateds": Int8Array.of([int(reversal.reinstated) for _, reversal in changed]),
    }
    await connection.execute(sql.UPSERT_REVERSALS, columns)
