"""What a payment for a plan must be like, and what comes with it.

For the first period its order says so, for a later one the subscription, and for one that we charge for ourselves the
order that we made for it.
"""

from typing import Final
from uuid import UUID

from msgspec import Struct

from ledger.batch import Rider, Statement
from ledger.database import Database
from ledger.rows import from_us, to_us
from workers.payments.catalogue import PlanDefinition, plan_version
from workers.payments.catalogue.definitions import full_price_of
from workers.payments.expected import Expected
from workers.payments.facts import PaymentFact, Period, SubscriptionStatus
from workers.payments.money import Money
from workers.payments.orders import Order, OrderState
from workers.payments.subscriptions.carrying import change_grant, lots_over_cap
from workers.payments.subscriptions.enrolling import enrol
from workers.payments.subscriptions.noting import definition_of
from workers.payments.subscriptions.periods import lot_expiry_us, months_after
from workers.payments.subscriptions.rows import find_subscription, insertion, sql
from workers.payments.subscriptions.subscription import Plan, Subscription

SAME_PERIOD_US: Final = 3_600_000_000
"""Two periods that begin less than this apart are one and the same."""

EARLY_US: Final = 86_400_000_000
"""So long before the end of a period a payment without a period of its own is for the next one."""

FORMER_PLANS: Final = 20


class _Due(Struct, frozen=True, kw_only=True):
    """A period of a plan that somebody paid for."""

    account_id: UUID
    subscription_id: str
    plan: Plan
    definition: PlanDefinition
    period: Period
    price: Money
    tax_inclusive: bool
    credits_microcredits: int
    order: Order | None = None
    subscription_writes: tuple[Statement, ...] = ()


class _Last(Struct, frozen=True):
    plan: Plan
    period: Period


async def expected_payment(database: Database, gateway: str, fact: PaymentFact, order: Order | None) -> Expected | None:
    """Return what a payment for a plan must be like, and all that commits with its top-up.

    `None` where neither the order nor the subscription is known, or not yet.
    """
    subscription = await find_subscription(
        database, gateway, fact.subscription_id, order_id=None if order is None else order.id
    )
    if order is not None and order.purpose == "renewal":
        due = await _renewal(database, fact, order)
        last = None if due is None else await _last_period(database, fact, gateway, due.subscription_id)
    else:
        last = None if subscription is None else await _last_period(database, fact, gateway, subscription.id)
        is_later = subscription is not None and subscription.id == fact.subscription_id and _is_later(fact, last)
        if order is not None and (order.state is not OrderState.paid or not is_later):
            due = await _first(database, gateway, fact, order, subscription)
        else:
            due = None if subscription is None else await _later(database, fact, subscription, last)
    return None if due is None else await _expected(database, gateway, fact, due, last)


async def _first(
    database: Database, gateway: str, fact: PaymentFact, order: Order, subscription: Subscription | None
) -> _Due:
    """Return the first period of a plan. The subscription begins with it, if its gateway did not tell of it before."""
    definition = await plan_version(database, order.product, order.product_version)
    plan = Plan(order.product, order.product_version, order.region)
    period = _told_period(fact) or Period(fact.at_us, months_after(fact.at_us, definition.months))
    writes: tuple[Statement, ...] = ()
    if subscription is None:
        subscription = _beginning(gateway, fact, order, plan, period)
        writes = insertion(subscription)
    return _Due(
        account_id=order.account_id,
        subscription_id=subscription.id,
        plan=plan,
        definition=definition,
        period=period,
        price=order.price,
        tax_inclusive=order.tax_inclusive,
        credits_microcredits=order.credits_microcredits,
        order=order,
        subscription_writes=writes,
    )


def _beginning(gateway: str, fact: PaymentFact, order: Order, plan: Plan, period: Period) -> Subscription:
    """Return the subscription that a payment begins. Whatever the gateway says of it later counts more.

    Where the gateway has none, it has the id of its order, and we renew it: if it kept the means of payment.
    """
    is_ours = fact.subscription_id is None
    return Subscription(
        gateway=gateway,
        id=str(order.id) if fact.subscription_id is None else fact.subscription_id,
        account_id=order.account_id,
        order_id=order.id,
        status=SubscriptionStatus.active,
        plan=plan,
        period=period,
        anchored_us=period.begins_us if is_ours else None,
        ends_at_period_end=is_ours and fact.saved_method is None,
        method=fact.saved_method,
        asked_us=fact.at_us if is_ours else 0,
        try_us=period.ends_us if is_ours else None,
        due_us=period.ends_us if is_ours else None,
    )


async def _renewal(database: Database, fact: PaymentFact, order: Order) -> _Due | None:
    """Return the period that an order of ours is for."""
    async with database.autocommit() as connection:
        row = await (await connection.execute(sql.READ_RENEWAL, {"order_id": order.id})).fetchone()
    if row is None:
        return None
    period = Period(to_us(row[1]), to_us(row[2]))
    advance: dict[str, object] = {
        "gateway": order.gateway,
        "subscription_id": row[0],
        "plan": order.product,
        "plan_version": order.product_version,
        "region": order.region,
        "begins_at": row[1],
        "ends_at": row[2],
        "asked_at": from_us(fact.at_us),
    }
    return _Due(
        account_id=order.account_id,
        subscription_id=row[0],
        plan=Plan(order.product, order.product_version, order.region),
        definition=await plan_version(database, order.product, order.product_version),
        period=period,
        price=order.price,
        tax_inclusive=order.tax_inclusive,
        credits_microcredits=order.credits_microcredits,
        order=order,
        subscription_writes=((sql.ADVANCE_SUBSCRIPTION, advance),),
    )


async def _later(database: Database, fact: PaymentFact, subscription: Subscription, last: _Last | None) -> _Due | None:
    """Return a later period, of the plan whose price was paid: the one it has now, or had, for events come late."""
    async with database.autocommit() as connection:
        parameters = {"gateway": subscription.gateway, "subscription_id": subscription.id, "limit": FORMER_PLANS}
        former = await (await connection.execute(sql.READ_FORMER_PLANS, parameters)).fetchall()
    plans = [*_plans_of(subscription, fact), *(Plan(*row) for row in former), None if last is None else last.plan]
    offers: list[_Due] = []
    for plan in dict.fromkeys(plan for plan in plans if plan is not None):
        definition = await definition_of(database, plan)
        if definition is not None and plan.region in definition.prices:
            offers.append(_offer(fact, subscription, plan, definition, last))
    fitting = (offer for offer in offers if _fits(offer, fact))
    return next(fitting, offers[0] if offers else None)


def _plans_of(subscription: Subscription, fact: PaymentFact) -> list[Plan | None]:
    """Return the plans that a subscription has now and with its next period, the one that the payment is for first."""
    now, period = subscription.plan, subscription.period
    if now is None or subscription.next_plan is None:
        return [now]
    later = Plan(*subscription.next_plan, now.region)
    begins_us = fact.at_us + EARLY_US if fact.period is None else fact.period.begins_us + SAME_PERIOD_US
    return [later, now] if period is not None and begins_us >= period.ends_us else [now, later]


def _offer(
    fact: PaymentFact, subscription: Subscription, plan: Plan, definition: PlanDefinition, last: _Last | None
) -> _Due:
    price = full_price_of(definition, plan.region)
    return _Due(
        account_id=subscription.account_id,
        subscription_id=subscription.id,
        plan=plan,
        definition=definition,
        period=_told_period(fact) or _next_period(fact, last, definition.months),
        price=price.money,
        tax_inclusive=price.tax_inclusive,
        credits_microcredits=definition.credits_microcredits,
    )


def _fits(offer: _Due, fact: PaymentFact) -> bool:
    tax_minor = 0 if offer.tax_inclusive or fact.tax is None else fact.tax.minor
    return offer.price.currency == fact.price.currency and offer.price.minor == fact.price.minor - tax_minor


def _told_period(fact: PaymentFact) -> Period | None:
    period = fact.period
    return period if period is not None and period.begins_us < period.ends_us else None


def _next_period(fact: PaymentFact, last: _Last | None, months: int) -> Period:
    """Guess for which period a payment is whose gateway does not say so: never for a part of one that is paid for."""
    if last is None:
        return Period(fact.at_us, months_after(fact.at_us, months))
    if fact.at_us < last.period.ends_us - EARLY_US:
        return last.period
    next_ends_us = months_after(last.period.ends_us, months)
    if fact.at_us < next_ends_us:
        return Period(last.period.ends_us, next_ends_us)
    return Period(fact.at_us, months_after(fact.at_us, months))


def _is_later(fact: PaymentFact, last: _Last | None) -> bool:
    """Whether a payment that names an order which is paid for is for a later period: some gateways keep the name."""
    if last is None:
        return False
    if fact.period is None:
        return fact.at_us >= last.period.ends_us - EARLY_US
    return fact.period.begins_us >= last.period.begins_us + SAME_PERIOD_US


async def _last_period(database: Database, fact: PaymentFact, gateway: str, subscription_id: str) -> _Last | None:
    parameters = {"gateway": gateway, "subscription_id": subscription_id, "payment_id": fact.payment_id}
    async with database.autocommit() as connection:
        row = await (await connection.execute(sql.READ_LAST_PERIOD, parameters)).fetchone()
    return None if row is None else _Last(Plan(row[0], row[1], row[2]), Period(to_us(row[3]), to_us(row[4])))


async def _expected(database: Database, gateway: str, fact: PaymentFact, due: _Due, last: _Last | None) -> Expected:
    order, definition, period = due.order, due.definition, due.period
    row: dict[str, object] = {
        "gateway": gateway,
        "payment_id": fact.payment_id,
        "subscription_id": due.subscription_id,
        "account_id": due.account_id,
        "order_id": None if order is None else order.id,
        "plan": due.plan.name,
        "plan_version": due.plan.version,
        "region": due.plan.region,
        "begins_at": from_us(period.begins_us),
        "ends_at": from_us(period.ends_us),
        "credits": due.credits_microcredits,
        "rollover_cap": definition.rollover_cap_microcredits,
    }
    writes: list[Statement] = [*due.subscription_writes, (sql.INSERT_PERIOD, row)]
    if definition.daily_free_microcredits:
        writes.append(enrol(due.account_id))
    before = await lots_over_cap(
        database, gateway, fact.payment_id, due.subscription_id, account_id=due.account_id, begins_us=period.begins_us
    )
    if (
        last is not None
        and last.plan.name != due.plan.name
        and last.period.begins_us <= period.begins_us < last.period.ends_us
    ):
        before += change_grant(gateway, fact.payment_id, definition, period, account_id=due.account_id)
    return Expected(
        account_id=due.account_id,
        order_id=None if order is None else order.id,
        gateway=gateway if order is None else order.gateway,
        price=due.price,
        tax_inclusive=due.tax_inclusive,
        credits_microcredits=due.credits_microcredits,
        source="plan",
        product=due.plan.name,
        expires_at_us=lot_expiry_us(
            period, months=definition.months, rolls_over=definition.rollover_cap_microcredits > 0
        ),
        before=before,
        riders=(
            *(() if order is None else order.expected(paid_at_us=fact.at_us).riders),
            Rider(guard=(sql.GUARD_PERIOD, row), writes=tuple(writes)),
        ),
    )
