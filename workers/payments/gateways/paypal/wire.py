"""What PayPal sends, as far as it is read here. Unknown fields are passed over, and most known ones may be missing."""

import re
from typing import Final

from msgspec import Raw, Struct, field

NAME: Final = "paypal"

_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)


def is_id(text: str) -> bool:
    """Whether this can be the id of one of PayPal's objects, and so a part of a path."""
    return _ID.fullmatch(text) is not None


class Amount(Struct, frozen=True):
    """An amount of money."""

    currency_code: str
    value: str


class Link(Struct, frozen=True):
    """Where a related object is."""

    href: str
    rel: str


class RelatedIds(Struct, frozen=True):
    """The ids of related objects."""

    order_id: str = ""
    capture_id: str = ""


class SupplementaryData(Struct, frozen=True):
    """Holds the ids of related objects."""

    related_ids: RelatedIds = RelatedIds()


class StatusDetails(Struct, frozen=True):
    """Why a status is what it is."""

    reason: str = ""


class Capture(Struct, frozen=True, kw_only=True):
    """Money that was taken for an order, or not quite."""

    id: str
    status: str
    amount: Amount
    custom_id: str = ""
    status_details: StatusDetails = StatusDetails()
    supplementary_data: SupplementaryData = SupplementaryData()
    links: list[Link] = field(default_factory=list[Link])
    create_time: str = ""
    update_time: str = ""


class Refund(Struct, frozen=True, kw_only=True):
    """Money that went back for a capture, or will."""

    id: str
    status: str
    amount: Amount
    supplementary_data: SupplementaryData = SupplementaryData()
    links: list[Link] = field(default_factory=list[Link])
    create_time: str = ""

    @property
    def capture_id(self) -> str:
        """The id of the capture that it gives back; empty where PayPal does not say so."""
        return self.supplementary_data.related_ids.capture_id or _id_in(self.links, "/captures/")


class Payments(Struct, frozen=True):
    """What was taken for a purchase unit, and given back."""

    captures: list[Capture] = field(default_factory=list[Capture])
    refunds: list[Refund] = field(default_factory=list[Refund])


class PurchaseUnit(Struct, frozen=True):
    """What an order is for. Ours have one each."""

    custom_id: str = ""
    payments: Payments = Payments()


class Order(Struct, frozen=True, kw_only=True):
    """What a customer is asked to approve."""

    id: str
    status: str = ""
    purchase_units: list[PurchaseUnit] = field(default_factory=list[PurchaseUnit])
    links: list[Link] = field(default_factory=list[Link])

    @property
    def captures(self) -> list[Capture]:
        """What was taken for it."""
        return [capture for unit in self.purchase_units for capture in unit.payments.captures]

    @property
    def refunds(self) -> list[Refund]:
        """What was given back of that."""
        return [refund for unit in self.purchase_units for refund in unit.payments.refunds]

    @property
    def approve_url(self) -> str:
        """Where the customer approves it; empty where there is nothing to approve any more."""
        # `payer-action` where the order names PayPal as the means of payment, `approve` where it names none.
        return next((link.href for link in self.links if link.rel in ("payer-action", "approve")), "")


class DisputedTransaction(Struct, frozen=True):
    """A payment that a dispute is about. For us, as the seller, its id is that of the capture."""

    seller_transaction_id: str = ""
    gross_amount: Amount | None = None


class DisputeOutcome(Struct, frozen=True):
    """How a dispute ended."""

    outcome_code: str = ""
    amount_refunded: Amount | None = None


class MoneyMovement(Struct, frozen=True):
    """What a dispute has moved so far, and on whose account."""

    affected_party: str = ""
    type: str = ""
    reason: str = ""


class Dispute(Struct, frozen=True, kw_only=True):
    """A customer, or their bank, wants money back."""

    dispute_id: str
    status: str = ""
    dispute_life_cycle_stage: str = ""
    dispute_amount: Amount | None = None
    dispute_outcome: DisputeOutcome = DisputeOutcome()
    disputed_transactions: list[DisputedTransaction] = field(default_factory=list[DisputedTransaction])
    money_movements: list[MoneyMovement] = field(default_factory=list[MoneyMovement])
    create_time: str = ""
    update_time: str = ""


class FoundDispute(Struct, frozen=True):
    """A dispute in a list, which says less than the dispute itself."""

    dispute_id: str


class FoundDisputes(Struct, frozen=True):
    """A list of disputes. One page holds ten; more on one payment there are not."""

    items: list[FoundDispute] = field(default_factory=list[FoundDispute])


class Resource(Struct, frozen=True, kw_only=True):
    """The object that a webhook is about, as it was when the event happened."""

    id: str = ""
    dispute_id: str = ""
    amount: Amount | None = None
    purchase_units: list[PurchaseUnit] = field(default_factory=list[PurchaseUnit])
    supplementary_data: SupplementaryData = SupplementaryData()
    links: list[Link] = field(default_factory=list[Link])
    create_time: str = ""

    @property
    def capture_id(self) -> str:
        """Of a reversal: the id of the capture that it reverses, which may be itself."""
        return self.supplementary_data.related_ids.capture_id or _id_in(self.links, "/captures/") or self.id


class Event(Struct, frozen=True, kw_only=True):
    """A webhook's body. The resource of kinds that do not concern us may be anything."""

    id: str
    event_type: str
    resource: Raw = Raw(b"{}")


class Named(Struct, frozen=True, kw_only=True):
    """What every resource has, one or the other."""

    id: str = ""
    dispute_id: str = ""


class TransactionInfo(Struct, frozen=True, kw_only=True):
    """A line of the report of transactions."""

    transaction_id: str
    transaction_event_code: str = ""
    transaction_initiation_date: str = ""
    transaction_amount: Amount | None = None
    transaction_status: str = ""
    paypal_reference_id: str = ""
    custom_field: str = ""


class TransactionDetail(Struct, frozen=True):
    """Holds a line of the report."""

    transaction_info: TransactionInfo


class TransactionPage(Struct, frozen=True):
    """A page of the report."""

    transaction_details: list[TransactionDetail] = field(default_factory=list[TransactionDetail])
    total_pages: int = 0


class Token(Struct, frozen=True):
    """What opens the API, for a while."""

    access_token: str
    expires_in: int


class Issue(Struct, frozen=True):
    """One thing that is wrong with a request."""

    issue: str = ""
    description: str = ""


class Problem(Struct, frozen=True):
    """Why a request was not done."""

    name: str = ""
    debug_id: str = ""
    details: list[Issue] = field(default_factory=list[Issue])
    error: str = ""
    """In place of a name, from the OAuth endpoint."""

    @property
    def issues(self) -> frozenset[str]:
        """What is wrong, in PayPal's codes."""
        return frozenset(detail.issue for detail in self.details)


def _id_in(links: list[Link], folder: str) -> str:
    """Return the id of the related object under a folder, from the link upwards."""
    for link in links:
        if link.rel == "up" and folder in link.href:
            return link.href.partition(folder)[2].partition("/")[0]
    return ""
