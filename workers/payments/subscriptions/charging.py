"""Charging what was saved, for a period of a subscription that no gateway renews.

What is to be charged is written first, as an order whose id follows from the subscription, what it follows on, and the
try. So whoever goes on after a crash, and however many do so at once, make the same charge.
"""

import hashlib
from typing import Final
from uuid import UUID

from msgspec import Struct

from ledger.database import Database
from ledger.rows import from_us
from workers.payments.catalogue import PlanDefinition, plan_version, title_of
from workers.payments.catalogue.definitions import FALLBACK, full_price_of
from workers.payments.context import PaymentContext
from workers.payments.facts import PaymentFact, PaymentStatus, Period
from workers.payments.gateway import Declined, GatewayError, SavedCharge
from workers.payments.orders import Order, find_order
from workers.payments.subscriptions.periods import months_after, period_after
from workers.payments.subscriptions.rows import lock_subscription, sql
from workers.payments.subscriptions.subscription import Plan, Subscription

_LOW_BITS: Final = (1 << 62) - 1


class Renewal(Struct, frozen=True, kw_only=True):
    """A period that is to be charged for."""

    subscription: Subscription
    plan: Plan
    definition: PlanDefinition
    period: Period
    order_id: UUID


async def next_renewal(database: Database, subscription: Subscription, *, now_us: int) -> Renewal:
    """Return what is to be charged for the period after the one that is paid for, by the plan that it is to have then.

    Raises:
        PaymentError: its plan is not what can be sold.
    """
    assert subscription.plan is not None, "what we renew began with an order for a plan"
    assert subscription.period is not None, "what we renew began with a period"
    name, version = subscription.next_plan or (subscription.plan.name, subscription.plan.version)
    definition = await plan_version(database, name, version)
    begins_us = subscription.period.ends_us
    anchored_us = begins_us if subscription.anchored_us is None else subscription.anchored_us
    period = period_after(anchored_us, begins_us, months=definition.months)
    if now_us >= period.ends_us:
        # Nobody pays for a period that is over.
        period = Period(now_us, months_after(now_us, definition.months))
    return Renewal(
        subscription=subscription,
        plan=Plan(name, version, subscription.plan.region),
        definition=definition,
        period=period,
        order_id=order_id_of(
            subscription,
            f"renewal:{begins_us}:{subscription.tries}",
            made_us=begins_us if subscription.try_us is None else subscription.try_us,
        ),
    )


async def place(database: Database, renewal: Renewal) -> Order | None:
    """Write the order of a renewal, and for which period it is; an order that is there already stays as it is.

    `None` where the subscription is not any more what it was.

    Raises:
        CurrencyNotOffered: the plan has no price in the subscription's region.
    """
    subscription, plan, price = (
        renewal.subscription,
        renewal.plan,
        full_price_of(renewal.definition, renewal.plan.region),
    )
    async with database.connection() as connection:
        current = await lock_subscription(connection, subscription.gateway, subscription.id)
        if current is None or current.revision != subscription.revision:
            return None
        order: dict[str, object] = {
            "id": renewal.order_id,
            "account_id": subscription.account_id,
            "gateway": subscription.gateway,
            "product": plan.name,
            "product_version": plan.version,
            "region": plan.region,
            "amount_minor": price.money.minor,
            "currency": price.money.currency,
            "tax_inclusive": price.tax_inclusive,
            "credits": renewal.definition.credits_microcredits,
            "subscription_id": subscription.id,
            "first_order_id": subscription.order_id,
        }
        period: dict[str, object] = {
            "order_id": renewal.order_id,
            "gateway": subscription.gateway,
            "subscription_id": subscription.id,
            "begins_at": from_us(renewal.period.begins_us),
            "ends_at": from_us(renewal.period.ends_us),
            "tries": subscription.tries,
        }
        await connection.execute(sql.INSERT_RENEWAL_ORDER, order)
        await connection.execute(sql.INSERT_RENEWAL, period)
    return await find_order(database, renewal.order_id)


async def charge(context: PaymentContext, renewal: Renewal, order: Order) -> PaymentFact | Declined:
    """Charge what was saved, once for each order however often this is called; the answer may be that it is declined.

    Raises:
        GatewayError: nobody knows what came of it; to be tried again, for the same order.
    """
    subscription = renewal.subscription
    assert subscription.method is not None, "only what was saved is charged"
    async with context.database.autocommit() as connection:
        row = await (await connection.execute(sql.READ_CUSTOMER_OF_ORDER, {"id": order.id})).fetchone()
    language, email = row or (None, None)
    # What the order is for, not what is wanted by now: under one key a gateway must be told the same each time.
    definition = await plan_version(context.database, order.product, order.product_version)
    request = SavedCharge(
        order_id=order.id,
        account_id=order.account_id,
        title=title_of(definition, language or FALLBACK),
        price=order.price,
        method=subscription.method,
        tax_inclusive=order.tax_inclusive,
        email=email or "",
    )
    try:
        fact = await context.gateways.get(subscription.gateway).charge_saved(request)
    except Declined as declined:
        return declined
    except GatewayError as error:
        if error.retryable or error.ambiguous:
            raise
        return Declined(error.gateway, str(error))
    if fact.status is PaymentStatus.failed:
        return Declined(subscription.gateway, fact.failure, payment_id=fact.payment_id)
    return fact


def order_id_of(subscription: Subscription, what: str, *, made_us: int) -> UUID:
    """Return the id of the order for something about a subscription; the same one for whoever asks.

    It has the form of the ids that orders have, which say when they were made: gateways look for old ones by that.
    """
    named = f"{subscription.gateway}:{subscription.id}:{what}"
    digest = int.from_bytes(hashlib.sha256(named.encode()).digest(), "big")
    return UUID(int=(made_us // 1_000) << 80 | 7 << 76 | (digest >> 64 & 0xFFF) << 64 | 2 << 62 | digest & _LOW_BITS)
