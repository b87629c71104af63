"""Stripe's objects, as far as we read them. The same for webhooks and for answers: both are decoded from their bytes.

The SDK's own objects are slow to make and not needed to read. Fields that can be expanded hold an id, or the object
itself where it was asked for.
"""

from typing import Generic, TypeVar

import msgspec
from msgspec import field

T = TypeVar("T")


class Listed(msgspec.Struct, Generic[T]):
    """A page of a list, or a list inside another object."""

    data: list[T]
    has_more: bool = False


class Card(msgspec.Struct):
    """What may be shown of a card."""

    brand: str = ""
    last4: str = ""


class PaymentMethod(msgspec.Struct):
    """A means of payment."""

    id: str
    type: str = ""
    card: Card | None = None


class PaymentFailure(msgspec.Struct):
    """Why an attempt to pay failed."""

    code: str | None = None
    decline_code: str | None = None
    message: str | None = None


class Charge(msgspec.Struct):
    """One attempt to take money that a payment intent made."""

    id: str
    created: int
    payment_intent: str | None = None


class Intent(msgspec.Struct):
    """A payment intent: what we know as a payment."""

    id: str
    amount: int
    created: int
    currency: str
    status: str
    amount_received: int = 0
    metadata: dict[str, str] | None = None
    customer: str | None = None
    payment_method: str | PaymentMethod | None = None
    latest_charge: str | Charge | None = None
    setup_future_usage: str | None = None
    last_payment_error: PaymentFailure | None = None


class TotalDetails(msgspec.Struct):
    """What a Checkout session's total is made of."""

    amount_tax: int = 0


class Session(msgspec.Struct):
    """A Checkout session: the page that a customer pays on."""

    id: str
    created: int
    mode: str
    payment_status: str
    url: str | None = None
    amount_total: int | None = None
    currency: str | None = None
    metadata: dict[str, str] | None = None
    payment_intent: str | None = None
    subscription: str | None = None
    invoice: str | None = None
    total_details: TotalDetails | None = None


class SubscriptionDetails(msgspec.Struct):
    """Which subscription an invoice is for, with what the subscription's metadata were then."""

    subscription: str
    metadata: dict[str, str] | None = None


class InvoiceParent(msgspec.Struct):
    """What an invoice is for."""

    subscription_details: SubscriptionDetails | None = None


class ItemDetails(msgspec.Struct):
    """What a line of a subscription's invoice is for."""

    proration: bool = False


class LineParent(msgspec.Struct):
    """What a line of an invoice is for."""

    subscription_item_details: ItemDetails | None = None


class LinePeriod(msgspec.Struct):
    """The time that a line of an invoice pays for, in seconds."""

    start: int
    end: int


class InvoiceLine(msgspec.Struct):
    """A line of an invoice."""

    period: LinePeriod
    parent: LineParent | None = None


class Tax(msgspec.Struct):
    """A tax on an invoice."""

    amount: int


class PaidAt(msgspec.Struct):
    """When something was paid, if it was."""

    paid_at: int | None = None


class PaymentOfInvoice(msgspec.Struct):
    """What took the money for an invoice, or is to take it."""

    payment_intent: str | Intent | None = None


class InvoicePayment(msgspec.Struct):
    """The bond between an invoice and a payment for it."""

    id: str
    created: int
    currency: str
    status: str
    amount_requested: int
    invoice: "str | Invoice"
    payment: PaymentOfInvoice
    amount_paid: int | None = None
    status_transitions: PaidAt = field(default_factory=PaidAt)


class Invoice(msgspec.Struct):
    """An invoice. `payments` are there only where they were asked for."""

    id: str
    created: int
    billing_reason: str | None = None
    parent: InvoiceParent | None = None
    lines: Listed[InvoiceLine] = field(default_factory=lambda: Listed[InvoiceLine]([]))
    payments: Listed[InvoicePayment] | None = None
    total_taxes: list[Tax] | None = None


class Refund(msgspec.Struct):
    """Money on its way back."""

    id: str
    amount: int
    created: int
    currency: str
    status: str | None = None
    payment_intent: str | None = None
    metadata: dict[str, str] | None = None


class BalanceChange(msgspec.Struct):
    """What a dispute took from our balance, or gave back to it."""

    amount: int


class Dispute(msgspec.Struct):
    """A customer's bank wants money back."""

    id: str
    amount: int
    created: int
    currency: str
    status: str
    payment_intent: str | None = None
    balance_transactions: list[BalanceChange] = []


class InvoiceSettings(msgspec.Struct):
    """How a customer's invoices are paid, where nothing else is said."""

    default_payment_method: str | PaymentMethod | None = None


class Customer(msgspec.Struct):
    """A customer; of one that was deleted only the id is left."""

    id: str
    invoice_settings: InvoiceSettings = field(default_factory=InvoiceSettings)


class Recurring(msgspec.Struct):
    """How often a price is paid."""

    interval: str
    interval_count: int = 1


class Price(msgspec.Struct):
    """What an item of a subscription costs."""

    id: str
    recurring: Recurring | None = None


class SubscriptionItem(msgspec.Struct):
    """What is subscribed to; of ours there is one to a subscription."""

    id: str
    current_period_start: int
    current_period_end: int
    price: Price


class PauseCollection(msgspec.Struct):
    """Nothing is collected for now."""

    behavior: str = ""


class Subscription(msgspec.Struct):
    """A subscription."""

    id: str
    status: str
    customer: str | Customer
    metadata: dict[str, str] | None = None
    items: Listed[SubscriptionItem] = field(default_factory=lambda: Listed[SubscriptionItem]([]))
    cancel_at: int | None = None
    cancel_at_period_end: bool = False
    pause_collection: PauseCollection | None = None
    default_payment_method: str | PaymentMethod | None = None


class Named(msgspec.Struct):
    """Anything that we need no more of than its id."""

    id: str


class Addressed(msgspec.Struct):
    """Anything that we need no more of than its URL."""

    url: str


class EventData(msgspec.Struct, Generic[T]):
    """What an event is about, as it was then."""

    object: T


class Event(msgspec.Struct, Generic[T]):
    """An event. `account` is set on those of accounts connected to ours, which are not our business."""

    created: int
    data: EventData[T]
    account: str | None = None
