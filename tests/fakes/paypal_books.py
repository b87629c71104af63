"""What PayPal keeps, and what happens to it in PayPal's own pages. Each thing returns its webhooks, in order.

Customers approve and dispute here, administrators refund here, and banks take back.
"""

import itertools
import json
import time
from collections.abc import Callable
from decimal import Decimal

from tests.fakes.paypal_objects import (
    Object,
    amount,
    moment,
    new_capture,
    new_dispute,
    new_id,
    new_refund,
    not_found,
    unprocessable,
    value_of,
)
from tests.fakes.paypal_report import Report
from tests.fakes.paypal_webhooks import Webhook, signed

WEBHOOK_ID = "4JH86294D6297924G"

_events = itertools.count(1)


class Books:
    """Orders, captures, refunds and disputes of one seller."""

    def __init__(self) -> None:
        self.api_url = ""
        self.orders: dict[str, Object] = {}
        self.captures: dict[str, Object] = {}
        self.refunds: dict[str, Object] = {}
        self.disputes: dict[str, Object] = {}
        self.report = Report()
        self.capture_status = "COMPLETED"
        """What becomes of the next captures: `COMPLETED`, `PENDING` or `DECLINED`; or an issue, such as
        `INSTRUMENT_DECLINED`, with which the capture is refused."""
        self.capture_reason = ""
        self.sent: list[Webhook] = []
        """Every webhook so far, also those that no method returned because a call to the API caused them."""
        self._taken = 0
        self._clock: Callable[[], float] = time.time

    @property
    def now_s(self) -> float:
        """What time it is at PayPal."""
        return self._clock()

    def set_clock(self, now_s: float) -> None:
        """Stop PayPal's clock at a time. Webhooks are signed at it as well."""
        self._clock = lambda: now_s

    @property
    def latest_order(self) -> str:
        """The id of the latest order."""
        return list(self.orders)[-1]

    @property
    def latest_capture(self) -> str:
        """The id of the latest capture."""
        return list(self.captures)[-1]

    def take_webhooks(self) -> list[Webhook]:
        """Return what was sent since this was last asked, in order."""
        new, self._taken = self.sent[self._taken :], len(self.sent)
        return new

    def approve(self, order_id: str = "") -> list[Webhook]:
        """The customer approves the order, by default the latest one. No money moves."""
        order = self.orders[order_id or self.latest_order]
        assert order["status"] in ("CREATED", "PAYER_ACTION_REQUIRED", "APPROVED"), "an order that can be approved"
        order["status"] = "APPROVED"
        return [self._send("CHECKOUT.ORDER.APPROVED", "checkout-order", order)]

    def pay(self, order_id: str = "", *, status: str = "COMPLETED", reason: str = "") -> list[Webhook]:
        """The customer approves the order and it is captured, as if our own call had done so already.

        `status` is what comes of it: `COMPLETED`, `PENDING` or `DECLINED`.
        """
        order_id = order_id or self.latest_order
        return [*self.approve(order_id), self.capture(order_id, status=status, reason=reason)]

    def capture(self, order_id: str, *, status: str, reason: str = "") -> Webhook:
        """Take the money for an approved order."""
        order = self.orders[order_id]
        capture = new_capture(order, status=status, reason=reason, at_s=self.now_s, api_url=self.api_url)
        self.captures[capture["id"]] = capture
        order["purchase_units"][0].setdefault("payments", {}).setdefault("captures", []).append(capture)
        order["status"] = "COMPLETED"
        if status == "COMPLETED":
            self._report_payment(capture)
        return self._send(_CAPTURE_EVENT[status], "capture", capture)

    def complete(self, capture_id: str) -> list[Webhook]:
        """A pending capture brings its money."""
        capture = self._pending(capture_id)
        capture |= {"status": "COMPLETED", "update_time": moment(self.now_s)}
        capture.pop("status_details", None)
        self._report_payment(capture)
        return [self._send("PAYMENT.CAPTURE.COMPLETED", "capture", capture)]

    def deny(self, capture_id: str) -> list[Webhook]:
        """A pending capture brings no money after all."""
        capture = self._pending(capture_id)
        capture |= {"status": "DECLINED", "update_time": moment(self.now_s), "status_details": {"reason": "OTHER"}}
        return [self._send("PAYMENT.CAPTURE.DENIED", "capture", capture)]

    def refund(
        self, capture_id: str = "", value: str | None = None, *, is_pending: bool = False, note: str = ""
    ) -> list[Webhook]:
        """Give back what is left of a capture, or so much of it. A pending one takes its way through a bank.

        Raises:
            Refused: it is more than what is left.
        """
        if (capture_id or self.latest_capture) not in self.captures:
            raise not_found()
        capture = self.captures[capture_id or self.latest_capture]
        if capture["status"] == "PENDING":
            raise unprocessable("PENDING_CAPTURE")
        left = value_of(capture["amount"]) - self._given_back(capture["id"])
        wanted = left if value is None else Decimal(value)
        if left <= 0:
            raise unprocessable("CAPTURE_FULLY_REFUNDED")
        if wanted > left:
            raise unprocessable("REFUND_AMOUNT_EXCEEDED")
        given = amount(wanted, capture["amount"]["currency_code"])
        status = "PENDING" if is_pending else "COMPLETED"
        refund = new_refund(capture, given, status=status, at_s=self.now_s, api_url=self.api_url, note=note)
        self.refunds[refund["id"]] = refund
        if order := self._order_of(capture):
            order["purchase_units"][0]["payments"].setdefault("refunds", []).append(refund)
        self._update(capture)
        self.report.add(
            refund["id"], "T1107", given, at_s=self.now_s, is_debit=True, status="P" if is_pending else "S",
            reference_id=capture["id"], custom=capture.get("custom_id", ""), invoice=capture.get("invoice_id", ""),
        )  # fmt: skip
        return [self._send("PAYMENT.REFUND.PENDING" if is_pending else "PAYMENT.CAPTURE.REFUNDED", "refund", refund)]

    def finish_refund(self, refund_id: str, *, fails: bool = False) -> list[Webhook]:
        """A pending refund arrives, or comes back."""
        refund = self.refunds[refund_id]
        assert refund["status"] == "PENDING", "a refund that is on its way"
        refund |= {"status": "FAILED" if fails else "COMPLETED", "update_time": moment(self.now_s)}
        self.report.becomes(refund_id, "V" if fails else "S")
        capture_id = refund["links"][1]["href"].rpartition("/")[2]
        self._update(self.captures[capture_id])
        return [self._send("PAYMENT.REFUND.FAILED" if fails else "PAYMENT.CAPTURE.REFUNDED", "refund", refund)]

    def dispute(self, capture_id: str = "", value: str | None = None, *, stage: str = "INQUIRY") -> list[Webhook]:
        """The customer disputes a capture, or so much of it; as a `CHARGEBACK`, their bank does."""
        capture = self.captures[capture_id or self.latest_capture]
        given = capture["amount"] if value is None else amount(value, capture["amount"]["currency_code"])
        dispute = new_dispute(capture, given, stage=stage, at_s=self.now_s, api_url=self.api_url)
        self.disputes[dispute["dispute_id"]] = dispute
        return [self._send("CUSTOMER.DISPUTE.CREATED", "dispute", dispute)]

    def escalate(self, dispute_id: str) -> list[Webhook]:
        """An inquiry becomes a claim, and PayPal holds the money."""
        dispute = self.disputes[dispute_id]
        dispute |= {"dispute_life_cycle_stage": "CHARGEBACK", "status": "UNDER_REVIEW"}
        return [self._update_dispute(dispute, "CUSTOMER.DISPUTE.UPDATED")]

    def win(self, dispute_id: str, outcome: str = "RESOLVED_SELLER_FAVOUR") -> list[Webhook]:
        """The seller keeps the money."""
        return [self._resolve(dispute_id, outcome)]

    def lose(self, dispute_id: str) -> list[Webhook]:
        """The customer gets the money: the capture is reversed, then the dispute is resolved."""
        dispute = self.disputes[dispute_id]
        reversed_ = self.reverse(
            dispute["disputed_transactions"][0]["seller_transaction_id"], dispute["dispute_amount"]
        )
        dispute["money_movements"] = [_movement(dispute, "SELLER", "DEBIT"), _movement(dispute, "BUYER", "CREDIT")]
        return [*reversed_, self._resolve(dispute_id, "RESOLVED_BUYER_FAVOUR", is_refunded=True)]

    def accept(self, dispute_id: str) -> list[Webhook]:
        """The seller accepts the claim: PayPal refunds the customer, and the dispute is resolved."""
        dispute = self.disputes[dispute_id]
        capture_id = dispute["disputed_transactions"][0]["seller_transaction_id"]
        refunded = self.refund(capture_id, dispute["dispute_amount"]["value"])
        return [*refunded, self._resolve(dispute_id, "ACCEPTED", is_refunded=True)]

    def pay_out(self, dispute_id: str) -> list[Webhook]:
        """The customer is paid by PayPal, and the seller keeps the money."""
        dispute = self.disputes[dispute_id]
        dispute["money_movements"] = [_movement(dispute, "BUYER", "CREDIT")]
        return [self._resolve(dispute_id, "RESOLVED_WITH_PAYOUT", is_refunded=True)]

    def reverse(self, capture_id: str = "", given: Object | None = None) -> list[Webhook]:
        """PayPal takes a capture back, without asking."""
        capture = self.captures[capture_id or self.latest_capture]
        taken: Object = capture["amount"] if given is None else given
        reversal = new_refund(capture, taken, status="COMPLETED", at_s=self.now_s, api_url=self.api_url)
        self.report.add(
            reversal["id"], "T1106", taken, at_s=self.now_s, is_debit=True, reference_id=capture["id"]
        )  # fmt: skip
        return [self._send("PAYMENT.CAPTURE.REVERSED", "refund", reversal)]

    def event(self, kind: str, resource_type: str, resource: Object) -> Webhook:
        """A webhook of any kind, signed; it is not among those that were sent."""
        number = next(_events)
        event: Object = {
            "id": f"WH-{number:017}-{number:017}",
            "create_time": moment(self.now_s),
            "resource_type": resource_type,
            "event_type": kind,
            "summary": kind,
            "resource": resource,
            "event_version": "1.0",
            "resource_version": "2.0",
            "links": [],
        }
        body = json.dumps(event).encode()
        return Webhook(signed(body, webhook_id=WEBHOOK_ID, cert_url=self.cert_url, at_s=self.now_s), body)

    @property
    def cert_url(self) -> str:
        """Where the certificate is."""
        return f"{self.api_url}/v1/notifications/certs/CERT-360caa42-fca2a594-1d93a270"

    def plant(self, *, value: str, currency: str, at_s: float, custom: str = "", invoice: str = "") -> str:
        """Write a payment into the report only, and return its id; for reconciling against many of them."""
        capture_id = new_id()
        given = amount(value, currency)
        self.report.add(capture_id, "T0006", given, at_s=at_s, custom=custom, invoice=invoice)
        return capture_id

    def plant_refund(self, capture_id: str, *, value: str, currency: str, at_s: float) -> str:
        """Write a refund into the report only, and return its id."""
        refund_id = new_id()
        given = amount(value, currency)
        self.report.add(refund_id, "T1107", given, at_s=at_s, is_debit=True, reference_id=capture_id)
        return refund_id

    def _send(self, kind: str, resource_type: str, resource: Object) -> Webhook:
        webhook = self.event(kind, resource_type, resource)
        self.sent.append(webhook)
        return webhook

    def _pending(self, capture_id: str) -> Object:
        capture = self.captures[capture_id]
        assert capture["status"] == "PENDING", "a capture that is not decided"
        return capture

    def _order_of(self, capture: Object) -> Object | None:
        return self.orders.get(capture["supplementary_data"]["related_ids"]["order_id"])

    def _given_back(self, capture_id: str) -> Decimal:
        of_capture = [refund for refund in self.refunds.values() if refund["links"][1]["href"].endswith(capture_id)]
        return sum((value_of(refund["amount"]) for refund in of_capture if refund["status"] != "FAILED"), Decimal(0))

    def _update(self, capture: Object) -> None:
        back, whole = self._given_back(capture["id"]), value_of(capture["amount"])
        capture["status"] = "REFUNDED" if back >= whole else "PARTIALLY_REFUNDED" if back else "COMPLETED"
        capture["update_time"] = moment(self.now_s)
        self.report.becomes(capture["id"], "V" if back >= whole else "S")

    def _report_payment(self, capture: Object) -> None:
        self.report.add(
            capture["id"], "T0006", capture["amount"], at_s=self.now_s, custom=capture.get("custom_id", ""),
            invoice=capture.get("invoice_id", ""),
        )  # fmt: skip

    def _resolve(self, dispute_id: str, outcome: str, *, is_refunded: bool = False) -> Webhook:
        dispute = self.disputes[dispute_id]
        back: Object = {"amount_refunded": dispute["dispute_amount"]} if is_refunded else {}
        dispute |= {"status": "RESOLVED", "dispute_outcome": {"outcome_code": outcome, **back}}
        return self._update_dispute(dispute, "CUSTOMER.DISPUTE.RESOLVED")

    def _update_dispute(self, dispute: Object, kind: str) -> Webhook:
        dispute["update_time"] = moment(self.now_s)
        return self._send(kind, "dispute", dispute)


def _movement(dispute: Object, party: str, kind: str) -> Object:
    return {
        "affected_party": party,
        "amount": dispute["dispute_amount"],
        "initiated_time": dispute["update_time"],
        "type": kind,
        "reason": "DISPUTE_SETTLEMENT",
    }


_CAPTURE_EVENT = {
    "COMPLETED": "PAYMENT.CAPTURE.COMPLETED",
    "PENDING": "PAYMENT.CAPTURE.PENDING",
    "DECLINED": "PAYMENT.CAPTURE.DENIED",
}
