"""What requests change in a Paddle account, and which of them it refuses."""

from datetime import datetime, timedelta
from typing import Any, cast

from tests.fakes.paddle_books import PaddleBooks
from tests.fakes.paddle_objects import CURRENCIES, Json, later, price_of, recurring, rfc3339

TOO_SOON = timedelta(minutes=30)
MODES = ("prorated_immediately", "full_immediately", "prorated_next_billing_period", "full_next_billing_period",
         "do_not_bill")  # fmt: skip


class PaddleRefusal(Exception):
    """What Paddle says no with."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(code)
        self.status, self.code, self.detail = status, code, detail


class PaddleRequests(PaddleBooks):
    """The API, without HTTP."""

    def change(self, method: str, path: list[str], body: dict[str, Any]) -> tuple[int, Json]:
        """Do what a request asks, and return the answer's status and object."""
        match method, path:
            case "POST", ["transactions"]:
                return 201, self._create_transaction(body)
            case "POST", ["adjustments"]:
                return 201, self._create_adjustment(body)
            case "POST", ["customers", customer_id, "portal-sessions"]:
                return 201, self.session(self.found(self.customers, customer_id)["id"])
            case _, ["subscriptions", subscription_id, *action]:
                return 200, self._change_subscription(
                    method, self.found(self.subscriptions, subscription_id), action, body
                )
            case _:
                raise PaddleRefusal(404, "not_found", "Path not found.")

    def _change_subscription(self, method: str, subscription: Json, action: list[str], body: dict[str, Any]) -> Json:
        match method, action:
            case "PATCH", []:
                return self._update(_changeable(subscription), body)
            case "POST", ["charge"]:
                return self._charge(_changeable(subscription), body)
            case "POST", ["cancel"]:
                return self._cancel(_changeable(subscription, also_past_due=True), body)
            case "POST", ["resume"]:
                return self._resume(subscription)
            case _:
                raise PaddleRefusal(404, "not_found", "Path not found.")

    def found(self, entities: dict[str, Json], entity_id: str) -> Json:
        """The object of that id."""
        if entity_id not in entities:
            raise PaddleRefusal(404, "not_found", f"Entity {entity_id} not found.")
        return entities[entity_id]

    def session(self, customer_id: str) -> Json:
        """Access to the customer portal."""
        raise NotImplementedError

    def _create_transaction(self, body: dict[str, Any]) -> Json:
        if self.checkout_url is None:
            text = "A Default Payment Link has not yet been defined within the Paddle Dashboard for this account"
            raise PaddleRefusal(400, "transaction_default_checkout_url_not_set", text)
        items = self._items(body.get("items"))
        currency = body.get("currency_code", items[0]["price"]["unit_price"]["currency_code"])
        custom_data = body.get("custom_data")
        return self.begin(items, currency=currency, custom_data=custom_data, origin="api")

    def _items(self, given: Any) -> list[Json]:
        if not isinstance(given, list) or not given:
            raise PaddleRefusal(400, "bad_request", "items are required")
        now = rfc3339(self.clock())
        items: list[Json] = []
        for item in cast("list[Json]", given):
            price: Json = item["price"]
            unit_price: Json = price["unit_price"]
            product: Json = price.get("product") or {}
            is_amount = isinstance(unit_price["amount"], str) and unit_price["amount"].isdigit()
            if not is_amount or unit_price["currency_code"] not in CURRENCIES:
                raise PaddleRefusal(400, "bad_request", "unit_price is invalid")
            if not 2 <= len(price.get("description", "")) <= 500:
                raise PaddleRefusal(400, "bad_request", "description is required")
            if "product_id" not in price and not (product.get("name") and product.get("tax_category")):
                raise PaddleRefusal(400, "bad_request", "product is required")
            items.append({"price": price_of(price, now), "quantity": item["quantity"], "proration": None})
        return items

    def _create_adjustment(self, body: dict[str, Any]) -> Json:
        transaction = self.found(self.transactions, body["transaction_id"])
        if body["action"] != "refund" or not body.get("reason"):
            raise PaddleRefusal(400, "bad_request", "only refunds with a reason")
        if transaction["status"] != "completed":
            text = "Unable to create an adjustment for a transaction that is not completed"
            raise PaddleRefusal(400, "adjustment_transaction_invalid_status_for_refund", text)
        its = [each for each in self.adjustments.values() if each["transaction_id"] == transaction["id"]]
        if any(each["status"] == "pending_approval" for each in its):
            text = "You are unable to create further adjustments against this transaction as there is a pending refund"
            raise PaddleRefusal(400, "adjustment_pending_refund_request", text)
        left = self.left(transaction)
        if body.get("type", "partial") == "full":
            amounts = left
        else:
            amounts = {item["item_id"]: int(item["amount"]) for item in body["items"]}
        if any(amount > left.get(item_id, 0) or amount < 1 for item_id, amount in amounts.items()):
            text = "There has been one or more adjustments made to the transaction item that exceed the total amount"
            raise PaddleRefusal(400, "adjustment_amount_above_remaining_allowed", text)
        kind = body.get("type", "partial")
        return self.adjust_items(transaction, "refund", amounts, reason=body["reason"], kind=kind)

    def _update(self, subscription: Json, body: dict[str, Any]) -> Json:
        now = self.clock()
        if body.keys() & {"items", "next_billed_at"} and body.get("proration_billing_mode") not in MODES:
            code = "subscription_items_update_missing_proration_billing_mode"
            raise PaddleRefusal(400, code, "proration_billing_mode is required when updating subscription items")
        if "items" in body:
            self._replace_items(subscription, body, now)
        if "next_billed_at" in body:
            moment = datetime.fromisoformat(body["next_billed_at"])
            if moment < now + TOO_SOON:
                text = "new next_billed_at needs to be 30m0s from now"
                raise PaddleRefusal(409, "subscription_next_billed_at_too_soon", text)
            subscription["next_billed_at"] = rfc3339(moment)
            subscription["current_billing_period"]["ends_at"] = rfc3339(moment)
        if "scheduled_change" in body:
            period = subscription["current_billing_period"]
            subscription |= {"scheduled_change": None, "next_billed_at": period and period["ends_at"]}
        subscription["updated_at"] = rfc3339(now)
        self.tell("subscription.updated", subscription)
        return subscription

    def _replace_items(self, subscription: Json, body: dict[str, Any], now: datetime) -> None:
        """Another period than before begins now; with the same one, Paddle keeps the dates."""
        items = self._items(body["items"])
        cycle = items[0]["price"]["billing_cycle"]
        before = {name: subscription[name] for name in ("current_billing_period", "next_billed_at", "billing_cycle")}
        if cycle != subscription["billing_cycle"]:
            ends = rfc3339(later(now, cycle))
            subscription |= {
                "billing_cycle": cycle,
                "next_billed_at": ends,
                "current_billing_period": {"starts_at": rfc3339(now), "ends_at": ends},
            }
        if body["proration_billing_mode"] == "full_immediately" and not self._charges(subscription, items, "update"):
            subscription |= before
            raise PaddleRefusal(400, "subscription_payment_declined", "payment declined")
        ends = subscription["next_billed_at"]
        subscription["items"] = [recurring(item, at=now, ends=ends) for item in items]

    def _charge(self, subscription: Json, body: dict[str, Any]) -> Json:
        items = self._items(body["items"])
        if body["effective_from"] != "immediately" or any(item["price"]["billing_cycle"] for item in items):
            raise PaddleRefusal(400, "bad_request", "this is not a one-time charge")
        if any(item["price"]["unit_price"]["currency_code"] != subscription["currency_code"] for item in items):
            raise PaddleRefusal(400, "bad_request", "the currency is not that of the subscription")
        if not self._charges(subscription, items, "charge"):
            raise PaddleRefusal(400, "subscription_payment_declined", "payment declined")
        return subscription

    def _charges(self, subscription: Json, items: list[Json], what: str) -> bool:
        return self.collect(subscription, items, origin=f"subscription_{what}") is not None

    def _cancel(self, subscription: Json, body: dict[str, Any]) -> Json:
        if subscription["scheduled_change"] is not None:
            text = "subscription is pending changes, action is invalid"
            raise PaddleRefusal(400, "subscription_locked_pending_changes", text)
        if body.get("effective_from") == "immediately" or subscription["status"] == "paused":
            self.finish(subscription)
        else:
            self.schedule_end(subscription)
        return subscription

    def _resume(self, subscription: Json) -> Json:
        if subscription["status"] != "paused":
            raise PaddleRefusal(
                400, "subscription_must_be_paused", "action can only be performed on paused subscription"
            )
        now = self.clock()
        ends = rfc3339(later(now, subscription["billing_cycle"]))
        subscription |= {
            "status": "active",
            "paused_at": None,
            "next_billed_at": ends,
            "current_billing_period": {"starts_at": rfc3339(now), "ends_at": ends},
        }
        items = [{"price": item["price"], "quantity": item["quantity"]} for item in subscription["items"]]
        if not self._charges(subscription, items, "recurring"):
            raise PaddleRefusal(400, "subscription_payment_declined", "payment declined")
        self.tell("subscription.updated", subscription)
        self.tell("subscription.resumed", subscription)
        return subscription


def _changeable(subscription: Json, *, also_past_due: bool = False) -> Json:
    if subscription["status"] == "canceled":
        text = "subscription is canceled, action is invalid"
        raise PaddleRefusal(400, "subscription_is_canceled_action_invalid", text)
    if subscription["status"] == "past_due" and not also_past_due:
        text = "cannot update subscription, as the subscription status is 'past_due'"
        raise PaddleRefusal(400, "subscription_update_when_past_due", text)
    return subscription
