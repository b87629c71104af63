"""What its owner wants of a subscription: another plan, an end, no end, and the pages of its gateway.

The gateway is asked, and what it answers is noted; nothing changes because somebody wanted it. Where no gateway knows
the subscription, it is ours to change, and a new period begins with a payment only.
"""

from typing import Any, Final
from uuid import NAMESPACE_URL, UUID, uuid5

from msgspec import Struct
from msgspec.structs import replace

from ledger.database import Database
from ledger.errors import Contended
from workers.payments.catalogue import PLAN, Offer, PlanDefinition, price_key, title_of
from workers.payments.catalogue.definitions import FALLBACK
from workers.payments.catalogue.offers import offer_in_region
from workers.payments.context import PaymentContext
from workers.payments.errors import (
    GatewayRefused,
    PaymentDeclined,
    PlanUnchanged,
    SubscriptionEnded,
    SubscriptionNotFound,
)
from workers.payments.facts import PaymentStatus, Period, SubscriptionStatus
from workers.payments.gateway import Declined, Gateway, Purchase
from workers.payments.settling import settle
from workers.payments.subscriptions.charging import Renewal, charge, order_id_of, place
from workers.payments.subscriptions.notices import plan_changed
from workers.payments.subscriptions.noting import change_by_us, definition_of, note_subscription
from workers.payments.subscriptions.periods import months_after
from workers.payments.subscriptions.rows import change_subscription, lock_subscription, sql, subscription_of
from workers.payments.subscriptions.subscription import Plan, Subscription

TRIES: Final = 3


class Shown(Struct, frozen=True):
    """A subscription, and what its plan is; `None` where the gateway names a plan that is not ours."""

    subscription: Subscription
    definition: PlanDefinition | None


async def show(database: Database, account_id: UUID) -> Shown:
    """Return the subscription of an account.

    Raises:
        SubscriptionNotFound: it has none and never had one.
    """
    subscription = await subscription_of(database, account_id)
    if subscription is None:
        raise SubscriptionNotFound(account_id)
    return Shown(subscription, await definition_of(database, subscription.plan))


async def change_plan(context: PaymentContext, account_id: UUID, plan: str, *, at_once: bool, now_us: int) -> None:
    """Move to another plan: with the next period, or at once, with a new period that is paid for in full.

    Raises:
        SubscriptionNotFound, SubscriptionEnded: there is nothing to change.
        PlanNotFound, CurrencyNotOffered: the plan is not for sale where the subscription is.
        PlanUnchanged: it is on this plan already.
        PaymentDeclined: the new period could not be paid for.
        GatewayError: the gateway does not do it, or not now.
    """
    for _ in range(TRIES):
        subscription, gateway = await _going_on(context, account_id)
        if subscription.plan is None:
            raise GatewayRefused(subscription.gateway)
        offer = await offer_in_region(context.database, PLAN, plan, region=subscription.plan.region)
        wanted = Plan(offer.product.definition.name, offer.product.version, offer.region)
        is_on_it = wanted == subscription.plan or wanted.name == subscription.plan.name
        if is_on_it and (at_once or subscription.next_plan is None):
            raise PlanUnchanged(plan)
        if not subscription.is_ours:
            await _change_there(context, gateway, subscription, offer, wanted, at_once=at_once)
            return
        if at_once:
            await _change_now(context, subscription, offer, wanted, now_us=now_us)
            return
        next_plan = None if is_on_it else (wanted.name, wanted.version)
        if await _plan_next(context.database, subscription, next_plan, offer.product.definition):
            return
    raise Contended("the subscription is being changed")


async def cancel(context: PaymentContext, account_id: UUID, *, now_us: int) -> None:
    """End with the period that is paid for; at once where it is not paid for.

    Raises:
        SubscriptionNotFound, SubscriptionEnded: there is nothing to end.
        GatewayError: the gateway does not do it, or not now.
    """
    subscription, gateway = await _going_on(context, account_id)
    if not subscription.is_ours:
        await note_subscription(context, gateway.name, await gateway.cancel_subscription(subscription.id))
        return
    if subscription.status is SubscriptionStatus.past_due:
        fields: dict[str, Any] = {"status": SubscriptionStatus.ended, "try_us": None, "due_us": None}
    else:
        fields = {"ends_at_period_end": True}
    await _change_ours(context, subscription, asked_us=now_us, **fields)


async def resume(context: PaymentContext, account_id: UUID, *, now_us: int) -> None:
    """Take a cancellation back that has not come into effect, or go on after a pause.

    Raises:
        SubscriptionNotFound, SubscriptionEnded: there is nothing to go on with.
        GatewayRefused: the means of payment was not kept, so that nothing can be renewed.
        GatewayError: the gateway does not do it, or not now.
    """
    subscription, gateway = await _going_on(context, account_id)
    if not subscription.is_ours:
        await note_subscription(context, gateway.name, await gateway.resume_subscription(subscription.id))
        return
    if subscription.method is None:
        raise GatewayRefused(gateway.name)
    await _change_ours(context, subscription, asked_us=now_us, ends_at_period_end=False)


async def portal_url(context: PaymentContext, account_id: UUID, *, return_url: str) -> str:
    """Return where the gateway shows its customer invoices and means of payment.

    Raises:
        SubscriptionNotFound: there is none.
        GatewayRefused: the gateway has no such pages, or does not know this customer.
        GatewayError: the gateway does not answer.
    """
    shown = await show(context.database, account_id)
    subscription = shown.subscription
    if subscription.method is None or not subscription.method.customer_id:
        raise GatewayRefused(subscription.gateway)
    gateway = context.gateways.get(subscription.gateway)
    return await gateway.portal_url(subscription.method.customer_id, return_url=return_url)


async def _going_on(context: PaymentContext, account_id: UUID) -> tuple[Subscription, Gateway]:
    subscription = (await show(context.database, account_id)).subscription
    if subscription.status in {SubscriptionStatus.ended, SubscriptionStatus.incomplete}:
        raise SubscriptionEnded(subscription.status.name)
    return subscription, context.gateways.get(subscription.gateway)


async def _change_there(
    context: PaymentContext,
    gateway: Gateway,
    subscription: Subscription,
    offer: Offer[PlanDefinition],
    wanted: Plan,
    *,
    at_once: bool,
) -> None:
    key = price_key(wanted.name, wanted.version, wanted.region)
    named = f"change:{subscription.gateway}:{subscription.id}:{subscription.revision}:{key}:{at_once}"
    purchase = Purchase(
        order_id=uuid5(NAMESPACE_URL, named),
        account_id=subscription.account_id,
        title=title_of(offer.product.definition, FALLBACK),
        price=offer.price.money,
        tax_inclusive=offer.price.tax_inclusive,
        return_url="",
        price_key=key,
        months=offer.product.definition.months,
    )
    fact = await gateway.change_plan(subscription.id, purchase, at_once=at_once)
    await _note_next_plan(context.database, subscription, None if at_once else wanted, offer.product.definition)
    await note_subscription(context, gateway.name, fact)


async def _note_next_plan(
    database: Database, subscription: Subscription, wanted: Plan | None, definition: PlanDefinition
) -> None:
    """Note what the gateway agreed to for the next period, unless it has told of it already."""
    for _ in range(TRIES):
        current = await subscription_of(database, subscription.account_id)
        if current is None or current.id != subscription.id:
            return
        next_plan = None if wanted is None or wanted == current.plan else (wanted.name, wanted.version)
        if await _plan_next(database, current, next_plan, definition):
            return
    raise Contended("the subscription is being changed")


async def _plan_next(
    database: Database, before: Subscription, next_plan: tuple[str, int] | None, definition: PlanDefinition
) -> bool:
    """Note which plan the next period is to have, and tell the owner; whether the subscription was what it was."""
    if before.next_plan == next_plan:
        return True
    async with database.connection() as connection:
        current = await lock_subscription(connection, before.gateway, before.id)
        if current is None or current.revision != before.revision:
            return False
        after = replace(current, next_plan=next_plan)
        after = await change_subscription(connection, current, after, ("next_plan",))
        if next_plan is not None and after.period is not None:
            told = plan_changed(current, after, definition, effective_us=after.period.ends_us)
            await connection.execute(*told)
    return True


async def _change_now(
    context: PaymentContext, subscription: Subscription, offer: Offer[PlanDefinition], wanted: Plan, *, now_us: int
) -> None:
    """Charge for a new period of the plan. It begins when that is settled; until then all is as it was."""
    definition = offer.product.definition
    named = f"change:{price_key(wanted.name, wanted.version, wanted.region)}"
    renewal = Renewal(
        subscription=subscription,
        plan=wanted,
        definition=definition,
        period=Period(now_us, months_after(now_us, definition.months)),
        order_id=order_id_of(subscription, f"{named}:{subscription.revision}", made_us=subscription.asked_us),
    )
    if subscription.method is None:
        raise GatewayRefused(subscription.gateway)
    order = await place(context.database, renewal)
    if order is None:
        raise Contended("the subscription is being changed")
    fact = await charge(context, renewal, order)
    if isinstance(fact, Declined):
        async with context.database.connection() as connection:
            current = await lock_subscription(connection, subscription.gateway, subscription.id)
            if current is not None and current.revision == subscription.revision:
                # Another revision makes another order: the next wish is charged anew.
                await connection.execute(sql.GIVE_UP_ORDER, {"id": order.id})
                await change_subscription(connection, current, current, ("declined",))
        raise PaymentDeclined(subscription.gateway)
    if fact.status is PaymentStatus.paid:
        await settle(context, subscription.gateway, fact)


async def _change_ours(context: PaymentContext, subscription: Subscription, **fields: Any) -> None:
    definition = await definition_of(context.database, subscription.plan)
    if await change_by_us(context.database, subscription, definition=definition, **fields) is None:
        raise Contended("the subscription is being changed")
