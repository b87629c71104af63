"""How Checkout, subscriptions and invoices go at the fake Stripe."""

import calendar
from datetime import UTC, datetime

from tests.fakes.stripe_books import Thing
from tests.fakes.stripe_forms import Form, StripeRefusal, check_amount, whole
from tests.fakes.stripe_payments import DECLINED, StripePayments

MONTHS = {"month": 1, "year": 12}


def months_later(at_s: int, months: int) -> int:
    """The same day of a later month, or its last day."""
    then = datetime.fromtimestamp(at_s, UTC)
    year, month = divmod(then.year * 12 + then.month - 1 + months, 12)
    day = min(then.day, calendar.monthrange(year, month + 1)[1])
    return int(then.replace(year=year, month=month + 1, day=day).timestamp())


class StripeBilling(StripePayments):
    """Sells on pages and by subscription."""

    def open_session(self, form: Form) -> Thing:
        """A page to pay on."""
        item = form["line_items"][0]
        price = item["price_data"]
        amount = check_amount(whole(price, "unit_amount"), price["currency"]) * int(item.get("quantity", 1))
        if (form["mode"] == "subscription") != ("recurring" in price):
            raise StripeRefusal("You must provide at least one recurring price in `subscription` mode", param="mode")
        session = self.keep(
            "checkout.session",
            "cs_test",
            amount_subtotal=amount,
            amount_total=amount,
            automatic_tax={"enabled": form.get("automatic_tax", {}).get("enabled") == "true", "status": None},
            cancel_url=form.get("cancel_url"),
            client_reference_id=form.get("client_reference_id"),
            currency=price["currency"],
            customer=None,
            customer_creation=form.get("customer_creation"),
            customer_details=None,
            customer_email=form.get("customer_email"),
            expires_at=self.now() + 24 * 3600,
            invoice=None,
            locale=form.get("locale"),
            metadata=form.get("metadata", {}),
            mode=form["mode"],
            payment_intent=None,
            payment_status="unpaid",
            status="open",
            subscription=None,
            success_url=form.get("success_url"),
            total_details={"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        )
        session["url"] = f"https://checkout.stripe.com/c/pay/{session['id']}"
        self.asked_for[session["id"]] = form
        return session

    def __init__(self) -> None:
        super().__init__()
        self.asked_for: dict[str, Form] = {}
        """What each Checkout session was opened with."""

    def taxed(self, session: Thing, tax: int) -> None:
        """Add what Stripe Tax works out once it knows where the customer is."""
        if not tax:
            return
        assert session["automatic_tax"]["enabled"], "taxes are only worked out where that was asked for"
        session["total_details"]["amount_tax"] = tax
        if self.asked_for[session["id"]]["line_items"][0]["price_data"]["tax_behavior"] == "exclusive":
            session["amount_total"] = session["amount_subtotal"] + tax

    def intent_of_session(self, session: Thing) -> Thing:
        """The payment intent of a page; made when the customer first tries to pay."""
        if session["payment_intent"] is not None:
            return self.objects[session["payment_intent"]]
        form = self.asked_for[session["id"]]
        if form.get("customer_creation") == "always":
            session["customer"] = self.add_customer(session["customer_email"])["id"]
        data = form.get("payment_intent_data", {})
        intent = self.add_intent(
            session["amount_total"],
            session["currency"],
            customer=session["customer"],
            description=data.get("description"),
            metadata=data.get("metadata", {}),
            setup_future_usage=data.get("setup_future_usage"),
        )
        session["payment_intent"] = intent["id"]
        self.emit("payment_intent.created", intent)
        return intent

    def close_session(self, session: Thing, *, paid: bool) -> None:
        """The customer is through with a page."""
        session.update(status="complete", payment_status="paid" if paid else "unpaid", url=None)
        self.emit("checkout.session.completed", session)

    def subscribe(self, session: Thing, method: Thing) -> None:
        """What happens when a customer pays on a page for a subscription."""
        form = self.asked_for[session["id"]]
        customer = self.add_customer(session["customer_email"])
        method["customer"] = session["customer"] = customer["id"]
        price = self.add_price(form["line_items"][0]["price_data"])
        subscription = self.add_subscription(customer, method, price, form["subscription_data"].get("metadata", {}))
        session["subscription"] = subscription["id"]
        self.emit("customer.subscription.created", subscription)
        tax = session["total_details"]["amount_tax"]
        invoice = self.invoice(subscription, "subscription_create", session["amount_total"], tax=tax)
        session["invoice"] = subscription["latest_invoice"] = invoice["id"]
        self.collect(subscription, invoice)

    def add_price(self, data: Form) -> Thing:
        """A price made on the spot, with its product."""
        recurring = data["recurring"]
        product = data.get("product") or self.keep("product", "prod", name=data["product_data"]["name"])["id"]
        self.get("product", product, param="product")
        return self.keep(
            "price",
            "price",
            currency=data["currency"],
            product=product,
            recurring={"interval": recurring["interval"], "interval_count": int(recurring.get("interval_count", 1))},
            tax_behavior=data.get("tax_behavior", "unspecified"),
            type="recurring",
            unit_amount=check_amount(whole(data, "unit_amount"), data["currency"]),
        )

    def add_subscription(self, customer: Thing, method: Thing, price: Thing, metadata: dict[str, str]) -> Thing:
        """A subscription whose first period begins now."""
        subscription = self.keep(
            "subscription",
            "sub",
            billing_cycle_anchor=self.now(),
            billing_mode={"type": "flexible"},
            cancel_at=None,
            cancel_at_period_end=False,
            canceled_at=None,
            collection_method="charge_automatically",
            currency=price["currency"],
            customer=customer["id"],
            default_payment_method=method["id"],
            ended_at=None,
            latest_invoice=None,
            metadata=metadata,
            pause_collection=None,
            schedule=None,
            status="incomplete",
        )
        item = self.keep("subscription_item", "si", subscription=subscription["id"], metadata={}, quantity=1)
        url = f"/v1/subscription_items?subscription={subscription['id']}"
        subscription["items"] = {"object": "list", "has_more": False, "url": url, "data": [item]}
        self.begin_period(subscription, price, self.now())
        return subscription

    def begin_period(self, subscription: Thing, price: Thing, at_s: int) -> None:
        """The next period begins."""
        months = MONTHS[price["recurring"]["interval"]] * price["recurring"]["interval_count"]
        item = subscription["items"]["data"][0]
        item.update(price=price, current_period_start=at_s, current_period_end=months_later(at_s, months))

    def invoice(self, subscription: Thing, reason: str, amount: int, *, tax: int = 0) -> Thing:
        """The bill for a subscription's period, with a payment that is still open."""
        item = subscription["items"]["data"][0]
        line: Thing = {
            "object": "line_item",
            "amount": amount,
            "currency": subscription["currency"],
            "parent": {
                "type": "subscription_item_details",
                "subscription_item_details": {
                    "proration": False,
                    "subscription": subscription["id"],
                    "subscription_item": item["id"],
                },
            },
            "period": {"start": item["current_period_start"], "end": item["current_period_end"]},
        }
        details = {"metadata": dict(subscription["metadata"]), "subscription": subscription["id"]}
        invoice = self.keep(
            "invoice",
            "in",
            amount_due=amount,
            amount_paid=0,
            amount_remaining=amount,
            attempt_count=0,
            billing_reason=reason,
            currency=subscription["currency"],
            customer=subscription["customer"],
            lines={"object": "list", "has_more": False, "data": [line]},
            metadata={},
            parent={"type": "subscription_details", "quote_details": None, "subscription_details": details},
            period_end=self.now(),
            period_start=self.now(),
            status="open",
            status_transitions={"finalized_at": self.now(), "paid_at": None},
            total=amount,
            total_taxes=[{"amount": tax, "tax_behavior": item["price"]["tax_behavior"]}] if tax else [],
        )
        intent = self.add_intent(
            amount,
            subscription["currency"],
            customer=subscription["customer"],
            description="Subscription creation" if reason == "subscription_create" else "Subscription update",
            payment_details={"customer_reference": subscription["customer"], "order_reference": invoice["id"]},
            setup_future_usage="off_session" if reason == "subscription_create" else None,
        )
        self.keep(
            "invoice_payment",
            "inpay",
            amount_paid=None,
            amount_requested=amount,
            currency=subscription["currency"],
            invoice=invoice["id"],
            is_default=True,
            payment={"type": "payment_intent", "payment_intent": intent["id"]},
            status="open",
            status_transitions={"canceled_at": None, "paid_at": None},
        )
        return invoice

    def intent_of_invoice(self, invoice: Thing) -> Thing:
        """The payment intent that pays an invoice."""
        return self.objects[self.all("invoice_payment", invoice=invoice["id"])[0]["payment"]["payment_intent"]]

    def collect(self, subscription: Thing, invoice: Thing) -> None:
        """Try to take the money for an invoice, and tell how it went."""
        before = subscription["status"]
        method = self.objects[subscription["default_payment_method"]]
        payment = self.all("invoice_payment", invoice=invoice["id"])[0]
        invoice["attempt_count"] += 1
        intent = self.intent_of_invoice(invoice)
        self.attempt(intent, method)
        if intent["status"] == "succeeded":
            self._paid(invoice, payment)
            subscription["status"] = "active"
        else:
            self.emit("invoice.payment_failed", invoice)
            subscription["status"] = "incomplete" if before == "incomplete" else "past_due"
        self.emit("customer.subscription.updated", subscription, status=before)

    def change(self, subscription: Thing, price: Thing, *, at_once: bool) -> None:
        """Move a subscription to another price. Where a period begins for it, collect, or leave all as it was."""
        old = subscription["items"]["data"][0]["price"]
        if not at_once and price["recurring"] == old["recurring"]:
            subscription["items"]["data"][0]["price"] = price
            self.emit("customer.subscription.updated", subscription)
            return
        code = self.declines.get(subscription["default_payment_method"])
        if code is not None:
            raise StripeRefusal(
                DECLINED, status=402, kind="card_error", code="card_declined", decline_code=code, kept=True
            )
        self.begin_period(subscription, price, self.now())
        invoice = self.invoice(subscription, "subscription_update", price["unit_amount"])
        subscription.update(latest_invoice=invoice["id"], billing_cycle_anchor=self.now())
        self.collect(subscription, invoice)

    def end(self, subscription: Thing) -> None:
        """A subscription is over."""
        subscription.update(status="canceled", ended_at=self.now(), canceled_at=self.now())
        self.emit("customer.subscription.deleted", subscription)

    def _paid(self, invoice: Thing, payment: Thing) -> None:
        invoice.update(status="paid", amount_paid=invoice["total"], amount_remaining=0)
        invoice["status_transitions"]["paid_at"] = self.now()
        payment.update(status="paid", amount_paid=invoice["total"])
        payment["status_transitions"]["paid_at"] = self.now()
        self.emit("invoice_payment.paid", payment)
        self.emit("invoice.paid", invoice)
        self.emit("invoice.payment_succeeded", invoice)
