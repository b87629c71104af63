"""What each event enters in the journal. Pure: the same events make the same entries, in a test and in an audit.

Every line takes one amount of one commodity from one account to another, so no entry can be out of balance. Credits are
entered beside the money, lot by lot. docs/accounting.md explains the entries.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from ledger import events
from ledger.events import Kind, Portion
from ledger.lots import total
from projections.chart import CREDIT
from projections.chart import LedgerAccount as A
from projections.journal_lots import JournalLot
from projections.journal_policy import Policy
from projections.money import MICROS, NOTHING, Payment, parse_payment

CHARGEBACK: Final = "chargeback"
"""A reversal whose reason begins with this word was a dispute that was lost; any other is a refund."""

MAX_LINE: Final = 2**62
"""The most that one line moves; what is more takes several."""

NO_LOT: Final = 0


class Line(NamedTuple):
    """`amount` millionths of a commodity go from the account `credit` to the account `debit`."""

    debit: A
    credit: A
    commodity: str
    amount: int
    lot: int


class Original(msgspec.Struct, frozen=True):
    """The reversal that a reinstatement undoes, and the policy it was entered under."""

    body: events.TopUpReversed
    policy: Policy


class Posted(msgspec.Struct, frozen=True):
    """One event to enter, with what of earlier events its entry depends on."""

    account_id: UUID
    version: int
    kind: Kind
    amount: int
    body: events.Body
    policy: Policy
    freeze_draws: tuple[Portion, ...] = ()
    """Of a resolved freeze that paid a debt: the lots it was drawn from."""
    original: Original | None = None


Lots = dict[int, JournalLot]
"""The lots of an account that an event names, by number; a new one is added."""


class Entry:
    """The lines of one event, as they come to be."""

    def __init__(self, lots: Lots, event: Posted) -> None:
        self.lines: list[Line] = []
        self.event = event
        self.policy = event.policy
        self._lots = lots

    def lot(self, number: int) -> JournalLot:
        """Return a lot of the event's account."""
        return self._lots[number]

    def bring_in(self, amount: int, payment: Payment, *, is_bought: bool) -> JournalLot:
        """Add the lot that this event brings in."""
        lot = JournalLot(
            account_id=self.event.account_id,
            number=self.event.version,
            is_bought=is_bought,
            currency=payment.currency,
            unit=payment.unit_micros,
            paid=payment.micros,
            amount=amount,
            held=amount,
        )
        self._lots[lot.number] = lot
        return lot

    def units(self, debit: A, credit: A, amount: int, lot: int) -> None:
        """Enter credits."""
        self._add(debit, credit, CREDIT, amount, lot)

    def money(self, debit: A, credit: A, amount: int, lot: JournalLot) -> None:
        """Enter money of a lot's currency."""
        self._add(debit, credit, lot.currency, amount, lot.number)

    def _add(self, debit: A, credit: A, commodity: str, amount: int, lot: int) -> None:
        if amount < 0:
            debit, credit, amount = credit, debit, -amount
        while amount > MAX_LINE:
            self.lines.append(Line(debit, credit, commodity, MAX_LINE, lot))
            amount -= MAX_LINE
        if amount:
            self.lines.append(Line(debit, credit, commodity, amount, lot))

    def use(self, lot: JournalLot, microcredits: int) -> None:
        """Enter the money of credits that were used: revenue if they were paid for."""
        money = lot.take(microcredits)
        if lot.is_bought:
            self.money(A.contract_liability, A.usage, money, lot)
        elif self.policy.promotions == "contra_revenue":
            self.money(A.promotional_discount, A.promotional_use, money, lot)
        else:
            self.money(A.promotion_expense, A.promotion_absorbed, money, lot)

    def bring_in_units(self, source: A, lot: int, amount: int, debt_paid: int) -> None:
        """Enter credits that came in: what pays a debt is held by nobody."""
        self.units(source, A.credits_held, amount - debt_paid, lot)
        self.units(source, A.credits_owed, debt_paid, NO_LOT)

    def expire(self, portions: Iterable[Portion]) -> None:
        """Enter credits that expired."""
        for number, microcredits in portions:
            lot = self.lot(number)
            self.units(A.credits_held, A.credits_expired, microcredits, number)
            money = lot.take(microcredits)
            if lot.is_bought:
                self.money(A.contract_liability, self.expired_account, money, lot)
                lot.expire(microcredits, money, recognised=self.is_breakage_recognised)

    @property
    def is_breakage_recognised(self) -> bool:
        """Whether expiry is income at once."""
        return self.policy.breakage == "on_expiry"

    @property
    def expired_account(self) -> A:
        """Where the money of credits goes that expire."""
        return A.breakage if self.is_breakage_recognised else A.expired_liability


def entry_of(lots: Lots, event: Posted) -> list[Line]:
    """Make the entry of one event, and bring its lots up to date in place.

    Raises:
        UnreadablePayment: the event says what was paid in a way that is not money.
        AssertionError, KeyError: the event contradicts earlier ones.
    """
    entry = Entry(lots, event)
    _ENTER[event.kind](entry, event.body, event.amount)
    return entry.lines


def _nothing(entry: Entry, body: events.Body, amount: int) -> None:
    """Setting credits aside moves them nowhere: they are still held."""


def _topped_up(entry: Entry, body: events.CreditsToppedUp, amount: int) -> None:
    payment = parse_payment(body.paid_amount, body.paid_currency)
    lot = entry.bring_in(amount, payment, is_bought=payment.micros > 0)
    entry.bring_in_units(A.credits_bought, lot.number, amount, body.debt_paid_microcredits)
    if lot.is_bought:
        entry.money(A.payment_clearing, A.contract_liability, lot.paid, lot)
    entry.use(lot, body.debt_paid_microcredits)


def _granted(entry: Entry, body: events.CreditsGranted, amount: int) -> None:
    lot = entry.bring_in(amount, _promotional_value(entry.policy, amount), is_bought=False)
    entry.bring_in_units(A.credits_granted, lot.number, amount, body.debt_paid_microcredits)
    entry.use(lot, body.debt_paid_microcredits)


def _promotional_value(policy: Policy, amount: int) -> Payment:
    value = parse_payment(policy.promotion_value, policy.promotion_currency)
    # Of the whole lot, to the unit of the currency and not to the places of the value per credit.
    unit = parse_payment("1", value.currency).unit_micros if value.micros else MICROS
    money = (2 * value.micros * amount + unit * MICROS) // (2 * unit * MICROS) * unit
    return Payment(money, value.currency, unit) if money else NOTHING


def _used(entry: Entry, draws: Iterable[Portion]) -> None:
    for number, microcredits in draws:
        entry.units(A.credits_held, A.credits_used, microcredits, number)
        entry.use(entry.lot(number), microcredits)


def _charged(entry: Entry, body: events.CreditsCharged, amount: int) -> None:
    _used(entry, body.draws)


def _confirmed(entry: Entry, body: events.FreezeConfirmed, amount: int) -> None:
    _used(entry, body.draws)
    entry.expire(body.expired)
    if body.debt_paid_microcredits:
        _pay_debt(entry, (*body.draws, *body.returned, *body.expired), body.debt_paid_microcredits)


def _rolled_back(entry: Entry, body: events.FreezeRolledBack, amount: int) -> None:
    entry.expire(body.expired)
    if body.debt_paid_microcredits:
        _pay_debt(entry, (*body.returned, *body.expired), body.debt_paid_microcredits)


def _pay_debt(entry: Entry, accounted_for: Iterable[Portion], debt_paid: int) -> None:
    """What a freeze drew and no list of the event mentions has paid a debt, which is a use."""
    left = dict(entry.event.freeze_draws)
    for number, microcredits in accounted_for:
        left[number] -= microcredits
    assert sum(left.values()) == debt_paid, "a freeze is used, returned, expired or has paid a debt"
    for number, microcredits in left.items():
        entry.units(A.credits_held, A.credits_owed, microcredits, number)
        entry.use(entry.lot(number), microcredits)


def _adjusted(entry: Entry, body: events.CreditsAdjusted, amount: int) -> None:
    if body.lot_id is not None:
        lot = entry.bring_in(amount, NOTHING, is_bought=False)
        entry.bring_in_units(A.credits_adjusted, lot.number, amount, body.debt_paid_microcredits)
        entry.use(lot, body.debt_paid_microcredits)
        return
    for number, microcredits in body.draws:
        lot = entry.lot(number)
        entry.units(A.credits_held, A.credits_adjusted, microcredits, number)
        money = lot.take(microcredits)
        if lot.is_bought:
            entry.money(A.contract_liability, A.write_off, money, lot)
    entry.units(A.credits_owed, A.credits_adjusted, -amount - total(body.draws), NO_LOT)


def _expired(entry: Entry, body: events.CreditsExpired, amount: int) -> None:
    entry.expire([(body.lot_number, amount)])


class _Sides(NamedTuple):
    """Where a reversal's money goes, and what bears it as far as the credits were used."""

    out: A
    loss: A

    @classmethod
    def of(cls, reason: str, policy: Policy) -> "_Sides":
        if reason.startswith(CHARGEBACK):
            return cls(A.chargebacks_taken, A.chargeback_loss)
        return cls(A.refund_liability if policy.refunds == "liability" else A.refunds_paid, A.usage)


def _reversed(entry: Entry, body: events.TopUpReversed, amount: int) -> None:
    sides = _Sides.of(body.reason, entry.policy)
    lot = entry.lot(body.lot_number)
    unexplained = lot.refund(amount) if lot.is_bought else 0
    for number, microcredits in body.draws:
        drawn = entry.lot(number)
        entry.units(A.credits_held, A.credits_refunded, microcredits, number)
        money = drawn.take(microcredits)
        if drawn.is_bought:
            is_own = drawn is lot
            entry.money(A.contract_liability, sides.out if is_own else sides.loss, money, drawn)
            unexplained -= money if is_own else 0
    expired = body.already_expired_microcredits
    entry.units(A.credits_expired, A.credits_refunded, expired, lot.number)
    if lot.is_bought and expired:
        deferred, recognised = lot.unexpire(expired)
        bears = A.breakage if entry.policy.refund_of_expired == "reverse_breakage" else A.write_off
        entry.money(A.expired_liability, sides.out, deferred, lot)
        entry.money(bears, sides.out, recognised, lot)
        unexplained -= deferred + recognised
    entry.units(A.credits_owed, A.credits_refunded, body.debt_microcredits, NO_LOT)
    # What is left was used, and a unit of rounding now and then.
    entry.money(sides.loss, sides.out, unexplained, lot)


def _reinstated(entry: Entry, body: events.ReversalReinstated, amount: int) -> None:
    original = entry.event.original
    assert original is not None, "a reinstatement undoes a reversal"
    sides = _Sides.of(original.body.reason, original.policy)
    lot = entry.lot(body.lot_number)
    unexplained = -lot.refund(-amount) if lot.is_bought else 0
    for number, microcredits in body.returned:
        back = entry.lot(number)
        entry.units(A.credits_refunded, A.credits_held, microcredits, number)
        money = back.put_back(microcredits)
        if back.is_bought:
            is_own = back is lot
            entry.money(sides.out if is_own else sides.loss, A.contract_liability, money, back)
            unexplained -= money if is_own else 0
    for number, microcredits in body.expired:
        back = entry.lot(number)
        entry.units(A.credits_refunded, A.credits_expired, microcredits, number)
        # In and out again: what is held stays, and the money is what taking it out would have moved.
        money = back.put_back(microcredits)
        back.take(microcredits)
        unexplained -= _expire_again(entry, back, microcredits, money, sides, is_own=back is lot)
    expired = body.already_expired_microcredits
    entry.units(A.credits_refunded, A.credits_expired, expired, lot.number)
    unexplained -= _expire_again(entry, lot, expired, lot.value_of(expired), sides, is_own=True)
    entry.units(A.credits_refunded, A.credits_owed, body.debt_paid_microcredits, NO_LOT)
    if body.lot_id is not None:
        unexplained -= _reinstate_as_new_lot(entry, lot, body.new_lot_microcredits, sides)
    entry.money(sides.out, sides.loss, unexplained, lot)


def _expire_again(entry: Entry, lot: JournalLot, microcredits: int, money: int, sides: _Sides, *, is_own: bool) -> int:
    """Enter the money of reinstated credits that expire at once; return how much of the reinstatement that explains."""
    if not lot.is_bought or not microcredits:
        return 0
    entry.money(sides.out if is_own else sides.loss, entry.expired_account, money, lot)
    lot.expire(microcredits, money, recognised=entry.is_breakage_recognised)
    return money if is_own else 0


def _reinstate_as_new_lot(entry: Entry, lot: JournalLot, microcredits: int, sides: _Sides) -> int:
    """Enter credits that come back as a lot of their own, at what they had cost; return their money."""
    money = lot.value_of(microcredits) if lot.is_bought else 0
    new = entry.bring_in(microcredits, Payment(money, lot.currency, lot.unit), is_bought=money > 0)
    entry.units(A.credits_refunded, A.credits_held, microcredits, new.number)
    entry.money(sides.out, A.contract_liability, money, new)
    return money


_ENTER: Final[Mapping[Kind, Callable[[Entry, Any, int], None]]] = {
    Kind.account_opened: _nothing,
    Kind.credits_topped_up: _topped_up,
    Kind.credits_granted: _granted,
    Kind.credits_frozen: _nothing,
    Kind.freeze_confirmed: _confirmed,
    Kind.freeze_rolled_back: _rolled_back,
    Kind.credits_charged: _charged,
    Kind.credits_adjusted: _adjusted,
    Kind.credits_expired: _expired,
    Kind.top_up_reversed: _reversed,
    Kind.reversal_reinstated: _reinstated,
}

WITHOUT_ENTRY: Final = (Kind.account_opened, Kind.credits_frozen)
"""Kinds that enter nothing, and need not even be read."""
