"""What YooKassa sends: the fields that we use of its objects, notifications, lists and errors. It may add others."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import Meta, Struct

Id: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]
"""Of an object; goes into URLs, so nothing else may be in it."""

Event: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z_]{1,40}\.[a-z_]{1,40}\Z")]
"""What happened: `<object>.<status>`, such as `payment.succeeded`."""

Status: TypeAlias = Literal["pending", "waiting_for_capture", "succeeded", "canceled"]

PROGRESS: Final[dict[str, int]] = {"pending": 0, "waiting_for_capture": 1, "succeeded": 2, "canceled": 2}
"""How far an object with a status has come; it never goes back."""


class Amount(Struct, frozen=True):
    """Money."""

    value: str
    currency: str


class Cancellation(Struct, frozen=True):
    """Who cancelled something, and why."""

    party: str = ""
    reason: str = ""


class Card(Struct, frozen=True):
    """What may be shown of a bank card."""

    last4: str = ""
    card_type: str = ""


class PaymentMethod(Struct, frozen=True):
    """A means of payment."""

    id: Id
    type: str = ""
    saved: bool = False
    """Whether it can be charged again."""
    card: Card | None = None


class Confirmation(Struct, frozen=True):
    """How the customer is to confirm a payment."""

    confirmation_url: str = ""


class Payment(Struct, frozen=True):
    """A payment."""

    id: Id
    status: Status
    amount: Amount
    created_at: datetime
    captured_at: datetime | None = None
    description: str | None = None
    metadata: dict[str, Any] | None = None
    payment_method: PaymentMethod | None = None
    confirmation: Confirmation | None = None
    cancellation_details: Cancellation | None = None


class Refund(Struct, frozen=True):
    """A refund of a payment, or of a part of it."""

    id: Id
    payment_id: Id
    status: Status
    amount: Amount
    created_at: datetime
    metadata: dict[str, Any] | None = None
    cancellation_details: Cancellation | None = None


class PaymentPage(Struct, frozen=True):
    """A part of the list of payments, newest first."""

    items: list[Payment]
    next_cursor: str | None = None


class RefundPage(Struct, frozen=True):
    """A part of the list of refunds, newest first."""

    items: list[Refund]
    next_cursor: str | None = None


class NoticeObject(Struct, frozen=True):
    """What a notification is about. Nothing else of it is believed."""

    id: Id


class Notice(Struct, frozen=True):
    """A notification."""

    type: Literal["notification"]
    event: Event
    object: NoticeObject


class ErrorBody(Struct, frozen=True):
    """Why a request was refused."""

    code: str = ""
    description: str = ""
    parameter: str = ""
