"""Webhooks, mismatches and orders as the `holdfast payments` commands print them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import IntEnum
from typing import Any, Final, Self
from uuid import UUID

import msgspec

from ledger.amounts import format_credits
from workers.payments.facts import DisputeStatus, PaymentStatus, RefundStatus
from workers.payments.money import Money
from workers.payments.orders import OrderState

STATES: Final[tuple[str, ...]] = ("waiting", "done", "dead")
"""Of webhooks, by the numbers they are stored under."""

_SECRET_HEADER: Final = re.compile(r"sig|auth|cookie|secret|token|key|password|credential", re.IGNORECASE)


class _MismatchStatus(IntEnum):
    open = 0
    resolved = 1


_STATUSES: Final[dict[str, Callable[[int], IntEnum]]] = {
    "payment": PaymentStatus,
    "refund": RefundStatus,
    "dispute": DisputeStatus,
    "mismatch": _MismatchStatus,
}


class ShownWebhook(msgspec.Struct, frozen=True):
    """A webhook as it is listed."""

    id: int
    state: str
    gateway: str
    kind: str
    object_id: str
    event_id: str
    request_id: str
    tries: int
    received_at: datetime
    due_at: datetime
    processed_at: datetime | None
    last_error: str | None

    @classmethod
    def of_row(cls, row: tuple[Any, ...]) -> Self:
        """Read a row of `list_inbox.sql`."""
        values: list[Any] = [row[0], STATES[row[1]], *row[2:12]]
        return cls(*values)

    @property
    def line(self) -> str:
        """One line for a person."""
        error = f"  {printable(self.last_error)}" if self.last_error else ""
        return (
            f"{self.id:>8}  {self.state:<7}  {self.received_at:%Y-%m-%d %H:%M:%S}  {self.gateway:<8}  "
            f"{printable(self.kind)} {printable(self.object_id)}  tries {self.tries}{error}"
        )


class ShownMismatch(msgspec.Struct, frozen=True):
    """A payment that fits nothing we offered, as it is printed."""

    gateway: str
    payment_id: str
    reason: str
    order_id: UUID | None
    account_id: UUID | None
    amount: str
    currency: str
    detail: str
    found_at: datetime
    resolved_at: datetime | None
    resolved_by: str | None
    resolution: str | None

    @classmethod
    def of_row(cls, row: tuple[Any, ...]) -> Self:
        """Read a row of `list_mismatches.sql`."""
        values: list[Any] = [*row[:5], Money(row[5], row[6]).text, *row[6:]]
        return cls(*values)

    @property
    def line(self) -> str:
        """One line for a person."""
        resolved = f"  resolved by {self.resolved_by}: {self.resolution}" if self.resolved_at else ""
        return (
            f"{self.found_at:%Y-%m-%d %H:%M:%S}  {self.gateway:<8}  {printable(self.payment_id)}  "
            f"{self.amount} {self.currency}  {self.reason}: {printable(self.detail)}{printable(resolved)}"
        )


class ShownHistory(msgspec.Struct, frozen=True):
    """What a gateway said about an order once, as it is printed."""

    what: str
    gateway: str
    id: str
    payment_id: str
    amount: str
    currency: str
    status: str
    credits: str | None
    at: datetime
    said: str

    @classmethod
    def of_row(cls, row: tuple[Any, ...]) -> Self:
        """Read a row of `read_order_history.sql`."""
        what, status, microcredits = row[0], row[6], row[7]
        given = None if microcredits is None else format_credits(microcredits)
        values: list[Any] = [
            *row[:4], Money(row[4], row[5]).text, row[5], _STATUSES[what](status).name, given, *row[8:]
        ]  # fmt: skip
        return cls(*values)

    @property
    def line(self) -> str:
        """One line for a person."""
        given = f"  credits {self.credits}" if self.credits is not None else ""
        return (
            f"  {self.at:%Y-%m-%d %H:%M:%S}  {self.what:<8} {self.status:<9}  {self.gateway:<8}  {printable(self.id)}  "
            f"{self.amount} {self.currency}{given}  {printable(self.said)}"
        ).rstrip()


class ShownOrder(msgspec.Struct, frozen=True):
    """What somebody wanted to buy, as it is printed."""

    id: UUID
    account_id: UUID
    state: str
    gateway: str
    gateway_id: str | None
    purpose: str
    product: str
    product_version: int
    region: str
    price: str
    currency: str
    tax_inclusive: bool
    credits: str
    subscription_id: str | None
    created_at: datetime
    paid_at: datetime | None
    history: tuple[ShownHistory, ...] = ()

    @classmethod
    def of_row(cls, row: tuple[Any, ...], history: tuple[ShownHistory, ...]) -> Self:
        """Read a row of `read_order.sql`."""
        values: list[Any] = [
            *row[:2], OrderState(row[2]).name, *row[3:9], Money(row[9], row[10]).text, *row[10:12],
            format_credits(row[12]), *row[13:], history,
        ]  # fmt: skip
        return cls(*values)

    @property
    def lines(self) -> tuple[str, ...]:
        """Lines for a person."""
        price = f"{self.price} {self.currency}, tax {'included' if self.tax_inclusive else 'on top'}"
        return (
            f"{self.id}  {self.state}",
            f"  account {self.account_id}",
            f"  {self.purpose} {self.product}, version {self.product_version}, in {self.region}",
            f"  {price}, for {self.credits} credits",
            f"  at {self.gateway}: {printable(self.gateway_id or 'not started there')}",
            f"  made {self.created_at:%Y-%m-%d %H:%M:%S}"
            + (f", paid {self.paid_at:%Y-%m-%d %H:%M:%S}" if self.paid_at else ""),
            *(each.line for each in self.history),
        )


def shown_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers without what would let somebody pass as the gateway."""
    return {
        name: f"[{len(value)} characters]" if _SECRET_HEADER.search(name) else value
        for name, value in sorted(headers.items())
    }


def printable(text: str) -> str:
    """Return a text that cannot steer the terminal it is printed on."""
    return "".join(character if character.isprintable() or character in "\n\t" else "�" for character in text)
