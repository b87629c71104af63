"""How many credits a payment's refunds and disputes take back, and by which reversals. Pure.

The net of all reversals depends on what was refunded and disputed only, never on the order in which we heard of it.
"""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

Cause: TypeAlias = Literal["refund", "chargeback"]

CAUSES: Final[tuple[Cause, ...]] = ("refund", "chargeback")
"""In the order in which they take: what a customer was given back cannot be disputed any more."""


class Standing(msgspec.Struct, frozen=True):
    """A reversal in the ledger that was not reinstated."""

    number: int
    cause: Cause
    credits: int
    """Microcredits."""
    command_key: str


class Taken(msgspec.Struct, frozen=True):
    """What a payment brought, and how much of its money went back; minor units of one currency."""

    credits: int
    """Microcredits."""
    paid_minor: int
    refunded_minor: int
    disputed_minor: int


class Steps(NamedTuple):
    """What to do, in this order."""

    reinstate: tuple[Standing, ...]
    reverse: tuple[tuple[Cause, int], ...]
    """Microcredits for each cause."""


def wanted(taken: Taken) -> dict[Cause, int]:
    """Return how many microcredits each cause should have taken back.

    In proportion to the money, rounded down to the microcredit, and never more than the payment brought. Disputes take
    what refunds have left. Only the sum is rounded, so all of the money takes all of the credits, whoever took it back.
    """
    refunds = _share(taken, taken.refunded_minor)
    both = _share(taken, taken.refunded_minor + taken.disputed_minor)
    return {"refund": refunds, "chargeback": both - refunds}


def steps_to(goal: dict[Cause, int], standing: Sequence[Standing]) -> Steps:
    """Return what leads from the reversals that stand to the goal; the latest are undone first, as far as needed."""
    reinstate: list[Standing] = []
    reverse: list[tuple[Cause, int]] = []
    for cause in CAUSES:
        stands = sorted((each for each in standing if each.cause == cause), key=lambda each: each.number)
        have = sum(each.credits for each in stands)
        while have > goal[cause]:
            latest = stands.pop()
            have -= latest.credits
            reinstate.append(latest)
        if have < goal[cause]:
            reverse.append((cause, goal[cause] - have))
    return Steps(tuple(reinstate), tuple(reverse))


def _share(taken: Taken, minor: int) -> int:
    if taken.paid_minor == 0:
        return 0
    return taken.credits * min(minor, taken.paid_minor) // taken.paid_minor
