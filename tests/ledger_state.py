"""Everything the database holds about accounts, checked against their events and against itself."""

import hashlib
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
from psycopg import Connection, IsolationLevel

from ledger.account import Account, Decision, evolve
from ledger.events import GENESIS_HASH, Event, Kind
from ledger.rows import decode_portions, event_of_row, to_us

MAY_OWE = {Kind.top_up_reversed, Kind.credits_adjusted}
"""Kinds of event that may take an account below zero, or further below."""


def hash_by_hand(previous_hash: bytes, event: Event) -> bytes:
    """The documented format of the chain, from its description instead of from the code."""
    key = event.command_key.encode("utf-8")
    digest = hashlib.sha256()
    digest.update(previous_hash)
    digest.update(b"\x01")
    digest.update(event.account_id.bytes)
    digest.update(event.version.to_bytes(8, "big", signed=True))
    digest.update(int(event.kind).to_bytes(2, "big", signed=True))
    for number in (
        event.amount_microcredits,
        event.available_after_microcredits,
        event.frozen_after_microcredits,
        event.recorded_at_us,
        event.request_digest,
    ):
        digest.update(number.to_bytes(8, "big", signed=True))
    digest.update(len(key).to_bytes(2, "big"))
    digest.update(key)
    digest.update(event.body)
    return digest.digest()


@contextmanager
def snapshot_of(url: str) -> Generator[Connection]:
    """A connection that sees one moment of the database."""
    with psycopg.connect(url) as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        yield connection


def events_of(connection: Connection, account_id: UUID, *, after_version: int = 0) -> list[Event]:
    rows = connection.execute(
        "SELECT account_id, version, kind, amount, available_after, frozen_after, recorded_at, command_key,"
        " request_digest, body, hash FROM events WHERE account_id = %s AND version > %s ORDER BY version",
        [account_id, after_version],
    )
    return [event_of_row(row) for row in rows]


def check_account(connection: Connection, account_id: UUID) -> Account:
    """Replay one account and compare everything that is kept beside its events; return what it folded to."""
    events = events_of(connection, account_id)
    account = fold_and_check_heads(account_id, events)
    check_chain(events)
    check_debts(events)
    heads = connection.execute(
        "SELECT version, available, frozen, credited, spent, expired, reversed, head, updated_at"
        " FROM accounts WHERE id = %s",
        [account_id],
    ).fetchone()
    if heads is None:
        assert not events
        return account
    assert heads[0] == len(events) == account.version
    if events:
        assert (*heads[1:8], to_us(heads[8])) == (
            account.available, account.frozen, account.credited, account.spent, account.expired, account.reversed,
            account.head, account.updated_at_us,
        )  # fmt: skip
    assert account.credited == (account.available + account.frozen + account.spent + account.expired + account.reversed)
    assert min(account.frozen, account.spent, account.expired, account.reversed) >= 0
    assert account.available == sum(lot.remaining for lot in account.lots.values()) - account.debt
    assert account.frozen == sum(freeze.amount for freeze in account.freezes.values() if freeze.state == 0)
    assert lot_rows(connection, account_id) == expected_lots(account)
    assert freeze_rows(connection, account_id) == expected_freezes(account)
    assert reversal_rows(connection, account_id) == expected_reversals(account)
    return account


def check_chain(events: list[Event]) -> None:
    """Versions without gaps, times that never go back, a key used once, each hash what it must be."""
    previous_hash, previous_us = GENESIS_HASH, 0
    for version, event in enumerate(events, start=1):
        assert event.version == version
        assert event.recorded_at_us >= previous_us
        assert event.hash == hash_by_hand(previous_hash, event)
        previous_hash, previous_us = event.hash, event.recorded_at_us
    assert len({event.command_key for event in events}) == len(events)


def fold_and_check_heads(account_id: UUID, events: list[Event]) -> Account:
    """Replay the events one by one: each says rightly what was available and frozen after it."""
    account = Account(account_id)
    for event in events:
        decision = Decision(event.kind, event.amount_microcredits, event.decoded_body())
        evolve(account, decision, recorded_at_us=event.recorded_at_us)
        account.head = event.hash
        assert account.available == event.available_after_microcredits
        assert account.frozen == event.frozen_after_microcredits
    return account


def check_debts(events: list[Event]) -> None:
    before = 0
    for event in events:
        after = event.available_after_microcredits
        assert after >= min(0, before) or event.kind in MAY_OWE, "below zero by something else"
        before = after


def check_everything(url: str) -> list[Account]:
    """Check every account of the database, and that all of them together conserve credits."""
    with snapshot_of(url) as connection:
        ids = [row[0] for row in connection.execute("SELECT id FROM accounts ORDER BY id")]
        accounts = [check_account(connection, account_id) for account_id in ids]
        check_totals(connection)
        assert all_owners_are_known(connection)
    return accounts


def check_totals(connection: Connection) -> None:
    """In all accounts together: what came in, by the events, is what the heads say is somewhere."""
    by_kind: dict[int, int] = dict(
        connection.execute("SELECT kind, sum(amount)::numeric FROM events GROUP BY kind").fetchall()
    )

    def total(*kinds: Kind) -> int:
        return int(sum(by_kind.get(kind, 0) for kind in kinds))

    heads = connection.execute(
        "SELECT sum(credited), sum(available), sum(frozen), sum(spent), sum(expired), sum(reversed) FROM accounts"
    ).fetchone()
    assert heads is not None
    credited, available, frozen, spent, expired, reversed_ = (int(amount or 0) for amount in heads)
    assert credited == total(Kind.credits_topped_up, Kind.credits_granted, Kind.credits_adjusted)
    assert spent == total(Kind.freeze_confirmed, Kind.credits_charged)
    assert reversed_ == total(Kind.top_up_reversed) - total(Kind.reversal_reinstated)
    assert credited == available + frozen + spent + expired + reversed_


def all_owners_are_known(connection: Connection) -> bool:
    row = connection.execute("SELECT count(*) FROM events WHERE account_id NOT IN (SELECT id FROM accounts)").fetchone()
    return row == (0,)


def lot_rows(connection: Connection, account_id: UUID) -> list[tuple[Any, ...]]:
    return connection.execute(
        "SELECT number, id, origin, source, priority, (extract(epoch FROM expires_at) * 1000000)::bigint, amount,"
        " remaining, frozen, expired, reversed, paid_amount, paid_currency"
        " FROM lots WHERE account_id = %s ORDER BY number",
        [account_id],
    ).fetchall()


def expected_lots(account: Account) -> list[tuple[Any, ...]]:
    return [
        (
            lot.number, lot.id, lot.origin, lot.source, lot.priority, lot.expires_at_us, lot.amount, lot.remaining,
            lot.frozen, lot.expired, lot.reversed, lot.paid_amount, lot.paid_currency,
        )
        for lot in sorted(account.lots.values(), key=lambda lot: lot.number)
    ]  # fmt: skip


def freeze_rows(connection: Connection, account_id: UUID) -> dict[UUID, tuple[Any, ...]]:
    rows = connection.execute(
        "SELECT id, amount, draws, expires_at, reference, state, confirmed, opened_at, resolved_at"
        " FROM freezes WHERE account_id = %s",
        [account_id],
    )
    return {
        row[0]: (
            row[1], decode_portions(row[2]), to_us(row[3]), row[4], row[5], row[6], to_us(row[7]),
            None if row[8] is None else to_us(row[8]),
        )
        for row in rows
    }  # fmt: skip


def expected_freezes(account: Account) -> dict[UUID, tuple[Any, ...]]:
    return {
        freeze.id: (
            freeze.amount, freeze.draws, freeze.expires_at_us, freeze.reference, freeze.state, freeze.confirmed,
            freeze.opened_at_us, freeze.resolved_at_us,
        )
        for freeze in account.freezes.values()
    }  # fmt: skip


def reversal_rows(connection: Connection, account_id: UUID) -> dict[int, tuple[Any, ...]]:
    rows = connection.execute(
        "SELECT version, lot_number, amount, draws, already_expired, debt, reinstated"
        " FROM reversals WHERE account_id = %s",
        [account_id],
    )
    return {row[0]: (row[1], row[2], decode_portions(row[3]), row[4], row[5], row[6]) for row in rows}


def expected_reversals(account: Account) -> dict[int, tuple[Any, ...]]:
    return {
        reversal.version: (
            reversal.lot_number, reversal.amount, reversal.draws, reversal.already_expired, reversal.debt,
            reversal.reinstated,
        )
        for reversal in account.reversals.values()
    }  # fmt: skip
