"""What happens in a Paddle account. `paddle_server.py` puts HTTP in front of it."""

import copy
from datetime import datetime

from tests.fakes.paddle_adjusting import PaddleAdjusting
from tests.fakes.paddle_objects import (
    Json,
    attempt_of,
    later,
    new_id,
    recurring,
    rfc3339,
    subscription_of,
    transaction_of,
)
from tests.fakes.paddle_webhooks import Webhook


class PaddleBooks(PaddleAdjusting):
    """Transactions, subscriptions, adjustments and customers. See `FakePaddle` for how tests use it."""

    def pay(self, transaction_id: str, *, email: str = "sam@example.com") -> list[Webhook]:
        """The customer pays at the checkout. Whoever gives the same address is the same customer."""
        transaction = self.transactions[transaction_id]
        assert transaction["status"] in ("draft", "ready"), "paid or cancelled already"
        self._identify(transaction, email)
        self._settle(transaction)
        return self.take()

    def fail(
        self, transaction_id: str, *, error_code: str = "declined", email: str = "sam@example.com"
    ) -> list[Webhook]:
        """The customer tries to pay at the checkout, and their bank says no."""
        transaction = self.transactions[transaction_id]
        self._identify(transaction, email)
        self._attempt(transaction, error_code)
        return self.take()

    def renew(self, subscription_id: str) -> list[Webhook]:
        """A period is over: the next one is collected for, or what was to happen at its end does."""
        subscription = self.subscriptions[subscription_id]
        if subscription["scheduled_change"] is not None:
            return self.end(subscription_id)
        transaction = self._next_period(subscription)
        self._settle(transaction)
        return self.take()

    def miss(self, subscription_id: str, *, error_code: str = "declined") -> list[Webhook]:
        """A period is over, and the next one cannot be collected for: past due. Paddle goes on trying."""
        subscription = self.subscriptions[subscription_id]
        transaction = self._next_period(subscription)
        self._attempt(transaction, error_code)
        transaction["status"] = "past_due"
        subscription["status"] = "past_due"
        self.tell("transaction.past_due", transaction)
        self.tell("subscription.past_due", subscription)
        return self.take()

    def recover(self, subscription_id: str) -> list[Webhook]:
        """What was past due is paid after all."""
        subscription = self.subscriptions[subscription_id]
        due = [each for each in self.transactions.values() if each["subscription_id"] == subscription_id]
        transaction = next(each for each in due if each["status"] == "past_due")
        subscription["status"] = "active"
        self._settle(transaction)
        self.tell("subscription.updated", subscription)
        return self.take()

    def cancel(self, subscription_id: str, *, at_once: bool = False) -> list[Webhook]:
        """The customer, or somebody in the dashboard, cancels."""
        if at_once:
            return self.end(subscription_id)
        self.schedule_end(self.subscriptions[subscription_id])
        return self.take()

    def end(self, subscription_id: str) -> list[Webhook]:
        """It ends for good: as scheduled, at once, or because Paddle has given up collecting."""
        self.finish(self.subscriptions[subscription_id])
        return self.take()

    def pause(self, subscription_id: str) -> list[Webhook]:
        """Somebody pauses it in the dashboard."""
        subscription = self.subscriptions[subscription_id]
        at = rfc3339(self.clock())
        subscription |= {"status": "paused", "paused_at": at, "next_billed_at": None, "current_billing_period": None}
        self.tell("subscription.updated", subscription)
        self.tell("subscription.paused", subscription)
        return self.take()

    def schedule_end(self, subscription: Json) -> None:
        """Let it end with its period."""
        ends = subscription["current_billing_period"]["ends_at"]
        change = {"action": "cancel", "effective_at": ends, "resume_at": None}
        subscription |= {"scheduled_change": change, "next_billed_at": None}
        self.tell("subscription.updated", subscription)

    def finish(self, subscription: Json) -> None:
        """Let it end now."""
        subscription |= {"status": "canceled", "canceled_at": rfc3339(self.clock()), "scheduled_change": None}
        subscription |= {"next_billed_at": None, "current_billing_period": None}
        self.tell("subscription.updated", subscription)
        self.tell("subscription.canceled", subscription)

    def begin(self, items: list[Json], *, currency: str, custom_data: Json | None, origin: str) -> Json:
        """Make a transaction that nobody has paid."""
        transaction = transaction_of(
            items,
            currency=currency,
            custom_data=custom_data,
            origin=origin,
            checkout_url=self.checkout_url,
            tax_percent=self.tax_percent,
            at=self.clock(),
        )
        self.transactions[transaction["id"]] = transaction
        self.tell("transaction.created", transaction)
        return transaction

    def collect(self, subscription: Json, items: list[Json], *, origin: str) -> Json | None:
        """Charge a subscription's customer at once; `None` if the bank declines."""
        transaction = self.begin(
            items, currency=subscription["currency_code"], custom_data=subscription["custom_data"], origin=origin
        )
        transaction |= {
            "subscription_id": subscription["id"],
            "customer_id": subscription["customer_id"],
            "address_id": subscription["address_id"],
            "billing_period": copy.deepcopy(subscription["current_billing_period"]),
        }
        if self.declines:
            self._attempt(transaction, "declined")
            transaction["status"] = "canceled"
            self.tell("transaction.canceled", transaction)
            return None
        self._settle(transaction)
        return transaction

    def _identify(self, transaction: Json, email: str) -> None:
        known = next((each for each in self.customers.values() if each["email"] == email), None)
        customer = known or self._new_customer(email)
        if transaction["customer_id"] != customer["id"]:
            transaction |= {"customer_id": customer["id"], "address_id": new_id("add"), "status": "ready"}
            self.touch(transaction)
            self.tell("transaction.ready", transaction)

    def _new_customer(self, email: str) -> Json:
        at = rfc3339(self.clock())
        customer: Json = {
            "id": new_id("ctm"),
            "status": "active",
            "email": email,
            "name": None,
            "locale": "en",
            "custom_data": None,
            "marketing_consent": False,
            "created_at": at,
            "updated_at": at,
        }
        self.customers[customer["id"]] = customer
        self.tell("customer.created", customer)
        return customer

    def _attempt(self, transaction: Json, error_code: str) -> None:
        failed = attempt_of(transaction, status="error", error_code=error_code, at=self.clock())
        transaction["payments"].insert(0, failed)
        self.touch(transaction)
        self.tell("transaction.payment_failed", transaction)

    def _settle(self, transaction: Json) -> None:
        """Paid; then a subscription if it is the first of one; then completed, as it happens at Paddle."""
        at = self.clock()
        transaction["payments"].insert(0, attempt_of(transaction, status="captured", error_code=None, at=at))
        transaction |= {"status": "paid", "billed_at": transaction["billed_at"] or rfc3339(at)}
        self.touch(transaction)
        self.tell("transaction.paid", transaction)
        recurs = transaction["items"][0]["price"]["billing_cycle"] is not None
        if recurs and transaction["subscription_id"] is None:
            subscription = subscription_of(transaction, at=at)
            self.subscriptions[subscription["id"]] = subscription
            self.tell("subscription.created", {**subscription, "transaction_id": transaction["id"]})
            self.tell("subscription.activated", subscription)
            transaction["subscription_id"] = subscription["id"]
            transaction["billing_period"] = copy.deepcopy(subscription["current_billing_period"])
        transaction |= {"status": "completed", "invoice_id": new_id("inv"), "invoice_number": transaction["id"][-8:]}
        self.touch(transaction)
        self.tell("transaction.completed", transaction)

    def _next_period(self, subscription: Json) -> Json:
        starts = datetime.fromisoformat(subscription["next_billed_at"])
        ends = rfc3339(later(starts, subscription["billing_cycle"]))
        subscription["current_billing_period"] = {"starts_at": rfc3339(starts), "ends_at": ends}
        subscription["next_billed_at"] = ends
        items = [recurring(item, at=starts, ends=ends) for item in subscription["items"]]
        subscription |= {"items": items, "updated_at": rfc3339(self.clock())}
        self.tell("subscription.updated", subscription)
        transaction = self.begin(
            [{"price": item["price"], "quantity": item["quantity"]} for item in items],
            currency=subscription["currency_code"],
            custom_data=subscription["custom_data"],
            origin="subscription_recurring",
        )
        transaction |= {
            "status": "billed",
            "billed_at": rfc3339(self.clock()),
            "subscription_id": subscription["id"],
            "customer_id": subscription["customer_id"],
            "address_id": subscription["address_id"],
            "billing_period": copy.deepcopy(subscription["current_billing_period"]),
        }
        self.tell("transaction.billed", transaction)
        return transaction
