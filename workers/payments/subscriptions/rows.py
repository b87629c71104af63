"""Reading subscriptions, and writing what became of one together with the record of it."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from msgspec.structs import replace
from psycopg import AsyncConnection

from ledger import statements
from ledger.batch import Statement
from ledger.database import Database
from workers.payments.subscriptions.subscription import Change, Subscription

sql: Final = statements.load("workers.payments.subscriptions")


async def find_subscription(
    database: Database, gateway: str, subscription_id: str | None, *, order_id: UUID | None = None
) -> Subscription | None:
    """Return a subscription by its id, or else the one that began with an order; `None` if neither is known."""
    parameters = {"gateway": gateway, "subscription_id": subscription_id, "order_id": order_id}
    async with database.autocommit() as connection:
        row = await (await connection.execute(sql.FIND_SUBSCRIPTION, parameters)).fetchone()
    return None if row is None else Subscription.of_row(row)


async def subscription_of(database: Database, account_id: UUID) -> Subscription | None:
    """Return the subscription of an account: the newest one that goes on, else the newest one."""
    async with database.autocommit() as connection:
        cursor = await connection.execute(sql.READ_SUBSCRIPTION_OF_ACCOUNT, {"account_id": account_id})
        row = await cursor.fetchone()
    return None if row is None else Subscription.of_row(row)


async def lock_subscription(
    connection: AsyncConnection[Any], gateway: str, subscription_id: str, *, order_id: UUID | None = None
) -> Subscription | None:
    """Return a subscription, by its id or by the order it began with, and keep others from changing it.

    To be the first statement of its transaction that locks anything.
    """
    parameters = {"gateway": gateway, "subscription_id": subscription_id, "order_id": order_id}
    await connection.execute(sql.SHARE_ACCOUNT, parameters)
    row = await (await connection.execute(sql.LOCK_SUBSCRIPTION, parameters)).fetchone()
    return None if row is None else Subscription.of_row(row)


def insertion(new: Subscription) -> tuple[Statement, Statement]:
    """Return the statements that write a subscription and the record of its beginning, unless it is there already."""
    return (sql.INSERT_SUBSCRIPTION, new.parameters()), _recording(new, ("began",))


async def change_subscription(
    connection: AsyncConnection[Any], before: Subscription, after: Subscription, changes: Sequence[Change]
) -> Subscription:
    """Write what a locked subscription became, as its next revision where anything is new, and return that."""
    if changes:
        after = replace(after, revision=before.revision + 1)
    await connection.execute(sql.UPDATE_SUBSCRIPTION, {**after.parameters(), "known_as": before.id})
    if changes:
        await connection.execute(*_recording(after, changes))
    return after


def _recording(subscription: Subscription, changes: Sequence[Change]) -> Statement:
    return sql.RECORD_CHANGE, {
        "gateway": subscription.gateway,
        "subscription_id": subscription.id,
        "changes": list(changes),
    }
