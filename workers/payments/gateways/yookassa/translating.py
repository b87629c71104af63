"""YooKassa's objects as facts."""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from workers.payments.facts import PaymentFact, PaymentStatus, RefundFact, RefundStatus, SavedMethod
from workers.payments.gateway import GatewayError
from workers.payments.gateways.yookassa.objects import Amount, Cancellation, Payment, PaymentMethod, Refund
from workers.payments.money import Money, NotMoney

NAME: Final = "yookassa"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_PAYMENT_STATUS: Final[dict[str, PaymentStatus]] = {
    "pending": PaymentStatus.pending,
    "waiting_for_capture": PaymentStatus.pending,  # reserved at the bank, and not yet ours
    "succeeded": PaymentStatus.paid,
    "canceled": PaymentStatus.failed,
}
_REFUND_STATUS: Final[dict[str, RefundStatus]] = {
    "pending": RefundStatus.pending,
    "waiting_for_capture": RefundStatus.pending,
    "succeeded": RefundStatus.succeeded,
    "canceled": RefundStatus.failed,
}
_LABELS: Final = {
    "yoo_money": "YooMoney",
    "sberbank": "SberPay",
    "tinkoff_bank": "T-Pay",
    "sbp": "SBP",
    "mobile_balance": "Mobile",
}


def payment_fact(payment: Payment) -> PaymentFact:
    """Return a payment as a fact. Subscriptions are ours alone: which one it is for, its order knows."""
    metadata = payment.metadata or {}
    account_id = _uuid(metadata.get("account_id"))
    made_at_us = us(payment.created_at)
    return PaymentFact(
        payment_id=payment.id,
        order_id=_uuid(metadata.get("order_id")),
        account_id=account_id,
        price=money(payment.amount),
        status=_PAYMENT_STATUS[payment.status],
        at_us=made_at_us if payment.captured_at is None else us(payment.captured_at),
        saved_method=_saved_method(payment.payment_method, account_id),
        failure=why(payment.cancellation_details) if payment.status == "canceled" else "",
    )


def refund_fact(refund: Refund) -> RefundFact:
    """Return a refund as a fact."""
    return RefundFact(
        refund_id=refund.id,
        payment_id=refund.payment_id,
        amount=money(refund.amount),
        status=_REFUND_STATUS[refund.status],
        at_us=us(refund.created_at),
    )


def money(amount: Amount) -> Money:
    """Read an amount.

    Raises:
        GatewayError: it is none.
    """
    try:
        return Money.parse(amount.value, amount.currency)
    except NotMoney as error:
        raise GatewayError(NAME, str(error), retryable=False) from error


def why(cancellation: Cancellation | None) -> str:
    """Say who cancelled something and why, in YooKassa's words."""
    if cancellation is None:
        return "canceled"
    return f"{cancellation.reason or 'canceled'} ({cancellation.party or 'unknown'})"[:200]


def us(moment: datetime) -> int:
    """Return a time as microseconds since the epoch. One without a zone is in UTC, as all of YooKassa's are."""
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND


def _uuid(text: object) -> UUID | None:
    try:
        return UUID(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _saved_method(method: PaymentMethod | None, account_id: UUID | None) -> SavedMethod | None:
    """Return a means of payment that may be charged again. YooKassa knows no customers, so ours stands for them."""
    if method is None or not method.saved:
        return None
    return SavedMethod(customer_id=str(account_id or ""), method_id=method.id, label=_label(method))


def _label(method: PaymentMethod) -> str:
    if method.card is not None and method.card.last4:
        return f"{method.card.card_type or 'Card'} •• {method.card.last4}"[:64]
    return _LABELS.get(method.type, method.type)[:64]
