"""Paddle's objects as its API writes them, and the arithmetic of their totals."""

import calendar
import itertools
from datetime import datetime
from typing import Any

Json = dict[str, Any]

CURRENCIES = frozenset(
    "ARS AUD BRL CAD CHF CLP CNY COP CZK DKK EUR GBP HKD HUF ILS INR JPY KRW MXN NOK NZD PEN PLN RUB SEK SGD THB TRY "  # noqa: SIM905 - a table
    "TWD UAH USD VND ZAR".split()
)
CARD = {"type": "visa", "last4": "4242", "expiry_month": 1, "expiry_year": 2030, "cardholder_name": "Sam Miller"}

_numbers = itertools.count(1)


def new_id(prefix: str) -> str:
    """An id as Paddle's: 26 characters after the prefix, that sort by when they were made."""
    return f"{prefix}_01{next(_numbers):024d}"


def rfc3339(moment: datetime) -> str:
    """A time as Paddle writes it."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def later(moment: datetime, cycle: Json) -> datetime:
    """The end of a period that begins then."""
    months = cycle["frequency"] * {"month": 1, "year": 12}[cycle["interval"]]
    year, month = divmod(moment.month - 1 + months, 12)
    last = calendar.monthrange(moment.year + year, month + 1)[1]
    return moment.replace(year=moment.year + year, month=month + 1, day=min(moment.day, last))


def price_of(given: Json, at: str) -> Json:
    """A price that is in no catalogue, as it comes back."""
    product = given.get("product") or {"id": given.get("product_id")}
    return {
        "id": new_id("pri"),
        "description": given["description"],
        "type": "custom",
        "name": given.get("name"),
        "product_id": product.get("id") or new_id("pro"),
        "billing_cycle": given.get("billing_cycle"),
        "trial_period": None,
        "tax_mode": given.get("tax_mode", "account_setting"),
        "unit_price": given["unit_price"],
        "unit_price_overrides": [],
        "custom_data": given.get("custom_data"),
        "quantity": given.get("quantity", {"minimum": 1, "maximum": 100}),
        "status": "active",
        "import_meta": None,
        "created_at": at,
        "updated_at": at,
    }


def item_totals(item: Json, tax_percent: int) -> dict[str, int]:
    """What one item comes to; the tax is inside its price, or comes on top."""
    amount = int(item["price"]["unit_price"]["amount"]) * item["quantity"]
    if item["price"]["tax_mode"] == "external":
        tax = (amount * tax_percent + 50) // 100
        return {"subtotal": amount, "tax": tax, "total": amount + tax}
    subtotal = (amount * 100 + (100 + tax_percent) // 2) // (100 + tax_percent)
    return {"subtotal": subtotal, "tax": amount - subtotal, "total": amount}


def details_of(items: list[Json], currency: str, tax_percent: int) -> Json:
    """What a transaction comes to, with the ids of what is billed."""
    each = [item_totals(item, tax_percent) for item in items]
    sums = {name: str(sum(totals[name] for totals in each)) for name in ("subtotal", "tax", "total")}
    lines = [
        {
            "id": new_id("txnitm"),
            "price_id": item["price"]["id"],
            "quantity": item["quantity"],
            "proration": None,
            "tax_rate": str(tax_percent / 100),
            "totals": {"discount": "0", **{name: str(value) for name, value in totals.items()}},
        }
        for item, totals in zip(items, each, strict=True)
    ]
    totals = {
        **sums,
        "discount": "0",
        "credit": "0",
        "credit_to_balance": "0",
        "grand_total": sums["total"],
        "grand_total_tax": sums["tax"],
        "balance": sums["total"],
        "fee": None,
        "earnings": None,
        "currency_code": currency,
    }
    return {"tax_rates_used": [], "totals": totals, "adjusted_totals": dict(totals), "line_items": lines}


def transaction_of(
    items: list[Json],
    *,
    currency: str,
    custom_data: Json | None,
    origin: str,
    checkout_url: str | None,
    tax_percent: int,
    at: datetime,
) -> Json:
    """A transaction that nobody has paid."""
    transaction_id = new_id("txn")
    return {
        "id": transaction_id,
        "status": "draft",
        "customer_id": None,
        "address_id": None,
        "business_id": None,
        "custom_data": custom_data,
        "origin": origin,
        "collection_mode": "automatic",
        "subscription_id": None,
        "invoice_id": None,
        "invoice_number": None,
        "billing_details": None,
        "billing_period": None,
        "currency_code": currency,
        "discount_id": None,
        "created_at": rfc3339(at),
        "updated_at": rfc3339(at),
        "billed_at": None,
        "revised_at": None,
        "items": items,
        "details": details_of(items, currency, tax_percent),
        "payments": [],
        "checkout": {"url": checkout_url and f"{checkout_url}?_ptxn={transaction_id}"},
    }


def attempt_of(transaction: Json, *, status: str, error_code: str | None, at: datetime) -> Json:
    """One attempt to collect for a transaction."""
    return {
        "payment_attempt_id": new_id("att"),
        "payment_method_id": new_id("paymtd"),
        "amount": transaction["details"]["totals"]["grand_total"],
        "status": status,
        "error_code": error_code,
        "method_details": {"type": "card", "card": CARD},
        "created_at": rfc3339(at),
        "captured_at": rfc3339(at) if status == "captured" else None,
    }


def subscription_of(transaction: Json, *, at: datetime) -> Json:
    """The subscription that a first payment makes."""
    cycle = transaction["items"][0]["price"]["billing_cycle"]
    ends = rfc3339(later(at, cycle))
    return {
        "id": new_id("sub"),
        "status": "active",
        "customer_id": transaction["customer_id"],
        "address_id": transaction["address_id"],
        "business_id": None,
        "currency_code": transaction["currency_code"],
        "created_at": rfc3339(at),
        "updated_at": rfc3339(at),
        "started_at": rfc3339(at),
        "first_billed_at": rfc3339(at),
        "next_billed_at": ends,
        "paused_at": None,
        "canceled_at": None,
        "collection_mode": "automatic",
        "billing_details": None,
        "current_billing_period": {"starts_at": rfc3339(at), "ends_at": ends},
        "billing_cycle": cycle,
        "scheduled_change": None,
        "items": [recurring(item, at=at, ends=ends) for item in transaction["items"]],
        "custom_data": transaction["custom_data"],
        "management_urls": None,
        "discount": None,
        "import_meta": None,
    }


def recurring(item: Json, *, at: datetime, ends: str) -> Json:
    """An item of a subscription."""
    return {
        "status": "active",
        "quantity": item["quantity"],
        "recurring": True,
        "created_at": rfc3339(at),
        "updated_at": rfc3339(at),
        "previously_billed_at": rfc3339(at),
        "next_billed_at": ends,
        "trial_dates": None,
        "price": item["price"],
    }


def adjustment_of(
    transaction: Json, amounts: dict[str, int], *, action: str, kind: str, status: str, reason: str, at: datetime
) -> Json:
    """An adjustment of so much of each item, taxes included."""
    totals = transaction["details"]["totals"]
    gross, tax = int(totals["total"]), int(totals["tax"])

    def parts(amount: int) -> Json:
        part_of_tax = amount * tax // gross if gross else 0
        return {"subtotal": str(amount - part_of_tax), "tax": str(part_of_tax), "total": str(amount)}

    currency = transaction["currency_code"]
    summed = parts(sum(amounts.values()))
    return {
        "id": new_id("adj"),
        "action": action,
        "type": kind,
        "transaction_id": transaction["id"],
        "subscription_id": transaction["subscription_id"],
        "customer_id": transaction["customer_id"],
        "reason": reason,
        "credit_applied_to_balance": None,
        "currency_code": currency,
        "status": status,
        "items": [
            {
                "id": new_id("adjitm"),
                "item_id": item_id,
                "type": "partial",
                "amount": str(amount),
                "proration": None,
                "totals": parts(amount),
            }
            for item_id, amount in amounts.items()
        ],
        "totals": {**summed, "fee": "0", "retained_fee": "0", "earnings": "0", "currency_code": currency},
        "payout_totals": None,
        "tax_rates_used": [],
        "created_at": rfc3339(at),
        "updated_at": rfc3339(at),
    }
