"""Plans, subscriptions and what gateways say of them, for tests of what is above the gateways."""

import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg

from ledger.database import Database
from ledger.rows import to_us
from tests.payments import CREDIT, PlainGateway, paid, place_order
from workers.payments.catalogue import PLAN, REGION, PlanRequest, RegionRequest, define_version
from workers.payments.facts import PaymentFact, Period, SavedMethod, SubscriptionFact, SubscriptionStatus
from workers.payments.gateway import RenewedBy, SavedCharge
from workers.payments.money import Money

US: Final = "us"
CARD: Final = SavedMethod(customer_id="customer", method_id="card", label="Visa •• 4242")

_numbers = itertools.count(1)


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    """A time in UTC, in microseconds."""
    return to_us(datetime(year, month, day, hour, minute, tzinfo=UTC))


JANUARY: Final = Period(at(2026, 1, 31, 12), at(2026, 2, 28, 12))
FEBRUARY: Final = Period(at(2026, 2, 28, 12), at(2026, 3, 31, 12))
MARCH: Final = Period(at(2026, 3, 31, 12), at(2026, 4, 30, 12))


async def offer_plans(database: Database, **fields: Any) -> None:
    """Offer `basic` for ten dollars and 1,000 credits, and `pro` for thirty and 4,000; the fields are for both."""
    await define_version(database, REGION, US, RegionRequest(currency="USD", tax_inclusive=True), changed_by="test")
    for name, price, amount in (("basic", "10.00", "1000"), ("pro", "30.00", "4000")):
        given: dict[str, Any] = {
            "titles": {"en": name.title()},
            "credits_per_period": amount,
            "prices": {US: price},
            **fields,
        }
        await define_version(database, PLAN, name, msgspec.convert(given, PlanRequest), changed_by="test")


def order_plan(url: str, account_id: UUID, **fields: object) -> UUID:
    """Write an order for the plan `basic`, unless the fields say otherwise."""
    return place_order(url, account_id, **{"purpose": "plan", "product": "basic", "region": US, **fields})


def subscription(order_id: UUID | None, account_id: UUID | None, **fields: Any) -> SubscriptionFact:
    """A subscription to `basic` that is active in January, unless the fields say otherwise."""
    fact = SubscriptionFact(
        subscription_id=f"sub_{next(_numbers)}",
        order_id=order_id,
        account_id=account_id,
        status=SubscriptionStatus.active,
        price_key=f"basic:1:{US}",
        period=JANUARY,
        asked_at_us=JANUARY.begins_us,
        saved_method=CARD,
    )
    return msgspec.structs.replace(fact, **fields)


def payment_for(period: Period | None, subscription_id: str | None, **fields: Any) -> PaymentFact:
    """A payment of ten dollars for a period of a subscription."""
    at_us = fields.pop("at_us", JANUARY.begins_us if period is None else period.begins_us)
    return paid(None, period=period, subscription_id=subscription_id, at_us=at_us, **fields)


class RenewedByUs(PlainGateway):
    """A gateway without subscriptions, that charges what it saved. It keeps what it charged, under the order."""

    renewed_by: RenewedBy = "us"

    def __init__(self) -> None:
        self.charges: dict[UUID, PaymentFact] = {}
        self.asked: list[SavedCharge] = []
        self.answer: Callable[[SavedCharge], PaymentFact] = self.pays
        self.now_us = 0

    def pays(self, charge: SavedCharge) -> PaymentFact:
        """The payment goes through."""
        return paid(charge.order_id, charge.account_id, price=charge.price, at_us=self.now_us)

    async def charge_saved(self, charge: SavedCharge) -> PaymentFact:
        """Once under an order, whatever comes of it."""
        self.asked.append(charge)
        if charge.order_id not in self.charges:
            self.charges[charge.order_id] = self.answer(charge)
        return self.charges[charge.order_id]

    @property
    def taken(self) -> list[Money]:
        """What was really charged."""
        return [fact.price for fact in self.charges.values() if fact.status.name == "paid"]


def lots_of(url: str, account_id: UUID) -> list[tuple[int, int]]:
    """What every lot of an account has left, in whole credits, and when it expires."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT remaining, expires_at FROM lots WHERE account_id = %s ORDER BY number", [account_id]
        )
        return [(row[0] // CREDIT, 0 if row[1] is None else to_us(row[1])) for row in rows]


def messages_of(url: str, account_id: UUID) -> list[str]:
    """The kinds of the messages to an account, receipts left out."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT kind FROM messages WHERE account_id = %s AND kind <> 'receipt' ORDER BY created_at, key",
            [account_id],
        )
        return [row[0] for row in rows]
