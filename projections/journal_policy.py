"""What finance may decide about the journal, from which event on.

A policy is in force for the events after the `seq` it is set at and never for earlier ones, so that building the
journal anew makes the same entries.
"""

from datetime import datetime
from typing import Any, Final, Literal

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from ledger import statements
from projections.money import parse_payment

sql: Final = statements.load("projections")


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The switches; the defaults are in force until others are set."""

    breakage: Literal["deferred", "on_expiry"] = "deferred"
    """Whether what expires stays a liability, or is recognised as income when it expires."""
    refund_of_expired: Literal["reverse_breakage", "write_off"] = "reverse_breakage"
    """What is charged when credits are refunded whose breakage was recognised."""
    refunds: Literal["liability", "clearing"] = "liability"
    """Whether a refund is owed until the payout is booked elsewhere, or leaves the clearing account at once."""
    promotions: Literal["contra_revenue", "expense"] = "contra_revenue"
    """How promotional use is shown, if it is given a value."""
    promotion_value: str = ""
    """Money per credit at which promotional use is shown, such as `0.01`; empty for none."""
    promotion_currency: str = ""

    def __post_init__(self) -> None:
        """Refuse a value that is not money.

        Raises:
            UnreadablePayment: it is not an amount in a currency.
        """
        parse_payment(self.promotion_value, self.promotion_currency)


class PolicyInForce(msgspec.Struct, frozen=True):
    """A policy, after which event it begins, and who set it."""

    after_seq: int
    policy: Policy
    set_at: datetime | None = None
    actor: str = ""


class Policies(msgspec.Struct, frozen=True):
    """All policies that ever were in force, in order."""

    all: tuple[PolicyInForce, ...]

    def at(self, seq: int) -> Policy:
        """Return the policy that is in force for an event."""
        for entry in reversed(self.all):
            if entry.after_seq < seq:
                return entry.policy
        return DEFAULT


DEFAULT: Final = Policy()


async def read_policies(connection: AsyncConnection[Any]) -> Policies:
    """Read every policy that was ever set."""
    cursor = await connection.execute(sql.READ_POLICIES)
    return Policies(
        tuple([
            PolicyInForce(after_seq, msgspec.convert(switches, Policy), set_at, actor)
            async for after_seq, switches, set_at, actor in cursor
        ])
    )  # fmt: skip


async def set_policy(connection: AsyncConnection[Any], policy: Policy, *, actor: str) -> int:
    """Put a policy in force for all events that are not in the journal yet; return after which `seq`.

    The builds of the journal stand still meanwhile, so no event is entered under a policy that is about to change.
    """
    await connection.execute(sql.LOCK_JOURNAL_BUILDS)
    parameters = {"switches": Jsonb(msgspec.to_builtins(policy)), "actor": actor}
    row = await (await connection.execute(sql.INSERT_POLICY, parameters)).fetchone()
    assert row is not None, "an INSERT returns its row"
    return row[0]
