"""What a gateway says now about one of its objects, in our words. Times are microseconds since the Unix epoch, UTC.

Facts of one object may come in any order and any number of times. Whoever takes one in compares it with what is known.
"""

from enum import IntEnum
from typing import TypeAlias
from uuid import UUID

import msgspec

from workers.payments.money import Money


class PaymentStatus(IntEnum):
    """How far a payment has come, by the number it is stored under. It never goes back to a smaller one."""

    pending = 0
    failed = 1
    """So far: some gateways let the customer try again."""
    paid = 2
    """The gateway has the money, or guarantees it."""


class RefundStatus(IntEnum):
    """How far a refund has come, by the number it is stored under. It never goes back to a smaller one."""

    pending = 0
    succeeded = 1
    failed = 2
    """Also of one that had succeeded: the money came back to us."""


class DisputeStatus(IntEnum):
    """How far a dispute has come, by the number it is stored under. It never goes back to a smaller one."""

    opened = 0
    """The customer asks or threatens; the money is still ours."""
    withdrawn = 1
    """The gateway has taken the money back for now."""
    won = 2
    """The money is ours again, or was never taken."""
    lost = 3


class SubscriptionStatus(IntEnum):
    """What a subscription is now, by the number it is stored under. Only what was fetched last counts."""

    incomplete = 0
    """The first payment is missing."""
    active = 1
    past_due = 2
    paused = 3
    ended = 4
    """For good: cancelled, or given up after the last attempt to collect."""


class SavedMethod(msgspec.Struct, frozen=True, kw_only=True):
    """A means of payment that the gateway keeps for its customer, and lets us charge again."""

    customer_id: str
    method_id: str
    label: str = ""
    """What the customer knows it by, such as "Visa •• 4242"; nothing more of it is kept."""


class Period(msgspec.Struct, frozen=True):
    """What a payment for a subscription pays for: from a time up to, and without, another."""

    begins_us: int
    ends_us: int


class PaymentFact(msgspec.Struct, frozen=True, kw_only=True):
    """A payment, as it is now."""

    payment_id: str
    order_id: UUID | None
    """As the gateway has it from us; `None` where it has none, as for renewals that the gateway makes by itself."""
    account_id: UUID | None
    """As the gateway has it from us."""
    price: Money
    """What the customer pays, or has paid, taxes included."""
    status: PaymentStatus
    at_us: int
    """When it was paid, else when it was made."""
    tax: Money | None = None
    """The part of `price` that is tax, where the gateway says so."""
    subscription_id: str | None = None
    period: Period | None = None
    saved_method: SavedMethod | None = None
    failure: str = ""
    """Why it failed, in the gateway's words, for administrators."""


class RefundFact(msgspec.Struct, frozen=True, kw_only=True):
    """Money that goes back because we, or the administrator in the gateway's own pages, wanted it so."""

    refund_id: str
    payment_id: str
    amount: Money
    status: RefundStatus
    at_us: int


class DisputeFact(msgspec.Struct, frozen=True, kw_only=True):
    """Money that goes back, perhaps, because the customer's bank wants it."""

    dispute_id: str
    payment_id: str
    amount: Money
    status: DisputeStatus
    at_us: int


class SubscriptionFact(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription, as it was when the gateway was asked."""

    subscription_id: str
    order_id: UUID | None
    """Of the order that it began with, as the gateway has it from us."""
    account_id: UUID | None
    status: SubscriptionStatus
    price_key: str = ""
    """What is being paid for, as we named it to the gateway: `plan:version:region`; empty where it cannot say."""
    period: Period | None = None
    ends_at_period_end: bool = False
    asked_at_us: int
    """When we asked, by our clock: of two facts the later one counts."""
    saved_method: SavedMethod | None = None


Fact: TypeAlias = PaymentFact | RefundFact | DisputeFact | SubscriptionFact


class NotYet(Exception):
    """What a fact is about is not known here, or not yet: it may be on its way. To be tried again."""
