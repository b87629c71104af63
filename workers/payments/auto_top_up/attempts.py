"""Attempts of automatic top-ups: deciding on one under the lock of its account's row, and what follows from its end.

An attempt and its order are written, with everything that the gateway is told, before the gateway hears of them. So
whoever goes on after a crash makes the same charge, and the month's cap counts what may have been charged.
"""

from datetime import datetime
from enum import IntEnum
from typing import Any, Final, Self
from uuid import UUID

import structlog
from msgspec import Struct
from msgspec.structs import replace
from psycopg import AsyncConnection

from ledger.database import Database
from ledger.rows import from_us, to_us
from workers.messages.kinds import MessageKind
from workers.messages.outbox import queue_message
from workers.payments.auto_top_up.choosing import Catalogue, offer_for
from workers.payments.auto_top_up.methods import sql
from workers.payments.auto_top_up.months import month_at
from workers.payments.auto_top_up.wishes import AutoTopUp, charged_in
from workers.payments.catalogue import Offer, PackDefinition
from workers.payments.errors import PaymentError
from workers.payments.facts import PaymentStatus, SavedMethod
from workers.payments.gateways.registry import Gateways
from workers.payments.money import shown
from workers.payments.ordering import NewOrder
from workers.payments.orders import Order

MINUTE_US: Final = 60 * 1_000_000
HOUR_US: Final = 60 * MINUTE_US
LEASE_US: Final = 5 * MINUTE_US
"""Longer than a charge takes. Whoever has not said anything by then is thought lost."""

PAUSES_US: Final = (HOUR_US, 6 * HOUR_US)
"""After the first decline in a row, and after the second one. After the next one it is suspended."""

LOOK_AGAIN_US: Final = HOUR_US
"""Where something is missing that has nothing to do with the balance."""

_log = structlog.stdlib.get_logger(__name__)


class Outcome(IntEnum):
    """What came of an attempt, by the number it is stored under."""

    in_flight = 0
    paid = 1
    declined = 2
    unknown = 3
    """Nobody could say in time, or the money came and fits nothing. It counts as if it were paid."""


class Attempt(Struct, frozen=True, kw_only=True):
    """A charge that is to be made, or may have been."""

    account_id: UUID
    number: int
    order_id: UUID
    made_at: datetime
    tries: int
    """How often the gateway was asked, or was about to be."""
    gateway: str
    method: SavedMethod
    language: str | None
    email: str | None
    payment_status: PaymentStatus | None
    """What the gateway has told of a payment for it."""

    @classmethod
    def of_row(cls, row: tuple[Any, ...]) -> Self:
        """Read a row of `read_attempt.sql`."""
        return cls(
            account_id=row[0],
            number=row[1],
            order_id=row[2],
            made_at=row[3],
            tries=row[4],
            gateway=row[5],
            method=SavedMethod(customer_id=row[6], method_id=row[7], label=row[8]),
            language=row[9],
            email=row[10],
            payment_status=None if row[11] is None else PaymentStatus(row[11]),
        )


async def begin_attempt(
    database: Database,
    gateways: Gateways,
    catalogue: Catalogue,
    account_id: UUID,
    *,
    now_us: int,
    leased_until: datetime,
) -> Attempt | None:
    """Return the attempt that is in flight, or a new one where one is due; else `None`, and note when to look again.

    `leased_until` is what the account was claimed for: whoever finds another time there was too slow.
    """
    async with database.connection() as connection:
        wish = await lock_wish(connection, account_id)
        if wish is None or wish.due_at != leased_until:
            return None
        if wish.in_flight:
            return await _read_attempt(connection, account_id, wish.last_number)
        offer, due_us = await _decide(connection, wish, gateways, catalogue, now_us)
        if offer is None:
            await connection.execute(sql.PUT_OFF_TOP_UP, {"account_id": account_id, "due_at": _moment(due_us)})
            return None
        return await _insert(connection, wish, offer, now_us)


async def note_try(database: Database, attempt: Attempt) -> bool:
    """Note that the gateway is about to be asked; return whether the attempt is still in flight."""
    parameters = {"account_id": attempt.account_id, "number": attempt.number}
    async with database.autocommit() as connection:
        return await (await connection.execute(sql.NOTE_TRY, parameters)).fetchone() is not None


async def put_off(database: Database, attempt: Attempt, *, due_us: int) -> None:
    """Go on with an attempt later, if it is still in flight then."""
    parameters = {"account_id": attempt.account_id, "number": attempt.number, "due_at": from_us(due_us)}
    async with database.autocommit() as connection:
        await connection.execute(sql.PUT_OFF_ATTEMPT, parameters)


async def end_attempt(
    database: Database, attempt: Attempt, order: Order, outcome: Outcome, *, now_us: int, payment_id: str | None = None
) -> None:
    """Note what came of an attempt, once, and tell the owner of what they have to know."""
    ended = {
        "account_id": attempt.account_id,
        "number": attempt.number,
        "outcome": outcome,
        "now": from_us(now_us),
    }
    async with database.connection() as connection:
        wish = await lock_wish(connection, attempt.account_id)
        row = await (await connection.execute(sql.END_ATTEMPT, ended)).fetchone()
        if wish is None or row is None:
            return
        is_paid = row[0] or outcome is Outcome.paid
        declines = 0 if is_paid else wish.declines + 1
        is_over = not is_paid and (outcome is Outcome.unknown or declines > len(PAUSES_US))
        due_us = now_us if is_paid else None if is_over else now_us + PAUSES_US[declines - 1]
        flight: dict[str, object] = {
            "account_id": attempt.account_id,
            "declines": declines,
            "suspended_at": from_us(now_us) if is_over and wish.enabled else None,
            "due_at": _moment(due_us) if wish.is_on else None,
        }
        await connection.execute(sql.END_FLIGHT, flight)
        if not is_paid and wish.is_on:
            await _tell(connection, attempt, order, declines, now_us=now_us, retry_us=due_us, payment_id=payment_id)
        # Last: a message locks the account, and whoever pays for the order has locked that before it.
        if not is_paid and outcome is Outcome.declined:
            await connection.execute(sql.GIVE_UP_TOP_UP_ORDER, {"id": attempt.order_id})


async def lock_wish(connection: AsyncConnection[Any], account_id: UUID) -> AutoTopUp | None:
    """Return what an account buys by itself, and keep others from deciding about it."""
    row = await (await connection.execute(sql.LOCK_AUTO_TOP_UP, {"account_id": account_id})).fetchone()
    return None if row is None else AutoTopUp.of_row(row)


async def _decide(
    connection: AsyncConnection[Any], wish: AutoTopUp, gateways: Gateways, catalogue: Catalogue, now_us: int
) -> tuple[Offer[PackDefinition] | None, int | None]:
    """Return what is to be bought now; or nothing, and when to look again."""
    if not wish.is_on:
        return None, None
    row = await (await connection.execute(sql.READ_AVAILABLE, {"account_id": wish.account_id})).fetchone()
    available: int = 0 if row is None else row[0]
    if available >= wish.threshold_microcredits:
        return None, now_us
    # What an account owes was taken back by its owner, or by their bank. No card is charged for that unasked.
    offer = None if available < 0 else _offer(wish, gateways, catalogue, available)
    if offer is None or wish.method is None:
        return None, now_us + LOOK_AGAIN_US
    month = month_at(now_us, wish.time_zone)
    charged = await charged_in(connection, wish, month)
    if charged.minor + offer.price.money.minor > wish.monthly_cap.minor:
        return None, max(month.ends_us, now_us)
    return offer, None


def _offer(wish: AutoTopUp, gateways: Gateways, catalogue: Catalogue, available: int) -> Offer[PackDefinition] | None:
    log = _log.bind(account_id=str(wish.account_id), region=wish.region, gateway=wish.gateway)
    try:
        gateways.get(wish.gateway)
        if wish.pack is not None:
            offer = catalogue.offer(wish.pack, wish.region)
        else:
            assert wish.target_microcredits is not None, "either the one or the other"
            offer = offer_for(catalogue.offers(wish.region), wish.target_microcredits - available)
    except (PaymentError, ValueError) as error:
        log.warning("auto_top_up_impossible", pack=wish.pack, error=str(error))
        return None
    if offer.price.money.currency != wish.monthly_cap.currency:
        log.error("auto_top_up_in_another_currency", currency=offer.price.money.currency)
        return None
    return offer


async def _insert(
    connection: AsyncConnection[Any], wish: AutoTopUp, offer: Offer[PackDefinition], now_us: int
) -> Attempt:
    assert wish.method is not None, "only what was saved is charged"
    order = NewOrder.of(offer, account_id=wish.account_id, gateway=wish.gateway, purpose="auto_top_up")
    language = None if wish.locale is None else wish.locale.split("-", 1)[0]
    await connection.execute(*replace(order, language=language).statement())
    number = wish.last_number + 1
    attempt: dict[str, object] = {
        "account_id": wish.account_id,
        "number": number,
        "order_id": order.id,
        "made_at": from_us(now_us),
        "month": month_at(now_us, wish.time_zone).first,
        "amount_minor": order.price.minor,
        "currency": order.price.currency,
        "gateway": wish.gateway,
        "customer_id": wish.method.customer_id,
        "method_id": wish.method.method_id,
        "method_label": wish.method.label,
    }
    await connection.execute(sql.INSERT_ATTEMPT, attempt)
    lease = {"account_id": wish.account_id, "number": number, "due_at": from_us(now_us + LEASE_US)}
    await connection.execute(sql.PUT_IN_FLIGHT, lease)
    return await _read_attempt(connection, wish.account_id, number)


async def _read_attempt(connection: AsyncConnection[Any], account_id: UUID, number: int) -> Attempt:
    parameters = {"account_id": account_id, "number": number}
    row = await (await connection.execute(sql.READ_ATTEMPT, parameters)).fetchone()
    assert row is not None, "what is in flight was written"
    return Attempt.of_row(row)


async def _tell(
    connection: AsyncConnection[Any],
    attempt: Attempt,
    order: Order,
    declines: int,
    *,
    now_us: int,
    retry_us: int | None,
    payment_id: str | None,
) -> None:
    """Tell the owner that a charge failed, as a webhook may too, under one key; or that there will be none any more."""
    method = attempt.method.label or None
    if retry_us is None:
        message = queue_message(
            attempt.account_id,
            MessageKind.auto_top_up_suspended,
            key=f"auto_top_up_suspended:{attempt.order_id}",
            values={"attempts": declines, "price": shown(order.price), "method": method},
        )
    else:
        message = queue_message(
            attempt.account_id,
            MessageKind.payment_failed,
            key=f"payment_failed:{attempt.gateway}:{payment_id or attempt.order_id}",
            values={
                "product": order.product,
                "price": shown(order.price),
                "failed_at_us": now_us,
                "method": method,
                "retry_at_us": retry_us,
            },
        )
    await connection.execute(*message)


def _moment(time_us: int | None) -> datetime | None:
    return None if time_us is None else from_us(time_us)


def age_us(attempt: Attempt, now_us: int) -> int:
    """Return how long ago an attempt was begun."""
    return now_us - to_us(attempt.made_at)
