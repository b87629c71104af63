"""Taking note of what gateways say of subscriptions.

Nothing of a subscription changes in any other way, but for those that no gateway knows.
"""

from typing import Any, Final
from uuid import UUID

import structlog
from msgspec.structs import replace
from psycopg import AsyncConnection

from ledger.database import Database
from workers.payments.catalogue import PlanDefinition, plan_version
from workers.payments.context import PaymentContext
from workers.payments.errors import PlanNotFound
from workers.payments.facts import NotYet, SubscriptionFact
from workers.payments.orders import find_order
from workers.payments.subscriptions.enrolling import enrol
from workers.payments.subscriptions.notices import notices_of
from workers.payments.subscriptions.rows import change_subscription, insertion, lock_subscription, sql
from workers.payments.subscriptions.subscription import (
    RUNNING,
    Plan,
    Subscription,
    changes_between,
    new_subscription,
    told,
)

MAX_ID_CHARACTERS: Final = 100
TRIES: Final = 3

_log = structlog.stdlib.get_logger(__name__)


class UnknownSubscription(NotYet):
    """A gateway tells of a subscription, and nobody knows whose it is, or not yet."""


async def note_subscription(context: PaymentContext, gateway: str, fact: SubscriptionFact) -> None:
    """Take note of what a subscription is now. Of two answers the one to the later question counts, whatever the order.

    Raises:
        UnknownSubscription: it names no order of ours and no account. To be tried again: our order may be on its way.
    """
    if len(fact.subscription_id) > MAX_ID_CHARACTERS:
        raise UnknownSubscription(f"{gateway} has an id that is longer than any we can keep")
    definition = await definition_of(context.database, new_subscription(gateway, fact, UUID(int=0)).plan)
    for _ in range(TRIES):
        async with context.database.connection() as connection:
            known = await lock_subscription(connection, gateway, fact.subscription_id, order_id=fact.order_id)
            if known is not None:
                await _change(connection, known, told(known, fact), definition)
                return
        # Not while a connection is held: whoever waits for a second one may wait for himself.
        new = new_subscription(gateway, fact, await _owner(context.database, gateway, fact))
        async with context.database.connection() as connection:
            if await _insert(connection, new, definition):
                return
    raise UnknownSubscription("somebody else notes this subscription all the time")


async def definition_of(database: Database, plan: Plan | None) -> PlanDefinition | None:
    """Return what a plan is; `None` for none, and for one that is not in our catalogue."""
    if plan is None:
        return None
    try:
        return await plan_version(database, plan.name, plan.version)
    except PlanNotFound:
        _log.warning("plan_unknown", plan=plan.name, version=plan.version)
        return None


async def change_by_us(
    database: Database, known: Subscription, *, definition: PlanDefinition | None, **fields: Any
) -> Subscription | None:
    """Change fields of a subscription that only we decide about; `None` if it is not what it was when it was read."""
    async with database.connection() as connection:
        current = await lock_subscription(connection, known.gateway, known.id)
        if current is None or current.revision != known.revision:
            return None
        return await _change(connection, current, replace(current, **fields), definition)


async def _change(
    connection: AsyncConnection[Any], before: Subscription, after: Subscription, definition: PlanDefinition | None
) -> Subscription:
    changes = changes_between(before, after)
    if not changes and before == after:
        return before
    after = await change_subscription(connection, before, after, changes)
    for statement, parameters in notices_of(before, after, changes, definition):
        await connection.execute(statement, parameters)
    await _enrol(connection, after, definition)
    return after


async def _insert(connection: AsyncConnection[Any], new: Subscription, definition: PlanDefinition | None) -> bool:
    account = {"account_id": new.account_id}
    if await (await connection.execute(sql.HAS_ACCOUNT, account)).fetchone() is None:
        raise UnknownSubscription("it names an account that is not here")
    insert, record = insertion(new)
    if await (await connection.execute(*insert)).fetchone() is None:
        return False
    await connection.execute(*record)
    await _enrol(connection, new, definition)
    return True


async def _enrol(
    connection: AsyncConnection[Any], subscription: Subscription, definition: PlanDefinition | None
) -> None:
    if definition is not None and definition.daily_free_microcredits and subscription.status in RUNNING:
        await connection.execute(*enrol(subscription.account_id))


async def _owner(database: Database, gateway: str, fact: SubscriptionFact) -> UUID:
    """Return whose a subscription is: its order's owner, or else whom the gateway names, who had it from us."""
    order = None if fact.order_id is None else await find_order(database, fact.order_id)
    account_id = fact.account_id if order is None else order.account_id
    if account_id is None or (fact.order_id is not None and order is None):
        raise UnknownSubscription("it names an order that is not here, or nobody at all")
    if order is not None and order.gateway != gateway:
        raise UnknownSubscription(f"the order it names is one for {order.gateway}")
    return account_id
