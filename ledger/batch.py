"""Deciding a batch of commands in memory, in the order they arrived.

Many commands on one account fold here without touching the database, so a hot account is as fast as many cold ones. A
refused command leaves no trace and does not disturb its neighbours.
"""

import copy
from collections.abc import Sequence
from typing import LiteralString
from uuid import UUID

import msgspec

from ledger import commands, errors
from ledger.account import Account, Decision, evolve
from ledger.decide import decide
from ledger.events import Event, chain_hash, encode_body

Statement = tuple[LiteralString, dict[str, object]]
"""SQL with named parameters, and the parameters."""


class Rider(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that commit together with a command, or not at all.

    `guard` runs once the account is locked, and must lock what it looks at: if no row comes back, the command is
    refused with `RiderRefused`. `writes` run in the same transaction, only where the command was accepted now; a
    replay of an earlier command writes nothing.
    """

    guard: Statement | None = None
    writes: tuple[Statement, ...] = ()


class Outcome(msgspec.Struct, frozen=True):
    """What a command led to. With `replayed` it did so earlier, under the same key."""

    event: Event
    replayed: bool


class Unit(msgspec.Struct, frozen=True):
    """Commands on one account that are accepted together or not at all, and their riders."""

    account_id: UUID
    commands: Sequence[commands.Command]
    riders: Sequence[Rider] = ()


class Loaded(msgspec.Struct):
    """What the database says about the accounts of a batch, under their locks."""

    accounts: dict[UUID, Account]
    earlier: dict[tuple[UUID, str], Event]
    guards_failed: set[int] = msgspec.field(default_factory=set[int])
    """The units, by their place in the batch, of which a guard found no row."""


class Decided(msgspec.Struct):
    """What a batch came to: an answer per unit, and what is to be written."""

    answers: list[tuple[Outcome, ...] | Exception] = msgspec.field(
        default_factory=list["tuple[Outcome, ...] | Exception"]
    )
    events: list[Event] = msgspec.field(default_factory=list[Event])
    rider_writes: list[Statement] = msgspec.field(default_factory=list[Statement])


def decide_batch(units: Sequence[Unit], loaded: Loaded, *, now_us: int) -> Decided:
    """Decide every unit on the state that the earlier ones leave."""
    decided = Decided()
    for place, unit in enumerate(units):
        written = len(decided.events)
        try:
            account = loaded.accounts.get(unit.account_id)
            if account is None:
                raise errors.AccountNotFound(unit.account_id)
            if len(unit.commands) == 1:
                answer = _decide_unit(unit, place, account, loaded, decided, now_us)
            else:
                answer = _decide_together(unit, place, account, loaded, decided, now_us)
            decided.answers.append(answer)
        except errors.Refused as refusal:
            decided.answers.append(refusal)
            continue
        if len(decided.events) > written and not answer[0].replayed:
            for rider in unit.riders:
                decided.rider_writes.extend(rider.writes)
    return decided


def _decide_together(
    unit: Unit, place: int, account: Account, loaded: Loaded, decided: Decided, now_us: int
) -> tuple[Outcome, ...]:
    before, earlier, written = copy.deepcopy(account), dict(loaded.earlier), len(decided.events)
    try:
        return _decide_unit(unit, place, account, loaded, decided, now_us)
    except errors.Refused:
        loaded.accounts[unit.account_id] = before
        loaded.earlier = earlier
        del decided.events[written:]
        raise


def _decide_unit(
    unit: Unit, place: int, account: Account, loaded: Loaded, decided: Decided, now_us: int
) -> tuple[Outcome, ...]:
    # An account's events never go back in time, whatever the clocks of two writers say.
    now_us = max(now_us, account.updated_at_us)
    outcomes: list[Outcome] = []
    for command in unit.commands:
        digest = command.digest()
        event = loaded.earlier.get((account.id, command.command_key))
        if event is not None:
            if event.request_digest != digest:
                raise errors.IdempotencyKeyReused(command.command_key)
            outcomes.append(Outcome(event, replayed=True))
            continue
        if place in loaded.guards_failed:
            raise errors.RiderRefused
        if account.has_due_lots(now_us):
            _expire_due_lots(account, command, loaded, decided, now_us)
        event = _record(account, command, digest, decide(account, command, now_us=now_us), now_us)
        loaded.earlier[account.id, event.command_key] = event
        decided.events.append(event)
        outcomes.append(Outcome(event, replayed=False))
    return tuple(outcomes)


def expire_lot(account_id: UUID, lot_number: int) -> commands.ExpireLot:
    """The one command that expires this lot, whoever is first to notice."""
    return commands.ExpireLot(
        account_id=account_id,
        command_key=f"{commands.OWN_KEY_PREFIX}expire-lot:{lot_number}",
        actor="holdfast",
        lot_number=lot_number,
    )


def _expire_due_lots(
    account: Account, command: commands.Command, loaded: Loaded, decided: Decided, now_us: int
) -> None:
    """Empty the lots that are over before anything else happens to the account, so that `available` is spendable."""
    if isinstance(command, commands.ExpireLot):
        return
    for lot in sorted(account.lots.values(), key=lambda lot: lot.number):
        if lot.remaining and lot.is_expired(now_us):
            expiry = expire_lot(account.id, lot.number)
            event = _record(account, expiry, expiry.digest(), decide(account, expiry, now_us=now_us), now_us)
            loaded.earlier[account.id, event.command_key] = event
            decided.events.append(event)


def _record(account: Account, command: commands.Command, digest: int, decision: Decision, now_us: int) -> Event:
    # Everything that bad input can break comes before `evolve`, which changes the account.
    body = encode_body(decision.body)
    command.command_key.encode()
    evolve(account, decision, recorded_at_us=now_us)
    account.head = chain_hash(
        account.head,
        account_id=account.id,
        version=account.version,
        kind=decision.kind,
        amount_microcredits=decision.amount,
        available_after_microcredits=account.available,
        frozen_after_microcredits=account.frozen,
        recorded_at_us=now_us,
        command_key=command.command_key,
        request_digest=digest,
        body=body,
    )
    return Event(
        account.id,
        account.version,
        decision.kind,
        decision.amount,
        account.available,
        account.frozen,
        now_us,
        command.command_key,
        digest,
        body,
        account.head,
    )
