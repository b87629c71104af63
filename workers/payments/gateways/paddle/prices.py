"""What we sell, as Paddle has to know it: prices that are made for one transaction and are in no catalogue."""

import calendar
from datetime import datetime
from typing import Any, Final

import msgspec

from workers.payments.gateway import GatewayError, NotSupported
from workers.payments.gateways.paddle.api import NAME
from workers.payments.gateways.paddle.wire import Ours
from workers.payments.money import Money, NotMoney

CURRENCIES: Final = frozenset({
    "ARS", "AUD", "BRL", "CAD", "CHF", "CLP", "CNY", "COP", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "ILS", "INR",
    "JPY", "KRW", "MXN", "NOK", "NZD", "PEN", "PLN", "RUB", "SEK", "SGD", "THB", "TRY", "TWD", "UAH", "USD", "VND",
    "ZAR",
})  # fmt: skip
"""Those that Paddle takes. It counts them in the minor units of ISO 4217; none of them has three places."""

MAX_TITLE_CHARACTERS: Final = 150
MIN_TITLE_CHARACTERS: Final = 2
MAX_DIGITS: Final = 16


def price_of(
    *, title: str, price: Money, tax_inclusive: bool, months: int, tax_category: str, ours: Ours
) -> dict[str, Any]:
    """Return the body of a price. With `months` it is one that recurs.

    Raises:
        NotSupported: Paddle does not take this currency.
    """
    if price.currency not in CURRENCIES:
        raise NotSupported(NAME, f"takes no {price.currency}")
    title = title[:MAX_TITLE_CHARACTERS].ljust(MIN_TITLE_CHARACTERS, ".")
    return {
        "name": title,
        "description": title,
        "product": {"name": title, "tax_category": tax_category},
        "unit_price": {"amount": str(price.minor), "currency_code": price.currency},
        "tax_mode": "internal" if tax_inclusive else "external",
        "billing_cycle": {"interval": "month", "frequency": months} if months else None,
        "quantity": {"minimum": 1, "maximum": 1},
        "custom_data": custom_data(ours),
    }


def custom_data(ours: Ours) -> dict[str, Any]:
    """Return what Paddle keeps for us with an object, as flat as it wants it."""
    return msgspec.to_builtins(ours)


def money_of(amount: str, currency: str) -> Money:
    """Read an amount of Paddle's: whole minor units.

    Raises:
        GatewayError: it is not one.
    """
    if not amount.isascii() or not amount.isdigit() or len(amount) > MAX_DIGITS:
        raise GatewayError(NAME, f"{amount[:40]!r} is not an amount in minor units", retryable=False)
    try:
        return Money(int(amount), currency)
    except NotMoney as error:
        raise GatewayError(NAME, str(error), retryable=False) from error


def months_after(moment: datetime, months: int) -> datetime:
    """Return the same day and time so many calendar months later; the last day of a month that is too short for it."""
    year, month = divmod(moment.month - 1 + months, 12)
    year, month = moment.year + year, month + 1
    return moment.replace(year=year, month=month, day=min(moment.day, calendar.monthrange(year, month)[1]))
