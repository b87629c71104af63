"""Stripe behind the interface of all gateways. What it does is in the modules beside this one."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import final

from workers.payments.facts import Fact, PaymentFact, RefundFact, SubscriptionFact
from workers.payments.gateway import Purchase, RenewedBy, SavedCharge, StartedPurchase, WebhookEvent
from workers.payments.gateways.stripe import purchases, refunds, subscriptions
from workers.payments.gateways.stripe.calls import Calls
from workers.payments.gateways.stripe.events import facts_of
from workers.payments.gateways.stripe.listing import listed
from workers.payments.gateways.stripe.objects import Addressed
from workers.payments.gateways.stripe.reading import ask_subscription
from workers.payments.gateways.stripe.settings import StripeSettings
from workers.payments.gateways.stripe.signatures import verify
from workers.payments.money import Money


@final
class StripeGateway:
    """Our account at Stripe. The id of a payment is always that of its payment intent, whatever told of it."""

    def __init__(self, settings: StripeSettings) -> None:
        self._settings = settings
        self._calls = Calls(settings)

    @property
    def name(self) -> str:
        """What it is called in paths, rows and settings."""
        return "stripe"

    @property
    def renewed_by(self) -> RenewedBy:
        """Stripe charges for the next period by itself."""
        return "gateway"

    async def verify(
        self, headers: Mapping[str, str], body: bytes, *, remote_address: str, now_s: float
    ) -> WebhookEvent:
        """Return what a webhook is; its signature is the proof, wherever it came from."""
        del remote_address
        return verify(headers, body, secrets=self._settings.webhook_secrets, now_s=now_s)

    async def facts(self, kind: str, headers: Mapping[str, str], body: bytes) -> Sequence[Fact]:
        """Return what a verified webhook says."""
        del headers
        return await facts_of(self._calls, kind, body)

    async def start_purchase(self, purchase: Purchase) -> StartedPurchase:
        """Make the page that an order is paid on."""
        return await purchases.start_purchase(self._calls, purchase, automatic_tax=self._settings.automatic_tax)

    async def charge_saved(self, charge: SavedCharge) -> PaymentFact:
        """Charge a saved means of payment."""
        return await purchases.charge_saved(self._calls, charge)

    async def refund(self, payment_id: str, amount: Money, *, key: str, reason: str) -> RefundFact:
        """Give money back."""
        return await refunds.refund(self._calls, payment_id, amount, key=key, reason=reason)

    async def subscription(self, subscription_id: str) -> SubscriptionFact:
        """Return a subscription as it is now."""
        return await ask_subscription(self._calls, subscription_id)

    async def change_plan(self, subscription_id: str, purchase: Purchase, *, at_once: bool) -> SubscriptionFact:
        """Move a subscription to another price."""
        return await subscriptions.change_plan(self._calls, subscription_id, purchase, at_once=at_once)

    async def cancel_subscription(self, subscription_id: str, *, at_once: bool = False) -> SubscriptionFact:
        """End a subscription."""
        return await subscriptions.cancel(self._calls, subscription_id, at_once=at_once)

    async def resume_subscription(self, subscription_id: str) -> SubscriptionFact:
        """Take a cancellation back, or a pause."""
        return await subscriptions.resume(self._calls, subscription_id)

    async def portal_url(self, customer_id: str, *, return_url: str) -> str:
        """Return where the customer sees invoices and changes their means of payment."""
        made = self._calls.client.billing_portal.sessions.create_async(
            {"customer": customer_id, "return_url": return_url}
        )
        return (await self._calls.write(made, Addressed)).url

    def listed(self, *, since_us: int, until_us: int) -> AsyncGenerator[PaymentFact | RefundFact, None]:
        """Yield all payments that were paid, and all refunds."""
        return listed(self._calls, since_us=since_us, until_us=until_us)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._calls.aclose()
