"""What a Paddle account holds, and how money of it goes back."""

from collections.abc import Callable
from datetime import UTC, datetime

from tests.fakes.paddle_objects import Json, adjustment_of, rfc3339
from tests.fakes.paddle_webhooks import WEBHOOK_SECRET, Webhook, event_of, signed

CHECKOUT_URL = "https://shop.example/pay"
GONE = ("rejected", "reversed")

EVENTS = frozenset(
    {"transaction.paid", "transaction.completed", "transaction.payment_failed", "transaction.past_due"}
    | {
        f"subscription.{what}"
        for what in ("created", "activated", "updated", "past_due", "paused", "resumed", "canceled")
    }
    | {"adjustment.created", "adjustment.updated"}
)
"""What a notification destination of ours is to ask for."""


class PaddleAdjusting:
    """Adjustments, and the account that they belong to."""

    def __init__(self) -> None:
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        """What time it is at Paddle."""
        self.tax_percent = 20
        self.checkout_url: str | None = CHECKOUT_URL
        """The default payment link, from the dashboard."""
        self.declines = False
        """Whether banks decline what is collected without the customer."""
        self.approves_refunds = False
        """Whether refunds need no approval, as small ones do."""
        self.webhook_secret = WEBHOOK_SECRET
        self.events: frozenset[str] | None = EVENTS
        """What the notification destination asks for; `None` for everything."""
        self.transactions: dict[str, Json] = {}
        self.subscriptions: dict[str, Json] = {}
        self.adjustments: dict[str, Json] = {}
        self.customers: dict[str, Json] = {}
        self._untold: list[bytes] = []

    def take(self) -> list[Webhook]:
        """All that Paddle has to tell since it last told anything, in its order, signed as it is sent: now."""
        untold, self._untold = self._untold, []
        at_s = self.clock().timestamp()
        return [signed(body, at_s=at_s, secrets=(self.webhook_secret,)) for body in untold]

    def refund(self, transaction_id: str, minor: int | None = None, *, reason: str = "asked for") -> list[Webhook]:
        """Somebody refunds so much in the dashboard, or all that is left; `approve` or `reject` it then."""
        self.adjust(transaction_id, "refund", minor, reason=reason)
        return self.take()

    def approve(self, adjustment_id: str | None = None) -> list[Webhook]:
        """Paddle approves a refund, by default the latest."""
        return self._decide(adjustment_id, "approved")

    def reject(self, adjustment_id: str | None = None) -> list[Webhook]:
        """Paddle rejects a refund, by default the latest, also one that it had approved."""
        return self._decide(adjustment_id, "rejected")

    def charge_back(self, transaction_id: str, minor: int | None = None) -> list[Webhook]:
        """The customer's bank takes the money back."""
        self.adjust(transaction_id, "chargeback", minor, reason="fraud")
        return self.take()

    def warn(self, transaction_id: str, minor: int | None = None) -> list[Webhook]:
        """The bank warns of a chargeback, and Paddle gives the money back; with 0 it only warns."""
        self.adjust(transaction_id, "chargeback_warning", minor, reason="fraud")
        return self.take()

    def reverse(self, adjustment_id: str | None = None, *, marks_it: bool = True) -> list[Webhook]:
        """Paddle wins a chargeback, or a warning was mistaken; by default the latest. `marks_it`: at once."""
        original = self.adjustments[adjustment_id or list(self.adjustments)[-1]]
        minor = int(original["totals"]["total"])
        self.adjust(original["transaction_id"], f"{original['action']}_reverse", minor, reason="won")
        if marks_it:
            original |= {"status": "reversed", "updated_at": rfc3339(self.clock())}
            self.tell("adjustment.updated", original)
        return self.take()

    def adjust(
        self, transaction_id: str, action: str, minor: int | None, *, reason: str, kind: str = "partial"
    ) -> Json:
        """Adjust a transaction by so much, or by all that is left, from its first item on."""
        transaction = self.transactions[transaction_id]
        left = self.left(transaction)
        rest = sum(left.values()) if minor is None else minor
        if action.endswith("_reverse"):
            left = dict.fromkeys(left, rest)
        amounts: dict[str, int] = {}
        for item_id, amount in left.items():
            amounts[item_id] = min(rest, amount)
            rest -= amounts[item_id]
        return self.adjust_items(transaction, action, amounts, reason=reason, kind=kind)

    def adjust_items(self, transaction: Json, action: str, amounts: dict[str, int], *, reason: str, kind: str) -> Json:
        """Adjust each item of a transaction by so much."""
        waits = action == "refund" and not self.approves_refunds
        adjustment = adjustment_of(
            transaction,
            amounts,
            action=action,
            kind=kind,
            status="pending_approval" if waits else "approved",
            reason=reason,
            at=self.clock(),
        )
        self.adjustments[adjustment["id"]] = adjustment
        self.tell("adjustment.created", adjustment)
        self.touch(transaction)
        return adjustment

    def left(self, transaction: Json) -> dict[str, int]:
        """What is left of each item, in minor units."""
        left = {line["id"]: int(line["totals"]["total"]) for line in transaction["details"]["line_items"]}
        for adjustment in self.adjustments.values():
            is_away = adjustment["status"] not in GONE and not adjustment["action"].endswith("_reverse")
            if adjustment["transaction_id"] == transaction["id"] and is_away:
                for item in adjustment["items"]:
                    left[item["item_id"]] -= int(item["amount"])
        return left

    def tell(self, kind: str, entity: Json) -> None:
        """Send a webhook with an object as it is now, if anybody asked for it."""
        if self.events is None or kind in self.events:
            self._untold.append(event_of(kind, entity, occurred_at=rfc3339(self.clock())))

    def touch(self, transaction: Json) -> None:
        transaction["updated_at"] = rfc3339(self.clock())
        self.tell("transaction.updated", transaction)

    def _decide(self, adjustment_id: str | None, status: str) -> list[Webhook]:
        adjustment = self.adjustments[adjustment_id or list(self.adjustments)[-1]]
        adjustment |= {"status": status, "updated_at": rfc3339(self.clock())}
        self.tell("adjustment.updated", adjustment)
        return self.take()
