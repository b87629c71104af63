"""Paddle as a gateway: our orders into its objects, its objects into facts.

Paddle knows no idempotency keys. What must not be done twice is looked for first, by what we put into it: a refund by
its reason, a one-time charge and a change of plan by the order in the price. A second transaction for one order does no
harm: the address of the first never reached anybody, and an order can be paid for once.
"""

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Final

import msgspec

from ledger.rows import from_us
from workers.payments.facts import Fact, PaymentFact, PaymentStatus, RefundFact, SubscriptionFact
from workers.payments.gateway import (
    Declined,
    GatewayError,
    NotSupported,
    Purchase,
    RenewedBy,
    SavedCharge,
    StartedPurchase,
    WebhookEvent,
)
from workers.payments.gateways.paddle.adjustments import made_under, reason_of, refund_body, refund_fact
from workers.payments.gateways.paddle.api import CHARGE_S, NAME, PaddleApi
from workers.payments.gateways.paddle.portal import portal_url
from workers.payments.gateways.paddle.reading import (
    adjustments_of,
    facts_of,
    listed_payments,
    listed_refunds,
    newest_of_order,
)
from workers.payments.gateways.paddle.signatures import PaddleSignatures
from workers.payments.gateways.paddle.subscriptions import PaddleSubscriptions
from workers.payments.gateways.paddle.transactions import (
    CHARGE,
    charge_body,
    checkout_url,
    payment_fact,
    purchase_body,
)
from workers.payments.gateways.paddle.wire import Adjustment, Subscription, Transaction
from workers.payments.money import Money

SEARCHED_BACK: Final = timedelta(minutes=5)
"""How far back a transaction is looked for that may have been made just now: clocks differ."""

SUBSCRIPTION_PREFIX: Final = "sub_"


def _now_us() -> int:
    return time.time_ns() // 1_000


class PaddleGateway:
    """One account at Paddle."""

    def __init__(
        self, *, api: PaddleApi, signatures: PaddleSignatures, tax_category: str, clock_us: Callable[[], int] = _now_us
    ) -> None:
        self._api = api
        self._signatures = signatures
        self._tax_category = tax_category
        self._clock_us = clock_us
        self._subscriptions = PaddleSubscriptions(api, tax_category=tax_category, clock_us=clock_us)

    @property
    def name(self) -> str:
        """See `Gateway`."""
        return NAME

    @property
    def renewed_by(self) -> RenewedBy:
        """See `Gateway`."""
        return "gateway"

    async def verify(
        self, headers: Mapping[str, str], body: bytes, *, remote_address: str, now_s: float
    ) -> WebhookEvent:
        """See `Gateway`."""
        del remote_address
        return self._signatures.verify(headers, body, now_s=now_s)

    async def facts(self, kind: str, headers: Mapping[str, str], body: bytes) -> Sequence[Fact]:
        """See `Gateway`."""
        del headers
        return await facts_of(self._api, self._subscriptions, kind, body)

    async def start_purchase(self, purchase: Purchase) -> StartedPurchase:
        """See `Gateway`. The customer goes to our own payment page, which Paddle knows as the default payment link."""
        body = purchase_body(purchase, tax_category=self._tax_category)
        since = from_us(self._clock_us()) - SEARCHED_BACK
        try:
            transaction = await self._api.write("POST", "/transactions", body, Transaction)
        except GatewayError as error:
            found = await self._draft_since(purchase, msgspec.to_builtins(since)) if error.ambiguous else None
            if found is None:
                raise
            transaction = found
        url = transaction.checkout.url if transaction.checkout is not None else None
        if not url:
            raise GatewayError(NAME, f"{transaction.id} has no payment link", retryable=False)
        url = checkout_url(url, return_url=purchase.return_url, language=purchase.language)
        return StartedPurchase(gateway_id=transaction.id, url=url)

    async def charge_saved(self, charge: SavedCharge) -> PaymentFact:
        """See `Gateway`. What can be charged is a subscription, by whatever pays for it; nothing else that is saved."""
        subscription_id = charge.method.method_id
        if not subscription_id.startswith(SUBSCRIPTION_PREFIX):
            raise NotSupported(NAME, "charges subscriptions only")
        body = charge_body(charge, tax_category=self._tax_category)
        made = await self._charge_made(charge)
        if made is None:
            path = f"/subscriptions/{subscription_id}/charge"
            await self._api.write("POST", path, body, Subscription, answer_s=CHARGE_S)
            made = await self._charge_made(charge)
        fact = None if made is None else payment_fact(made)
        if fact is None:
            text = f"{subscription_id} was charged, and there is no transaction yet"
            raise GatewayError(NAME, text, retryable=True, ambiguous=True)
        if fact.status is PaymentStatus.failed:
            raise Declined(NAME, fact.failure or "declined", payment_id=fact.payment_id)
        return fact

    async def refund(self, payment_id: str, amount: Money, *, key: str, reason: str) -> RefundFact:
        """See `Gateway`. Paddle approves most refunds of live accounts some time later, or rejects them."""
        made = await adjustments_of(self._api, payment_id)
        found = made_under(key, made)
        if found is None:
            transaction = await self._api.read(f"/transactions/{payment_id}", Transaction)
            body = refund_body(transaction, made, amount, reason=reason_of(reason, key))
            found = await self._api.write("POST", "/adjustments", body, Adjustment)
        return refund_fact(found)

    async def subscription(self, subscription_id: str) -> SubscriptionFact:
        """See `Gateway`."""
        return await self._subscriptions.fact(subscription_id)

    async def change_plan(self, subscription_id: str, purchase: Purchase, *, at_once: bool) -> SubscriptionFact:
        """See `Gateway`."""
        return await self._subscriptions.change_plan(subscription_id, purchase, at_once=at_once)

    async def cancel_subscription(self, subscription_id: str, *, at_once: bool = False) -> SubscriptionFact:
        """See `Gateway`."""
        return await self._subscriptions.cancel(subscription_id, at_once=at_once)

    async def resume_subscription(self, subscription_id: str) -> SubscriptionFact:
        """See `Gateway`."""
        return await self._subscriptions.resume(subscription_id)

    async def portal_url(self, customer_id: str, *, return_url: str) -> str:
        """See `Gateway`. Paddle's portal has no way back: `return_url` is not used."""
        del return_url
        return await portal_url(self._api, customer_id)

    async def listed(self, *, since_us: int, until_us: int) -> AsyncGenerator[PaymentFact | RefundFact, None]:
        """See `Gateway`. One page is held at a time."""
        since, until = from_us(since_us), from_us(until_us)
        async with aclosing(listed_payments(self._api, since=since, until=until)) as payments:
            async for payment in payments:
                yield payment
        async with aclosing(listed_refunds(self._api, since=since, until=until)) as refunds:
            async for refund in refunds:
                yield refund

    async def aclose(self) -> None:
        """See `Gateway`."""
        await self._api.aclose()

    async def _draft_since(self, purchase: Purchase, since: str) -> Transaction | None:
        params = {"origin": "api", "status": "draft,ready", "created_at[GTE]": since}
        try:
            return await newest_of_order(self._api, purchase.order_id, params)
        except GatewayError:
            # What went wrong first says more.
            return None

    async def _charge_made(self, charge: SavedCharge) -> Transaction | None:
        params = {"origin": CHARGE, "subscription_id": charge.method.method_id}
        return await newest_of_order(self._api, charge.order_id, params)
