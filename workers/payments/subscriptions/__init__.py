"""Plans that are paid for period by period."""

from ledger.database import Database
from workers.payments.context import PaymentContext
from workers.payments.expected import Expected
from workers.payments.facts import PaymentFact, SubscriptionFact
from workers.payments.orders import Order


async def note_subscription(context: PaymentContext, gateway: str, fact: SubscriptionFact) -> None:
    """Take note of what a subscription is now."""


async def expected_payment(database: Database, gateway: str, fact: PaymentFact, order: Order | None) -> Expected | None:
    """Return what a payment for a plan must be like: for its first period by its order, for a later one by its subscription.

    `None` where neither is known, or not yet.
    """
    del database, gateway, fact, order
    return None
