"""The shop of the fake YooKassa: what happens to its payments, refunds and saved means of payment, and what it sends.

See yookassa_server.py for how to use it.
"""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from tests.fakes.yookassa_lists import Collection
from tests.fakes.yookassa_objects import (
    Object,
    Refusal,
    bank_card,
    check_payment,
    check_refund,
    moment,
    new_payment,
    new_refund,
    plain_amount,
    value_of,
)

SHOP_ID = "100500"
SENDER = "77.75.153.7"
WEEK_US = timedelta(days=7) // timedelta(microseconds=1)


@dataclass(frozen=True)
class Notification:
    """One HTTP request that the real one would send."""

    body: bytes
    remote_address: str = SENDER
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json"})

    @property
    def event(self) -> str:
        """What it says has happened."""
        return json.loads(self.body)["event"]

    @property
    def object(self) -> Object:
        """What it says the object is."""
        return json.loads(self.body)["object"]


def notification(event: str, about: Object) -> Notification:
    """What is sent about an object, as it is now."""
    return Notification(json.dumps({"type": "notification", "event": event, "object": about}).encode())


def events(notifications: Iterable[Notification]) -> list[str]:
    """What some notifications say has happened."""
    return [sent.event for sent in notifications]


class Shop:
    """A shop, without HTTP."""

    def __init__(self) -> None:
        self.shop_id = SHOP_ID
        self.requires_receipts = False
        """Whether this shop sends receipts through YooKassa, so that no payment may come without."""
        self.refunds_wait = False
        """Whether refunds that are asked for stay pending until `finish_refund` or `fail_refund`."""
        self.notifications: list[Notification] = []
        self.receipts: list[Object] = []
        """The data of receipts, as they came with payments and refunds."""
        self.pages_url = "https://yoomoney.ru"
        self._payments = Collection()
        self._refunds = Collection()
        self._methods: dict[str, Object] = {}
        self._declines: dict[str, str] = {}
        self._wanted: dict[str, Object] = {}
        self._ahead_us = 0

    @property
    def payments(self) -> dict[str, Object]:
        """All payments, by id."""
        return self._payments.by_id

    @property
    def refunds(self) -> dict[str, Object]:
        """All refunds, by id."""
        return self._refunds.by_id

    def now_us(self) -> int:
        """The time by its clock."""
        return time.time_ns() // 1_000 + self._ahead_us

    def advance(self, *, hours: float) -> None:
        """Move its clock on."""
        self._ahead_us += timedelta(hours=hours) // timedelta(microseconds=1)

    def pay(self, payment_id: str) -> list[Notification]:
        """The customer confirms a payment, and the bank agrees."""
        payment = self.payments[payment_id]
        assert payment["status"] == "pending", "it can be paid once"
        wanted = self._wanted[payment_id]
        payment["payment_method"] = bank_card(payment_id, saved=bool(wanted.get("save_payment_method")))
        if payment["payment_method"]["saved"]:
            self._methods[payment_id] = payment["payment_method"]
        if wanted.get("capture", False):
            return self._succeed(payment)
        payment.update(status="waiting_for_capture", paid=True, expires_at=moment(self.now_us() + WEEK_US))
        return self._send("payment.waiting_for_capture", payment)

    def cancel(
        self, payment_id: str, *, reason: str = "expired_on_confirmation", party: str = "yoo_money"
    ) -> list[Notification]:
        """A payment comes to nothing: the customer stays away, or the bank says no."""
        payment = self.payments[payment_id]
        assert payment["status"] in ("pending", "waiting_for_capture"), "what is over is over"
        return self._cancel(payment, reason=reason, party=party)

    def refund(self, payment_id: str, value: str | None = None) -> list[Notification]:
        """An administrator gives a payment back in YooKassa's pages; all that is left of it, or a part."""
        payment = self.payments[payment_id]
        left = value_of(payment["amount"]) - value_of(payment["refunded_amount"])
        amount = {"value": value or str(left), "currency": payment["amount"]["currency"]}
        request: Object = {"payment_id": payment_id, "amount": amount}
        return self._finish(self._new_refund(request))

    def finish_refund(self, refund_id: str) -> list[Notification]:
        """A refund that was pending reaches the customer."""
        return self._finish(self.refunds[refund_id])

    def fail_refund(self, refund_id: str, *, reason: str = "rejected_by_payee") -> list[Notification]:
        """A refund that was pending does not reach the customer. YooKassa sends nothing about that."""
        self.refunds[refund_id].update(
            status="canceled", cancellation_details={"party": "payment_network", "reason": reason}
        )
        return []

    def decline_method(self, method_id: str, *, reason: str = "insufficient_funds") -> list[Notification]:
        """From now on the bank says no to charges to a saved means of payment."""
        self._declines[method_id] = reason
        return []

    def accept_method(self, method_id: str) -> list[Notification]:
        """From now on the bank agrees again."""
        self._declines.pop(method_id, None)
        return []

    def forget_method(self, method_id: str) -> list[Notification]:
        """A saved means of payment is not there any more."""
        self._methods.pop(method_id)
        return []

    def add_payment(
        self,
        value: str = "10.00",
        *,
        currency: str = "RUB",
        metadata: dict[str, str] | None = None,
        at_us: int | None = None,
        paid: bool = True,
    ) -> str:
        """A payment made at some time by somebody else, or by us and forgotten; returns its id and sends nothing."""
        request: Object = {"amount": {"value": value, "currency": currency}, "metadata": metadata, "capture": True}
        made_us = self.now_us() if at_us is None else at_us
        payment = new_payment(
            request, payment_id=self._new_id(), shop_id=self.shop_id, at_us=made_us, pages_url=self.pages_url
        )
        self._wanted[payment["id"]] = request
        self._payments.add(payment)
        if paid:
            payment["payment_method"] = bank_card(payment["id"], saved=False)
            self._take(payment, made_us)
        return payment["id"]

    def make_payment(self, request: dict[str, Any]) -> Object:
        """Make what a request asks for.

        Raises:
            Refusal: it makes no sense.
        """
        check_payment(request, receipts=self.requires_receipts)
        method_id = request.get("payment_method_id")
        if method_id is not None and method_id not in self._methods:
            raise Refusal("payment_method_id", "Payment method doesn't exist or is not saved")
        payment = new_payment(
            request, payment_id=self._new_id(), shop_id=self.shop_id, at_us=self.now_us(), pages_url=self.pages_url
        )
        self._keep_receipt(request)
        self._wanted[payment["id"]] = request
        self._payments.add(payment)
        if method_id is not None:
            self._charge(payment, method_id)
        return payment

    def _charge(self, payment: Object, method_id: str) -> None:
        payment["payment_method"] = self._methods[method_id]
        if method_id in self._declines:
            self._cancel(payment, reason=self._declines[method_id], party="payment_network")
        else:
            self._succeed(payment)

    def make_refund(self, request: dict[str, Any]) -> Object:
        """Make what a request asks for.

        Raises:
            Refusal: it makes no sense, or gives more back than is left.
        """
        refund = self._new_refund(request)
        if not self.refunds_wait:
            self._finish(refund)
        return refund

    def _new_refund(self, request: dict[str, Any]) -> Object:
        payment = self.payments.get(str(request.get("payment_id")))
        check_refund(request, payment)
        assert payment is not None, "it was checked"
        if value_of(request["amount"]) > value_of(payment["amount"]) - self._given_back(payment):
            raise Refusal("amount", "Refund amount exceeds the amount that is left of the payment")
        self._keep_receipt(request)
        return self._refunds.add(new_refund(request, refund_id=self._new_id(), at_us=self.now_us()))

    def _given_back(self, payment: Object) -> Decimal:
        """What of a payment is on its way back, or has arrived."""
        refunds = (refund for refund in self.refunds.values() if refund["payment_id"] == payment["id"])
        return sum((value_of(refund["amount"]) for refund in refunds if refund["status"] != "canceled"), Decimal(0))

    def _keep_receipt(self, request: dict[str, Any]) -> None:
        if "receipt" in request:
            self.receipts.append(request["receipt"])

    def _succeed(self, payment: Object) -> list[Notification]:
        self._take(payment, self.now_us())
        return self._send("payment.succeeded", payment)

    def _take(self, payment: Object, at_us: int) -> None:
        currency = payment["amount"]["currency"]
        income = f"{value_of(payment['amount']) * Decimal('0.965'):.2f}"
        payment.pop("confirmation", None)
        payment.update(
            status="succeeded",
            paid=True,
            refundable=True,
            captured_at=moment(at_us),
            income_amount={"value": income, "currency": currency},
            refunded_amount={"value": "0.00", "currency": currency},
            authorization_details={"rrn": "10000000000", "auth_code": "000000", "three_d_secure": {"applied": True}},
        )
        if "receipt_registration" in payment:
            payment["receipt_registration"] = "succeeded"

    def _cancel(self, payment: Object, *, reason: str, party: str) -> list[Notification]:
        payment.pop("confirmation", None)
        payment.update(
            status="canceled", paid=False, refundable=False, cancellation_details={"party": party, "reason": reason}
        )
        return self._send("payment.canceled", payment)

    def _finish(self, refund: Object) -> list[Notification]:
        refund["status"] = "succeeded"
        payment = self.payments[refund["payment_id"]]
        refunded = value_of(payment["refunded_amount"]) + value_of(refund["amount"])
        currency = payment["amount"]["currency"]
        payment["refunded_amount"] = plain_amount({"value": str(refunded), "currency": currency})
        payment["refundable"] = refunded < value_of(payment["amount"])
        return self._send("refund.succeeded", refund)

    def _send(self, event: str, about: Object) -> list[Notification]:
        sent = notification(event, about)
        self.notifications.append(sent)
        return [sent]

    def _new_id(self) -> str:
        return f"{self.now_us() // 1_000_000:08x}-000f-5000-9000-{uuid4().hex[20:]}"
