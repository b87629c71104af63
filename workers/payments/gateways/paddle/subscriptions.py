"""Subscriptions at Paddle: asking for one, and changing, ending and resuming it."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from ledger.rows import from_us
from workers.payments.facts import SubscriptionFact
from workers.payments.gateway import GatewayError, Purchase
from workers.payments.gateways.paddle.api import ANSWER_S, CHARGE_S, NAME, PaddleApi
from workers.payments.gateways.paddle.changing import (
    billing_date_body,
    change_body,
    is_fresh,
    is_made,
    subscription_fact,
)
from workers.payments.gateways.paddle.wire import Subscription


class _Asked(NamedTuple):
    subscription: Subscription
    at_us: int
    """When the request was sent; whatever happened later may not be in the answer."""

    @property
    def fact(self) -> SubscriptionFact:
        return subscription_fact(self.subscription, asked_at_us=self.at_us)


UNSCHEDULED: Final[Mapping[str, object]] = {"scheduled_change": None}


class PaddleSubscriptions:
    """The subscriptions of one account at Paddle. All methods raise `GatewayError`."""

    def __init__(self, api: PaddleApi, *, tax_category: str, clock_us: Callable[[], int]) -> None:
        self._api = api
        self._tax_category = tax_category
        self._clock_us = clock_us

    async def fact(self, subscription_id: str) -> SubscriptionFact:
        """Return a subscription as it is now."""
        return (await self._ask(subscription_id)).fact

    async def fact_after_webhook(self, subscription_id: str) -> SubscriptionFact:
        """Return it as it is now, after finishing a change of plan that we may have died over."""
        asked = await self._ask(subscription_id)
        if is_fresh(asked.subscription, now=self._now()):
            asked = await self._set_billing_date(asked)
        return asked.fact

    async def fact_after_change(self, subscription_id: str, changed_at: datetime) -> SubscriptionFact:
        """Return it as it is after a change of plan that was paid for.

        Raises:
            GatewayError: Paddle has taken the money, and not changed the plan yet.
        """
        asked = await self._ask(subscription_id)
        known = asked.subscription.ours.changed_at
        if known is None or known < changed_at:
            raise GatewayError(NAME, f"{subscription_id} has not its new price yet", retryable=True)
        return asked.fact

    async def change_plan(self, subscription_id: str, purchase: Purchase, *, at_once: bool) -> SubscriptionFact:
        """Move it to another price, in two steps, because Paddle leaves the billing date to itself.

        First the price: at once with its full amount due, else with nothing due; then the date. A change that broke off
        between them goes on when it is repeated, or when Paddle tells us of its first step.
        """
        asked = await self._ask(subscription_id)
        if not is_made(asked.subscription, purchase, at_once=at_once):
            body = change_body(
                asked.subscription, purchase, at_once=at_once, now=self._now(), tax_category=self._tax_category
            )
            asked = await self._change("PATCH", subscription_id, body=body, answer_s=CHARGE_S)
        return (await self._set_billing_date(asked)).fact

    async def cancel(self, subscription_id: str, *, at_once: bool) -> SubscriptionFact:
        """End it now, or with the period that is paid for. Doing so again changes nothing."""
        asked = await self._ask(subscription_id)
        change = asked.subscription.scheduled_change
        is_ending = change is not None and change.action == "cancel"
        if asked.subscription.status == "canceled" or (is_ending and not at_once):
            return asked.fact
        if change is not None:
            await self._change("PATCH", subscription_id, body=UNSCHEDULED)
        body = {"effective_from": "immediately" if at_once else "next_billing_period"}
        return (await self._change("POST", subscription_id, "/cancel", body=body)).fact

    async def resume(self, subscription_id: str) -> SubscriptionFact:
        """Take back that it is to end, or go on after a pause with a new period."""
        asked = await self._ask(subscription_id)
        if asked.subscription.status == "canceled":
            raise GatewayError(NAME, f"{subscription_id} has ended for good", retryable=False)
        if asked.subscription.scheduled_change is not None:
            asked = await self._change("PATCH", subscription_id, body=UNSCHEDULED)
        elif asked.subscription.status == "paused":
            body = {"effective_from": "immediately", "on_resume": "start_new_billing_period"}
            asked = await self._change("POST", subscription_id, "/resume", body=body, answer_s=CHARGE_S)
        return asked.fact

    async def _ask(self, subscription_id: str) -> _Asked:
        at_us = self._clock_us()
        return _Asked(await self._api.read(f"/subscriptions/{subscription_id}", Subscription), at_us)

    async def _change(
        self,
        method: str,
        subscription_id: str,
        action: str = "",
        *,
        body: Mapping[str, Any],
        answer_s: float = ANSWER_S,
    ) -> _Asked:
        at_us = self._clock_us()
        path = f"/subscriptions/{subscription_id}{action}"
        return _Asked(await self._api.write(method, path, body, Subscription, answer_s=answer_s), at_us)

    async def _set_billing_date(self, asked: _Asked) -> _Asked:
        body = billing_date_body(asked.subscription, now=self._now())
        return asked if body is None else await self._change("PATCH", asked.subscription.id, body=body)

    def _now(self) -> datetime:
        return from_us(self._clock_us())
