"""The state of one account, and what each event does to it.

No clock, no I/O: the same events always fold to the same state, in the writer, in an audit and in a test.
"""

from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import Any, Final
from uuid import UUID

import msgspec

from ledger import events
from ledger.events import GENESIS_HASH, Body, Kind, Portion
from ledger.lots import Lot, Origin, total


class FreezeState(IntEnum):
    """Where a freeze is in its life, by the number it is stored under. It leaves `open` once."""

    open = 0
    confirmed = 1
    rolled_back = 2


class OpenFreeze(msgspec.Struct, gc=False):
    """A freeze of an account, resolved or not; amounts are microcredits."""

    id: UUID
    amount: int
    draws: tuple[Portion, ...]
    expires_at_us: int
    reference: str = ""
    state: FreezeState = FreezeState.open
    confirmed: int = 0
    opened_at_us: int = 0
    resolved_at_us: int | None = None
    is_new: bool = True
    """Whether it was opened by the events being folded, and not loaded."""


class Reversal(msgspec.Struct):
    """A reversal of a top-up that may still be reinstated; its number is the version of its event."""

    version: int
    lot_number: int
    amount: int
    draws: tuple[Portion, ...]
    already_expired: int
    debt: int
    reinstated: bool = False


class Account(msgspec.Struct):
    """One account: heads, lifetime totals, and the lots, freezes and reversals that were loaded.

    `credited = available + frozen + spent + expired + reversed` always, in microcredits; adjustments count into
    `credited` with their sign. `available` is the sum of the lots' remaining credits, less any debt, and there is a
    debt only when nothing remains.
    """

    id: UUID
    version: int = 0
    available: int = 0
    frozen: int = 0
    credited: int = 0
    spent: int = 0
    expired: int = 0
    reversed: int = 0
    head: bytes = GENESIS_HASH
    updated_at_us: int = 0
    lots: dict[int, Lot] = msgspec.field(default_factory=dict[int, Lot])
    freezes: dict[UUID, OpenFreeze] = msgspec.field(default_factory=dict[UUID, OpenFreeze])
    reversals: dict[int, Reversal] = msgspec.field(default_factory=dict[int, Reversal])
    changed_lots: set[int] = msgspec.field(default_factory=set[int])
    changed_freezes: set[UUID] = msgspec.field(default_factory=set[UUID])
    changed_reversals: set[int] = msgspec.field(default_factory=set[int])

    @property
    def debt(self) -> int:
        """What the account owes, in microcredits."""
        return max(0, -self.available)

    def has_due_lots(self, now_us: int) -> bool:
        """Whether a lot that is over still has something in it."""
        return any(lot.remaining and lot.is_expired(now_us) for lot in self.lots.values())

    def conserves(self) -> bool:
        """Whether everything that came in is somewhere, and the lots agree with the heads."""
        return self.credited == self.available + self.frozen + self.spent + self.expired + self.reversed


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What is to become an event: its kind, its amount in microcredits, and its body."""

    kind: Kind
    amount: int
    body: Body


def evolve(account: Account, decision: Decision, *, recorded_at_us: int) -> Account:
    """Apply one event to the account, in place, and return it.

    Only a bug or a falsified event breaks the assertions here; a decision has refused everything else.
    """
    account.version += 1
    account.updated_at_us = recorded_at_us
    _APPLY[decision.kind](account, decision.body, decision.amount)
    assert account.frozen >= 0, "frozen credits below zero"
    assert account.conserves(), "credits are lost or made"
    return account


def fold(account_id: UUID, recorded: Iterable[events.Event]) -> Account:
    """Replay the events of one account in version order."""
    account = Account(account_id)
    for event in recorded:
        decision = Decision(event.kind, event.amount_microcredits, event.decoded_body())
        evolve(account, decision, recorded_at_us=event.recorded_at_us)
        account.head = event.hash
    return account


def _take(account: Account, portions: Iterable[Portion]) -> None:
    for number, amount in portions:
        lot = account.lots[number]
        assert lot.remaining >= amount, "a lot gave more than it had"
        lot.remaining -= amount
        account.changed_lots.add(number)


def _release(account: Account, freeze: OpenFreeze, state: FreezeState) -> None:
    assert freeze.state is FreezeState.open, "a freeze resolved twice"
    freeze.state = state
    freeze.resolved_at_us = account.updated_at_us
    account.changed_freezes.add(freeze.id)
    for number, amount in freeze.draws:
        account.lots[number].frozen -= amount
        account.changed_lots.add(number)
    account.frozen -= freeze.amount


def _give_back(account: Account, returned: Iterable[Portion], expired: Iterable[Portion]) -> None:
    for number, amount in returned:
        account.lots[number].remaining += amount
        account.changed_lots.add(number)
    for number, amount in expired:
        account.lots[number].expired += amount
        account.changed_lots.add(number)


def _bring_in(account: Account, lot: Lot) -> None:
    account.lots[lot.number] = lot
    account.changed_lots.add(lot.number)


def _opened(account: Account, body: events.AccountOpened, amount: int) -> None:
    assert account.version == 1, "an account opens once"
    assert amount == 0, "an account opens empty"


def _topped_up(account: Account, body: events.CreditsToppedUp, amount: int) -> None:
    account.available += amount
    account.credited += amount
    _bring_in(
        account,
        Lot(
            number=account.version,
            id=body.lot_id,
            origin=Origin.top_up,
            source=body.source,
            priority=body.priority,
            expires_at_us=body.expires_at_us,
            amount=amount,
            remaining=amount - body.debt_paid_microcredits,
            paid_amount=body.paid_amount,
            paid_currency=body.paid_currency,
        ),
    )


def _granted(account: Account, body: events.CreditsGranted, amount: int) -> None:
    account.available += amount
    account.credited += amount
    _bring_in(
        account,
        Lot(
            number=account.version,
            id=body.lot_id,
            origin=Origin.grant,
            source="grant",
            priority=body.priority,
            expires_at_us=body.expires_at_us,
            amount=amount,
            remaining=amount - body.debt_paid_microcredits,
        ),
    )


def _frozen(account: Account, body: events.CreditsFrozen, amount: int) -> None:
    account.available -= amount
    account.frozen += amount
    for number, portion in body.draws:
        lot = account.lots[number]
        assert lot.remaining >= portion, "a lot gave more than it had"
        lot.remaining -= portion
        lot.frozen += portion
        account.changed_lots.add(number)
    account.freezes[body.freeze_id] = OpenFreeze(
        id=body.freeze_id,
        amount=amount,
        draws=body.draws,
        expires_at_us=body.expires_at_us,
        reference=body.reference,
        opened_at_us=account.updated_at_us,
    )
    account.changed_freezes.add(body.freeze_id)


def _confirmed(account: Account, body: events.FreezeConfirmed, amount: int) -> None:
    freeze = account.freezes[body.freeze_id]
    _release(account, freeze, FreezeState.confirmed)
    freeze.confirmed = amount
    expired = total(body.expired)
    account.spent += amount
    account.expired += expired
    account.available += freeze.amount - amount - expired
    _give_back(account, body.returned, body.expired)


def _rolled_back(account: Account, body: events.FreezeRolledBack, amount: int) -> None:
    freeze = account.freezes[body.freeze_id]
    assert amount == freeze.amount, "a rollback releases the whole freeze"
    _release(account, freeze, FreezeState.rolled_back)
    expired = total(body.expired)
    account.expired += expired
    account.available += amount - expired
    _give_back(account, body.returned, body.expired)


def _charged(account: Account, body: events.CreditsCharged, amount: int) -> None:
    _take(account, body.draws)
    account.available -= amount
    account.spent += amount


def _adjusted(account: Account, body: events.CreditsAdjusted, amount: int) -> None:
    account.available += amount
    account.credited += amount
    if body.lot_id is None:
        _take(account, body.draws)
        return
    _bring_in(
        account,
        Lot(
            number=account.version,
            id=body.lot_id,
            origin=Origin.adjustment,
            source="adjustment",
            priority=body.priority,
            expires_at_us=None,
            amount=amount,
            remaining=amount - body.debt_paid_microcredits,
        ),
    )


def _expired(account: Account, body: events.CreditsExpired, amount: int) -> None:
    lot = account.lots[body.lot_number]
    assert lot.remaining == amount + body.kept_microcredits, "a lot expires with all that remains of it and is not kept"
    lot.remaining = body.kept_microcredits
    lot.expired += amount
    account.changed_lots.add(lot.number)
    account.available -= amount
    account.expired += amount


def _reversed(account: Account, body: events.TopUpReversed, amount: int) -> None:
    _take(account, body.draws)
    lot = account.lots[body.lot_number]
    lot.reversed += amount
    lot.expired -= body.already_expired_microcredits
    account.changed_lots.add(lot.number)
    account.available -= amount - body.already_expired_microcredits
    account.expired -= body.already_expired_microcredits
    account.reversed += amount
    account.reversals[account.version] = Reversal(
        version=account.version,
        lot_number=body.lot_number,
        amount=amount,
        draws=body.draws,
        already_expired=body.already_expired_microcredits,
        debt=body.debt_microcredits,
    )
    account.changed_reversals.add(account.version)


def _reinstated(account: Account, body: events.ReversalReinstated, amount: int) -> None:
    lot = account.lots[body.lot_number]
    lot.reversed -= amount
    lot.expired += body.already_expired_microcredits
    account.changed_lots.add(lot.number)
    expired = body.already_expired_microcredits + total(body.expired)
    account.reversed -= amount
    account.expired += expired
    account.available += amount - expired
    _give_back(account, body.returned, body.expired)
    account.reversals[body.reversal_version].reinstated = True
    account.changed_reversals.add(body.reversal_version)
    if body.lot_id is not None:
        new_lot = Lot(
            number=account.version,
            id=body.lot_id,
            origin=Origin.reinstatement,
            source="reinstatement",
            priority=body.priority,
            expires_at_us=None,
            amount=body.new_lot_microcredits,
            remaining=body.new_lot_microcredits,
        )
        _bring_in(account, new_lot)


_APPLY: Final[dict[Kind, Callable[[Account, Any, int], None]]] = {
    Kind.account_opened: _opened,
    Kind.credits_topped_up: _topped_up,
    Kind.credits_granted: _granted,
    Kind.credits_frozen: _frozen,
    Kind.freeze_confirmed: _confirmed,
    Kind.freeze_rolled_back: _rolled_back,
    Kind.credits_charged: _charged,
    Kind.credits_adjusted: _adjusted,
    Kind.credits_expired: _expired,
    Kind.top_up_reversed: _reversed,
    Kind.reversal_reinstated: _reinstated,
}
