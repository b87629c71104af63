"""Paddle's objects, as far as we read them: API version 1, of answers and webhooks alike."""

from datetime import datetime
from typing import Annotated, Any, Final, TypeAlias
from uuid import UUID

import msgspec
from msgspec import Struct

from ledger.rows import to_us
from workers.payments.facts import Period

Moment: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]


class Ours(Struct, frozen=True, omit_defaults=True):
    """What we put into the `custom_data` of a transaction, and of the price it charges."""

    order_id: UUID | None = None
    account_id: UUID | None = None
    price_key: str = ""
    changed_at: Moment | None = None
    """Of a change of plan: when it was made."""
    begins_at: Moment | None = None
    """Of a change of plan at once: when the new period begins."""
    bill_at: Moment | None = None
    """Of a change of plan: when the subscription is to be billed next."""


NOTHING_OF_OURS: Final = Ours()


def ours_in(custom_data: object) -> Ours:
    """Read what we put there. Somebody else may have put anything there: that is nothing of ours."""
    try:
        return msgspec.convert(custom_data, Ours, strict=False)
    except msgspec.ValidationError:
        return NOTHING_OF_OURS


class Named(Struct, frozen=True):
    """Any object."""

    id: str


class Notification(Struct, frozen=True):
    """A webhook, without what it is about."""

    event_id: str
    event_type: str
    data: Named


class Cycle(Struct, frozen=True):
    """How often something is billed."""

    interval: str
    frequency: int

    @property
    def months(self) -> int:
        """How many calendar months that is; 0 if it is counted in days or weeks."""
        return self.frequency * {"month": 1, "year": 12}.get(self.interval, 0)


class Span(Struct, frozen=True):
    """A period of billing."""

    starts_at: Moment
    ends_at: Moment

    @property
    def period(self) -> Period:
        """The same, as facts have it."""
        return Period(to_us(self.starts_at), to_us(self.ends_at))


class Price(Struct, frozen=True):
    """What is charged, and how often."""

    billing_cycle: Cycle | None = None
    custom_data: Any = None


class Item(Struct, frozen=True):
    """One of the things that are sold."""

    price: Price

    @property
    def ours(self) -> Ours:
        """What we put into its price."""
        return ours_in(self.price.custom_data)


class Totals(Struct, frozen=True):
    """Amounts, in whole minor units."""

    total: str
    tax: str = "0"
    grand_total: str = ""
    currency_code: str = ""


class LineItem(Struct, frozen=True):
    """One of the things that were billed."""

    id: str
    totals: Totals


class Details(Struct, frozen=True):
    """What a transaction comes to."""

    totals: Totals
    line_items: tuple[LineItem, ...] = ()


class Card(Struct, frozen=True):
    """A card, as far as anybody may know it."""

    type: str = ""
    last4: str = ""


class MethodDetails(Struct, frozen=True):
    """A means of payment."""

    type: str = ""
    card: Card | None = None


class Attempt(Struct, frozen=True):
    """One attempt to collect."""

    status: str
    error_code: str | None = None
    captured_at: Moment | None = None
    method_details: MethodDetails | None = None


class Checkout(Struct, frozen=True):
    """Where a transaction is paid."""

    url: str | None = None


class Transaction(Struct, frozen=True):
    """Money that is to be paid, or was."""

    id: str
    status: str
    origin: str
    currency_code: str
    created_at: Moment
    items: tuple[Item, ...]
    customer_id: str | None = None
    custom_data: Any = None
    subscription_id: str | None = None
    billing_period: Span | None = None
    billed_at: Moment | None = None
    details: Details | None = None
    payments: tuple[Attempt, ...] = ()
    checkout: Checkout | None = None


class AdjustmentItem(Struct, frozen=True):
    """What of one billed thing was adjusted."""

    item_id: str
    totals: Totals | None = None
    amount: str | None = None


class Adjustment(Struct, frozen=True):
    """Money of a transaction that goes back, or comes again."""

    id: str
    action: str
    status: str
    transaction_id: str
    currency_code: str
    totals: Totals
    created_at: Moment
    reason: str = ""
    items: tuple[AdjustmentItem, ...] = ()


class ScheduledChange(Struct, frozen=True):
    """What happens to a subscription at the end of the period."""

    action: str


class Subscription(Struct, frozen=True):
    """What is billed again and again."""

    id: str
    status: str
    customer_id: str
    items: tuple[Item, ...]
    custom_data: Any = None
    next_billed_at: Moment | None = None
    current_billing_period: Span | None = None
    scheduled_change: ScheduledChange | None = None

    @property
    def ours(self) -> Ours:
        """What we put into the price that it charges now."""
        return self.items[0].ours if self.items else NOTHING_OF_OURS


class PortalLinks(Struct, frozen=True):
    """Links that lead to no certain subscription."""

    overview: str


class PortalUrls(Struct, frozen=True):
    """Links into the customer portal."""

    general: PortalLinks


class PortalSession(Struct, frozen=True):
    """Access to the customer portal, for a while."""

    urls: PortalUrls
