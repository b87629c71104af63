"""Credits that came in together, and in which order they are spent."""

from collections.abc import Iterable, Sequence
from enum import IntEnum
from uuid import UUID

import msgspec

from ledger.events import Portion

_NEVER_US = 2**63 - 1


class Origin(IntEnum):
    """How a lot came to be, by the number it is stored under."""

    top_up = 1
    grant = 2
    adjustment = 3
    reinstatement = 4


_BOUGHT = frozenset({Origin.top_up, Origin.reinstatement})


class Lot(msgspec.Struct, gc=False):
    """One lot of an account. Its number is the version of the event that brought it in; amounts are microcredits."""

    number: int
    id: UUID
    origin: Origin
    source: str
    priority: int
    expires_at_us: int | None
    amount: int
    remaining: int
    frozen: int = 0
    expired: int = 0
    reversed: int = 0
    paid_amount: str = ""
    paid_currency: str = ""

    def is_expired(self, now_us: int) -> bool:
        """Whether its time is over: at the very moment of expiry it is."""
        return self.expires_at_us is not None and self.expires_at_us <= now_us

    def draw_order(self) -> tuple[int, int, bool, int]:
        """Sort key of spending: priority, expiry (soonest first, never last), granted before bought, age."""
        expires_at_us = _NEVER_US if self.expires_at_us is None else self.expires_at_us
        return (self.priority, expires_at_us, self.origin in _BOUGHT, self.number)


def draw(lots: Iterable[Lot], amount: int, now_us: int) -> tuple[tuple[Portion, ...], int]:
    """Choose what to take from which lots, in draw order; return the portions and what could not be found.

    Expired lots are passed over even if no sweeper has emptied them yet.
    """
    spendable = [lot for lot in lots if lot.remaining > 0 and not lot.is_expired(now_us)]
    if len(spendable) > 1:
        spendable.sort(key=Lot.draw_order)
    portions: list[Portion] = []
    for lot in spendable:
        taken = min(lot.remaining, amount)
        if taken == 0:
            break
        portions.append((lot.number, taken))
        amount -= taken
    return tuple(portions), amount


def split(portions: Iterable[Portion], amount: int) -> tuple[tuple[Portion, ...], tuple[Portion, ...]]:
    """Split portions in their order: the first `amount` microcredits, and the rest."""
    first: list[Portion] = []
    rest: list[Portion] = []
    for number, portion in portions:
        taken = min(portion, amount)
        amount -= taken
        if taken:
            first.append((number, taken))
        if portion > taken:
            rest.append((number, portion - taken))
    return tuple(first), tuple(rest)


def total(portions: Sequence[Portion]) -> int:
    """Sum of the portions, in microcredits."""
    return sum([amount for _, amount in portions]) if portions else 0
