"""What there is to tell people, and the values that each kind of message is written from.

Amounts of money are `{"minor": 1000, "currency": "USD"}`, credits are decimal strings, times and dates are microseconds
since the Unix epoch, everything else is text or a whole number. A part of a message whose values are missing is left
out.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec


class MessageKind(StrEnum):
    """What a message is about, as it is stored."""

    receipt = "receipt"
    """A payment has become credits."""
    refund = "refund"
    """Money went back, and credits with it; or it was to, and did not."""
    payment_failed = "payment_failed"
    """A payment for a plan, or an automatic top-up, did not go through."""
    low_balance = "low_balance"
    """The balance fell below the threshold."""
    plan_changed = "plan_changed"
    """Another plan has begun, or will."""
    plan_cancelled = "plan_cancelled"
    """A plan ends, or has ended."""
    auto_top_up_suspended = "auto_top_up_suspended"
    """Automatic top-ups are off until somebody turns them on again."""
    dispute = "dispute"
    """The bank wants a payment back, gave up, or got its way."""


class ValueForm(StrEnum):
    """How a value is given, and so how it is shown."""

    text = "text"
    money = "money"
    credits = "credits"
    time = "time"
    date = "date"
    """A time of which only the day is shown."""
    number = "number"
    link = "link"


class Values(msgspec.Struct, frozen=True, kw_only=True):
    """The names and forms of the values of one kind of message."""

    needed: Mapping[str, ValueForm]
    optional: Mapping[str, ValueForm] = {}

    @property
    def forms(self) -> Mapping[str, ValueForm]:
        """The forms of all of them."""
        return {**self.needed, **self.optional}


VALUES: Final[Mapping[MessageKind, Values]] = {
    MessageKind.receipt: Values(
        needed={
            "product": ValueForm.text,
            "price": ValueForm.money,
            "credits": ValueForm.credits,
            "paid_at_us": ValueForm.time,
            "reference": ValueForm.text,
        },
        optional={
            "tax": ValueForm.money,
            "gateway": ValueForm.text,
            "method": ValueForm.text,
            "period_begins_us": ValueForm.date,
            "period_ends_us": ValueForm.date,
            "expires_at_us": ValueForm.date,
        },
    ),
    MessageKind.refund: Values(
        needed={
            "amount": ValueForm.money,
            "credits": ValueForm.credits,
            "refunded_at_us": ValueForm.time,
            "reference": ValueForm.text,
        },
        # `status` is "failed" for a refund that did not come about; then `credits` were given back.
        optional={
            "status": ValueForm.text,
            "product": ValueForm.text,
            "price": ValueForm.money,
            "gateway": ValueForm.text,
        },
    ),
    MessageKind.payment_failed: Values(
        needed={"product": ValueForm.text, "price": ValueForm.money, "failed_at_us": ValueForm.time},
        optional={
            "method": ValueForm.text,
            "retry_at_us": ValueForm.date,
            "ends_at_us": ValueForm.date,
            "url": ValueForm.link,
        },
    ),
    MessageKind.low_balance: Values(
        needed={"available": ValueForm.credits, "threshold": ValueForm.credits},
        optional={"url": ValueForm.link},
    ),
    MessageKind.plan_changed: Values(
        needed={"plan": ValueForm.text, "effective_at_us": ValueForm.date},
        optional={
            "previous_plan": ValueForm.text,
            "price": ValueForm.money,
            "credits": ValueForm.credits,
            "renews_at_us": ValueForm.date,
        },
    ),
    MessageKind.plan_cancelled: Values(
        needed={"plan": ValueForm.text, "ends_at_us": ValueForm.date},
        optional={"url": ValueForm.link},
    ),
    MessageKind.auto_top_up_suspended: Values(
        needed={"attempts": ValueForm.number},
        optional={"price": ValueForm.money, "method": ValueForm.text, "url": ValueForm.link},
    ),
    MessageKind.dispute: Values(
        # `status` is "opened", "won" or "lost", as the dispute stands for us; `credits` is what it moves.
        needed={
            "status": ValueForm.text,
            "amount": ValueForm.money,
            "credits": ValueForm.credits,
            "changed_at_us": ValueForm.time,
            "reference": ValueForm.text,
        },
        optional={"product": ValueForm.text, "gateway": ValueForm.text},
    ),
}
