"""Transactions: what a purchase is to Paddle, and what a transaction says about a payment."""

from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode, urlsplit, urlunsplit
from uuid import UUID

from ledger.rows import to_us
from workers.payments.facts import PaymentFact, PaymentStatus, Period, SavedMethod
from workers.payments.gateway import GatewayError, Purchase, SavedCharge
from workers.payments.gateways.paddle.api import NAME
from workers.payments.gateways.paddle.prices import custom_data, money_of, months_after, price_of
from workers.payments.gateways.paddle.wire import NOTHING_OF_OURS, Ours, Transaction, ours_in
from workers.payments.money import Money

PAID: Final = frozenset({"paid", "completed"})
FAILED: Final = frozenset({"canceled", "past_due"})

RENEWAL: Final = "subscription_recurring"
CHANGE: Final = "subscription_update"
CHARGE: Final = "subscription_charge"
METHOD_CHANGE: Final = "subscription_payment_method_change"

MAX_FAILURE_CHARACTERS: Final = 100


def purchase_body(purchase: Purchase, *, tax_category: str) -> dict[str, Any]:
    """Return the transaction that an order is.

    Raises:
        NotSupported: Paddle does not take this currency.
    """
    ours = Ours(order_id=purchase.order_id, account_id=purchase.account_id, price_key=purchase.price_key)
    price = price_of(
        title=purchase.title,
        price=purchase.price,
        tax_inclusive=purchase.tax_inclusive,
        months=purchase.months,
        tax_category=tax_category,
        ours=ours,
    )
    return {
        "items": [{"quantity": 1, "price": price}],
        "currency_code": purchase.price.currency,
        "collection_mode": "automatic",
        "custom_data": custom_data(ours),
    }


def charge_body(charge: SavedCharge, *, tax_category: str) -> dict[str, Any]:
    """Return the one-time charge to a subscription that an order is.

    Raises:
        NotSupported: Paddle does not take this currency.
    """
    price = price_of(
        title=charge.title,
        price=charge.price,
        tax_inclusive=charge.tax_inclusive,
        months=0,
        tax_category=tax_category,
        ours=Ours(order_id=charge.order_id, account_id=charge.account_id),
    )
    return {
        "effective_from": "immediately",
        "items": [{"quantity": 1, "price": price}],
        "on_payment_failure": "prevent_change",
    }


def checkout_url(url: str, *, return_url: str, language: str) -> str:
    """Return a transaction's own address on our payment page, with where to go from there and in which language."""
    parts = urlsplit(url)
    added = urlencode({"return_url": return_url, "locale": language})
    return urlunsplit(parts._replace(query=f"{parts.query}&{added}" if parts.query else added))


def order_of(transaction: Transaction) -> UUID | None:
    """Return the order that a transaction was made for.

    Paddle copies what we put into the first transaction of a subscription into all the others, so there the prices say
    it: of a one-time charge ours, of a change of plan those that we marked as such. A renewal has no order.
    """
    ours = _ours_of_items(transaction)
    match transaction.origin:
        case "subscription_charge":
            return ours.order_id
        case "subscription_update":
            return ours.order_id if ours.begins_at is not None else None
        case "api" | "web":
            return ours_in(transaction.custom_data).order_id
        case _:
            return None


def account_of(transaction: Transaction) -> UUID | None:
    """Return whose transaction it is."""
    return ours_in(transaction.custom_data).account_id or _ours_of_items(transaction).account_id


def payment_fact(transaction: Transaction, *, has_failed: bool = False) -> PaymentFact | None:
    """Return what a transaction says about a payment; `None` if there is none, or none that can be settled yet.

    Paddle makes the subscription of a first payment a moment after the payment, and tells both with the transaction's
    completion.

    Raises:
        GatewayError: it comes to something that is not an amount of money.
    """
    price = _price(transaction)
    if price.minor == 0 or transaction.origin == METHOD_CHANGE:
        return None
    is_of_plan = any(item.price.billing_cycle is not None for item in transaction.items)
    if transaction.status == "paid" and is_of_plan and transaction.subscription_id is None:
        return None
    subscription_id = None if transaction.origin == CHARGE else transaction.subscription_id
    return PaymentFact(
        payment_id=transaction.id,
        order_id=order_of(transaction),
        account_id=account_of(transaction),
        price=price,
        status=_status(transaction, has_failed=has_failed),
        at_us=to_us(paid_at(transaction)),
        tax=None if transaction.details is None else money_of(transaction.details.totals.tax, price.currency),
        subscription_id=subscription_id,
        period=None if subscription_id is None else _period(transaction),
        saved_method=_saved_method(transaction),
        failure=_failure(transaction)[:MAX_FAILURE_CHARACTERS],
    )


def paid_at(transaction: Transaction) -> datetime:
    """Return when it was paid, else when it was billed or made."""
    captured = [attempt.captured_at for attempt in transaction.payments if attempt.captured_at is not None]
    return max(captured) if captured else transaction.billed_at or transaction.created_at


def _price(transaction: Transaction) -> Money:
    if transaction.details is None:
        raise GatewayError(NAME, f"transaction {transaction.id[:40]} has no totals", retryable=False)
    totals = transaction.details.totals
    return money_of(totals.grand_total or totals.total, totals.currency_code or transaction.currency_code)


def _status(transaction: Transaction, *, has_failed: bool) -> PaymentStatus:
    if transaction.status in PAID:
        return PaymentStatus.paid
    return PaymentStatus.failed if has_failed or transaction.status in FAILED else PaymentStatus.pending


def _period(transaction: Transaction) -> Period | None:
    """Return what it pays for.

    After a change of plan at once a new period begins, as we told Paddle in the step that follows the payment.
    """
    if transaction.origin == CHANGE and transaction.items:
        item = transaction.items[0]
        begins_at, cycle = item.ours.begins_at, item.price.billing_cycle
        if begins_at is not None and cycle is not None and cycle.months > 0:
            return Period(to_us(begins_at), to_us(months_after(begins_at, cycle.months)))
    return None if transaction.billing_period is None else transaction.billing_period.period


def _saved_method(transaction: Transaction) -> SavedMethod | None:
    """Return what can be charged again: only the subscription can, whatever it is that pays for it."""
    if transaction.subscription_id is None or transaction.customer_id is None:
        return None
    cards = [details.card for each in transaction.payments if (details := each.method_details) is not None]
    labels = [f"{card.type.replace('_', ' ').title()} •• {card.last4}" for card in cards if card is not None]
    return SavedMethod(
        customer_id=transaction.customer_id,
        method_id=transaction.subscription_id,
        label=labels[0] if labels else "",
    )


def _failure(transaction: Transaction) -> str:
    if transaction.status in PAID:
        return ""
    return next((attempt.error_code for attempt in transaction.payments if attempt.error_code), "")


def _ours_of_items(transaction: Transaction) -> Ours:
    return transaction.items[0].ours if transaction.items else NOTHING_OF_OURS
