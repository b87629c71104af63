"""Credits as people write them, microcredits as we count them.

Inside and in SQL an amount is an `int` of microcredits (10⁻⁶ credit). At the edge it is a decimal string of credits.
No float is ever involved.
"""

import re
from typing import Final

from ledger.errors import InvalidAmount

MICROCREDITS_PER_CREDIT: Final = 1_000_000
MAX_AMOUNT_MICROCREDITS: Final = 2**60
"""The most that one command may move; far below `bigint`, so that sums of a few amounts cannot overflow."""

MAX_TOTAL_MICROCREDITS: Final = 2**62
"""The most that may ever come in to one account, so that none of its totals can overflow `bigint`."""

_CREDITS: Final = re.compile(r"(-?)(\d{1,13})(?:\.(\d{1,6}))?", re.ASCII)


def parse_credits(text: str, *, signed: bool = False) -> int:
    """Read a decimal string of credits, such as `"12.5"`, as microcredits.

    Accepts digits and at most six decimal places: no exponent, no plus sign, no spaces, no NaN.

    Raises:
        InvalidAmount: not such a number, zero, negative without `signed`, or beyond `MAX_AMOUNT_MICROCREDITS`.
    """
    match = _CREDITS.fullmatch(text)
    if match is None:
        raise InvalidAmount(text, "a decimal string of credits with at most 6 places is expected")
    sign, whole, fraction = match.groups()
    amount_microcredits = int(whole) * MICROCREDITS_PER_CREDIT + int((fraction or "").ljust(6, "0"))
    if sign and not signed:
        raise InvalidAmount(text, "the amount must not be negative")
    if amount_microcredits == 0:
        raise InvalidAmount(text, "the amount must not be zero")
    if amount_microcredits > MAX_AMOUNT_MICROCREDITS:
        raise InvalidAmount(text, f"the amount is above {format_credits(MAX_AMOUNT_MICROCREDITS)} credits")
    return -amount_microcredits if sign else amount_microcredits


def format_credits(amount_microcredits: int) -> str:
    """Write microcredits as credits in the shortest exact form: `"12.5"`, `"10"`, `"0"`, `"-0.000001"`."""
    whole, fraction = divmod(abs(amount_microcredits), MICROCREDITS_PER_CREDIT)
    sign = "-" if amount_microcredits < 0 else ""
    if fraction == 0:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{fraction:06d}".rstrip("0")
