"""Saving what a batch decided: one statement per table and the commit, in one round trip."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection

from ledger import statements
from ledger.account import Account, OpenFreeze
from ledger.arrays import ByteaArray, Int8Array, TextArray, TimestampArray, UuidArray
from ledger.batch import Decided, Loaded
from ledger.events import Event
from ledger.lots import Lot
from ledger.rows import encode_portions

sql: Final = statements.load("ledger")


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
        # Not `connection.commit()`: in a pipeline psycopg then waits for answers while part of a large batch is still
        # unsent, and the server waits for that part. Leaving the pipeline sends everything first.
        await connection.execute(sql.COMMIT, prepare=False)


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
            "draws": ByteaArray.of([encode_portions(freeze.draws) for _, freeze in new]),
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
        "draws": ByteaArray.of([encode_portions(reversal.draws) for _, reversal in changed]),
        "already_expireds": Int8Array.of([reversal.already_expired for _, reversal in changed]),
        "debts": Int8Array.of([reversal.debt for _, reversal in changed]),
        "reinstateds": Int8Array.of([int(reversal.reinstated) for _, reversal in changed]),
    }
    await connection.execute(sql.UPSERT_REVERSALS, columns)
