"""What was paid, exactly: integers of millionths of a currency, whatever the currency.

Amounts are entered in the smallest unit that the currency is paid in (ISO 4217), or in the decimal places of the
payment itself where it has more.
"""

import re
from typing import Final, NamedTuple

MICROS: Final = 1_000_000

_PAID: Final = re.compile(r"(\d{1,15})(?:\.(\d{1,6}))?", re.ASCII)
_CURRENCY: Final = re.compile(r"[A-Z]{3,5}", re.ASCII)

DEFAULT_PLACES: Final = 2
PLACES_OF_CURRENCY: Final = {
    **dict.fromkeys(
        ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF",
         "XOF", "XPF"), 0,
    ),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}  # fmt: skip


class UnreadablePayment(Exception):
    """An event says what was paid in a way that is not an amount in a currency."""

    def __init__(self, amount: str, currency: str) -> None:
        super().__init__(f"{amount[:40]!r} {currency[:10]!r} is not an amount in a currency")


class Payment(NamedTuple):
    """An amount of a currency in millionths, and the unit it is rounded to, in millionths too."""

    micros: int
    currency: str
    unit_micros: int


NOTHING: Final = Payment(0, "", MICROS)


def parse_payment(amount: str, currency: str) -> Payment:
    """Read what was paid; nothing at all is a payment of nothing.

    Raises:
        UnreadablePayment: it is not an amount in a currency.
    """
    if not amount and not currency:
        return NOTHING
    match = _PAID.fullmatch(amount)
    if match is None or _CURRENCY.fullmatch(currency) is None:
        raise UnreadablePayment(amount, currency)
    whole, fraction = match.group(1), (match.group(2) or "").rstrip("0")
    micros = int(whole) * MICROS + int(fraction.ljust(6, "0") or 0)
    places = max(PLACES_OF_CURRENCY.get(currency, DEFAULT_PLACES), len(fraction))
    return Payment(micros, currency, 10 ** (6 - places)) if micros else NOTHING


def format_micros(micros: int) -> str:
    """Write millionths as a decimal in the shortest exact form."""
    whole, fraction = divmod(abs(micros), MICROS)
    sign = "-" if micros < 0 else ""
    return f"{sign}{whole}.{fraction:06d}".rstrip("0") if fraction else f"{sign}{whole}"
