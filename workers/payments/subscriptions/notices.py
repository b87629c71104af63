"""What the owner of a subscription is told about it. Each message goes out once, whoever tells us how often."""

from collections.abc import Sequence

from ledger.amounts import format_credits
from ledger.batch import Statement
from workers.messages.kinds import MessageKind
from workers.messages.outbox import queue_message
from workers.payments.catalogue import PlanDefinition, price_of
from workers.payments.facts import SubscriptionStatus
from workers.payments.money import Money, shown
from workers.payments.subscriptions.subscription import Change, Subscription


def notices_of(
    before: Subscription, after: Subscription, changes: Sequence[Change], definition: PlanDefinition | None
) -> tuple[Statement, ...]:
    """Return the statements that have the owner told of what is new. `definition` is that of the plan it has now."""
    if before.status is SubscriptionStatus.incomplete or after.plan is None:
        return ()
    messages: list[Statement] = []
    if "past_due" in changes and definition is not None:
        price = price_of(definition, after.plan.region)
        period_us = after.asked_us if after.period is None else after.period.begins_us
        messages.append(payment_failed(after, price, key=f"{after.gateway}:{after.id}:{period_us}"))
    is_at_end = after.status is SubscriptionStatus.ended
    if "cancelled" in changes or ("ended" in changes and not before.ends_at_period_end):
        ends_us = after.asked_us if is_at_end or after.period is None else after.period.ends_us
        messages.append(plan_cancelled(after, ends_us=ends_us))
    had_another = before.plan is not None and before.plan.name != after.plan.name
    was_announced = before.next_plan is not None and before.next_plan[0] == after.plan.name
    if had_another and not was_announced and definition is not None and not is_at_end:
        effective_us = after.asked_us if after.period is None else after.period.begins_us
        messages.append(plan_changed(before, after, definition, effective_us=effective_us))
    return tuple(messages)


def payment_failed(
    subscription: Subscription, price: Money, *, key: str, retry_us: int | None = None, ends_us: int | None = None
) -> Statement:
    """Say that a payment for the next period did not go through."""
    assert subscription.plan is not None, "what has no plan has no price"
    return queue_message(
        subscription.account_id,
        MessageKind.payment_failed,
        key=f"payment_failed:{key}",
        values={
            "product": subscription.plan.name,
            "price": shown(price),
            "failed_at_us": subscription.asked_us,
            "method": subscription.method.label or None if subscription.method is not None else None,
            "retry_at_us": retry_us,
            "ends_at_us": ends_us,
        },
    )


def plan_cancelled(subscription: Subscription, *, ends_us: int) -> Statement:
    """Say that a plan ends, or has ended."""
    return queue_message(
        subscription.account_id,
        MessageKind.plan_cancelled,
        key=_key("plan_cancelled", subscription),
        values={"plan": "" if subscription.plan is None else subscription.plan.name, "ends_at_us": ends_us},
    )


def plan_changed(
    before: Subscription, after: Subscription, definition: PlanDefinition, *, effective_us: int
) -> Statement:
    """Say that another plan has begun, or will."""
    plan = after.plan or before.plan
    assert plan is not None, "what has no plan changes none"
    return queue_message(
        after.account_id,
        MessageKind.plan_changed,
        key=_key("plan_changed", after),
        values={
            "plan": definition.name,
            "effective_at_us": effective_us,
            "previous_plan": None if before.plan is None else before.plan.name,
            "price": shown(price_of(definition, plan.region)) if plan.region in definition.prices else None,
            "credits": format_credits(definition.credits_microcredits),
        },
    )


def _key(kind: str, subscription: Subscription) -> str:
    return f"{kind}:{subscription.gateway}:{subscription.id}:{subscription.revision}"
