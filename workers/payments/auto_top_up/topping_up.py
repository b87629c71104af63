"""Topping up what has fallen below its threshold: one charge at a time, and the same one until its outcome is known.

What may have been charged is asked for again under the same order only, which gateways charge once. A payment is
settled as any other is, so a webhook may be first; then nothing is left to do.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final
from uuid import UUID

import structlog

from ledger.errors import Contended, Refused
from ledger.rows import from_us
from workers.payments.auto_top_up.attempts import (
    HOUR_US,
    LEASE_US,
    MINUTE_US,
    Attempt,
    Outcome,
    age_us,
    begin_attempt,
    end_attempt,
    note_try,
    put_off,
)
from workers.payments.auto_top_up.choosing import Catalogue
from workers.payments.auto_top_up.methods import sql
from workers.payments.catalogue import PACK, newest_versions, pack_version, title_of
from workers.payments.catalogue.definitions import FALLBACK
from workers.payments.context import PaymentContext
from workers.payments.errors import PaymentError
from workers.payments.facts import NotYet, PaymentFact, PaymentStatus
from workers.payments.gateway import Declined, GatewayError, SavedCharge
from workers.payments.orders import Order, OrderState, find_order
from workers.payments.settling import settle

BATCH: Final = 20
INTERVAL_S: Final = 2.0
GIVEN_UP_AFTER_US: Final = 12 * HOUR_US
"""Gateways remember a key for a day or so. After that, asking again could charge a second time."""

LONGEST_PAUSE_US: Final = HOUR_US

_log = structlog.stdlib.get_logger(__name__)


def _now_us() -> int:
    return time.time_ns() // 1_000


async def top_up_accounts(context: PaymentContext, *, clock_us: Callable[[], int] = _now_us) -> int:
    """See to up to `BATCH` accounts that have to buy something, or were about to; return how many that were.

    Several at once do no harm, in one process or in many.
    """
    now_us = clock_us()
    leased_until = from_us(now_us + LEASE_US)
    parameters = {"now": from_us(now_us), "leased_until": leased_until, "limit": BATCH}
    async with context.database.autocommit() as connection:
        rows = await (await connection.execute(sql.CLAIM_DUE_TOP_UPS, parameters)).fetchall()
    if not rows:
        return 0
    catalogue = Catalogue(await newest_versions(context.database, PACK))

    async def see_to(account_id: UUID) -> None:
        try:
            attempt = await begin_attempt(
                context.database,
                context.gateways,
                catalogue,
                account_id,
                now_us=now_us,
                leased_until=leased_until,
            )
            if attempt is not None:
                await _go_on(context, attempt, clock_us)
        except Exception:  # noqa: BLE001 - the others must not notice; this one comes again after its lease
            _log.exception("auto_top_up_failed", account_id=str(account_id))

    await asyncio.gather(*(see_to(row[0]) for row in rows))
    return len(rows)


async def _go_on(context: PaymentContext, attempt: Attempt, clock_us: Callable[[], int]) -> None:
    """Bring an attempt to its end, or as near as it gets now."""
    log = _log.bind(gateway=attempt.gateway, order_id=str(attempt.order_id), tries=attempt.tries)
    order = await find_order(context.database, attempt.order_id)
    assert order is not None, "it was written with the attempt"
    known = _known(attempt, order, clock_us())
    if known is not None:
        await end_attempt(context.database, attempt, order, known, now_us=clock_us())
        return
    if not await note_try(context.database, attempt):
        return
    try:
        fact = await _charge(context, attempt, order)
        settled = await settle(context, attempt.gateway, fact)
    except Declined as declined:
        log.info("auto_top_up_declined", error=str(declined))
        await end_attempt(
            context.database, attempt, order, Outcome.declined, now_us=clock_us(), payment_id=declined.payment_id
        )
    except (GatewayError, PaymentError, NotYet, Contended, Refused) as error:
        log.warning("auto_top_up_postponed", error=str(error))
        outcome = _outcome_of(error, attempt)
        if outcome is None:
            pause_us = min(LONGEST_PAUSE_US, MINUTE_US * 2 ** min(attempt.tries, 10))
            await put_off(context.database, attempt, due_us=clock_us() + pause_us)
        else:
            await end_attempt(context.database, attempt, order, outcome, now_us=clock_us())
    else:
        if settled == "mismatch":
            log.error("auto_top_up_mismatch", payment_id=fact.payment_id)
        outcome = _outcome_of_fact(fact, is_mismatch=settled == "mismatch")
        if outcome is None:
            await put_off(context.database, attempt, due_us=clock_us() + MINUTE_US)
        else:
            await end_attempt(context.database, attempt, order, outcome, now_us=clock_us(), payment_id=fact.payment_id)


def _known(attempt: Attempt, order: Order, now_us: int) -> Outcome | None:
    """Return what came of an attempt, as far as that is known without asking."""
    if order.state is OrderState.paid:
        return Outcome.paid
    if attempt.payment_status is PaymentStatus.failed:
        return Outcome.declined
    return Outcome.unknown if attempt.tries and age_us(attempt, now_us) >= GIVEN_UP_AFTER_US else None


def _outcome_of(error: Exception, attempt: Attempt) -> Outcome | None:
    """Return what came of an attempt that ended with an error; `None` while it is worth asking again."""
    if not isinstance(error, GatewayError) or error.retryable:
        return None
    # A gateway that refuses now may have charged when it was asked before.
    return Outcome.unknown if error.ambiguous or attempt.tries else Outcome.declined


def _outcome_of_fact(fact: PaymentFact, *, is_mismatch: bool) -> Outcome | None:
    if is_mismatch:
        return Outcome.unknown
    if fact.status is PaymentStatus.pending:
        return None
    return Outcome.paid if fact.status is PaymentStatus.paid else Outcome.declined


async def _charge(context: PaymentContext, attempt: Attempt, order: Order) -> PaymentFact:
    """Charge what was saved, once for each order however often this is called.

    Raises:
        Declined: the bank said no.
        GatewayError: it was not done, or nobody knows.
        PaymentError: the gateway is not configured here.
    """
    pack = await pack_version(context.database, order.product, order.product_version)
    charge = SavedCharge(
        order_id=order.id,
        account_id=order.account_id,
        title=title_of(pack, attempt.language or FALLBACK),
        price=order.price,
        method=attempt.method,
        tax_inclusive=order.tax_inclusive,
        email=attempt.email or "",
    )
    return await context.gateways.get(attempt.gateway).charge_saved(charge)
