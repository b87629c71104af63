"""Adjustments: money of a transaction that goes back, because we want it or because the customer's bank does."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Final

from ledger.rows import to_us
from workers.payments.facts import DisputeFact, DisputeStatus, RefundFact, RefundStatus
from workers.payments.gateway import GatewayError
from workers.payments.gateways.paddle.api import NAME
from workers.payments.gateways.paddle.prices import money_of
from workers.payments.gateways.paddle.wire import Adjustment, Transaction
from workers.payments.money import Money

REFUND: Final = "refund"
DISPUTES: Final = frozenset({"chargeback", "chargeback_warning"})
REVERSALS: Final = {"chargeback_reverse": "chargeback", "chargeback_warning_reverse": "chargeback_warning"}
"""What they reverse; they do not say which."""

MAX_REASON_CHARACTERS: Final = 200

_REFUND_STATUSES: Final = {
    "pending_approval": RefundStatus.pending,
    "approved": RefundStatus.succeeded,
    "rejected": RefundStatus.failed,
    "reversed": RefundStatus.failed,
}


def refund_fact(adjustment: Adjustment) -> RefundFact:
    """Return what a refund says. One of a status we do not know is on its way."""
    return RefundFact(
        refund_id=adjustment.id,
        payment_id=adjustment.transaction_id,
        amount=_amount(adjustment),
        status=_REFUND_STATUSES.get(adjustment.status, RefundStatus.pending),
        at_us=to_us(adjustment.created_at),
    )


def dispute_fact(adjustment: Adjustment, *, is_reversed: bool = False) -> DisputeFact:
    """Return what a chargeback says, or a warning of one.

    At a warning Paddle gives the money back by itself, so that no chargeback follows: what counts is whether any
    went. Paddle never says that a chargeback is lost for good; money that was withdrawn is away just the same.
    """
    amount = _amount(adjustment)
    if is_reversed or adjustment.status in {"reversed", "rejected"}:
        status = DisputeStatus.won
    else:
        status = DisputeStatus.withdrawn if amount.minor else DisputeStatus.opened
    return DisputeFact(
        dispute_id=adjustment.id,
        payment_id=adjustment.transaction_id,
        amount=amount,
        status=status,
        at_us=to_us(adjustment.created_at),
    )


def disputes_after_reversals(adjustments: Iterable[Adjustment], action: str) -> list[DisputeFact]:
    """Return a transaction's disputes of one kind, given all its adjustments.

    Those that Paddle marks as reversed are won; where it has not come to that yet, the oldest are, one for each
    reversal.
    """
    known = {adjustment.id: adjustment for adjustment in adjustments}
    ordered = sorted(known.values(), key=lambda adjustment: (adjustment.created_at, adjustment.id))
    disputes = [adjustment for adjustment in ordered if adjustment.action == action]
    reversals = sum(REVERSALS.get(adjustment.action) == action for adjustment in ordered)
    won = [dispute.id for dispute in disputes if dispute.status == "reversed"]
    won += [dispute.id for dispute in disputes if dispute.id not in won][: max(0, reversals - len(won))]
    return [dispute_fact(dispute, is_reversed=dispute.id in won) for dispute in disputes]


def reason_of(reason: str, key: str) -> str:
    """Return a reason that says by which key a refund was asked for."""
    return f"{reason[:MAX_REASON_CHARACTERS].strip() or 'refund'} {_mark(key)}"


def made_under(key: str, adjustments: Iterable[Adjustment]) -> Adjustment | None:
    """Return the refund that was asked for by a key, if there is one."""
    mark = _mark(key)
    refunds = (adjustment for adjustment in adjustments if adjustment.action == REFUND)
    return next((refund for refund in refunds if refund.reason.endswith(mark)), None)


def refund_body(
    transaction: Transaction, adjustments: Sequence[Adjustment], amount: Money, *, reason: str
) -> dict[str, Any]:
    """Return the refund of so much of a transaction, taxes included, from its first item on.

    Raises:
        GatewayError: so much is not left of it.
    """
    body: dict[str, Any] = {"action": REFUND, "transaction_id": transaction.id, "reason": reason}
    left = _left(transaction, adjustments)
    if amount.currency != transaction.currency_code or not 0 < amount.minor <= sum(left.values()):
        raise GatewayError(NAME, f"{amount} is not left of {transaction.id}", retryable=False)
    if amount.minor == sum(left.values()) and not adjustments:
        return {**body, "type": "full"}
    items: list[dict[str, str]] = []
    wanted = amount.minor
    for item_id, rest in left.items():
        taken = min(wanted, rest)
        wanted -= taken
        if taken:
            items.append({"item_id": item_id, "type": "partial", "amount": str(taken)})
    return {**body, "type": "partial", "tax_mode": "internal", "items": items}


def _left(transaction: Transaction, adjustments: Iterable[Adjustment]) -> dict[str, int]:
    """Return what is left of each item, in minor units."""
    items = () if transaction.details is None else transaction.details.line_items
    left = {item.id: money_of(item.totals.total, transaction.currency_code).minor for item in items}
    for adjustment in adjustments:
        if adjustment.status in {"rejected", "reversed"} or adjustment.action in REVERSALS:
            continue
        for item in adjustment.items:
            gone = item.totals.total if item.totals is not None else item.amount or "0"
            if item.item_id in left:
                left[item.item_id] -= money_of(gone, transaction.currency_code).minor
    return {item_id: max(0, rest) for item_id, rest in left.items()}


def _amount(adjustment: Adjustment) -> Money:
    return money_of(adjustment.totals.total, adjustment.totals.currency_code or adjustment.currency_code)


def _mark(key: str) -> str:
    return f"[{hashlib.sha256(key.encode()).hexdigest()[:32]}]"
