"""The gateway of Stripe against the fake, with what tests of it need again and again."""

import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from tests.fakes.stripe_books import Webhook
from tests.fakes.stripe_server import FakeStripe
from workers.payments.facts import DisputeFact, Fact, PaymentFact, RefundFact, SubscriptionFact
from workers.payments.gateway import Purchase, SavedCharge
from workers.payments.gateways.stripe.gateway import StripeGateway
from workers.payments.gateways.stripe.settings import StripeSettings
from workers.payments.money import Money

PRICE_KEY = "pro:3:eu"


def purchase(**fields: Any) -> Purchase:
    """A pack for ten dollars, unless said otherwise."""
    given: dict[str, Any] = {
        "order_id": uuid4(),
        "account_id": uuid4(),
        "title": "1,000 credits",
        "price": Money(1000, "USD"),
        "return_url": "https://shop.example/done",
        **fields,
    }
    return Purchase(**given)


def plan(**fields: Any) -> Purchase:
    """A plan for twenty dollars a month, unless said otherwise."""
    return purchase(**{"title": "Pro", "price": Money(2000, "USD"), "price_key": PRICE_KEY, "months": 1, **fields})


class StripeShop:
    """Sells through Stripe, and hears what Stripe says."""

    def __init__(self, stripe: FakeStripe, gateway: StripeGateway) -> None:
        self.stripe = stripe
        self.gateway = gateway

    async def open(self, order: Purchase) -> str:
        """Start an order, and return the Checkout session's id."""
        return (await self.gateway.start_purchase(order)).gateway_id

    async def sell(self, order: Purchase, **how: Any) -> list[Fact]:
        """Start an order, have it paid, and return what is said about that."""
        return await self.hear(self.stripe.pay(await self.open(order), **how))

    async def hear(self, webhooks: Iterable[Webhook]) -> list[Fact]:
        """Verify webhooks and return all that they say."""
        facts: list[Fact] = []
        for headers, body in webhooks:
            event = await self.gateway.verify(headers, body, remote_address="203.0.113.1", now_s=time.time())
            facts += await self.gateway.facts(event.kind, headers, body)
        return facts

    async def subscribed(self, order: Purchase) -> str:
        """Sell a plan, and return the subscription's id."""
        return subscriptions(await self.sell(order))[-1].subscription_id

    async def saved(self) -> SavedCharge:
        """Have a customer save a card, and return a new charge to it."""
        facts = payments(await self.sell(purchase(save_method=True)))
        method = facts[-1].saved_method
        assert method is not None
        return SavedCharge(order_id=uuid4(), account_id=uuid4(), title="Top-up", price=Money(500, "USD"), method=method)


@asynccontextmanager
async def stripe_shop(**settings: Any) -> AsyncGenerator[StripeShop]:
    """A shop with a Stripe of its own."""
    async with FakeStripe() as stripe:
        environment = {**stripe.environment, **{name: value for name, value in settings.items() if name.isupper()}}
        given = StripeSettings.from_environment(environment)
        timeout_s = settings.get("timeout_s", given.timeout_s)
        gateway = StripeGateway(
            StripeSettings(
                api_key=given.api_key,
                webhook_secrets=given.webhook_secrets,
                base_url=given.base_url,
                automatic_tax=given.automatic_tax,
                timeout_s=timeout_s,
            )
        )
        try:
            yield StripeShop(stripe, gateway)
        finally:
            await gateway.aclose()


def payments(facts: Iterable[Fact]) -> list[PaymentFact]:
    """Only what is said about payments."""
    return [fact for fact in facts if isinstance(fact, PaymentFact)]


def refunds(facts: Iterable[Fact]) -> list[RefundFact]:
    """Only what is said about refunds."""
    return [fact for fact in facts if isinstance(fact, RefundFact)]


def disputes(facts: Iterable[Fact]) -> list[DisputeFact]:
    """Only what is said about disputes."""
    return [fact for fact in facts if isinstance(fact, DisputeFact)]


def subscriptions(facts: Iterable[Fact]) -> list[SubscriptionFact]:
    """Only what is said about subscriptions."""
    return [fact for fact in facts if isinstance(fact, SubscriptionFact)]
