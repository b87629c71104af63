"""Amounts as Stripe writes them: like ISO 4217 for most currencies, and not for some.

Source: https://docs.stripe.com/currencies. Its special cases win over its list of currencies without decimals: the
króna and the Ugandan shilling have none, and are written with two zeros all the same.
"""

from typing import Final

from workers.payments.gateway import GatewayError
from workers.payments.money import Money, NotMoney, places

_NO_PLACES: Final = frozenset(
    ("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF")
)
_THREE_PLACES: Final = frozenset(("BHD", "JOD", "KWD", "OMR", "TND"))
"""The last of them must be a zero."""

_DEFAULT_PLACES: Final = 2


def to_stripe(price: Money) -> int:
    """Return an amount as Stripe takes it.

    Raises:
        GatewayError: Stripe cannot take exactly this amount.
    """
    amount = _scaled(price.minor, by_places=_places_at_stripe(price.currency) - places(price.currency))
    if amount is None or (price.currency in _THREE_PLACES and amount % 10):
        raise GatewayError("stripe", f"cannot take exactly {price}", retryable=False)
    return amount


def from_stripe(amount: int, currency: str) -> Money:
    """Return what an amount of Stripe's comes to.

    Raises:
        GatewayError: it is no amount, or finer than the currency.
    """
    code = currency.upper()
    minor = _scaled(amount, by_places=places(code) - _places_at_stripe(code))
    if minor is None:
        raise GatewayError("stripe", f"{amount} is finer than {code[:10]} is", retryable=False)
    try:
        return Money(minor, code)
    except NotMoney as error:
        raise GatewayError("stripe", f"an amount makes no sense: {error}", retryable=False) from error


def _places_at_stripe(currency: str) -> int:
    if currency in _NO_PLACES:
        return 0
    return 3 if currency in _THREE_PLACES else _DEFAULT_PLACES


def _scaled(amount: int, *, by_places: int) -> int | None:
    """The amount with so many more decimal places, or fewer; `None` if those that go are not zeros."""
    if by_places >= 0:
        return amount * 10**by_places
    scaled, rest = divmod(amount, 10**-by_places)
    return None if rest else scaled
