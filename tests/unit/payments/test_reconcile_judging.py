"""How a payment or refund that a gateway lists compares with what we have: what is worst is said first."""

from typing import Any
from uuid import UUID

import msgspec
import pytest

from ledger.events import CreditsToppedUp, encode_body
from workers.payments.clawback import Taken, wanted
from workers.payments.facts import PaymentStatus, RefundStatus
from workers.payments.money import Money
from workers.payments.reconciling.judging import (
    Credited,
    OrderHere,
    PaymentEvidence,
    PaymentHere,
    RefundedPayment,
    RefundEvidence,
    RefundHere,
    judge_payment,
    judge_refund,
)
from workers.payments.reconciling.lines import ADVICE, Kind

ACCOUNT = UUID(int=1)
PRICE = Money(1_000, "USD")


def event(amount: str = "10.00", currency: str = "USD") -> bytes:
    return encode_body(
        CreditsToppedUp(lot_id=UUID(int=2), source="pack", priority=100, paid_amount=amount, paid_currency=currency)
    )


HERE = PaymentHere(
    account_id=ACCOUNT, price=PRICE, status=PaymentStatus.paid, credits_microcredits=5, command_key="key"
)
CREDITED = Credited(account_id=ACCOUNT, microcredits=5, times=1, body=event())
PAYMENT = PaymentEvidence(
    price=PRICE,
    tax_minor=None,
    here=HERE,
    credited=CREDITED,
    mismatch=None,
    is_resolved=False,
    order=OrderHere(PRICE, tax_inclusive=True),
    is_second=False,
    refunded_minor=0,
)
REFUND = RefundEvidence(
    payment_id="pay",
    amount=Money(300, "USD"),
    status=RefundStatus.succeeded,
    here=RefundHere("pay", Money(300, "USD"), RefundStatus.succeeded),
    payment=RefundedPayment(
        price=PRICE, credits_microcredits=100, refunded_minor=300, is_strange=False, taken_back_microcredits=30
    ),
)


def payment(**fields: Any) -> str:
    return "/".join(judge_payment(msgspec.structs.replace(PAYMENT, **fields)))


def refund(**fields: Any) -> str:
    return "/".join(judge_refund(msgspec.structs.replace(REFUND, **fields)))


def here(**fields: Any) -> PaymentHere:
    return msgspec.structs.replace(HERE, **fields)


def credited(**fields: Any) -> Credited:
    return msgspec.structs.replace(CREDITED, **fields)


def returned(**fields: Any) -> RefundedPayment:
    assert REFUND.payment is not None
    return msgspec.structs.replace(REFUND.payment, **fields)


def test_a_payment_that_is_the_same_everywhere_matches() -> None:
    assert payment() == "matched/"
    assert payment(order=None) == "matched/"
    assert payment(mismatch="amount", is_resolved=True) == "matched/"


@pytest.mark.parametrize(
    ("fields", "finding"),
    [
        ({"here": None, "credited": None}, "missing_here/unknown"),
        ({"here": here(status=PaymentStatus.pending), "credited": None}, "missing_here/unpaid"),
        ({"here": here(status=PaymentStatus.failed), "credited": None}, "missing_here/unpaid"),
        ({"here": here(command_key=None), "credited": None}, "missing_here/uncredited"),
        ({"credited": None}, "missing_here/event_missing"),
        ({"here": None}, "missing_here/unnoted"),
        ({"price": Money(1_001, "USD")}, "different_amount/amount"),
        ({"price": Money(1_000, "EUR")}, "different_amount/currency"),
        ({"price": Money(1_001, "USD"), "credited": None}, "different_amount/amount"),
        ({"credited": credited(body=event("9.99"))}, "different_amount/ledger_amount"),
        ({"credited": credited(body=event("10.00", "EUR"))}, "different_amount/ledger_currency"),
        ({"credited": credited(body=event("", ""))}, "different_amount/ledger_currency"),
        ({"credited": credited(account_id=UUID(int=9))}, "different_amount/account"),
        ({"credited": credited(microcredits=4)}, "different_amount/credits"),
        ({"credited": credited(times=2, microcredits=4)}, "duplicate/credited_twice"),
        ({"is_second": True}, "duplicate/order_paid_twice"),
        ({"is_second": True, "refunded_minor": 999}, "duplicate/order_paid_twice"),
        ({"is_second": True, "refunded_minor": 1_000}, "matched/refunded"),
        ({"is_second": True, "mismatch": "order", "credited": None}, "duplicate/order_paid_twice"),
        ({"is_second": True, "mismatch": "order", "is_resolved": True, "credited": None}, "matched/resolved"),
        ({"mismatch": "account", "credited": None}, "mismatch/account"),
        ({"order": OrderHere(Money(999, "USD"), tax_inclusive=True)}, "different_amount/order"),
        ({"order": OrderHere(Money(1_000, "EUR"), tax_inclusive=False)}, "different_amount/order"),
    ],
)
def test_a_payment_that_differs_is_told_in_which_way(fields: dict[str, Any], finding: str) -> None:
    assert payment(**fields) == finding


@pytest.mark.parametrize(
    ("asked_minor", "tax_minor", "finding"),
    [
        (800, 200, "matched/"),
        (800, 199, "different_amount/tax"),
        (800, 201, "different_amount/tax"),
        (1_000, 0, "matched/"),
        (800, None, "matched/"),
        (1_000, None, "matched/"),
        (1_001, None, "different_amount/tax"),
    ],
)
def test_a_tax_on_top_leads_from_the_payment_to_the_price_of_the_order(
    asked_minor: int, tax_minor: int | None, finding: str
) -> None:
    order = OrderHere(Money(asked_minor, "USD"), tax_inclusive=False)

    assert payment(order=order, tax_minor=tax_minor) == finding


@pytest.mark.parametrize(
    ("fields", "finding"),
    [
        ({}, "matched/"),
        ({"payment": None}, "matched/"),
        ({"status": RefundStatus.pending}, "matched/"),
        ({"here": None}, "missing_here/unknown"),
        ({"status": RefundStatus.failed}, "missing_here/failed_there"),
        ({"status": RefundStatus.failed, "here": None}, "matched/failed"),
        ({"here": RefundHere("pay", Money(300, "USD"), RefundStatus.failed)}, "different_amount/failed_here"),
        ({"payment_id": "other"}, "different_amount/payment"),
        ({"amount": Money(301, "USD")}, "different_amount/amount"),
        ({"amount": Money(300, "EUR")}, "different_amount/currency"),
        ({"payment": returned(taken_back_microcredits=29)}, "missing_here/not_taken_back"),
        ({"payment": returned(taken_back_microcredits=31)}, "different_amount/credits"),
        ({"payment": returned(is_strange=True, taken_back_microcredits=0)}, "matched/"),
        ({"payment": returned(is_strange=True, price=Money(1_000, "EUR"))}, "different_amount/currency"),
    ],
)
def test_a_refund_is_told_from_one_that_is_the_same_everywhere(fields: dict[str, Any], finding: str) -> None:
    assert refund(**fields) == finding


@pytest.mark.parametrize("refunded_minor", [1, 299, 300, 1_000, 1_500])
def test_what_refunds_take_back_is_what_settling_takes_back(refunded_minor: int) -> None:
    goal = wanted(Taken(100, 1_000, refunded_minor, disputed_minor=1_000))["refund"]

    exactly = returned(refunded_minor=refunded_minor, taken_back_microcredits=goal)
    assert refund(payment=exactly) == "matched/"
    assert refund(payment=msgspec.structs.replace(exactly, taken_back_microcredits=goal + 1)) != "matched/"


def test_every_finding_comes_with_advice() -> None:
    assert set(ADVICE) == set(Kind)
    assert all(advice for details in ADVICE.values() for advice in details.values())
