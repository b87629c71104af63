"""A fake of Stripe: Checkout, payments, refunds, disputes, subscriptions, invoices and webhooks signed by its own SDK.

    async with FakeStripe() as stripe:
        gateways = Gateways(stripe.environment)                     # STRIPE_API_KEY, _WEBHOOK_SECRET, _BASE_URL
        started = await gateways.get("stripe").start_purchase(...)
        for headers, body in stripe.pay(started.gateway_id):        # the customer pays; what Stripe sends, in its order
            ...post it to /webhooks/stripe

Every method that does something returns the webhooks that the real one would send for it, in its usual order, as
`Webhook(headers, body)`; those that calls of the API led to (a saved card charged, a refund, a change of plan) wait in
`take_webhooks()`. Only events that the gateway understands are sent, unless `enabled_events` is set to `None` or a set.

- Checkout: `pay`, `pay_later` then `settle_later` or `fail_later`, `decline_once` (the page stays open).
- Cards: `decline(method_id)` and `accept(method_id)` for all later charges; `methods()` are those that were used.
- Money back: `refund`, `finish_refund`, `fail_refund`; `dispute`, `escalate`, `win`, `lose`.
- Subscriptions: `renew` (pays, or fails and is past due, as the card does), `collect_again`, `give_up`,
  `reach_period_end`, `cancel_in_portal`.
- Old payments for reconciliation, many and quick: `add_paid(amount, currency, metadata, created=...)`, and
  `start_refund(intent, amount)` on what it returns.
- Faults: `script(...)` answers in place of the next calls; `after_acting(...)` answers so once the next POST was
  carried out: a 503, `no_answer(Cut())`, `no_answer(Hang())`. `keeps_answers = False` forgets idempotency keys.

Amounts are Stripe's own units here. Times follow `clock`.
"""

from collections import deque
from typing import Any
from urllib.parse import urlsplit

from tests.fakes.scripted_server import Answer, Call, ScriptedServer, json_answer
from tests.fakes.stripe_books import Thing, Webhook
from tests.fakes.stripe_forms import Form, StripeRefusal, parsed
from tests.fakes.stripe_routes import StripeRoutes

API_KEY = "sk_test_fake"


class FakeStripe(StripeRoutes, ScriptedServer):
    """One account at Stripe."""

    def __init__(self) -> None:
        super().__init__()
        self.keeps_answers = True
        self._answers: dict[str, tuple[str, int, Any]] = {}
        self._after: deque[Answer] = deque()

    @property
    def environment(self) -> dict[str, str]:
        """What an installation has to be told to use this."""
        return {
            "STRIPE_API_KEY": API_KEY,
            "STRIPE_WEBHOOK_SECRET": self.webhook_secret,
            "STRIPE_BASE_URL": self.url,
        }

    def after_acting(self, *answers: Answer) -> None:
        """Carry the next POSTs out, one for each, and then answer so."""
        self._after.extend(answers)

    def refusal(self, call: Call) -> Answer | None:
        """A wrong key, or no version of the API."""
        if call.headers.get("authorization") != f"Bearer {API_KEY}":
            return _refused(StripeRefusal("Invalid API Key provided: sk_test_****fake", status=401))
        if "stripe-version" not in call.headers:
            return _refused(StripeRefusal("Which version?"))
        return None

    def default(self, call: Call) -> Answer:
        """What the real one does."""
        try:
            answer = self._once(call)
        except StripeRefusal as error:
            answer = _refused(error)
        return self._after.popleft() if self._after and call.method == "POST" else answer

    def _once(self, call: Call) -> Answer:
        """Act, unless that was done already under the same idempotency key."""
        key = call.headers.get("idempotency-key")
        if call.method != "POST" or key is None or not self.keeps_answers:
            return _answered(*self._act(call))
        asked = f"{call.path}?{call.raw_body.decode()}"
        if key in self._answers:
            first, status, body = self._answers[key]
            if first != asked:
                message = (
                    "Keys for idempotent requests can only be used with the same parameters they were first used with. "
                    f"Try using a key other than '{key}' if you meant to execute a different request."
                )
                raise StripeRefusal(message, kind="idempotency_error")
            return _answered(status, body, idempotent_replayed="true")
        try:
            status, body = self._act(call)
        except StripeRefusal as error:
            if error.kept:
                self._answers[key] = (asked, error.status, error.body)
            raise
        self._answers[key] = (asked, status, body)
        return _answered(status, body)

    def _act(self, call: Call) -> tuple[int, Any]:
        parts = urlsplit(call.path)
        form: Form = parsed(call.raw_body.decode() if call.method == "POST" else parts.query)
        made = self.route(call.method, parts.path, form)
        return 200, self.expanded(made, form.get("expand", []))

    # What customers, banks and time do.

    def pay(self, session_id: str, *, tax: int = 0, method: Thing | None = None) -> list[Webhook]:
        """The customer pays on a page. A card that declines leaves the page open."""
        session, method = self._page_of(session_id), method or self.add_method()
        self.taxed(session, tax)
        if session["mode"] == "subscription":
            if method["id"] in self.declines:
                return self.take_webhooks()
            self.subscribe(session, method)
            self.close_session(session, paid=True)
            return self.take_webhooks()
        intent = self.intent_of_session(session)
        method["customer"] = session["customer"]
        self.attempt(intent, method)
        if intent["status"] == "succeeded":
            self.close_session(session, paid=True)
        return self.take_webhooks()

    def decline_once(self, session_id: str, code: str = "insufficient_funds") -> list[Webhook]:
        """The customer tries, and the bank says no; they may try again."""
        method = self.add_method()
        self.decline(method["id"], code)
        return self.pay(session_id, method=method)

    def pay_later(self, session_id: str, *, tax: int = 0) -> list[Webhook]:
        """The customer chooses to pay by a transfer that takes days."""
        session = self._page_of(session_id)
        self.taxed(session, tax)
        intent = self.intent_of_session(session)
        intent["status"] = "processing"
        self.emit("payment_intent.processing", intent)
        self.close_session(session, paid=False)
        return self.take_webhooks()

    def settle_later(self, session_id: str) -> list[Webhook]:
        """The transfer arrives."""
        session = self.get("checkout.session", session_id)
        self.attempt(self.objects[session["payment_intent"]], self.add_method(session["customer"]))
        session["payment_status"] = "paid"
        self.emit("checkout.session.async_payment_succeeded", session)
        return self.take_webhooks()

    def fail_later(self, session_id: str) -> list[Webhook]:
        """The transfer does not arrive."""
        session = self.get("checkout.session", session_id)
        intent = self.objects[session["payment_intent"]]
        self.fail(intent, "debit_not_authorized", None)
        self.emit("payment_intent.payment_failed", intent)
        self.emit("checkout.session.async_payment_failed", session)
        return self.take_webhooks()

    def refund(self, payment_id: str, amount: int | None = None, *, status: str = "succeeded") -> list[Webhook]:
        """The administrator gives money back in Stripe's own pages."""
        self.start_refund(self.get("payment_intent", payment_id), amount, status=status)
        return self.take_webhooks()

    def finish_refund(self, refund_id: str) -> list[Webhook]:
        """A refund that was pending has arrived."""
        self.move_refund(self.get("refund", refund_id), "succeeded")
        return self.take_webhooks()

    def fail_refund(self, refund_id: str) -> list[Webhook]:
        """A refund comes back, perhaps long after it succeeded."""
        self.move_refund(self.get("refund", refund_id), "failed")
        return self.take_webhooks()

    def dispute(self, payment_id: str, amount: int | None = None, *, inquiry: bool = False) -> list[Webhook]:
        """The customer's bank takes the money back for now, or only asks about it."""
        self.start_dispute(self.get("payment_intent", payment_id), amount, inquiry=inquiry)
        return self.take_webhooks()

    def escalate(self, dispute_id: str) -> list[Webhook]:
        """An inquiry becomes a chargeback."""
        self.escalate_dispute(self.get("dispute", dispute_id))
        return self.take_webhooks()

    def win(self, dispute_id: str) -> list[Webhook]:
        """The bank gives the money back; an inquiry ends without taking any."""
        dispute = self.get("dispute", dispute_id)
        inquiry = dispute["status"].startswith("warning")
        self.close_dispute(dispute, "warning_closed" if inquiry else "won")
        return self.take_webhooks()

    def lose(self, dispute_id: str) -> list[Webhook]:
        """The bank keeps the money."""
        self.close_dispute(self.get("dispute", dispute_id), "lost")
        return self.take_webhooks()

    def renew(self, subscription_id: str, *, tax: int = 0) -> list[Webhook]:
        """The next period begins, and is paid for if the card allows."""
        subscription = self.get("subscription", subscription_id)
        item = subscription["items"]["data"][0]
        self.begin_period(subscription, item["price"], item["current_period_end"])
        amount = item["price"]["unit_amount"] + (tax if item["price"]["tax_behavior"] == "exclusive" else 0)
        invoice = self.invoice(subscription, "subscription_cycle", amount, tax=tax)
        subscription["latest_invoice"] = invoice["id"]
        self.collect(subscription, invoice)
        return self.take_webhooks()

    def collect_again(self, subscription_id: str) -> list[Webhook]:
        """Stripe tries again to collect what is overdue."""
        subscription = self.get("subscription", subscription_id)
        self.collect(subscription, self.objects[subscription["latest_invoice"]])
        return self.take_webhooks()

    def give_up(self, subscription_id: str) -> list[Webhook]:
        """Stripe has tried often enough."""
        self.end(self.get("subscription", subscription_id))
        return self.take_webhooks()

    def reach_period_end(self, subscription_id: str) -> list[Webhook]:
        """A subscription that was cancelled ends; any other is renewed."""
        subscription = self.get("subscription", subscription_id)
        ends = subscription["cancel_at_period_end"] or subscription["cancel_at"] is not None
        return self.give_up(subscription_id) if ends else self.renew(subscription_id)

    def cancel_in_portal(self, subscription_id: str) -> list[Webhook]:
        """The customer cancels in Stripe's own pages, which name the day instead of the period."""
        subscription = self.get("subscription", subscription_id)
        subscription["cancel_at"] = subscription["items"]["data"][0]["current_period_end"]
        self.emit("customer.subscription.updated", subscription, cancel_at=None)
        return self.take_webhooks()

    def methods(self) -> list[Thing]:
        """The cards that were used, the oldest first."""
        return self.all("payment_method")

    def _page_of(self, session_id: str) -> Thing:
        session = self.get("checkout.session", session_id)
        assert session["status"] == "open", "a page can be paid on once"
        return session


def _answered(status: int, body: Any, **headers: str) -> Answer:
    return json_answer(status, body, request_id="req_fake", stripe_version="fake", **headers)


def _refused(error: StripeRefusal) -> Answer:
    return json_answer(error.status, error.body, request_id="req_fake")
