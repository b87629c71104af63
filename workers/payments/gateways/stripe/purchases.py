"""Taking money: the page that a customer pays on, and charges to what was saved there."""

from typing import TYPE_CHECKING, Final

from workers.payments.facts import PaymentFact
from workers.payments.gateway import GatewayError, Purchase, SavedCharge, StartedPurchase
from workers.payments.gateways.stripe.amounts import to_stripe
from workers.payments.gateways.stripe.calls import Calls
from workers.payments.gateways.stripe.objects import Intent, Session
from workers.payments.gateways.stripe.translating import (
    ACCOUNT_ID,
    ORDER_ID,
    PRICE_KEY,
    SAVES_METHOD,
    TAXED,
    intent_fact,
)

if TYPE_CHECKING:
    from stripe.params.checkout import SessionCreateParams, SessionCreateParamsLineItemPriceData

LANGUAGES: Final = frozenset(
    ("bg", "cs", "da", "de", "el", "en", "es", "et", "fi", "fil", "fr", "hr", "hu", "id", "it", "ja", "ko", "lt", "lv",
     "ms", "mt", "nb", "nl", "pl", "pt", "ro", "ru", "sk", "sl", "sv", "th", "tr", "vi", "zh")
)  # fmt: skip
MAX_MONTHS: Final = 36
MAX_TITLE_LENGTH: Final = 250
"""A little less than Stripe allows for a product's name."""


def order_key(order_id: object) -> str:
    """Return the idempotency key of what is made for an order."""
    return f"holdfast:order:{order_id}"


async def start_purchase(calls: Calls, purchase: Purchase, *, automatic_tax: bool) -> StartedPurchase:
    """Make the page that an order is paid on."""
    params = _session_params(purchase, automatic_tax=automatic_tax)
    session = await calls.write(
        calls.client.checkout.sessions.create_async(params, {"idempotency_key": order_key(purchase.order_id)}), Session
    )
    if session.url is None:
        raise GatewayError("stripe", f"Checkout session {session.id} has no page", retryable=False)
    return StartedPurchase(gateway_id=session.id, url=session.url)


async def charge_saved(calls: Calls, charge: SavedCharge) -> PaymentFact:
    """Charge what a customer saved, without their being there."""
    intent = await calls.write(
        calls.client.payment_intents.create_async(
            {
                "amount": to_stripe(charge.price),
                "currency": charge.price.currency.lower(),
                "customer": charge.method.customer_id,
                "payment_method": charge.method.method_id,
                "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
                "off_session": True,
                "confirm": True,
                "description": charge.title,
                "metadata": {ORDER_ID: str(charge.order_id), ACCOUNT_ID: str(charge.account_id)},
            },
            {"idempotency_key": order_key(charge.order_id)},
        ),
        Intent,
    )
    return intent_fact(intent)


def metadata_of(purchase: Purchase) -> dict[str, str]:
    """Return what Stripe is to remember about an order."""
    key = {PRICE_KEY: purchase.price_key} if purchase.price_key else {}
    return {ORDER_ID: str(purchase.order_id), ACCOUNT_ID: str(purchase.account_id), **key}


def tax_behavior(purchase: Purchase) -> str:
    """Return whether taxes are part of a price, in Stripe's words."""
    return "inclusive" if purchase.tax_inclusive else "exclusive"


def check_months(purchase: Purchase) -> None:
    """Raise `GatewayError` for a period that Stripe cannot repeat."""
    if not 0 <= purchase.months <= MAX_MONTHS:
        raise GatewayError("stripe", f"a period has {MAX_MONTHS} months at most", retryable=False)


def _session_params(purchase: Purchase, *, automatic_tax: bool) -> "SessionCreateParams":
    """Everything in it follows from the order: under the same idempotency key it has to be the same every time.

    Prices in the customer's own currency are switched off: what is paid must be what we asked for, to the currency.
    """
    check_months(purchase)
    metadata = metadata_of(purchase)
    saves = {SAVES_METHOD: "yes"} if purchase.save_method and not purchase.months else {}
    params: SessionCreateParams = {
        "mode": "subscription" if purchase.months else "payment",
        "line_items": [{"quantity": 1, "price_data": _price(purchase)}],
        "client_reference_id": str(purchase.order_id),
        "metadata": {**metadata, **saves},
        "success_url": purchase.return_url,
        "cancel_url": purchase.return_url,
        "locale": purchase.language if purchase.language in LANGUAGES else "auto",
        "adaptive_pricing": {"enabled": False},
        "automatic_tax": {"enabled": automatic_tax},
    }
    if purchase.email:
        params["customer_email"] = purchase.email
    if purchase.months:
        params["subscription_data"] = {"metadata": metadata, "description": purchase.title[:MAX_TITLE_LENGTH]}
        return params
    taxed = {TAXED: "yes"} if automatic_tax else {}
    params["payment_intent_data"] = {"metadata": {**metadata, **taxed}, "description": purchase.title}
    if saves:
        params["customer_creation"] = "always"
        params["payment_intent_data"]["setup_future_usage"] = "off_session"
    return params


def _price(purchase: Purchase) -> "SessionCreateParamsLineItemPriceData":
    price: SessionCreateParamsLineItemPriceData = {
        "currency": purchase.price.currency.lower(),
        "unit_amount": to_stripe(purchase.price),
        "tax_behavior": tax_behavior(purchase),
        "product_data": {"name": purchase.title[:MAX_TITLE_LENGTH]},
    }
    if purchase.months:
        price["recurring"] = {"interval": "month", "interval_count": purchase.months}
    return price
