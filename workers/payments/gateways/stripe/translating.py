"""What Stripe's objects say, in our words. Nothing is fetched here."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import msgspec

from workers.payments.facts import (
    DisputeFact,
    DisputeStatus,
    PaymentFact,
    PaymentStatus,
    Period,
    RefundFact,
    RefundStatus,
    SavedMethod,
    SubscriptionFact,
    SubscriptionStatus,
)
from workers.payments.gateways.stripe.amounts import from_stripe
from workers.payments.gateways.stripe.objects import (
    Charge,
    Customer,
    Dispute,
    Intent,
    Invoice,
    InvoicePayment,
    PaymentMethod,
    Refund,
    Session,
    Subscription,
)

MICROSECONDS: Final = 1_000_000

ORDER_ID: Final = "order_id"
ACCOUNT_ID: Final = "account_id"
PRICE_KEY: Final = "price_key"
CHANGE_ORDER_ID: Final = "change_order_id"
"""On a subscription: the order of its latest change of plan that was due at once."""
NEXT_PRICE_KEY: Final = "next_price_key"
NEXT_FROM: Final = "next_from"
"""On a subscription: what it is for from some second on, when its next period begins. Its price changes before."""
TAXED: Final = "taxed"
"""On a payment: Stripe works out the taxes, and only the Checkout session knows how much they are."""
SAVES_METHOD: Final = "saves_method"
"""On a Checkout session: what it is paid with is kept, and has to be asked for."""

FIRST_INVOICE: Final = "subscription_create"
INVOICE_OF_CHANGE: Final = "subscription_update"

_INTENTS: Final = {
    "succeeded": PaymentStatus.paid,
    "canceled": PaymentStatus.failed,
}
_REFUNDS: Final = {
    "succeeded": RefundStatus.succeeded,
    "failed": RefundStatus.failed,
    "canceled": RefundStatus.failed,
}
_DISPUTES: Final = {
    "won": DisputeStatus.won,
    "warning_closed": DisputeStatus.won,
    "prevented": DisputeStatus.won,
    "lost": DisputeStatus.lost,
}
_SUBSCRIPTIONS: Final = {
    "incomplete": SubscriptionStatus.incomplete,
    "trialing": SubscriptionStatus.active,
    "active": SubscriptionStatus.active,
    "past_due": SubscriptionStatus.past_due,
    "unpaid": SubscriptionStatus.past_due,
    "paused": SubscriptionStatus.paused,
    "canceled": SubscriptionStatus.ended,
    "incomplete_expired": SubscriptionStatus.ended,
}
_BRANDS: Final = {"amex": "American Express", "diners": "Diners Club", "jcb": "JCB", "unionpay": "UnionPay"}


class Ours(msgspec.Struct, frozen=True):
    """What we told Stripe about something of ours."""

    order_id: UUID
    account_id: UUID
    change_order_id: UUID | None


def ours(metadata: Mapping[str, str] | None) -> Ours | None:
    """Return what we wrote into an object's metadata; `None` for an object that is not of our making."""
    given = metadata or {}
    order_id, account_id = _uuid(given.get(ORDER_ID)), _uuid(given.get(ACCOUNT_ID))
    if order_id is None or account_id is None:
        return None
    return Ours(order_id, account_id, _uuid(given.get(CHANGE_ORDER_ID)))


def session_fact(session: Session, owner: Ours, *, failed: bool, at_s: int) -> PaymentFact | None:
    """Return what the end of a Checkout session says about its payment; `None` where nothing had to be paid."""
    if session.payment_intent is None or session.amount_total is None or session.currency is None:
        return None
    paid = session.payment_status != "unpaid"
    unpaid = PaymentStatus.failed if failed else PaymentStatus.pending
    return PaymentFact(
        payment_id=session.payment_intent,
        order_id=owner.order_id,
        account_id=owner.account_id,
        price=from_stripe(session.amount_total, session.currency),
        tax=from_stripe(session.total_details.amount_tax, session.currency) if session.total_details else None,
        status=PaymentStatus.paid if paid else unpaid,
        at_us=at_s * MICROSECONDS,
    )


def intent_fact(
    intent: Intent, *, at_s: int | None = None, taxed_in: Session | None = None, saves_method: bool = False
) -> PaymentFact:
    """Return what a payment intent says, with its taxes if the Checkout session that they are written in is given."""
    owner = ours(intent.metadata)
    status = _intent_status(intent)
    amount = intent.amount_received if status is PaymentStatus.paid else intent.amount
    charged_at = intent.latest_charge.created if isinstance(intent.latest_charge, Charge) else None
    details = taxed_in.total_details if taxed_in else None
    return PaymentFact(
        payment_id=intent.id,
        order_id=owner.order_id if owner else None,
        account_id=owner.account_id if owner else None,
        price=from_stripe(amount, intent.currency),
        tax=from_stripe(details.amount_tax, intent.currency) if details else None,
        status=status,
        at_us=(at_s or charged_at or intent.created) * MICROSECONDS,
        saved_method=_saved(intent.customer, intent.payment_method) if saves_method else None,
        failure=_failure(intent) if status is PaymentStatus.failed else "",
    )


def invoice_facts(invoice: Invoice, payments: Sequence[InvoicePayment]) -> list[PaymentFact]:
    """Return what the payments for a subscription's invoice say. One that cost nothing has none."""
    facts = [_invoice_fact(invoice, payment) for payment in payments if payment.status in ("paid", "open")]
    return [fact for fact in facts if fact is not None]


def refund_fact(refund: Refund) -> RefundFact | None:
    """Return what a refund says; `None` for one of a payment that is no payment intent, and so none of ours."""
    if refund.payment_intent is None:
        return None
    return RefundFact(
        refund_id=refund.id,
        payment_id=refund.payment_intent,
        amount=from_stripe(refund.amount, refund.currency),
        status=_REFUNDS.get(refund.status or "", RefundStatus.pending),
        at_us=refund.created * MICROSECONDS,
    )


def dispute_fact(dispute: Dispute, *, withdrawn: bool) -> DisputeFact | None:
    """Return what a dispute says; `None` for one about a payment that is no payment intent, and so none of ours.

    `withdrawn` says that the event is about money being taken; else only the balance tells that from a mere inquiry.
    """
    if dispute.payment_intent is None:
        return None
    taken = withdrawn or sum(change.amount for change in dispute.balance_transactions) < 0
    open_ = DisputeStatus.withdrawn if taken else DisputeStatus.opened
    return DisputeFact(
        dispute_id=dispute.id,
        payment_id=dispute.payment_intent,
        amount=from_stripe(dispute.amount, dispute.currency),
        status=_DISPUTES.get(dispute.status, open_),
        at_us=dispute.created * MICROSECONDS,
    )


def subscription_fact(subscription: Subscription, *, asked_at_us: int) -> SubscriptionFact:
    """Return what a subscription is, as it was just fetched."""
    owner = ours(subscription.metadata)
    status = _SUBSCRIPTIONS.get(subscription.status, SubscriptionStatus.incomplete)
    if status is SubscriptionStatus.active and subscription.pause_collection is not None:
        status = SubscriptionStatus.paused
    item = subscription.items.data[0] if subscription.items.data else None
    ends = subscription.cancel_at_period_end or subscription.cancel_at is not None
    return SubscriptionFact(
        subscription_id=subscription.id,
        order_id=owner.order_id if owner else None,
        account_id=owner.account_id if owner else None,
        status=status,
        price_key=paid_for(subscription),
        period=_period(item.current_period_start, item.current_period_end) if item else None,
        ends_at_period_end=ends and status is not SubscriptionStatus.ended,
        asked_at_us=asked_at_us,
        saved_method=_method_of(subscription),
    )


def paid_for(subscription: Subscription) -> str:
    """Return the price key of the current period; one that was agreed on for the next counts once that has begun."""
    metadata = subscription.metadata or {}
    next_from = metadata.get(NEXT_FROM, "")
    item = subscription.items.data[0] if subscription.items.data else None
    has_begun = item is not None and next_from.isdecimal() and item.current_period_start >= int(next_from)
    return metadata.get(NEXT_PRICE_KEY if has_begun else PRICE_KEY, "")


def _invoice_fact(invoice: Invoice, payment: InvoicePayment) -> PaymentFact | None:
    intent = payment.payment.payment_intent
    if intent is None:
        return None
    details = invoice.parent.subscription_details if invoice.parent else None
    owner = ours(details.metadata) if details else None
    paid = payment.status == "paid"
    failed = not paid and isinstance(intent, Intent) and _intent_status(intent) is PaymentStatus.failed
    amount = payment.amount_paid if paid and payment.amount_paid is not None else payment.amount_requested
    return PaymentFact(
        payment_id=intent.id if isinstance(intent, Intent) else intent,
        order_id=_order_of(invoice, owner),
        account_id=owner.account_id if owner else None,
        price=from_stripe(amount, payment.currency),
        tax=from_stripe(sum(tax.amount for tax in invoice.total_taxes), payment.currency)
        if invoice.total_taxes is not None
        else None,
        status=PaymentStatus.paid if paid else PaymentStatus.failed if failed else PaymentStatus.pending,
        at_us=(payment.status_transitions.paid_at or payment.created) * MICROSECONDS,
        subscription_id=details.subscription if details else None,
        period=_period_of(invoice),
        failure=_failure(intent) if failed and isinstance(intent, Intent) else "",
    )


def _order_of(invoice: Invoice, owner: Ours | None) -> UUID | None:
    """The order that an invoice is for. What renews a subscription has none, whatever its metadata remember."""
    if owner is None:
        return None
    if invoice.billing_reason == FIRST_INVOICE:
        return owner.order_id
    return owner.change_order_id if invoice.billing_reason == INVOICE_OF_CHANGE else None


def _period_of(invoice: Invoice) -> Period | None:
    """What an invoice pays for: the last period on it that is no leftover of another price."""
    details = [
        (line.period, line.parent.subscription_item_details if line.parent else None) for line in invoice.lines.data
    ]
    periods = [period for period, item in details if item is not None and not item.proration]
    last = max(periods, key=lambda period: period.end, default=None)
    return None if last is None else _period(last.start, last.end)


def _period(begins_s: int, ends_s: int) -> Period:
    return Period(begins_s * MICROSECONDS, ends_s * MICROSECONDS)


def _intent_status(intent: Intent) -> PaymentStatus:
    """A payment intent goes back to asking for a means of payment after each attempt that fails."""
    if intent.status == "requires_payment_method" and intent.last_payment_error is not None:
        return PaymentStatus.failed
    return _INTENTS.get(intent.status, PaymentStatus.pending)


def _failure(intent: Intent) -> str:
    error = intent.last_payment_error
    if error is None:
        return intent.status
    code = error.decline_code or error.code or ""
    return f"{code}: {error.message}" if code and error.message else error.message or code


def _method_of(subscription: Subscription) -> SavedMethod | None:
    """What the next period is paid with: the subscription's own means of payment, else its customer's."""
    customer = subscription.customer
    if isinstance(customer, Customer):
        method = subscription.default_payment_method or customer.invoice_settings.default_payment_method
        return _saved(customer.id, method)
    return _saved(customer, subscription.default_payment_method)


def _saved(customer_id: str | None, method: str | PaymentMethod | None) -> SavedMethod | None:
    if customer_id is None or method is None:
        return None
    if isinstance(method, str):
        return SavedMethod(customer_id=customer_id, method_id=method)
    return SavedMethod(customer_id=customer_id, method_id=method.id, label=_label(method))


def _label(method: PaymentMethod) -> str:
    if method.card is None:
        return method.type.replace("_", " ").capitalize()
    brand = method.card.brand
    return f"{_BRANDS.get(brand, brand.capitalize())} •• {method.card.last4}"


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
