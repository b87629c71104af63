"""Values that messages are written from, whole, for each kind and each of its stories."""

from collections.abc import Mapping
from typing import Any, Final

from workers.messages.kinds import MessageKind

AT_US: Final = 1_798_759_800_000_000
"""2026-12-31 23:30 UTC: another day, and another year, east of there."""

LATER_US: Final = AT_US + 31 * 86_400_000_000
MONEY: Final = {"minor": 1_000, "currency": "USD"}
_LINK: Final = "https://acme.example/pay"
_PAID: Final[dict[str, Any]] = {"product": "Starter", "gateway": "stripe", "reference": "pi_1"}

_REFUND: Final[dict[str, Any]] = {**_PAID, "amount": MONEY, "price": MONEY, "credits": "500", "refunded_at_us": AT_US}
_DISPUTE: Final[dict[str, Any]] = {**_PAID, "amount": MONEY, "credits": "500", "changed_at_us": AT_US}

VALUES_OF_KIND: Final[Mapping[MessageKind, tuple[dict[str, Any], ...]]] = {
    MessageKind.receipt: (
        {
            **_PAID,
            "price": MONEY,
            "tax": {"minor": 160, "currency": "USD"},
            "credits": "1000",
            "paid_at_us": AT_US,
            "method": "Visa •• 4242",
            "period_begins_us": AT_US,
            "period_ends_us": LATER_US,
            "expires_at_us": LATER_US,
        },
    ),
    MessageKind.refund: ({**_REFUND, "status": "succeeded"}, {**_REFUND, "status": "failed"}),
    MessageKind.payment_failed: (
        {
            "product": "Starter",
            "price": MONEY,
            "failed_at_us": AT_US,
            "method": "Visa •• 4242",
            "retry_at_us": LATER_US,
            "ends_at_us": LATER_US,
            "url": _LINK,
        },
    ),
    MessageKind.low_balance: ({"available": "2.5", "threshold": "100", "url": _LINK},),
    MessageKind.plan_changed: (
        {
            "plan": "Pro",
            "previous_plan": "Basic",
            "effective_at_us": AT_US,
            "renews_at_us": LATER_US,
            "price": MONEY,
            "credits": "5000",
        },
    ),
    MessageKind.plan_cancelled: ({"plan": "Pro", "ends_at_us": LATER_US, "url": _LINK},),
    MessageKind.auto_top_up_suspended: ({"attempts": 3, "price": MONEY, "method": "Visa •• 4242", "url": _LINK},),
    MessageKind.dispute: tuple({**_DISPUTE, "status": status} for status in ("opened", "won", "lost")),
}


def values_of(kind: MessageKind) -> dict[str, Any]:
    """Values of the first story of a kind."""
    return dict(VALUES_OF_KIND[kind][0])
