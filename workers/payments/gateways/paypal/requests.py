"""What goes to PayPal for an order and a refund."""

from typing import Any, Final

from workers.payments.gateway import Purchase
from workers.payments.gateways.paypal.amounts import amount_of
from workers.payments.gateways.paypal.reading import custom_id_of

MAX_DESCRIPTION_BYTES: Final = 127
MAX_NOTE: Final = 255

_LOCALES: Final = {
    "de": "de-DE",
    "en": "en-US",
    "es": "es-ES",
    "fr": "fr-FR",
    "ja": "ja-JP",
    "ru": "ru-RU",
    "zh": "zh-CN",
}


def order_request(purchase: Purchase) -> dict[str, Any]:
    """Return the order to make for a purchase.

    Raises:
        NotSupported: PayPal does not take this amount, or this currency.
    """
    order_id = str(purchase.order_id)
    unit = {
        "reference_id": order_id,
        "custom_id": custom_id_of(purchase.order_id, purchase.account_id),
        "invoice_id": order_id,
        "amount": amount_of(purchase.price),
    }
    description = purchase.title.encode()[:MAX_DESCRIPTION_BYTES].decode(errors="ignore").strip()
    if description:
        unit["description"] = description
    page = {
        "return_url": purchase.return_url,
        "cancel_url": purchase.return_url,
        "user_action": "PAY_NOW",
        "shipping_preference": "NO_SHIPPING",
        # Credits are used at once, so nothing that clears in days, such as an eCheck.
        "payment_method_preference": "IMMEDIATE_PAYMENT_REQUIRED",
    }
    locale = _LOCALES.get(purchase.language.partition("-")[0].lower())
    if locale is not None:
        page["locale"] = locale
    return {
        "intent": "CAPTURE",
        "purchase_units": [unit],
        "payment_source": {"paypal": {"experience_context": page}},
    }


def refund_request(amount: dict[str, str], reason: str) -> dict[str, Any]:
    """Return the refund to make of a capture. The customer reads the reason."""
    note = reason.strip()[:MAX_NOTE]
    return {"amount": amount, "note_to_payer": note} if note else {"amount": amount}
