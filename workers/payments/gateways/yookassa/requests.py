"""What we ask YooKassa for: payments, charges, refunds, and the receipts that go with them.

The same order gives the same bytes, for one key may come with one body only.
"""

import hashlib
from typing import Any, Final
from uuid import UUID

from workers.payments.gateway import GatewayError, Purchase, SavedCharge
from workers.payments.gateways.yookassa.objects import Payment, Refund
from workers.payments.gateways.yookassa.translating import NAME
from workers.payments.money import Money

MAX_DESCRIPTION: Final = 128
MAX_REASON: Final = 250
MAX_KEY: Final = 64

KEY_SHA256: Final = "key_sha256"
"""In the metadata of a refund: what it was made under."""

RECEIPT_EMAIL: Final = "receipt_email"
"""Where a payment keeps the address for the receipt of a refund that is made later. YooKassa has it from us anyhow."""


def payment_request(purchase: Purchase, vat_code: int | None) -> dict[str, Any]:
    """Return the request for a payment that the customer makes on YooKassa's page, taken at once.

    A plan's first payment saves the means of payment, for the renewals that we make ourselves.

    Raises:
        GatewayError: a receipt is due, and there is no address to send it to.
    """
    return {
        **_payment(
            order_id=purchase.order_id,
            account_id=purchase.account_id,
            price=purchase.price,
            title=purchase.title,
            email=purchase.email,
            vat_code=vat_code,
            price_key=purchase.price_key,
        ),
        "confirmation": {
            "type": "redirect",
            "return_url": purchase.return_url,
            "locale": "ru_RU" if purchase.language.lower().startswith("ru") else "en_US",
        },
        "save_payment_method": purchase.save_method or purchase.months > 0,
    }


def charge_request(charge: SavedCharge, vat_code: int | None) -> dict[str, Any]:
    """Return the request for a charge to a saved means of payment.

    Raises:
        GatewayError: a receipt is due, and there is no address to send it to.
    """
    return {
        **_payment(
            order_id=charge.order_id,
            account_id=charge.account_id,
            price=charge.price,
            title=charge.title,
            email=charge.email,
            vat_code=vat_code,
        ),
        "payment_method_id": charge.method.method_id,
    }


def refund_request(payment_id: str, amount: Money, *, key: str, reason: str) -> dict[str, Any]:
    """Return the request for a refund. Of a whole payment YooKassa makes the receipt by itself, after the payment's."""
    request: dict[str, Any] = {
        "payment_id": payment_id,
        "amount": _amount(amount),
        "metadata": {KEY_SHA256: _digest(key)},
    }
    return {**request, "description": reason[:MAX_REASON]} if reason else request


def is_made_under(refund: Refund, key: str) -> bool:
    """Whether a refund was asked for with this key."""
    return (refund.metadata or {}).get(KEY_SHA256) == _digest(key)


def refund_receipt(payment: Payment, amount: Money, vat_code: int) -> dict[str, Any]:
    """Return the receipt for giving a part of a payment back.

    Raises:
        GatewayError: the payment does not say where to send it to.
    """
    email = (payment.metadata or {}).get(RECEIPT_EMAIL)
    description = payment.description or f"Payment {payment.id}"
    return _receipt(
        description=description, amount=amount, email=email if isinstance(email, str) else "", vat_code=vat_code
    )


def idempotence_key(key: str) -> str:
    """Return a key of ours in the length that YooKassa takes."""
    return key if len(key) <= MAX_KEY and key.isascii() else _digest(key)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _payment(
    *,
    order_id: UUID,
    account_id: UUID,
    price: Money,
    title: str,
    email: str,
    vat_code: int | None,
    price_key: str = "",
) -> dict[str, Any]:
    metadata = {"order_id": str(order_id), "account_id": str(account_id)}
    if price_key:
        metadata["price_key"] = price_key
    request: dict[str, Any] = {"amount": _amount(price), "capture": True, "description": title[:MAX_DESCRIPTION]}
    if vat_code is not None:
        metadata[RECEIPT_EMAIL] = email
        request["receipt"] = _receipt(description=title, amount=price, email=email, vat_code=vat_code)
    return {**request, "metadata": metadata}


def _receipt(*, description: str, amount: Money, email: str, vat_code: int) -> dict[str, Any]:
    """Return the data of a receipt under Federal Law 54: one service, paid for and delivered in full.

    Credits are there to use the moment they are paid for, so this is no prepayment and no second receipt follows.
    """
    if not email:
        raise GatewayError(NAME, "a receipt is due by law, and there is no e-mail address for it", retryable=False)
    item = {
        "description": description[:MAX_DESCRIPTION],
        "quantity": "1.000",
        "measure": "piece",
        "amount": _amount(amount),
        "vat_code": vat_code,
        "payment_subject": "service",
        "payment_mode": "full_payment",
    }
    return {"customer": {"email": email}, "items": [item]}


def _amount(amount: Money) -> dict[str, str]:
    return {"value": amount.text, "currency": amount.currency}
