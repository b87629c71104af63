"""Which calls the fake Stripe takes, and with which parameters."""

import re
from collections.abc import Callable
from typing import Any

from tests.fakes.stripe_billing import StripeBilling
from tests.fakes.stripe_books import Thing
from tests.fakes.stripe_forms import Form, StripeRefusal, check, missing_object, switch, whole
from tests.fakes.stripe_payments import DECLINED

LISTING = {"created", "limit", "starting_after", "ending_before"}
SESSION = {
    "mode", "line_items", "client_reference_id", "metadata", "success_url", "cancel_url", "locale", "adaptive_pricing",
    "automatic_tax", "customer_email", "customer", "customer_creation", "payment_intent_data", "subscription_data",
}  # fmt: skip
INTENT = {
    "amount", "currency", "customer", "payment_method", "automatic_payment_methods", "off_session", "confirm",
    "description", "metadata", "receipt_email", "setup_future_usage",
}  # fmt: skip
CHANGE = {
    "items", "proration_behavior", "billing_cycle_anchor", "payment_behavior", "metadata", "cancel_at_period_end",
    "cancel_at", "pause_collection", "default_payment_method",
}  # fmt: skip
LANGUAGES = {"auto", "en", "ru", "de", "fr", "es", "ja", "zh", "it", "nl", "pl", "pt", "tr"}


class StripeRoutes(StripeBilling):
    """Calls of the API."""

    def route(self, method: str, path: str, form: Form) -> Any:
        """Carry a call out."""
        handlers: list[tuple[str, str, Callable[..., Any]]] = [
            ("POST", r"/v1/checkout/sessions", self._create_session),
            ("GET", r"/v1/checkout/sessions", self._list_sessions),
            ("GET", r"/v1/checkout/sessions/(\w+)", self._getter("checkout.session")),
            ("POST", r"/v1/payment_intents", self._create_intent),
            ("GET", r"/v1/payment_intents", self._list_intents),
            ("GET", r"/v1/payment_intents/(\w+)", self._getter("payment_intent")),
            ("GET", r"/v1/charges/(\w+)", self._getter("charge")),
            ("GET", r"/v1/invoices/(\w+)", self._getter("invoice")),
            ("GET", r"/v1/invoice_payments", self._list_invoice_payments),
            ("POST", r"/v1/refunds", self._create_refund),
            ("GET", r"/v1/refunds", self._list_refunds),
            ("GET", r"/v1/refunds/(\w+)", self._getter("refund")),
            ("GET", r"/v1/disputes/(\w+)", self._getter("dispute")),
            ("POST", r"/v1/products", self._create_product),
            ("GET", r"/v1/subscriptions/(\w+)", self._getter("subscription")),
            ("POST", r"/v1/subscriptions/(\w+)", self._update_subscription),
            ("POST", r"/v1/subscriptions/(\w+)/resume", self._resume_subscription),
            ("DELETE", r"/v1/subscriptions/(\w+)", self._cancel_subscription),
            ("POST", r"/v1/billing_portal/sessions", self._create_portal),
            ("GET", r"/v1/events", self._list_events),
            ("GET", r"/v1/events/(\w+)", self._getter("event")),
        ]
        for verb, pattern, handler in handlers:
            match = re.fullmatch(pattern, path)
            if match and verb == method:
                return handler(form, *match.groups())
        message = f"Unrecognized request URL ({method}: {path})."
        raise StripeRefusal(message, status=404, code=None)

    def _getter(self, kind: str) -> Callable[..., Thing]:
        def get(form: Form, object_id: str) -> Thing:
            check(form, allowed=())
            return self.get(kind, object_id)

        return get

    def _list_events(self, form: Form) -> Thing:
        check(form, allowed=LISTING | {"type"})
        return self.page("event", "/v1/events", form, keeps=_with(form, "type"))

    def _create_session(self, form: Form) -> Thing:
        check(form, allowed=SESSION, required=("mode", "line_items", "success_url"))
        if form.get("locale", "auto") not in LANGUAGES:
            raise StripeRefusal(f"Invalid locale: {form['locale']}", param="locale")
        if form["mode"] == "subscription" and ("payment_intent_data" in form or "customer_creation" in form):
            message = "You can not pass `payment_intent_data` or `customer_creation` in `subscription` mode."
            raise StripeRefusal(message, param="payment_intent_data")
        if form["mode"] == "payment" and "subscription_data" in form:
            message = "You can not pass `subscription_data` in `payment` mode."
            raise StripeRefusal(message, param="subscription_data")
        return self.open_session(form)

    def _list_sessions(self, form: Form) -> Thing:
        check(form, allowed=LISTING | {"payment_intent", "subscription"})
        return self.page("checkout.session", "/v1/checkout/sessions", form, keeps=_with(form, "payment_intent"))

    def _create_intent(self, form: Form) -> Thing:
        check(form, allowed=INTENT, required=("amount", "currency"))
        if not switch(form, "confirm"):
            return self.add_intent(whole(form, "amount"), form["currency"], metadata=form.get("metadata", {}))
        redirects = form.get("automatic_payment_methods", {}).get("allow_redirects", "always")
        if redirects != "never" and "return_url" not in form:
            raise StripeRefusal("You must provide a `return_url` when confirming", param="return_url")
        method = self.get("payment_method", form["payment_method"], param="payment_method")
        if method["customer"] != form.get("customer"):
            message = "The provided PaymentMethod cannot be attached: it belongs to another customer."
            raise StripeRefusal(message, param="payment_method")
        intent = self.add_intent(
            whole(form, "amount"),
            form["currency"],
            customer=self.get("customer", form["customer"], param="customer")["id"],
            description=form.get("description"),
            metadata=form.get("metadata", {}),
        )
        self.attempt(intent, method)
        if intent["status"] != "succeeded":
            code = intent["last_payment_error"]["decline_code"]
            raise StripeRefusal(
                DECLINED,
                status=402,
                kind="card_error",
                code="card_declined",
                kept=True,
                decline_code=code,
                payment_intent=intent,
                charge=intent["latest_charge"],
            )
        return intent

    def _list_intents(self, form: Form) -> Thing:
        check(form, allowed=LISTING | {"customer"})
        return self.page("payment_intent", "/v1/payment_intents", form, keeps=_with(form, "customer"))

    def _list_invoice_payments(self, form: Form) -> Thing:
        check(form, allowed=LISTING | {"invoice", "payment", "status"})
        asked = form.get("payment", {}).get("payment_intent")
        fits = _with(form, "invoice", "status")
        return self.page(
            "invoice_payment",
            "/v1/invoice_payments",
            form,
            keeps=lambda thing: fits(thing) and asked in (None, thing["payment"]["payment_intent"]),
        )

    def _create_refund(self, form: Form) -> Thing:
        check(form, allowed={"payment_intent", "charge", "amount", "reason", "metadata"})
        if form.get("reason", "duplicate") not in ("duplicate", "fraudulent", "requested_by_customer"):
            raise StripeRefusal("Invalid reason", param="reason")
        intent = self.get("payment_intent", form.get("payment_intent"), param="payment_intent")
        amount = whole(form, "amount") if "amount" in form else None
        return self.start_refund(intent, amount, reason=form.get("reason"), metadata=form.get("metadata", {}))

    def _list_refunds(self, form: Form) -> Thing:
        check(form, allowed=LISTING | {"payment_intent", "charge"})
        return self.page("refund", "/v1/refunds", form, keeps=_with(form, "payment_intent", "charge"))

    def _create_product(self, form: Form) -> Thing:
        check(form, allowed={"name", "metadata"}, required=("name",))
        return self.keep("product", "prod", name=form["name"], metadata=form.get("metadata", {}))

    def _update_subscription(self, form: Form, subscription_id: str) -> Thing:
        check(form, allowed=CHANGE)
        subscription = self._living(subscription_id)
        anchor = form.get("billing_cycle_anchor", {"type": "unchanged"})
        if not isinstance(anchor, dict):
            raise StripeRefusal("Invalid object", param="billing_cycle_anchor")
        before = dict(subscription["metadata"])
        merged = {**before, **form.get("metadata", {})}
        subscription["metadata"] = {name: value for name, value in merged.items() if value != ""}
        if "cancel_at_period_end" in form:
            subscription["cancel_at_period_end"] = switch(form, "cancel_at_period_end")
        for name in ("cancel_at", "pause_collection"):
            if name in form:
                subscription[name] = form[name] or None
        if "items" not in form:
            self.emit("customer.subscription.updated", subscription)
            return subscription
        if form.get("proration_behavior") != "none":
            raise StripeRefusal("This fake prorates nothing", param="proration_behavior")
        item = form["items"][0]
        if item["id"] != subscription["items"]["data"][0]["id"]:
            raise missing_object("subscription item", item["id"], param="items[0][id]")
        try:
            self.change(subscription, self.add_price(item["price_data"]), at_once=anchor["type"] == "now")  # pyright: ignore[reportUnknownArgumentType] - JSON
        except StripeRefusal:
            subscription["metadata"] = before
            raise
        return subscription

    def _resume_subscription(self, form: Form, subscription_id: str) -> Thing:
        check(form, allowed={"billing_cycle_anchor", "proration_behavior"})
        subscription = self._living(subscription_id)
        if subscription["status"] != "paused":
            raise StripeRefusal("This subscription cannot be resumed because it is not paused.")
        subscription["status"] = "active"
        self.emit("customer.subscription.resumed", subscription)
        return subscription

    def _cancel_subscription(self, form: Form, subscription_id: str) -> Thing:
        check(form, allowed={"prorate", "invoice_now", "cancellation_details"})
        subscription = self._living(subscription_id)
        self.end(subscription)
        return subscription

    def _create_portal(self, form: Form) -> Thing:
        check(form, allowed={"customer", "return_url"}, required=("customer",))
        customer = self.get("customer", form["customer"], param="customer")
        made = self.keep("billing_portal.session", "bps", customer=customer["id"], return_url=form.get("return_url"))
        made["url"] = f"https://billing.stripe.com/p/session/{made['id']}"
        return made

    def _living(self, subscription_id: str) -> Thing:
        subscription = self.get("subscription", subscription_id)
        if subscription["status"] in ("canceled", "incomplete_expired"):
            raise missing_object("subscription", subscription_id)
        return subscription


def _with(form: Form, *names: str) -> Callable[[Thing], bool]:
    """Whether an object has what a list is asked for."""
    asked = {name: form[name] for name in names if name in form}
    return lambda thing: all(thing[name] == value for name, value in asked.items())
