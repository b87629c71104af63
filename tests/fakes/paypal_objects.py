"""PayPal's objects and errors, in the shapes of its API, and what it refuses in a request."""

import itertools
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

from tests.fakes.scripted_server import Answer, json_answer

Object = dict[str, Any]

WITHOUT_DECIMALS = {"HUF", "JPY", "TWD"}
CURRENCIES = WITHOUT_DECIMALS | {
    *("AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "ILS"),
    *("MXN", "MYR", "NOK", "NZD", "PHP", "PLN", "SEK", "SGD", "THB", "USD"),
}
VALUE = re.compile(r"\d{1,15}(\.\d+)?", re.ASCII)

_ids = itertools.count(1)


class Refused(Exception):
    """A request that PayPal does not do."""

    def __init__(self, status: int, name: str, *issues: str) -> None:
        super().__init__(name)
        self.answer = error(status, name, *issues)


def error(status: int, name: str, *issues: str, **headers: str) -> Answer:
    """An error as PayPal words it."""
    details = [{"issue": issue, "description": f"{issue}, in words."} for issue in issues]
    body = {"name": name, "message": f"{name}, in words.", "debug_id": "90957fca61718", "details": details, "links": []}
    return json_answer(status, body, **headers)


def unprocessable(*issues: str) -> Refused:
    """A request that is well-formed and cannot be done."""
    return Refused(422, "UNPROCESSABLE_ENTITY", *issues)


def not_found() -> Refused:
    """An id that PayPal does not know."""
    return Refused(404, "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID")


def too_many_requests() -> Answer:
    """Too many requests in too little time."""
    return error(429, "RATE_LIMIT_REACHED", retry_after="1")


def internal_error() -> Answer:
    """Something broke at PayPal."""
    return error(500, "INTERNAL_SERVER_ERROR", "INTERNAL_SERVICE_ERROR")


def new_id() -> str:
    """An id of 17 characters that no other object has."""
    return f"{next(_ids):06}FAKE0000000"[:17]


def moment(at_s: float) -> str:
    """A time as PayPal writes it."""
    return datetime.fromtimestamp(int(at_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment_s(text: str) -> float:
    """The time that a text says."""
    return datetime.fromisoformat(text).timestamp()


def amount(value: Decimal | str, currency: str) -> Object:
    """An amount of money."""
    places = 0 if currency in WITHOUT_DECIMALS else 2
    return {"currency_code": currency, "value": f"{Decimal(value):.{places}f}"}


def value_of(found: Mapping[str, Any]) -> Decimal:
    """How much an amount is."""
    return Decimal(found["value"])


def check_amount(found: object) -> None:
    """Refuse what PayPal takes for no amount."""
    if not isinstance(found, dict):
        raise Refused(400, "INVALID_REQUEST", "MISSING_REQUIRED_PARAMETER")
    given = cast("Object", found)
    currency, value = given.get("currency_code"), given.get("value")
    if currency not in CURRENCIES:
        raise unprocessable("CURRENCY_NOT_SUPPORTED")
    if not isinstance(value, str) or VALUE.fullmatch(value) is None:
        raise Refused(400, "INVALID_REQUEST", "INVALID_PARAMETER_SYNTAX")
    decimals = value.partition(".")[2]
    if currency in WITHOUT_DECIMALS and "." in value:
        raise unprocessable("DECIMALS_NOT_SUPPORTED")
    if len(decimals) > 2:
        raise unprocessable("DECIMAL_PRECISION")
    if Decimal(value) <= 0:
        raise unprocessable("CANNOT_BE_ZERO_OR_NEGATIVE")


def check_order(request: Mapping[str, Any]) -> None:
    """Refuse what PayPal does not take for an order."""
    if request.get("intent") != "CAPTURE":
        raise Refused(400, "INVALID_REQUEST", "INVALID_PARAMETER_VALUE")
    units: Sequence[Object] = request.get("purchase_units") or []
    if len(units) != 1:
        raise Refused(400, "INVALID_REQUEST", "INVALID_ARRAY_MIN_ITEMS")
    check_amount(units[0].get("amount"))
    for name in ("custom_id", "invoice_id", "description"):
        text = units[0].get(name)
        if text is not None and not 1 <= len(text.encode()) <= 127:
            raise Refused(400, "INVALID_REQUEST", "INVALID_STRING_LENGTH")


def new_order(request: Mapping[str, Any], *, at_s: float, api_url: str) -> Object:
    """The order that a request makes."""
    order_id = new_id()
    has_source = "payment_source" in request
    unit: Object = {"reference_id": "default", **request["purchase_units"][0]}
    page_url = f"https://www.sandbox.paypal.com/checkoutnow?token={order_id}"
    return {
        "id": order_id,
        "intent": "CAPTURE",
        "status": "PAYER_ACTION_REQUIRED" if has_source else "CREATED",
        "purchase_units": [{**unit, "payee": {"merchant_id": "FAKEMERCHANT1"}}],
        "create_time": moment(at_s),
        "links": [
            {"href": f"{api_url}/v2/checkout/orders/{order_id}", "rel": "self", "method": "GET"},
            {"href": page_url, "rel": "payer-action" if has_source else "approve", "method": "GET"},
        ],
    }


def new_capture(order: Object, *, status: str, reason: str, at_s: float, api_url: str) -> Object:
    """What is taken for an order, or not quite."""
    unit, capture_id = order["purchase_units"][0], new_id()
    url = f"{api_url}/v2/payments/captures/{capture_id}"
    capture: Object = {
        "id": capture_id,
        "status": status,
        "amount": unit["amount"],
        "final_capture": True,
        "seller_protection": {"status": "NOT_ELIGIBLE"},
        "supplementary_data": {"related_ids": {"order_id": order["id"]}},
        "links": [
            {"href": url, "rel": "self", "method": "GET"},
            {"href": f"{url}/refund", "rel": "refund", "method": "POST"},
            {"href": f"{api_url}/v2/checkout/orders/{order['id']}", "rel": "up", "method": "GET"},
        ],
        "create_time": moment(at_s),
        "update_time": moment(at_s),
    }
    capture |= {name: unit[name] for name in ("custom_id", "invoice_id") if name in unit}
    return capture | ({"status_details": {"reason": reason}} if reason else {})


def new_refund(capture: Object, given: Object, *, status: str, at_s: float, api_url: str, note: str = "") -> Object:
    """What goes back of a capture."""
    refund_id = new_id()
    refund: Object = {
        "id": refund_id,
        "status": status,
        "amount": given,
        "seller_payable_breakdown": {"gross_amount": given, "net_amount": given, "total_refunded_amount": given},
        "links": [
            {"href": f"{api_url}/v2/payments/refunds/{refund_id}", "rel": "self", "method": "GET"},
            {"href": f"{api_url}/v2/payments/captures/{capture['id']}", "rel": "up", "method": "GET"},
        ],
        "create_time": moment(at_s),
        "update_time": moment(at_s),
    }
    refund |= {name: capture[name] for name in ("custom_id", "invoice_id") if name in capture}
    return refund | ({"note_to_payer": note} if note else {})


def new_dispute(capture: Object, given: Object, *, stage: str, at_s: float, api_url: str) -> Object:
    """What a customer, or their bank, wants back of a capture."""
    dispute_id = f"PP-D-{next(_ids)}"
    return {
        "dispute_id": dispute_id,
        "create_time": moment(at_s),
        "update_time": moment(at_s),
        "disputed_transactions": [
            {
                "seller_transaction_id": capture["id"],
                "buyer_transaction_id": new_id(),
                "create_time": capture["create_time"],
                "transaction_status": "COMPLETED",
                "gross_amount": capture["amount"],
                "invoice_number": capture.get("invoice_id", ""),
                "custom": capture.get("custom_id", ""),
                "seller": {"merchant_id": "FAKEMERCHANT1"},
            }
        ],
        "reason": "UNAUTHORISED",
        "status": "OPEN" if stage == "INQUIRY" else "WAITING_FOR_SELLER_RESPONSE",
        "dispute_amount": given,
        "dispute_life_cycle_stage": stage,
        "dispute_channel": "INTERNAL" if stage == "INQUIRY" else "EXTERNAL",
        "links": [{"href": f"{api_url}/v1/customer/disputes/{dispute_id}", "rel": "self", "method": "GET"}],
    }
