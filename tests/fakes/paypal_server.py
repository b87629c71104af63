"""A fake of PayPal's REST API that keeps orders, captures, refunds and disputes, and signs webhooks as PayPal does.

    async with FakePayPal() as paypal:
        gateways = Gateways(paypal.environment())           # or the environment of whole processes
        ...                                                 # a checkout makes an order: paypal.latest_order
        (approved,) = paypal.approve()                      # deliver it: our side captures the order
        ...
        (completed,) = paypal.take_webhooks()[-1:]          # what our capture caused: PAYMENT.CAPTURE.COMPLETED
        refunded = paypal.refund(paypal.latest_capture, "2.50")

Each webhook has `headers` and `body`, to be sent to `POST /webhooks/paypal` as they are, in any order and number.
`pay()` gives the events of an order that is captured already, all at once: approved, completed. For other ends:
`pay(status="PENDING")` with `complete()` or `deny()`; `capture_status = "INSTRUMENT_DECLINED"`;
`refund(is_pending=True)` with `finish_refund()`; `dispute()` with `escalate()`, `win()`, `lose()`, `accept()`,
`pay_out()`; `reverse()`. What our own calls bring about sends webhooks too: all of them are in `sent`, and
`take_webhooks()` gives those since it was last asked.

How it fails: `script(...)` answers the next calls so and does nothing (`too_many_requests()`, `internal_error()`,
`no_answer(Hang())`); `acts_but(...)` does what the next POSTs ask for and then answers so; `expire_tokens()`.
`report` is what reconciling reads; `plant()` and `plant_refund()` write lines into it alone, fast enough for 50,000.

The settings name its host, `127.0.0.1:port`, as the one that certificates come from; the gateway fetches from there
over http, which it does from loopback addresses only.
"""

import base64
import json
from collections import deque
from collections.abc import Callable
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from tests.fakes.paypal_books import WEBHOOK_ID, Books
from tests.fakes.paypal_objects import (
    Object,
    Refused,
    check_amount,
    check_order,
    error,
    new_order,
    not_found,
    unprocessable,
)
from tests.fakes.paypal_webhooks import certificate, pem
from tests.fakes.scripted_server import Answer, Call, ScriptedServer, json_answer

CLIENT_ID = "fake-client-id"
CLIENT_SECRET = "fake-client-secret"
TOKEN_PATH = "/v1/oauth2/token"
CERTIFICATES_PATH = "/v1/notifications/certs/"


class FakePayPal(ScriptedServer, Books):
    """One seller's account at PayPal. See the module."""

    def __init__(self) -> None:
        ScriptedServer.__init__(self)
        Books.__init__(self)
        self.certificate = pem(certificate())
        self.token_lives_s = 32_400
        self._tokens: list[str] = []
        self._lost: deque[Answer] = deque()
        self._done: dict[tuple[str, str], tuple[bytes, Answer]] = {}

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.api_url = self.url
        return self

    def environment(self, **more: str) -> dict[str, str]:
        """The settings of an installation that uses this server."""
        return {
            "PAYPAL_BASE_URL": self.url,
            "PAYPAL_CLIENT_ID": CLIENT_ID,
            "PAYPAL_CLIENT_SECRET": CLIENT_SECRET,
            "PAYPAL_WEBHOOK_ID": WEBHOOK_ID,
            "PAYPAL_CERT_HOSTS": self.url.removeprefix("http://"),
            **more,
        }

    @property
    def posted(self) -> list[Call]:
        """The calls that had something done."""
        return [call for call in self.calls if call.method == "POST" and call.path != TOKEN_PATH]

    @property
    def token_calls(self) -> list[Call]:
        """The calls for a token."""
        return [call for call in self.calls if call.path == TOKEN_PATH]

    def acts_but(self, *answers: Answer) -> None:
        """Do what the next POSTs ask for, and answer so instead."""
        self._lost.extend(answers)

    def expire_tokens(self) -> None:
        """From now on refuse every token that was given out."""
        self._tokens.clear()

    def refusal(self, call: Call) -> Answer | None:
        """Tokens and certificates are given out whatever the script says; nothing else goes without a token."""
        if call.path == TOKEN_PATH:
            return self._token(call)
        if call.path.startswith(CERTIFICATES_PATH):
            return Answer(200, {"content-type": "application/x-pem-file"}, (self.certificate,))
        if call.headers.get("authorization", "").removeprefix("Bearer ") not in self._tokens:
            return error(401, "AUTHENTICATION_FAILURE")
        return None

    def default(self, call: Call) -> Answer:
        """What the real one does when nothing is wrong."""
        try:
            answer = self._once(call) if call.method == "POST" else json_answer(200, self._get(call))
        except Refused as refused:
            answer = refused.answer
        return self._lost.popleft() if self._lost and call.method == "POST" else answer

    def _token(self, call: Call) -> Answer:
        basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        if call.headers.get("authorization") != f"Basic {basic}":
            body = {"error": "invalid_client", "error_description": "Client Authentication failed"}
            return json_answer(401, body)
        if call.raw_body != b"grant_type=client_credentials":
            return json_answer(400, {"error": "unsupported_grant_type", "error_description": "Grant Type is NULL"})
        self._tokens.append(f"A21AAfake{len(self.token_calls)}")
        token = {"access_token": self._tokens[-1], "token_type": "Bearer", "expires_in": self.token_lives_s}
        return json_answer(200, {**token, "app_id": "APP-80W284485P519543T", "nonce": "2026-11-21"})

    def _once(self, call: Call) -> Answer:
        """Do what was asked for, once under each `PayPal-Request-Id`; a refusal is remembered too."""
        request_id = call.headers.get("paypal-request-id", "")
        if len(request_id) > 108:
            raise Refused(400, "INVALID_REQUEST", "INVALID_STRING_LENGTH")
        key = (call.path, request_id)
        if request_id and key in self._done:
            body, answer = self._done[key]
            if body != call.raw_body:
                raise unprocessable("DUPLICATE_REQUEST_ID")
            return Answer(200 if answer.status == 201 else answer.status, answer.headers, answer.steps)
        try:
            answer = json_answer(201, self._post(call, has_key=bool(request_id)))
        except Refused as refused:
            answer = refused.answer
        if request_id:
            self._done[key] = (call.raw_body, answer)
        return answer

    def _post(self, call: Call, *, has_key: bool) -> Object:
        try:
            request: dict[str, Any] = json.loads(call.raw_body or b"{}")
        except ValueError:
            raise Refused(400, "INVALID_REQUEST", "MALFORMED_REQUEST_JSON") from None
        match call.path.strip("/").split("/"):
            case ["v2", "checkout", "orders"]:
                check_order(request)
                if "payment_source" in request and not has_key:
                    raise Refused(400, "INVALID_REQUEST", "PAYPAL_REQUEST_ID_REQUIRED")
                order = new_order(request, at_s=self.now_s, api_url=self.api_url)
                self.orders[order["id"]] = order
                return order
            case ["v2", "checkout", "orders", order_id, "capture"]:
                return self._capture(order_id)
            case ["v2", "payments", "captures", capture_id, "refund"]:
                return self._refund(capture_id, request)
            case _:
                raise not_found()

    def _capture(self, order_id: str) -> Object:
        order = self._found(self.orders, order_id)
        if order["status"] == "COMPLETED":
            raise unprocessable("ORDER_ALREADY_CAPTURED")
        if order["status"] != "APPROVED":
            raise unprocessable("ORDER_NOT_APPROVED")
        if self.capture_status not in ("COMPLETED", "PENDING", "DECLINED"):
            raise unprocessable(self.capture_status)
        self.capture(order_id, status=self.capture_status, reason=self.capture_reason)
        return order

    def _refund(self, capture_id: str, request: dict[str, Any]) -> Object:
        value: str | None = None
        if "amount" in request:
            check_amount(request["amount"])
            capture = self._found(self.captures, capture_id)
            if request["amount"]["currency_code"] != capture["amount"]["currency_code"]:
                raise unprocessable("REFUND_CAPTURE_CURRENCY_MISMATCH")
            value = request["amount"]["value"]
        before = set(self.refunds)
        self.refund(capture_id, value, note=request.get("note_to_payer", ""))
        (refund_id,) = set(self.refunds) - before
        return self.refunds[refund_id]

    def _get(self, call: Call) -> Object:
        parts = urlsplit(call.path)
        query = dict(parse_qsl(parts.query))
        by_path: dict[str, Callable[[str], Object]] = {
            "/v2/checkout/orders": lambda object_id: self._found(self.orders, object_id),
            "/v2/payments/captures": lambda object_id: self._found(self.captures, object_id),
            "/v2/payments/refunds": lambda object_id: self._found(self.refunds, object_id),
            "/v1/customer/disputes": lambda object_id: self._found(self.disputes, object_id),
        }
        if parts.path == "/v1/reporting/transactions":
            return self.report.search(query, now_s=self.now_s)
        if parts.path == "/v1/customer/disputes":
            return self._disputes_of(query.get("disputed_transaction_id", ""))
        folder, _, object_id = parts.path.rpartition("/")
        if folder not in by_path:
            raise not_found()
        return by_path[folder](object_id)

    def _disputes_of(self, capture_id: str) -> Object:
        names = ("dispute_id", "create_time", "update_time", "status", "reason", "dispute_amount")
        items = [
            {name: dispute[name] for name in names}
            for dispute in self.disputes.values()
            if dispute["disputed_transactions"][0]["seller_transaction_id"] == capture_id
        ]
        return {"items": items, "links": []}

    def _found(self, objects: dict[str, Object], object_id: str) -> Object:
        if object_id not in objects:
            raise not_found()
        return objects[object_id]
