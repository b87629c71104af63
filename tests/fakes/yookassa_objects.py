"""The objects of the fake YooKassa: what they look like, and what the real one refuses to make of a request."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast
from uuid import uuid4

from tests.fakes.scripted_server import Answer, json_answer

Object = dict[str, Any]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
AMOUNT = re.compile(r"\d{1,10}(\.\d{1,3})?", re.ASCII)


class Refusal(Exception):
    """What the real one answers 400 to."""

    def __init__(self, parameter: str, description: str) -> None:
        super().__init__(f"{parameter}: {description}")
        self.parameter = parameter
        self.description = description


def error(status: int, code: str, description: str, parameter: str = "", **headers: str) -> Answer:
    """An error as YooKassa words it."""
    body = {"type": "error", "id": str(uuid4()), "code": code, "description": description}
    return json_answer(status, {**body, "parameter": parameter} if parameter else body, **headers)


def too_many_requests(**headers: str) -> Answer:
    """What it answers to who asks too often."""
    return error(429, "too_many_requests", "Too many requests", **headers)


def internal_error() -> Answer:
    """What it answers when it does not know itself how it ended."""
    return error(500, "internal_server_error", "Internal server error")


def moment(at_us: int) -> str:
    """A time as YooKassa writes it."""
    return (EPOCH + timedelta(microseconds=at_us)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment_us(text: str) -> int:
    """Read a time in a filter."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal("created_at", "Filter has to be a date-time") from None
    if read.tzinfo is None:
        raise Refusal("created_at", "Filter has to have a time zone")
    return (read - EPOCH) // timedelta(microseconds=1)


def bank_card(method_id: str, *, saved: bool) -> Object:
    """A card that pays."""
    card = {
        "first6": "555555",
        "last4": "4477",
        "expiry_month": "12",
        "expiry_year": "2030",
        "card_type": "MasterCard",
        "issuer_country": "RU",
    }
    return {
        "type": "bank_card",
        "id": method_id,
        "saved": saved,
        "status": "active" if saved else "inactive",
        "title": "Bank card *4477",
        "card": card,
    }


def new_payment(request: Mapping[str, Any], *, payment_id: str, shop_id: str, at_us: int, pages_url: str) -> Object:
    """A payment as it is at first: waiting for its customer."""
    payment: Object = {
        "id": payment_id,
        "status": "pending",
        "amount": plain_amount(request["amount"]),
        "recipient": {"account_id": shop_id, "gateway_id": "1000001"},
        "created_at": moment(at_us),
        "test": True,
        "paid": False,
        "refundable": False,
        "metadata": dict(request.get("metadata") or {}),
    }
    if request.get("description"):
        payment["description"] = request["description"]
    if "receipt" in request:
        payment["receipt_registration"] = "pending"
    if "confirmation" in request:
        payment["confirmation"] = {
            "type": "redirect",
            "return_url": request["confirmation"]["return_url"],
            "confirmation_url": f"{pages_url}/checkout/payments/v2/contract?orderId={payment_id}",
        }
    return payment


def new_refund(request: Mapping[str, Any], *, refund_id: str, at_us: int) -> Object:
    """A refund as it is at first."""
    refund: Object = {
        "id": refund_id,
        "payment_id": request["payment_id"],
        "status": "pending",
        "amount": plain_amount(request["amount"]),
        "created_at": moment(at_us),
    }
    for name in ("description", "metadata"):
        if request.get(name):
            refund[name] = request[name]
    if "receipt" in request:
        refund["receipt_registration"] = "pending"
    return refund


def plain_amount(amount: Mapping[str, str]) -> Object:
    """An amount with its two decimals, as it comes back."""
    return {"value": f"{Decimal(amount['value']):.2f}", "currency": amount["currency"]}


def value_of(amount: Mapping[str, str]) -> Decimal:
    """The number of an amount."""
    return Decimal(amount["value"])


def check_payment(request: Mapping[str, Any], *, receipts: bool) -> None:
    """Refuse what the real one refuses of a payment."""
    check_amount(request.get("amount"))
    check_text(request.get("description"), "description", 128)
    check_metadata(request.get("metadata"))
    confirmation = request.get("confirmation")
    if confirmation is None and not request.get("payment_method_id"):
        raise Refusal("confirmation", "Confirmation is missing")
    if confirmation is not None:
        if confirmation.get("type") != "redirect":
            raise Refusal("confirmation.type", "Incorrect confirmation type")
        if not str(confirmation.get("return_url", "")).startswith(("http://", "https://")):
            raise Refusal("confirmation.return_url", "Incorrect return url")
        if confirmation.get("locale", "ru_RU") not in ("ru_RU", "en_US"):
            raise Refusal("confirmation.locale", "Incorrect locale")
    if receipts and "receipt" not in request:
        raise Refusal("receipt", "Receipt is missing or illegal")
    check_receipt(request.get("receipt"), request["amount"])


def check_refund(request: Mapping[str, Any], payment: Object | None) -> None:
    """Refuse what the real one refuses of a refund."""
    check_amount(request.get("amount"))
    check_text(request.get("description"), "description", 250)
    check_metadata(request.get("metadata"))
    if payment is None:
        raise Refusal("payment_id", "Payment doesn't exist or access denied")
    if payment["status"] != "succeeded":
        raise Refusal("payment_id", "Payment has illegal status for this operation")
    if request["amount"]["currency"] != payment["amount"]["currency"]:
        raise Refusal("amount.currency", "Currency differs from that of the payment")
    check_receipt(request.get("receipt"), request["amount"])


def check_amount(amount: object) -> None:
    """Refuse what is no amount above zero."""
    fields = cast("dict[str, Any]", amount) if isinstance(amount, dict) else {}
    value, currency = fields.get("value"), fields.get("currency")
    if not isinstance(value, str) or AMOUNT.fullmatch(value) is None or Decimal(value) <= 0:
        raise Refusal("amount.value", "Incorrect value of amount")
    if not isinstance(currency, str) or re.fullmatch("[A-Z]{3}", currency) is None:
        raise Refusal("amount.currency", "Unsupported currency")


def check_text(text: object, name: str, longest: int) -> None:
    """Refuse a text that is too long."""
    if text is not None and (not isinstance(text, str) or len(text) > longest):
        raise Refusal(name, f"Maximum length of {name} is {longest}")


def check_metadata(metadata: object) -> None:
    """Refuse more than sixteen keys, long ones, and values that are no strings."""
    pairs = cast("dict[str, Any]", metadata) if isinstance(metadata, dict) else {}
    if len(pairs) > 16 or any(len(key) > 32 for key in pairs):
        raise Refusal("metadata", "Too many keys, or too long ones")
    if not all(isinstance(value, str) and len(value) <= 512 for value in pairs.values()):
        raise Refusal("metadata", "Values are strings of at most 512 characters")


def check_receipt(receipt: object, amount: Mapping[str, str]) -> None:
    """Refuse a receipt that the tax office would refuse."""
    if receipt is None:
        return
    fields = cast("dict[str, Any]", receipt)
    customer: Mapping[str, Any] = fields.get("customer") or {}
    if not customer.get("email") and not customer.get("phone"):
        raise Refusal("receipt.customer", "Either email or phone must be specified")
    items: Sequence[Mapping[str, Any]] = fields.get("items") or ()
    if not 1 <= len(items) <= 80:
        raise Refusal("receipt.items", "Incorrect number of items")
    for item in items:
        check_item(item)
    total = sum((value_of(item["amount"]) * Decimal(item["quantity"]) for item in items), Decimal(0))
    if total != value_of(amount):
        raise Refusal("receipt.items", "Total of the receipt differs from the amount")


def check_item(item: Mapping[str, Any]) -> None:
    """Refuse a line of a receipt."""
    check_amount(item.get("amount"))
    if not item.get("description"):
        raise Refusal("receipt.items.description", "Description is missing")
    check_text(item["description"], "receipt.items.description", 128)
    if item.get("vat_code") not in range(1, 13):
        raise Refusal("receipt.items.vat_code", "Incorrect vat_code")
    if item.get("payment_subject") not in ("commodity", "service", "payment", "another"):
        raise Refusal("receipt.items.payment_subject", "Incorrect payment_subject")
    if item.get("payment_mode") not in ("full_prepayment", "full_payment", "advance"):
        raise Refusal("receipt.items.payment_mode", "Incorrect payment_mode")
