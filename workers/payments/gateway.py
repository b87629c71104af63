"""What every payment gateway does for us, and how it says that it cannot.

A gateway is the only source of truth for what was paid. Its module translates: our orders into its objects, its objects
into facts. It decides nothing about credits and writes nothing.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Literal, Protocol, TypeAlias
from uuid import UUID

import msgspec

from workers.payments.facts import Fact, PaymentFact, RefundFact, SavedMethod, SubscriptionFact
from workers.payments.money import Money


class WebhookRefused(Exception):
    """A webhook is not genuine, or not fit to be taken. Nothing of it is kept."""


class WebhookForged(WebhookRefused):
    """Nobody who knows our secret sent it; or we have no secret, and can know of nobody that they do."""


class WebhookStale(WebhookRefused):
    """It was signed too long ago, or in the future."""


class WebhookMalformed(WebhookRefused):
    """It is genuine, and makes no sense."""


class GatewayError(Exception):
    """A gateway did not do what it was asked. The message is for administrators and holds no secret."""

    def __init__(self, gateway: str, message: str, *, retryable: bool, ambiguous: bool = False) -> None:
        super().__init__(f"{gateway}: {message}")
        self.gateway = gateway
        self.retryable = retryable
        """Whether the same request may succeed later."""
        self.ambiguous = ambiguous
        """Whether it may have been done all the same; to be repeated under the same key only."""


class Declined(GatewayError):
    """The customer's bank said no to a charge."""

    def __init__(self, gateway: str, message: str, *, payment_id: str | None = None) -> None:
        super().__init__(gateway, message, retryable=False)
        self.payment_id = payment_id


class NotSupported(GatewayError):
    """This gateway cannot do this at all."""

    def __init__(self, gateway: str, message: str) -> None:
        super().__init__(gateway, message, retryable=False)


class UnknownObject(GatewayError):
    """The gateway has no such object, for us."""

    def __init__(self, gateway: str, message: str) -> None:
        super().__init__(gateway, message, retryable=False)


class WebhookEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A genuine webhook."""

    event_id: str
    """Tells it from every other one of this gateway, also where it comes again."""
    kind: str
    """In the gateway's words, such as `charge.refunded`."""
    object_id: str
    """Of the object that it is about."""


class Purchase(msgspec.Struct, frozen=True, kw_only=True):
    """An order, as a gateway has to know it to take money for it."""

    order_id: UUID
    account_id: UUID
    title: str
    """What the customer reads on the gateway's page, in their language."""
    price: Money
    """With all taxes where `tax_inclusive`; otherwise the gateway adds what is due, where it can."""
    tax_inclusive: bool = True
    return_url: str
    language: str = "en"
    email: str = ""
    price_key: str = ""
    """For a plan: `plan:version:region`, which the gateway keeps with the subscription. Empty for a pack."""
    months: int = 0
    """For a plan: how many months a period has. 0 for a pack."""
    save_method: bool = False
    """Whether the means of payment is to be kept for charges that we make ourselves later."""


class StartedPurchase(msgspec.Struct, frozen=True, kw_only=True):
    """Where the customer goes on to pay."""

    gateway_id: str
    """Of the object that the gateway made: a Checkout session, a payment, a transaction, an order."""
    url: str


class SavedCharge(msgspec.Struct, frozen=True, kw_only=True):
    """A charge to a means of payment that was saved, without its owner being there."""

    order_id: UUID
    """Also the key under which it is made: repeating it charges nothing a second time."""
    account_id: UUID
    title: str
    price: Money
    method: SavedMethod
    tax_inclusive: bool = True
    """As in a `Purchase`."""
    email: str = ""


RenewedBy: TypeAlias = Literal["gateway", "us", "nobody"]


class Gateway(Protocol):
    """One gateway, with our account there. Belongs to one event loop. Every method has a time-out of its own.

    All of them raise `GatewayError`.
    """

    @property
    def name(self) -> str:
        """What it is called in paths, rows and settings."""
        ...

    @property
    def renewed_by(self) -> RenewedBy:
        """Who charges for the next period of a subscription.

        With "us", the first payment saves the means of payment, and there are no `SubscriptionFact`s; with "nobody" it
        sells packs only.
        """
        ...

    async def verify(
        self, headers: Mapping[str, str], body: bytes, *, remote_address: str, now_s: float
    ) -> WebhookEvent:
        """Return what a webhook is, if it is genuine. Header names are in lower case.

        Quick: nothing is fetched over the network, unless it can be kept for the next time.

        Raises:
            WebhookRefused: it is not genuine, too old, or makes no sense.
            GatewayError: that cannot be known just now. It comes again.
        """
        ...

    async def facts(self, kind: str, headers: Mapping[str, str], body: bytes) -> Sequence[Fact]:
        """Return what a verified webhook says, as far as it concerns us; empty for what does not.

        Fetches whatever the webhook itself does not prove or may be outdated about.
        """
        ...

    async def start_purchase(self, purchase: Purchase) -> StartedPurchase:
        """Make the gateway's object for an order. Repeating it under the same order makes no second one."""
        ...

    async def charge_saved(self, charge: SavedCharge) -> PaymentFact:
        """Charge a saved means of payment.

        Raises:
            Declined: the bank said no.
            NotSupported: this gateway cannot.
        """
        ...

    async def refund(self, payment_id: str, amount: Money, *, key: str, reason: str) -> RefundFact:
        """Give money back. Repeating it under the same key gives nothing back a second time."""
        ...

    async def subscription(self, subscription_id: str) -> SubscriptionFact:
        """Return a subscription as it is now."""
        ...

    async def change_plan(self, subscription_id: str, purchase: Purchase, *, at_once: bool) -> SubscriptionFact:
        """Move a subscription to another price.

        With `at_once` a new period begins now and its full price is due, else the next one does. Nothing is prorated.
        """
        ...

    async def cancel_subscription(self, subscription_id: str, *, at_once: bool = False) -> SubscriptionFact:
        """End a subscription, by default with the period that is paid for."""
        ...

    async def resume_subscription(self, subscription_id: str) -> SubscriptionFact:
        """Take a cancellation back that has not come into effect, or go on after a pause."""
        ...

    async def portal_url(self, customer_id: str, *, return_url: str) -> str:
        """Return where the customer sees invoices and changes their means of payment."""
        ...

    def listed(self, *, since_us: int, until_us: int) -> AsyncGenerator[PaymentFact | RefundFact, None]:
        """Yield all payments that were paid, and all refunds, made from one time up to another, in any order."""
        ...

    async def aclose(self) -> None:
        """Close its connections."""
        ...
