"""The lines of a reconciliation: what each says, and what somebody should do about it."""

from datetime import datetime
from enum import StrEnum
from typing import Final, Literal, NamedTuple, TypeAlias
from uuid import UUID

from msgspec import Struct

from workers.payments.money import Money

What: TypeAlias = Literal["payment", "refund"]


class Kind(StrEnum):
    """How the two sides of a line compare."""

    matched = "matched"
    missing_here = "missing_here"
    missing_there = "missing_there"
    different_amount = "different_amount"
    duplicate = "duplicate"
    mismatch = "mismatch"


class Finding(NamedTuple):
    """How the two sides compare, and in which way."""

    kind: Kind
    detail: str = ""
    """One of `ADVICE` for its kind; empty where there is nothing to add."""


MATCHED: Final = Finding(Kind.matched)


class Line(Struct, frozen=True, kw_only=True):
    """One payment or refund, as both sides have it."""

    what: What
    id: str
    """The gateway's."""
    payment_id: str
    order_id: UUID | None
    account_id: UUID | None
    at: datetime
    """When it happened, as the gateway says; where it does not list it, as we have it."""
    theirs: Money | None
    ours: Money | None
    credits_microcredits: int | None
    """What the ledger credited for the payment, or took back for the payment's refunds."""
    found: Finding
    after: Finding | None = None
    """How they compare after it was posted; `None` where nothing was tried."""
    problem: str = ""
    """Why it could not be posted."""

    @property
    def stands(self) -> Finding:
        """How the two sides compare in the end."""
        return self.after or self.found

    @property
    def is_matched(self) -> bool:
        """Whether nobody has to do anything about it any more."""
        return self.stands.kind is Kind.matched


ADVICE: Final[dict[Kind, dict[str, str]]] = {
    Kind.matched: {
        "": "nothing to do",
        "failed": "the refund failed, and moves nothing on either side",
        "refunded": "a second payment for an order, all of which went back",
        "resolved": "fits nothing that we offered, and somebody has dealt with it",
    },
    Kind.missing_here: {
        "unknown": "no webhook of it was processed: post it with --apply",
        "unpaid": "here it is not paid yet: post it with --apply",
        "uncredited": "noted here as paid, and never credited: post it with --apply",
        "event_missing": "noted here as credited, but the ledger has no such event: run `holdfast audit verify`",
        "unnoted": "the ledger has the top-up, but its payment is not noted: somebody has changed rows",
        "failed_there": "the refund failed, and its credits are still taken back: post it with --apply",
        "not_taken_back": "the refund is noted, its credits are not taken back: post it with --apply",
    },
    Kind.missing_there: {
        "": "the gateway does not know it: see that the keys are of the right account, live or test; then ask",
        "uncredited": "the gateway does not know it; nothing was credited",
        "unnoted": "the ledger has a top-up that neither the gateway nor our payments know: find out who made it",
    },
    Kind.different_amount: {
        "amount": "the amounts differ: find out which is right, then adjust the account or refund the rest",
        "currency": "the currencies differ: find out which is right, then adjust the account or refund it",
        "ledger_amount": "the ledger says that another amount was paid: its event came from somewhere else",
        "ledger_currency": "the ledger says that another currency was paid: its event came from somewhere else",
        "account": "the ledger credited another account than the payment's: move the credits by two adjustments",
        "credits": "the ledger moved other credits than the payment's: adjust the account by the difference",
        "order": "the payment is right, and the order asked for another price: find out who changed the order",
        "tax": "without its tax, the payment is not the price of the order: correct the tax settings at the gateway",
        "payment": "the refund belongs to another payment there than here: adjust both accounts",
        "failed_here": "here the refund failed, and there it did not: ask the gateway, then adjust the account",
    },
    Kind.duplicate: {
        "order_paid_twice": "the order was paid for by an earlier payment, too: refund this one at the gateway",
        "credited_twice": "the ledger has several top-ups for this payment: take all but one back by adjustments",
    },
    Kind.mismatch: {
        "amount": "another amount than the order's was paid, and nothing credited: refund it, then resolve it",
        "currency": "another currency than the order's was paid, and nothing credited: refund it, then resolve it",
        "account": "the order is another account's, and nothing was credited: refund it, then resolve it",
        "order": "it is for no order that is open here, and nothing was credited: refund it, then resolve it",
    },
}
"""What somebody should do, for each kind and detail."""
