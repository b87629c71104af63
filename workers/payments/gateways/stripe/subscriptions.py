"""Changing subscriptions. Whatever is changed, what comes back is what the subscription is afterwards."""

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from workers.payments.facts import SubscriptionFact, SubscriptionStatus
from workers.payments.gateway import GatewayError, NotSupported, Purchase, UnknownObject
from workers.payments.gateways.stripe.amounts import to_stripe
from workers.payments.gateways.stripe.calls import Calls, DeclinedBefore
from workers.payments.gateways.stripe.objects import Named, Recurring, Subscription, SubscriptionItem
from workers.payments.gateways.stripe.purchases import MAX_TITLE_LENGTH, check_months, tax_behavior
from workers.payments.gateways.stripe.reading import ask_subscription, fetch_subscription
from workers.payments.gateways.stripe.translating import (
    CHANGE_ORDER_ID,
    NEXT_FROM,
    NEXT_PRICE_KEY,
    PRICE_KEY,
    paid_for,
)

if TYPE_CHECKING:
    from stripe import RequestOptions
    from stripe.params import SubscriptionUpdateParams

MONTHS_OF_YEAR: Final = 12
MAX_DECLINES: Final = 10
"""So often a day a change of plan that was declined can be wanted again, with its payment tried anew."""

ENDED: Final = frozenset({"canceled", "incomplete_expired"})


async def change_plan(calls: Calls, subscription_id: str, purchase: Purchase, *, at_once: bool) -> SubscriptionFact:
    """Move a subscription to another price, and prorate nothing.

    At once, a new period begins and has to be paid now, or nothing changes. Otherwise the next invoice has the new
    price; Stripe cannot do that where the periods have other lengths, since it begins such a period at once.
    """
    check_months(purchase)
    subscription = await fetch_subscription(calls, subscription_id)
    item = _only_item(subscription)
    if not at_once and _months(item.price.recurring) != purchase.months:
        raise NotSupported("stripe", "periods of another length begin at once")
    product = await calls.write(
        calls.client.products.create_async(
            {"name": purchase.title[:MAX_TITLE_LENGTH]}, {"idempotency_key": f"holdfast:product:{purchase.order_id}"}
        ),
        Named,
    )
    params = _change_params(purchase, item, product.id)
    if at_once:
        params["billing_cycle_anchor"] = {"type": "now"}
        params["payment_behavior"] = "error_if_incomplete"
        params["metadata"] = {**_named(purchase.price_key), CHANGE_ORDER_ID: str(purchase.order_id)}
    else:
        params["metadata"] = _named(paid_for(subscription), purchase.price_key, item.current_period_end)
    return await _update_once(calls, subscription_id, params, key=f"holdfast:change:{purchase.order_id}")


async def _update_once(
    calls: Calls, subscription_id: str, params: "SubscriptionUpdateParams", *, key: str
) -> SubscriptionFact:
    """Change a subscription once under a key, however often it is wanted at the same time.

    Stripe repeats a decline under its key for a day. Somebody who has put their card right gets the next key; everybody
    who comes after the same declines gets the same one.
    """
    for declines in range(MAX_DECLINES - 1):
        try:
            return await _update(calls, subscription_id, params, key=f"{key}:{declines}" if declines else key)
        except DeclinedBefore:
            continue
    return await _update(calls, subscription_id, params, key=f"{key}:{MAX_DECLINES - 1}")


async def cancel(calls: Calls, subscription_id: str, *, at_once: bool) -> SubscriptionFact:
    """End a subscription, with the period that is paid for or at once. One that has ended stays as it is."""
    now = await ask_subscription(calls, subscription_id)
    if now.status is SubscriptionStatus.ended or (now.ends_at_period_end and not at_once):
        return now
    if not at_once:
        return await _update(calls, subscription_id, {"cancel_at_period_end": True})
    # One that has ended meanwhile cannot be ended again, and that is all the same to us.
    with suppress(UnknownObject):
        await calls.write(
            calls.client.subscriptions.cancel_async(subscription_id, {"prorate": False, "invoice_now": False}), Named
        )
    return await ask_subscription(calls, subscription_id)


async def resume(calls: Calls, subscription_id: str) -> SubscriptionFact:
    """Take a cancellation back, or a pause. There are two kinds of each, and each is taken back in its own way."""
    subscription = await fetch_subscription(calls, subscription_id)
    if subscription.status in ENDED:
        raise GatewayError("stripe", "a subscription that has ended cannot go on", retryable=False)
    if subscription.status == "paused":
        await calls.write(
            calls.client.subscriptions.resume_async(
                subscription_id, {"billing_cycle_anchor": {"type": "unchanged"}, "proration_behavior": "none"}
            ),
            Named,
        )
        return await ask_subscription(calls, subscription_id)
    params: SubscriptionUpdateParams = {}
    if subscription.cancel_at_period_end:
        params["cancel_at_period_end"] = False
    elif subscription.cancel_at is not None:
        params["cancel_at"] = ""
    if subscription.pause_collection is not None:
        params["pause_collection"] = ""
    if not params:
        return await ask_subscription(calls, subscription_id)
    return await _update(calls, subscription_id, params)


async def _update(
    calls: Calls, subscription_id: str, params: "SubscriptionUpdateParams", *, key: str = ""
) -> SubscriptionFact:
    """Change a subscription, and ask what it is: the answer to a change that is repeated is as old as the first."""
    options: RequestOptions = {"idempotency_key": key} if key else {}
    await calls.write(calls.client.subscriptions.update_async(subscription_id, params, options), Named)
    return await ask_subscription(calls, subscription_id)


def _change_params(purchase: Purchase, item: SubscriptionItem, product_id: str) -> "SubscriptionUpdateParams":
    return {
        "items": [
            {
                "id": item.id,
                "price_data": {
                    "currency": purchase.price.currency.lower(),
                    "product": product_id,
                    "recurring": {"interval": "month", "interval_count": purchase.months},
                    "tax_behavior": tax_behavior(purchase),
                    "unit_amount": to_stripe(purchase.price),
                },
            }
        ],
        "proration_behavior": "none",
    }


def _named(now: str, later: str = "", from_s: int = 0) -> dict[str, str]:
    """What a subscription is for now, and from when it is for something else. What is empty is forgotten by Stripe."""
    differs = later not in ("", now)
    return {
        PRICE_KEY: now,
        NEXT_PRICE_KEY: later if differs else "",
        NEXT_FROM: str(from_s) if differs else "",
    }


def _only_item(subscription: Subscription) -> SubscriptionItem:
    if len(subscription.items.data) != 1:
        raise GatewayError("stripe", f"subscription {subscription.id} is for several things", retryable=False)
    return subscription.items.data[0]


def _months(recurring: Recurring | None) -> int | None:
    match recurring:
        case Recurring(interval="month"):
            return recurring.interval_count
        case Recurring(interval="year"):
            return recurring.interval_count * MONTHS_OF_YEAR
        case _:
            return None
