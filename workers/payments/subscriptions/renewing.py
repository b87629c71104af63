"""Renewing what no gateway renews: charging when a period ends, and again on later days where that is declined.

The gateway takes each charge once, and it is settled as any payment is. The next period, the new state and the credits
are one transaction of the ledger.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

import structlog
from msgspec.structs import replace

from ledger.database import Database
from ledger.errors import Contended, Refused
from ledger.rows import from_us
from workers.payments.context import PaymentContext
from workers.payments.errors import PaymentError
from workers.payments.facts import NotYet, PaymentStatus, SubscriptionStatus
from workers.payments.gateway import Declined, GatewayError
from workers.payments.orders import Order
from workers.payments.settling import settle
from workers.payments.subscriptions.charging import Renewal, charge, next_renewal, place
from workers.payments.subscriptions.notices import payment_failed, plan_cancelled
from workers.payments.subscriptions.rows import change_subscription, lock_subscription, sql
from workers.payments.subscriptions.subscription import RUNNING, Subscription
from workers.settings import SettingsError

BATCH: Final = 20
INTERVAL_S: Final = 5.0
LEASE_US: Final = 300 * 1_000_000
"""Longer than a charge takes. Whoever has not said anything by then is thought lost."""

RETRY_US: Final = 600 * 1_000_000
"""After a gateway could not be asked, or did not know yet."""

DAY_US: Final = 86_400 * 1_000_000
VARIABLE: Final = "HOLDFAST_DUNNING_DAYS"
DEFAULT_DAYS: Final = (1, 3, 5)
MAX_RETRIES: Final = 10
MAX_DAYS: Final = 60

_log = structlog.stdlib.get_logger(__name__)


def dunning_days(environment: Mapping[str, str]) -> tuple[int, ...]:
    """Return how many days after a charge was first declined it is tried again; none: never.

    Raises:
        SettingsError: they are no numbers, or not one after the other.
    """
    text = environment.get(VARIABLE, "").strip()
    if not text:
        return DEFAULT_DAYS
    parts = [part.strip() for part in text.split(",")]
    days = [int(part) for part in parts if part.isascii() and part.isdigit() and len(part) <= len(str(MAX_DAYS))]
    are_fine = (
        len(days) == len(parts) <= MAX_RETRIES and days == sorted(set(days)) and days[0] >= 1 and days[-1] <= MAX_DAYS
    )
    if not are_fine:
        raise SettingsError(f"{VARIABLE} must be days after each other, such as 1,3,5, and {MAX_DAYS} at most")
    return tuple(days)


class Renewals:
    """Charges for what is due, and ends what is over. Runs in the clock; several at once do no harm."""

    def __init__(
        self, environment: Mapping[str, str], *, clock_us: Callable[[], int] = lambda: time.time_ns() // 1_000
    ) -> None:
        """Read when declined charges are tried again.

        Raises:
            SettingsError: the environment makes no sense of it.
        """
        self._days = dunning_days(environment)
        self._clock_us = clock_us

    async def run(self, context: PaymentContext) -> int:
        """See to up to `BATCH` subscriptions; return how many were due."""
        now_us = self._clock_us()
        parameters = {
            "now": from_us(now_us),
            "leased_until": from_us(now_us + LEASE_US),
            "limit": BATCH,
        }
        async with context.database.autocommit() as connection:
            rows = await (await connection.execute(sql.CLAIM_DUE, parameters)).fetchall()
        results = await asyncio.gather(
            *(self._see_to(context, Subscription.of_row(row)) for row in rows), return_exceptions=True
        )
        for result in results:
            if result is not None:
                # Its lease will run out; the others are done.
                raise result
        return len(rows)

    async def _see_to(self, context: PaymentContext, subscription: Subscription) -> None:
        log = _log.bind(gateway=subscription.gateway, subscription_id=subscription.id)
        try:
            is_ours = context.gateways.get(subscription.gateway).renewed_by == "us"
            if subscription.status not in RUNNING or not is_ours:
                await _look_again(context.database, subscription, None)
            elif subscription.period is None or self._clock_us() < subscription.period.ends_us:
                # Nobody pays for a period before it begins.
                await _look_again(context.database, subscription, subscription.period and subscription.period.ends_us)
            elif subscription.ends_at_period_end or subscription.method is None:
                await _end(context.database, subscription, now_us=self._clock_us())
            else:
                await self._renew(context, subscription)
        except (GatewayError, NotYet, Contended) as error:
            log.warning("renewal_postponed", error=str(error))
            await _look_again(context.database, subscription, self._clock_us() + RETRY_US)
        except (PaymentError, Refused) as error:
            log.exception("renewal_impossible", code=error.code)
            await _look_again(context.database, subscription, self._clock_us() + DAY_US)

    async def _renew(self, context: PaymentContext, subscription: Subscription) -> None:
        renewal = await next_renewal(context.database, subscription, now_us=self._clock_us())
        order = await place(context.database, renewal)
        if order is None:
            return
        fact = await charge(context, renewal, order)
        if isinstance(fact, Declined):
            await self._declined(context.database, renewal, order, fact)
            return
        if fact.status is not PaymentStatus.paid:
            await _look_again(context.database, subscription, self._clock_us() + RETRY_US)
            return
        if await settle(context, subscription.gateway, fact) == "mismatch":
            # Money came that fits nothing: it is listed, and not to be asked for again.
            _log.error("renewal_mismatch", gateway=subscription.gateway, payment_id=fact.payment_id)
            await _look_again(context.database, subscription, None)

    async def _declined(self, database: Database, renewal: Renewal, order: Order, error: Declined) -> None:
        """Try again on another day, or end it after the last one. The owner is told either way."""
        now_us, before = self._clock_us(), renewal.subscription
        key = error.payment_id or str(order.id)
        waits = [later - earlier for earlier, later in zip((0, *self._days), self._days, strict=False)]
        try_us = now_us + waits[before.tries] * DAY_US if before.tries < len(waits) else None
        last_us = None if try_us is None else now_us + sum(waits[before.tries :]) * DAY_US
        async with database.connection() as connection:
            current = await lock_subscription(connection, before.gateway, before.id)
            if current is None or current.revision != before.revision or current.status not in RUNNING:
                return
            await connection.execute(sql.GIVE_UP_ORDER, {"id": order.id})
            after = replace(
                current,
                status=SubscriptionStatus.ended if try_us is None else SubscriptionStatus.past_due,
                tries=current.tries + 1,
                try_us=try_us,
                due_us=try_us,
                asked_us=now_us,
            )
            after = await change_subscription(
                connection, current, after, ("ended",) if try_us is None else ("past_due",)
            )
            priced = replace(after, plan=renewal.plan)
            messages = [
                payment_failed(priced, order.price, key=f"{before.gateway}:{key}", retry_us=try_us, ends_us=last_us)
            ]
            if try_us is None:
                messages.append(plan_cancelled(after, ends_us=now_us))
            for statement, parameters in messages:
                await connection.execute(statement, parameters)


async def _end(database: Database, before: Subscription, *, now_us: int) -> None:
    async with database.connection() as connection:
        current = await lock_subscription(connection, before.gateway, before.id)
        if current is None or current.revision != before.revision:
            return
        after = replace(current, status=SubscriptionStatus.ended, asked_us=now_us, try_us=None, due_us=None)
        await change_subscription(connection, current, after, ("ended",))


async def _look_again(database: Database, subscription: Subscription, due_us: int | None) -> None:
    parameters = {
        "gateway": subscription.gateway,
        "subscription_id": subscription.id,
        "revision": subscription.revision,
        "due_at": None if due_us is None else from_us(due_us),
    }
    async with database.autocommit() as connection:
        await connection.execute(sql.POSTPONE, parameters)
