"""Every command once, on an account made ready for it, for tests that hold for all of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

import msgspec

from ledger.commands import Command
from ledger.events import Kind
from tests.builders import (
    NOW_US,
    adjust,
    charge,
    confirm,
    expire_freeze,
    expire_lot,
    freeze,
    grant,
    open_account,
    reinstate,
    reverse,
    rollback,
    top_up,
)

FREEZE_ID = UUID("01980000-0000-7000-8000-00000000f001")


@dataclass(frozen=True)
class Case:
    """A command, what has to come before it, and how often it succeeds when sent again and again under other keys."""

    name: str
    kind: Kind
    before: Callable[[UUID], Sequence[Command]]
    command: Callable[[UUID], Command]
    other: Callable[[UUID], Command]
    """Another request of the same kind, for the same key."""
    succeeds_again: bool
    refusals: frozenset[str] = frozenset()


def opened(account_id: UUID) -> list[Command]:
    return [open_account(account_id)]


def funded(account_id: UUID) -> list[Command]:
    return [*opened(account_id), top_up(100, account_id, expires_at_us=NOW_US + 10)]


def with_freeze(account_id: UUID) -> list[Command]:
    return [*funded(account_id), freeze(60, account_id, freeze_id=FREEZE_ID, ttl_us=5)]


def reversed_top_up(account_id: UUID) -> list[Command]:
    return [*funded(account_id), charge(30, account_id), reverse(2, 100, account_id)]


RESOLVED = frozenset({"freeze_already_resolved"})

CASES = [
    Case(
        "open", Kind.account_opened, lambda _: [], open_account,
        lambda id_: open_account(id_, owner="somebody else"), succeeds_again=False,
    ),
    Case("top-up", Kind.credits_topped_up, opened, lambda id_: top_up(5, id_), lambda id_: top_up(6, id_), True),
    Case("grant", Kind.credits_granted, opened, lambda id_: grant(5, id_), lambda id_: grant(6, id_), True),
    Case(
        "freeze", Kind.credits_frozen, funded, lambda id_: freeze(60, id_), lambda id_: freeze(61, id_), False,
        frozenset({"insufficient_credits"}),
    ),
    Case(
        "confirm", Kind.freeze_confirmed, with_freeze, lambda id_: confirm(FREEZE_ID, 20, id_),
        lambda id_: confirm(FREEZE_ID, 21, id_), False, RESOLVED,
    ),
    Case(
        "rollback", Kind.freeze_rolled_back, with_freeze, lambda id_: rollback(FREEZE_ID, id_),
        lambda id_: rollback(FREEZE_ID, id_, reason="another"), False, RESOLVED,
    ),
    Case(
        "expiry of a freeze", Kind.freeze_rolled_back, with_freeze, lambda id_: expire_freeze(FREEZE_ID, id_),
        lambda id_: expire_freeze(uuid4(), id_), False, RESOLVED,
    ),
    Case(
        "charge", Kind.credits_charged, funded, lambda id_: charge(60, id_), lambda id_: charge(61, id_), False,
        frozenset({"insufficient_credits"}),
    ),
    Case(
        "charge at most", Kind.credits_charged, funded, lambda id_: charge(60, id_, at_most=True),
        lambda id_: charge(60, id_), True,
    ),
    Case("adjustment", Kind.credits_adjusted, funded, lambda id_: adjust(-60, id_), lambda id_: adjust(-61, id_), False,
         frozenset({"insufficient_credits"})),
    Case("override", Kind.credits_adjusted, funded, lambda id_: adjust(-60, id_, allow_negative=True),
         lambda id_: adjust(-60, id_), True),
    Case(
        "expiry of a lot", Kind.credits_expired, funded, lambda id_: expire_lot(2, id_), lambda id_: expire_lot(3, id_),
        False, frozenset({"lot_not_expirable"}),
    ),
    Case(
        "early expiry of a lot", Kind.credits_expired, funded, lambda id_: expire_lot(2, id_, keep_microcredits=60),
        lambda id_: expire_lot(2, id_, keep_microcredits=61), False, frozenset({"lot_not_expirable"}),
    ),
    Case(
        "reversal", Kind.top_up_reversed, funded, lambda id_: reverse(2, 60, id_), lambda id_: reverse(2, 61, id_),
        False, frozenset({"amount_exceeds_top_up"}),
    ),
    Case(
        "reinstatement", Kind.reversal_reinstated, reversed_top_up, lambda id_: reinstate(4, id_),
        lambda id_: reinstate(5, id_), False, frozenset({"reversal_not_found"}),
    ),
]  # fmt: skip

TIME_OF = {"expiry of a freeze": NOW_US + 5, "expiry of a lot": NOW_US + 10}
"""When the command is sent, where that matters; the others follow at once."""


def under_key(command: Command, key: str) -> Command:
    return msgspec.structs.replace(command, command_key=key)
