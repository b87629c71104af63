"""How payments go at the fake Stripe: payment intents, charges, refunds and disputes."""

from typing import Any

from tests.fakes.stripe_books import StripeBooks, Thing
from tests.fakes.stripe_forms import StripeRefusal, check_amount

HOUR_S = 3600
DECLINED = "Your card was declined."


class StripePayments(StripeBooks):
    """Takes money and gives it back."""

    def __init__(self) -> None:
        super().__init__()
        self.declines: dict[str, str] = {}
        """Means of payment that are declined, and with which code."""

    def decline(self, method_id: str, code: str = "insufficient_funds") -> None:
        """The bank says no to every charge to this means of payment, until `accept` is called."""
        self.declines[method_id] = code

    def accept(self, method_id: str) -> None:
        """The bank says yes again."""
        self.declines.pop(method_id, None)

    def add_customer(self, email: str | None = None, method_id: str | None = None, **fields: Any) -> Thing:
        """A customer."""
        return self.keep(
            "customer",
            "cus",
            email=email,
            invoice_settings={"default_payment_method": method_id},
            metadata={},
            **fields,
        )

    def add_method(self, customer_id: str | None = None, *, brand: str = "visa", last4: str = "4242") -> Thing:
        """A card, saved for a customer where there is one."""
        card = {"brand": brand, "last4": last4, "exp_month": 12, "exp_year": 2034, "country": "US", "funding": "credit"}
        return self.keep("payment_method", "pm", customer=customer_id, type="card", card=card, metadata={})

    def add_intent(self, amount: int, currency: str, **fields: Any) -> Thing:
        """A payment intent that nothing was paid for yet."""
        check_amount(amount, currency)
        return self.keep(
            "payment_intent",
            "pi",
            **{
                "amount": amount,
                "amount_capturable": 0,
                "amount_details": {"tip": {}},
                "amount_received": 0,
                "application": None,
                "canceled_at": None,
                "cancellation_reason": None,
                "capture_method": "automatic_async",
                "confirmation_method": "automatic",
                "currency": currency,
                "customer": None,
                "description": None,
                "last_payment_error": None,
                "latest_charge": None,
                "metadata": {},
                "next_action": None,
                "payment_details": None,
                "payment_method": None,
                "payment_method_types": ["card"],
                "receipt_email": None,
                "setup_future_usage": None,
                "status": "requires_payment_method",
                **fields,
            },
        )

    def add_paid(self, amount: int, currency: str, metadata: dict[str, str] | None = None, **fields: Any) -> Thing:
        """A payment that was made at some time, `created`, without a webhook; quick, for many."""
        made = self.add_intent(amount, currency, metadata=metadata or {}, **fields)
        self._succeed(made)
        return made

    def attempt(self, intent: Thing, method: Thing) -> None:
        """Try to take the money, and tell how it went."""
        intent["payment_method"] = method["id"]
        code = self.declines.get(method["id"])
        if code is None:
            charge = self._succeed(intent)
            self.emit("charge.succeeded", charge)
            self.emit("payment_intent.succeeded", intent)
            return
        charge = self._charge(intent, status="failed", paid=False, failure_code=code, failure_message=DECLINED)
        self.fail(intent, code, method)
        self.emit("charge.failed", charge)
        self.emit("payment_intent.payment_failed", intent)

    def fail(self, intent: Thing, code: str, method: Thing | None) -> None:
        """An attempt failed; another may follow."""
        intent["status"] = "requires_payment_method"
        intent["payment_method"] = None
        error: Thing = {"type": "card_error", "code": "card_declined", "decline_code": code, "message": DECLINED}
        intent["last_payment_error"] = {**error, "payment_method": method, "charge": intent["latest_charge"]}

    def start_refund(self, intent: Thing, amount: int | None, *, status: str = "succeeded", **fields: Any) -> Thing:
        """Give money back, all that is left by default."""
        if intent["status"] != "succeeded":
            message = f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund."
            raise StripeRefusal(message, param="payment_intent")
        gone = [each for each in self.all("refund", payment_intent=intent["id"]) if each["status"] != "failed"]
        left = intent["amount_received"] - sum(each["amount"] for each in gone)
        charge = self.objects[intent["latest_charge"]]
        if left == 0:
            raise StripeRefusal(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
        wanted = left if amount is None else amount
        if not 0 < wanted <= left:
            raise StripeRefusal("Refund amount is greater than unrefunded amount on charge", param="amount")
        refund = self.keep(
            "refund",
            "re",
            **{
                "amount": wanted,
                "balance_transaction": None,
                "charge": charge["id"],
                "currency": intent["currency"],
                "metadata": {},
                "payment_intent": intent["id"],
                "reason": None,
                "status": status,
                **fields,
            },
        )
        charge["amount_refunded"] += wanted
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
        self.emit("charge.refunded", charge, amount_refunded=charge["amount_refunded"] - wanted)
        self.emit("refund.created", refund)
        return refund

    def move_refund(self, refund: Thing, status: str, failure_reason: str | None = None) -> None:
        """A refund goes on, or comes back."""
        before, refund["status"] = refund["status"], status
        if status == "failed":
            refund["failure_reason"] = failure_reason or "lost_or_stolen_card"
            charge = self.objects[refund["charge"]]
            charge["amount_refunded"] -= refund["amount"]
            charge["refunded"] = False
        self.emit("refund.updated", refund, status=before)
        self.emit("charge.refund.updated", refund, status=before)
        if status == "failed":
            self.emit("refund.failed", refund, status=before)

    def start_dispute(self, intent: Thing, amount: int | None, *, inquiry: bool) -> Thing:
        """A customer's bank asks for money, or only asks."""
        charge = self.objects[intent["latest_charge"]]
        dispute = self.keep(
            "dispute",
            "du",
            amount=intent["amount_received"] if amount is None else amount,
            balance_transactions=[],
            charge=charge["id"],
            currency=intent["currency"],
            evidence={},
            is_charge_refundable=inquiry,
            metadata={},
            payment_intent=intent["id"],
            reason="fraudulent",
            status="warning_needs_response" if inquiry else "needs_response",
        )
        charge["disputed"] = True
        if inquiry:
            self.emit("charge.dispute.created", dispute)
        else:
            self._move_balance(dispute, -1)
            self.emit("charge.dispute.created", dispute)
            self.emit("charge.dispute.funds_withdrawn", dispute)
        return dispute

    def escalate_dispute(self, dispute: Thing) -> None:
        """What was an inquiry becomes a chargeback."""
        before, dispute["status"] = dispute["status"], "needs_response"
        self._move_balance(dispute, -1)
        self.emit("charge.dispute.updated", dispute, status=before)
        self.emit("charge.dispute.funds_withdrawn", dispute)

    def close_dispute(self, dispute: Thing, status: str) -> None:
        """The dispute is decided."""
        before, dispute["status"] = dispute["status"], status
        if status == "won":
            self._move_balance(dispute, 1)
            self.emit("charge.dispute.funds_reinstated", dispute, status=before)
        self.emit("charge.dispute.closed", dispute, status=before)

    def _move_balance(self, dispute: Thing, sign: int) -> None:
        change = {"amount": sign * dispute["amount"], "currency": dispute["currency"], "fee": 1500 if sign < 0 else 0}
        dispute["balance_transactions"].append({"object": "balance_transaction", "type": "adjustment", **change})

    def _succeed(self, intent: Thing) -> Thing:
        charge = self._charge(intent, status="succeeded", paid=True)
        intent.update(status="succeeded", amount_received=intent["amount"], last_payment_error=None)
        return charge

    def _charge(self, intent: Thing, **fields: Any) -> Thing:
        charge = self.keep(
            "charge",
            "ch",
            created=intent["created"] if intent["created"] < self.now() - HOUR_S else self.now(),
            amount=intent["amount"],
            amount_captured=intent["amount"],
            amount_refunded=0,
            captured=True,
            currency=intent["currency"],
            customer=intent["customer"],
            description=intent["description"],
            disputed=False,
            metadata=intent["metadata"],
            payment_intent=intent["id"],
            payment_method=intent["payment_method"],
            refunded=False,
            **fields,
        )
        intent["latest_charge"] = charge["id"]
        return charge
