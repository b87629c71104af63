"""Amounts of money as gateways take them: whole minor units of an ISO 4217 currency. No float ever holds one."""

import re
from typing import Final, Self

import msgspec

from projections.money import DEFAULT_PLACES, PLACES_OF_CURRENCY

MAX_MINOR: Final = 10**15
"""More than anybody pays at once, in any currency; what is above is not an amount but a mistake."""

_CURRENCY: Final = re.compile(r"[A-Z]{3}", re.ASCII)
_DECIMAL: Final = re.compile(r"(\d{1,15})(?:\.(\d+))?", re.ASCII)


class NotMoney(ValueError):
    """Something that should be an amount in a currency is not one."""


def places(currency: str) -> int:
    """Return how many decimal places a currency is paid in: 0 for JPY, 2 for USD, 3 for KWD."""
    return PLACES_OF_CURRENCY.get(currency, DEFAULT_PLACES)


class Money(msgspec.Struct, frozen=True, order=False):
    """An amount of money, never below zero: `minor` units of `currency`.

    Raises:
        NotMoney: the currency is no ISO 4217 code, or the amount is below zero or beyond `MAX_MINOR`.
    """

    minor: int
    currency: str

    def __post_init__(self) -> None:
        if _CURRENCY.fullmatch(self.currency) is None:
            raise NotMoney(f"{self.currency[:10]!r} is not the code of a currency")
        if not 0 <= self.minor <= MAX_MINOR:
            raise NotMoney("an amount of money is from 0 up to 10^15 minor units")

    @classmethod
    def parse(cls, amount: str, currency: str) -> Self:
        """Read a decimal amount; zeros after the last place of the currency are allowed.

        Raises:
            NotMoney: it is not an amount, or has more places than the currency.
        """
        match = _DECIMAL.fullmatch(amount)
        if match is None:
            raise NotMoney(f"{amount[:40]!r} is not an amount of money")
        count = places(currency)
        fraction = (match.group(2) or "").rstrip("0")
        if len(fraction) > count:
            raise NotMoney(f"{amount[:40]!r} has more places than {currency[:10]!r}")
        return cls(int(match.group(1) + fraction.ljust(count, "0")), currency)

    @property
    def text(self) -> str:
        """The amount as a decimal with all the places of its currency, such as "10.50"."""
        count = places(self.currency)
        if count == 0:
            return str(self.minor)
        whole, fraction = divmod(self.minor, 10**count)
        return f"{whole}.{fraction:0{count}d}"

    def __str__(self) -> str:
        return f"{self.text} {self.currency}"


def shown(money: Money) -> dict[str, object]:
    """Return an amount as messages take it."""
    return {"minor": money.minor, "currency": money.currency}
