"""How what a gateway says compares with what we have. Pure."""

from typing import Final
from uuid import UUID

import msgspec

from ledger.events import CreditsToppedUp
from workers.payments.clawback import Taken, wanted
from workers.payments.facts import PaymentStatus, RefundStatus
from workers.payments.money import Money, NotMoney
from workers.payments.reconciling.lines import MATCHED, Finding, Kind

_decode_top_up: Final = msgspec.json.Decoder(CreditsToppedUp).decode


class PaymentHere(msgspec.Struct, frozen=True, kw_only=True):
    """Our row of a payment."""

    account_id: UUID | None
    price: Money
    status: int
    credits_microcredits: int
    command_key: str | None


class Credited(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger's own event of a payment; of several, the one on the payment's account."""

    account_id: UUID
    microcredits: int
    times: int
    """How many there are, on all accounts."""
    body: bytes

    @property
    def paid(self) -> Money | None:
        """What the event says was paid; `None` if it says nothing that is money."""
        body = _decode_top_up(self.body)
        try:
            return Money.parse(body.paid_amount, body.paid_currency)
        except NotMoney:
            return None


class OrderHere(msgspec.Struct, frozen=True):
    """What was asked for."""

    price: Money
    tax_inclusive: bool


class PaymentEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """A payment that a gateway lists, and all that we have of it."""

    price: Money
    tax_minor: int | None
    here: PaymentHere | None
    credited: Credited | None
    mismatch: str | None
    """Why it is listed as one that fits nothing."""
    is_resolved: bool
    """Whether somebody has dealt with that."""
    order: OrderHere | None
    is_second: bool
    """Whether another payment for the same order comes first."""
    refunded_minor: int


class RefundHere(msgspec.Struct, frozen=True):
    """Our row of a refund."""

    payment_id: str
    amount: Money
    status: int


class RefundedPayment(msgspec.Struct, frozen=True, kw_only=True):
    """The payment that a refund is of, and what all its refunds that have not failed come to here."""

    price: Money
    credits_microcredits: int
    refunded_minor: int
    is_strange: bool
    """Whether one of them is in another currency."""
    taken_back_microcredits: int
    """By the ledger."""


class RefundEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """A refund that a gateway lists, and all that we have of it."""

    payment_id: str
    amount: Money
    status: int
    here: RefundHere | None
    payment: RefundedPayment | None
    """`None` where there is none here, or nothing was credited for it."""


def judge_payment(evidence: PaymentEvidence) -> Finding:
    """Compare a payment. What is worst is said first."""
    if evidence.credited is not None and evidence.credited.times > 1:
        return Finding(Kind.duplicate, "credited_twice")
    if evidence.is_second:
        if evidence.refunded_minor >= evidence.price.minor:
            return Finding(Kind.matched, "refunded")
        if not evidence.is_resolved:
            return Finding(Kind.duplicate, "order_paid_twice")
    if evidence.credited is None:
        return _judge_uncredited(evidence)
    return _judge_credited(evidence, evidence.credited)


def judge_refund(evidence: RefundEvidence) -> Finding:
    """Compare a refund, and what the ledger took back for it."""
    here = evidence.here
    if evidence.status == RefundStatus.failed:
        counts = here is not None and here.status != RefundStatus.failed
        return Finding(Kind.missing_here, "failed_there") if counts else Finding(Kind.matched, "failed")
    if here is None:
        return Finding(Kind.missing_here, "unknown")
    if here.status == RefundStatus.failed:
        return Finding(Kind.different_amount, "failed_here")
    if here.payment_id != evidence.payment_id:
        return Finding(Kind.different_amount, "payment")
    if (difference := _difference(here.amount, evidence.amount)) is not None:
        return difference
    return MATCHED if evidence.payment is None else _judge_taken_back(evidence.amount, evidence.payment)


def _judge_uncredited(evidence: PaymentEvidence) -> Finding:
    if evidence.is_resolved:
        return Finding(Kind.matched, "resolved")
    here = evidence.here
    if here is None:
        return Finding(Kind.missing_here, "unknown")
    if here.status != PaymentStatus.paid:
        return Finding(Kind.missing_here, "unpaid")
    if (difference := _difference(here.price, evidence.price)) is not None:
        return difference
    if evidence.mismatch is not None:
        return Finding(Kind.mismatch, evidence.mismatch)
    return Finding(Kind.missing_here, "uncredited" if here.command_key is None else "event_missing")


def _judge_credited(evidence: PaymentEvidence, credited: Credited) -> Finding:
    here, paid = evidence.here, credited.paid
    if here is not None and (difference := _difference(here.price, evidence.price)) is not None:
        return difference
    if paid != evidence.price:
        is_other = paid is None or paid.currency != evidence.price.currency
        return Finding(Kind.different_amount, "ledger_currency" if is_other else "ledger_amount")
    if here is None:
        return Finding(Kind.missing_here, "unnoted")
    if credited.account_id != here.account_id:
        return Finding(Kind.different_amount, "account")
    if credited.microcredits != here.credits_microcredits:
        return Finding(Kind.different_amount, "credits")
    return MATCHED if evidence.order is None else _judge_order(evidence, evidence.order)


def _judge_order(evidence: PaymentEvidence, order: OrderHere) -> Finding:
    price = evidence.price
    if order.price.currency != price.currency:
        return Finding(Kind.different_amount, "order")
    if order.tax_inclusive:
        return MATCHED if order.price == price else Finding(Kind.different_amount, "order")
    # A list need not say what of a price is tax, and then only a price below the order's is certainly wrong.
    wrong = price.minor < order.price.minor if evidence.tax_minor is None else (
        price.minor - evidence.tax_minor != order.price.minor
    )  # fmt: skip
    return Finding(Kind.different_amount, "tax") if wrong else MATCHED


def _judge_taken_back(amount: Money, payment: RefundedPayment) -> Finding:
    if payment.is_strange:
        return Finding(Kind.different_amount, "currency") if amount.currency != payment.price.currency else MATCHED
    goal = wanted(Taken(payment.credits_microcredits, payment.price.minor, payment.refunded_minor, 0))["refund"]
    if payment.taken_back_microcredits < goal:
        return Finding(Kind.missing_here, "not_taken_back")
    if payment.taken_back_microcredits > goal:
        return Finding(Kind.different_amount, "credits")
    return MATCHED


def _difference(ours: Money, theirs: Money) -> Finding | None:
    if ours.currency != theirs.currency:
        return Finding(Kind.different_amount, "currency")
    if ours.minor != theirs.minor:
        return Finding(Kind.different_amount, "amount")
    return None
