"""Amounts as PayPal writes them: a decimal with two places, or none at all where PayPal knows no minor units.

ISO 4217 gives the forint and the new Taiwan dollar two places; PayPal refuses any. Nothing has three places there.
"""

from typing import Final

from workers.payments.gateway import NotSupported
from workers.payments.gateways.paypal.wire import NAME, Amount
from workers.payments.money import Money, places

WITHOUT_DECIMALS: Final = frozenset({"HUF", "JPY", "TWD"})

_PLACES: Final = 2


def amount_of(price: Money) -> dict[str, str]:
    """Return an amount as it goes to PayPal.

    Raises:
        NotSupported: PayPal does not take this amount, or this currency.
    """
    if price.currency in WITHOUT_DECIMALS:
        whole, rest = divmod(price.minor, 10 ** places(price.currency))
        if rest:
            raise NotSupported(NAME, f"takes whole {price.currency} only, not {price}")
        return {"currency_code": price.currency, "value": str(whole)}
    if places(price.currency) != _PLACES:
        raise NotSupported(NAME, f"takes no {price.currency}")
    return {"currency_code": price.currency, "value": price.text}


def money_of(amount: Amount) -> Money:
    """Return an amount as PayPal says it. The sign is left out: what is a debit is clear from what it is about.

    Raises:
        NotMoney: it is no amount.
    """
    return Money.parse(amount.value.removeprefix("-"), amount.currency_code)
