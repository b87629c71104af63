"""What Paddle says: in webhooks, which are signed and therefore believed, and in lists."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import datetime
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from ledger.rows import to_us
from workers.payments.facts import Fact, PaymentFact, PaymentStatus, RefundFact
from workers.payments.gateway import GatewayError
from workers.payments.gateways.paddle.adjustments import (
    DISPUTES,
    REFUND,
    REVERSALS,
    dispute_fact,
    disputes_after_reversals,
    refund_fact,
)
from workers.payments.gateways.paddle.api import NAME, PaddleApi
from workers.payments.gateways.paddle.subscriptions import PaddleSubscriptions
from workers.payments.gateways.paddle.transactions import CHANGE, order_of, payment_fact
from workers.payments.gateways.paddle.wire import NOTHING_OF_OURS, Adjustment, Named, Transaction

TRANSACTIONS_PAGE: Final = "30"
ADJUSTMENTS_PAGE: Final = "50"
"""The most that Paddle gives on one page."""

MAX_ADJUSTMENT_PAGES: Final = 20
MAX_SEARCHED_PAGES: Final = 3

PAYMENT_KINDS: Final = frozenset({
    "transaction.paid", "transaction.completed", "transaction.payment_failed", "transaction.past_due",
})  # fmt: skip
ADJUSTMENT_KINDS: Final = frozenset({"adjustment.created", "adjustment.updated"})

T = TypeVar("T")


class _Event(Struct, frozen=True):
    data: msgspec.Raw


async def facts_of(api: PaddleApi, subscriptions: PaddleSubscriptions, kind: str, body: bytes) -> list[Fact]:
    """Return what a webhook says; nothing for what does not concern us.

    Payments, refunds and chargebacks only go forward, so they are taken as they were when it was sent. Subscriptions
    are fetched: also before the payment for a change of plan, which fits nothing until the new plan is known. And so
    are the chargebacks of a transaction when one of them is reversed, for it is not said which.
    """
    if kind in PAYMENT_KINDS:
        transaction = _data(body, Transaction)
        fact = payment_fact(transaction, has_failed=kind == "transaction.payment_failed")
        if fact is None:
            return []
        changed = transaction.items[0].ours if transaction.origin == CHANGE and transaction.items else NOTHING_OF_OURS
        if fact.subscription_id is None or fact.status is not PaymentStatus.paid or changed.begins_at is None:
            return [fact]
        return [await subscriptions.fact_after_change(fact.subscription_id, changed.begins_at), fact]
    if kind in ADJUSTMENT_KINDS:
        return await _adjusted(api, _data(body, Adjustment))
    if kind.startswith("subscription."):
        return [await subscriptions.fact_after_webhook(_data(body, Named).id)]
    return []


async def adjustments_of(api: PaddleApi, transaction_id: str) -> list[Adjustment]:
    """Return all adjustments of a transaction."""
    found: list[Adjustment] = []
    params = {"transaction_id": transaction_id, "per_page": ADJUSTMENTS_PAGE}
    pages = api.pages("/adjustments", Adjustment, params, max_pages=MAX_ADJUSTMENT_PAGES, patient=False)
    async with aclosing(pages):
        async for page in pages:
            found += page
    return found


async def newest_of_order(api: PaddleApi, order_id: object, params: Mapping[str, str]) -> Transaction | None:
    """Look for the transaction that was made for an order among the newest of a list."""
    params = {**params, "order_by": "id[DESC]", "per_page": TRANSACTIONS_PAGE}
    pages = api.pages("/transactions", Transaction, params, max_pages=MAX_SEARCHED_PAGES, patient=False)
    async with aclosing(pages):
        async for page in pages:
            for transaction in page:
                if order_of(transaction) == order_id:
                    return transaction
    return None


async def listed_payments(api: PaddleApi, *, since: datetime, until: datetime) -> AsyncGenerator[PaymentFact, None]:
    """Yield the payments that were paid from one time up to another.

    Paddle filters by when a transaction was made, billed and changed, not by when it was paid. Whatever was paid since
    was changed since, and was made before `until`: among those are all of them, and the others are passed over.
    """
    params = {
        "status": "paid,completed",
        "updated_at[GTE]": msgspec.to_builtins(since),
        "created_at[LT]": msgspec.to_builtins(until),
        "order_by": "id[ASC]",
        "per_page": TRANSACTIONS_PAGE,
    }
    pages = api.pages("/transactions", Transaction, params)
    async with aclosing(pages):
        async for page in pages:
            for transaction in page:
                fact = payment_fact(transaction)
                is_paid = fact is not None and fact.status is PaymentStatus.paid
                if fact is not None and is_paid and to_us(since) <= fact.at_us < to_us(until):
                    yield fact


async def listed_refunds(api: PaddleApi, *, since: datetime, until: datetime) -> AsyncGenerator[RefundFact, None]:
    """Yield the refunds that were asked for from one time up to another: from the newest on, for want of a filter."""
    params = {"action": REFUND, "order_by": "id[DESC]", "per_page": ADJUSTMENTS_PAGE}
    pages = api.pages("/adjustments", Adjustment, params)
    async with aclosing(pages):
        async for page in pages:
            for adjustment in page:
                if adjustment.created_at < since:
                    return
                if adjustment.created_at < until:
                    yield refund_fact(adjustment)


async def _adjusted(api: PaddleApi, adjustment: Adjustment) -> list[Fact]:
    if adjustment.action == REFUND:
        return [refund_fact(adjustment)]
    if adjustment.action in DISPUTES:
        return [dispute_fact(adjustment)]
    if adjustment.action in REVERSALS:
        known = [*await adjustments_of(api, adjustment.transaction_id), adjustment]
        return [*disputes_after_reversals(known, REVERSALS[adjustment.action])]
    return []


def _data(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(msgspec.json.decode(body, type=_Event).data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise GatewayError(NAME, f"a webhook that makes no sense: {error}", retryable=False) from error
