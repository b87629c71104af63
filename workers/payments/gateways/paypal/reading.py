"""PayPal's objects as facts. Pure: no network, no clock."""

from typing import Final
from uuid import UUID

from msgspec import structs

from workers.payments.facts import DisputeFact, DisputeStatus, PaymentFact, PaymentStatus, RefundFact, RefundStatus
from workers.payments.gateway import GatewayError
from workers.payments.gateways.paypal.amounts import money_of
from workers.payments.gateways.paypal.times import first_us
from workers.payments.gateways.paypal.wire import NAME, Amount, Capture, Dispute, Order, Refund, Resource
from workers.payments.money import Money, NotMoney

_SEPARATOR: Final = "."

_PAYMENT_STATUS: Final = {
    "PENDING": PaymentStatus.pending,
    "DECLINED": PaymentStatus.failed,
    "FAILED": PaymentStatus.failed,
    "COMPLETED": PaymentStatus.paid,
    # Paid all the same: what went back is said by the refunds.
    "PARTIALLY_REFUNDED": PaymentStatus.paid,
    "REFUNDED": PaymentStatus.paid,
}

_REFUND_STATUS: Final = {
    "PENDING": RefundStatus.pending,
    "COMPLETED": RefundStatus.succeeded,
    "FAILED": RefundStatus.failed,
    "CANCELLED": RefundStatus.failed,
}

_WON: Final = frozenset({"RESOLVED_SELLER_FAVOUR", "CANCELED_BY_BUYER", "DENIED"})
_LOST: Final = frozenset({"RESOLVED_BUYER_FAVOUR", "ACCEPTED"})


def custom_id_of(order_id: UUID, account_id: UUID) -> str:
    """Return what is put into an order so that its captures, and their lines in reports, say whose they are."""
    return f"{order_id}{_SEPARATOR}{account_id}"


def ours(custom_id: str) -> tuple[UUID | None, UUID | None]:
    """Return the order and the account that a custom id names; nothing for one that we did not make."""
    order_id, _, account_id = custom_id.partition(_SEPARATOR)
    try:
        return UUID(order_id), UUID(account_id)
    except ValueError:
        return None, None


def payment_of(capture: Capture) -> PaymentFact:
    """Return what a capture says.

    Raises:
        GatewayError: its status is not known here, or its amount is none.
    """
    status = _PAYMENT_STATUS.get(capture.status)
    if status is None:
        raise _unreadable(f"capture {capture.id} has the status {capture.status[:40]!r}")
    order_id, account_id = ours(capture.custom_id)
    completed_at = capture.update_time if capture.status == "COMPLETED" else ""
    return PaymentFact(
        payment_id=capture.id,
        order_id=order_id,
        account_id=account_id,
        price=_money(capture.amount, f"capture {capture.id}"),
        status=status,
        at_us=_time(first_us(completed_at, capture.create_time), f"capture {capture.id}"),
        failure=capture.status_details.reason if status is not PaymentStatus.paid else "",
    )


def refund_of(refund: Refund, *, capture_id: str = "") -> RefundFact:
    """Return what a refund says. `capture_id` is used where it does not say itself what it gives back.

    Raises:
        GatewayError: its status is not known here, its amount is none, or nobody knows of which capture it is.
    """
    status = _REFUND_STATUS.get(refund.status)
    payment_id = refund.capture_id or capture_id
    if status is None or not payment_id:
        raise _unreadable(f"refund {refund.id} has the status {refund.status[:40]!r} and the capture {payment_id!r}")
    return RefundFact(
        refund_id=refund.id,
        payment_id=payment_id,
        amount=_money(refund.amount, f"refund {refund.id}"),
        status=status,
        at_us=_time(first_us(refund.create_time), f"refund {refund.id}"),
    )


def disputes_of(dispute: Dispute, *, is_withdrawn: bool = False) -> list[DisputeFact]:
    """Return what a dispute says of each payment that it is about; usually that is one.

    `is_withdrawn` says that PayPal is known to have taken the money, whatever the dispute itself says while it goes on.

    Raises:
        GatewayError: an amount is none.
    """
    status = _status_of(dispute, is_withdrawn=is_withdrawn)
    transactions = [each for each in dispute.disputed_transactions if each.seller_transaction_id]
    is_single = len(transactions) == 1
    returned = dispute.dispute_outcome.amount_refunded if status is DisputeStatus.lost else None
    facts: list[DisputeFact] = []
    for transaction in transactions:
        capture_id = transaction.seller_transaction_id
        whole = transaction.gross_amount
        amount = (returned or dispute.dispute_amount or whole) if is_single else whole
        if amount is None:
            raise _unreadable(f"dispute {dispute.dispute_id} has no amount")
        facts.append(
            DisputeFact(
                # One dispute of several payments is several disputes to us.
                dispute_id=dispute.dispute_id if is_single else f"{dispute.dispute_id}/{capture_id}",
                payment_id=capture_id,
                amount=_money(amount, f"dispute {dispute.dispute_id}"),
                status=status,
                at_us=_time(first_us(dispute.update_time, dispute.create_time), f"dispute {dispute.dispute_id}"),
            )
        )
    return facts


def without_refunds(fact: DisputeFact, order: Order, *, opened_at: str) -> DisputeFact:
    """Return what a lost dispute took by itself.

    A claim that we accept is settled by a refund, which is told as one. What was refunded while the dispute went on is
    not taken a second time.
    """
    opened_at_us = _time(first_us(opened_at), f"dispute {fact.dispute_id}")
    given_back = sum(
        refund_of(refund, capture_id=fact.payment_id).amount.minor
        for refund in order.refunds
        if _REFUND_STATUS.get(refund.status) in (RefundStatus.pending, RefundStatus.succeeded)
        and refund.capture_id in ("", fact.payment_id)
        and refund.amount.currency_code == fact.amount.currency
        and (first_us(refund.create_time) or 0) >= opened_at_us
    )
    left = Money(max(0, fact.amount.minor - given_back), fact.amount.currency)
    return structs.replace(fact, amount=left)


def reversal_of(resource: Resource) -> DisputeFact:
    """Return what a reversal says that belongs to no dispute, as when the customer's bank took a direct debit back.

    Raises:
        GatewayError: it has no amount.
    """
    if resource.amount is None:
        raise _unreadable(f"reversal {resource.id} has no amount")
    return DisputeFact(
        dispute_id=resource.id,
        payment_id=resource.capture_id,
        amount=_money(resource.amount, f"reversal {resource.id}"),
        status=DisputeStatus.lost,
        at_us=_time(first_us(resource.create_time), f"reversal {resource.id}"),
    )


def _status_of(dispute: Dispute, *, is_withdrawn: bool) -> DisputeStatus:
    if dispute.status != "RESOLVED":
        # From the second stage on the case is a claim or a chargeback, and PayPal holds the money until it is decided.
        is_claim = dispute.dispute_life_cycle_stage not in ("", "INQUIRY")
        return DisputeStatus.withdrawn if is_claim or is_withdrawn else DisputeStatus.opened
    outcome = dispute.dispute_outcome.outcome_code
    if outcome in _WON:
        return DisputeStatus.won
    if outcome in _LOST:
        return DisputeStatus.lost
    # With a payout PayPal paid for one side or the other; only the movements tell which.
    return DisputeStatus.lost if _is_paid_by_us(dispute) else DisputeStatus.won


def _is_paid_by_us(dispute: Dispute) -> bool:
    settlements = [
        movement.type
        for movement in dispute.money_movements
        if movement.affected_party == "SELLER" and movement.reason == "DISPUTE_SETTLEMENT"
    ]
    return settlements.count("DEBIT") > settlements.count("CREDIT")


def _money(amount: Amount, of_what: str) -> Money:
    try:
        return money_of(amount)
    except NotMoney as error:
        raise _unreadable(f"{of_what}: {error}") from error


def _time(at_us: int | None, of_what: str) -> int:
    if at_us is None:
        raise _unreadable(f"{of_what} has no time")
    return at_us


def _unreadable(message: str) -> GatewayError:
    return GatewayError(NAME, message, retryable=False)
