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


class Outcome(msgspec.Struct, frozen=True, gc=False):
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


class GuardOutdated(Exception):
    """The answer to a unit that has to wait for the next batch: an earlier one may have changed what its guard saw."""


class Decided(msgspec.Struct):
    """What a batch came to: an answer per unit, and what is to be written."""

    answers: list[tuple[Outcome, ...] | Exception] = msgspec.field(
        default_factory=list["tuple[Outcome, ...] | Exception"]
    )
    events: list[Event] = msgspec.field(default_factory=list[Event])
    rider_writes: list[Statement] = msgspec.field(default_factory=list[Statement])


def decide_batch(units: Sequence[Unit], loaded: Loaded, *, now_us: int) -> Decided:
    """Decide every unit on the state that the earlier ones leave."""
    deciding = _Deciding(loaded, now_us)
    for place, unit in enumerate(units):
        deciding.take(unit, admitted=place not in loaded.guards_failed)
    return deciding.decided


def expire_lot(account_id: UUID, lot_number: int) -> commands.ExpireLot:
    """Return the one command that expires this lot, whoever is first to notice."""
    return commands.ExpireLot(
        account_id=account_id,
        command_key=f"{commands.OWN_KEY_PREFIX}expire-lot:{lot_number}",
        actor="holdfast",
        lot_number=lot_number,
    )


class _Deciding:
    def __init__(self, loaded: Loaded, now_us: int) -> None:
        self.decided = Decided()
        self._loaded = loaded
        self._now_us = now_us
        self._written_beside: set[UUID] = set()
        """Accounts whose commands brought rows with them in this batch."""

    def take(self, unit: Unit, *, admitted: bool) -> None:
        try:
            decide_unit = self._decide if len(unit.commands) == 1 else self._decide_together
            outcomes = decide_unit(unit, admitted=admitted)
        except (errors.Refused, GuardOutdated) as answer:
            self.decided.answers.append(answer)
            return
        self.decided.answers.append(outcomes)
        if unit.riders and not all(outcome.replayed for outcome in outcomes):
            self._written_beside.add(unit.account_id)
            for rider in unit.riders:
                self.decided.rider_writes.extend(rider.writes)

    def _decide_together(self, unit: Unit, *, admitted: bool) -> tuple[Outcome, ...]:
        before = copy.deepcopy(self._account(unit))
        earlier, written = dict(self._loaded.earlier), len(self.decided.events)
        try:
            return self._decide(unit, admitted=admitted)
        except errors.Refused:
            self._loaded.accounts[unit.account_id] = before
            self._loaded.earlier = earlier
            del self.decided.events[written:]
            raise

    def _decide(self, unit: Unit, *, admitted: bool) -> tuple[Outcome, ...]:
        account = self._account(unit)
        # An account's events never go back in time, whatever the clocks of two writers say.
        now_us = max(self._now_us, account.updated_at_us)
        outcomes: list[Outcome] = []
        for command in unit.commands:
            digest = command.digest()
            event = self._loaded.earlier.get((account.id, command.command_key))
            if event is not None:
                if event.request_digest != digest:
                    raise errors.IdempotencyKeyReused(command.command_key)
                outcomes.append(Outcome(event, replayed=True))
                continue
            if unit.account_id in self._written_beside and any(rider.guard for rider in unit.riders):
                # The guards of a batch all look before any of its rows is written.
                raise GuardOutdated
            if not admitted:
                raise errors.RiderRefused
            if account.has_due_lots(now_us):
                self._expire_due_lots(account, command, now_us)
            event = self._record(account, command, digest, decide(account, command, now_us=now_us), now_us)
            outcomes.append(Outcome(event, replayed=False))
        return tuple(outcomes)

    def _account(self, unit: Unit) -> Account:
        account = self._loaded.accounts.get(unit.account_id)
        if account is None:
            raise errors.AccountNotFound(unit.account_id)
        return account

    def _expire_due_lots(self, account: Account, command: commands.Command, now_us: int) -> None:
        """Empty the lots that are over before anything else happens, so that what is available can be spent."""
        if isinstance(command, commands.ExpireLot):
            return
        for lot in sorted(account.lots.values(), key=lambda lot: lot.number):
            if lot.remaining and lot.is_expired(now_us):
                expiry = expire_lot(account.id, lot.number)
                self._record(account, expiry, expiry.digest(), decide(account, expiry, now_us=now_us), now_us)

    def _record(
        self, account: Account, command: commands.Command, digest: int, decision: Decision, now_us: int
    ) -> Event:
        event = record(account, command, digest, decision, now_us)
        self._loaded.earlier[account.id, event.command_key] = event
        self.decided.events.append(event)
        return event


def record(account: Account, command: commands.Command, digest: int, decision: Decision, now_us: int) -> Event:
    """Apply a decision to the account, in place, and return the event, chained to the account's previous one."""
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
