"""What a subscription says, and how one is moved to another price without anything being prorated."""

from datetime import datetime, timedelta
from typing import Any, Final

from ledger.rows import to_us
from workers.payments.facts import Period, SavedMethod, SubscriptionFact, SubscriptionStatus
from workers.payments.gateway import GatewayError, Purchase
from workers.payments.gateways.paddle.api import NAME
from workers.payments.gateways.paddle.prices import months_after, price_of
from workers.payments.gateways.paddle.wire import Ours, Subscription, ours_in

NEARLY: Final = timedelta(minutes=1)
"""Dates that are so near to each other are the same."""

UNFINISHED_FOR: Final = timedelta(days=1)
"""For so long after a change we see to it that its billing date is set. Later, somebody may have wanted another one."""

_STATUSES: Final = {
    "active": SubscriptionStatus.active,
    "trialing": SubscriptionStatus.active,
    "past_due": SubscriptionStatus.past_due,
    "paused": SubscriptionStatus.paused,
    "canceled": SubscriptionStatus.ended,
}


def subscription_fact(subscription: Subscription, *, asked_at_us: int) -> SubscriptionFact:
    """Return what a subscription says.

    Raises:
        GatewayError: it has a status that we do not know.
    """
    if subscription.status not in _STATUSES:
        text = f"{subscription.id} has status {subscription.status[:40]!r}, which we do not know"
        raise GatewayError(NAME, text, retryable=True)
    began, now = ours_in(subscription.custom_data), subscription.ours
    change = subscription.scheduled_change
    return SubscriptionFact(
        subscription_id=subscription.id,
        order_id=began.order_id,
        account_id=began.account_id or now.account_id,
        status=_STATUSES[subscription.status],
        price_key=now.price_key or began.price_key,
        period=_period(subscription),
        ends_at_period_end=change is not None and change.action == "cancel",
        asked_at_us=asked_at_us,
        saved_method=SavedMethod(customer_id=subscription.customer_id, method_id=subscription.id),
    )


def is_made(subscription: Subscription, purchase: Purchase, *, at_once: bool) -> bool:
    """Whether the first step of this change of plan was taken: the price says for which order it was made, and how."""
    ours = subscription.ours
    is_same = (ours.order_id, ours.price_key) == (purchase.order_id, purchase.price_key)
    return is_same and ours.changed_at is not None and (ours.begins_at is not None) == at_once


def change_body(
    subscription: Subscription, purchase: Purchase, *, at_once: bool, now: datetime, tax_category: str
) -> dict[str, Any]:
    """Return the first step of a change of plan: another price, and its full amount now or nothing.

    Paddle leaves the billing date alone, or sets it as it likes where the new period is longer or shorter. Where it has
    to be goes into the price, and is set in the second step.

    Raises:
        GatewayError: this subscription cannot be changed now.
    """
    period = subscription.current_billing_period
    if subscription.status == "canceled" or subscription.scheduled_change is not None or period is None:
        text = f"{subscription.id} has ended, is paused or is about to end"
        raise GatewayError(NAME, text, retryable=False)
    # Paddle keeps milliseconds.
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)
    bill_at = months_after(now, purchase.months) if at_once else subscription.next_billed_at or period.ends_at
    price = price_of(
        title=purchase.title,
        price=purchase.price,
        tax_inclusive=purchase.tax_inclusive,
        months=purchase.months,
        tax_category=tax_category,
        ours=Ours(
            order_id=purchase.order_id,
            account_id=purchase.account_id,
            price_key=purchase.price_key,
            changed_at=now,
            begins_at=now if at_once else None,
            bill_at=bill_at,
        ),
    )
    return {
        "items": [{"quantity": 1, "price": price}],
        "proration_billing_mode": "full_immediately" if at_once else "do_not_bill",
        "on_payment_failure": "prevent_change",
    }


def is_fresh(subscription: Subscription, *, now: datetime) -> bool:
    """Whether the plan was changed so recently that we look after the second step."""
    changed_at = subscription.ours.changed_at
    return changed_at is not None and abs(now - changed_at) <= UNFINISHED_FOR


def billing_date_body(subscription: Subscription, *, now: datetime) -> dict[str, Any] | None:
    """Return the second step of a change of plan: the billing date; `None` if there is nothing to set."""
    bill_at, billed_next_at = subscription.ours.bill_at, subscription.next_billed_at
    if bill_at is None or billed_next_at is None or bill_at <= now or abs(bill_at - billed_next_at) <= NEARLY:
        return None
    return {"next_billed_at": bill_at, "proration_billing_mode": "do_not_bill"}


def _period(subscription: Subscription) -> Period | None:
    """Return the period that is paid for: since a change at once it began with that, whatever Paddle says."""
    span, begins_at = subscription.current_billing_period, subscription.ours.begins_at
    if span is None:
        return None
    if begins_at is None or not span.starts_at <= begins_at < span.ends_at:
        return span.period
    return Period(to_us(begins_at), to_us(subscription.next_billed_at or span.ends_at))
