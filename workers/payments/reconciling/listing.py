"""Taking in what a gateway lists: in batches, into tables of the session, so that memory does not grow."""

from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import msgspec
from psycopg import AsyncConnection

from ledger import statements
from ledger.rows import from_us
from workers.payments.facts import PaymentFact, PaymentStatus, RefundFact

sql: Final = statements.load("workers.payments.reconciling")

BATCH: Final = 1_000

Listed = PaymentFact | RefundFact

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_payment: Final = msgspec.msgpack.Decoder(PaymentFact).decode
_decode_refund: Final = msgspec.msgpack.Decoder(RefundFact).decode


async def take_in(
    connection: AsyncConnection[Any], facts: AsyncIterator[Listed], *, progress: Callable[[int], None]
) -> None:
    """Keep everything that is listed; what comes again replaces what came before. `progress` counts what comes."""
    batch: list[Listed] = []
    async for fact in facts:
        if isinstance(fact, PaymentFact) and fact.status is not PaymentStatus.paid:
            continue
        batch.append(fact)
        if len(batch) == BATCH:
            await _keep(connection, batch)
            progress(len(batch))
            batch.clear()
    if batch:
        await _keep(connection, batch)
        progress(len(batch))
    await connection.execute(sql.ANALYZE_THEIRS)


def decode_fact(fact: bytes, *, is_refund: bool) -> Listed:
    """Return what was listed."""
    return _decode_refund(fact) if is_refund else _decode_payment(fact)


async def _keep(connection: AsyncConnection[Any], batch: list[Listed]) -> None:
    # Each batch is a transaction of its own: none stays open while the gateway is asked for more.
    async with connection.transaction(), connection.cursor() as cursor:
        async with cursor.copy(sql.COPY_LISTED) as copy:
            for ordinal, fact in enumerate(batch):
                await copy.write_row((ordinal, *_columns(fact)))
        await cursor.execute(sql.KEEP_LISTED)


def _columns(fact: Listed) -> tuple[object, ...]:
    happened_at, encoded = from_us(fact.at_us), _encode(fact)
    if isinstance(fact, RefundFact):
        amount = fact.amount
        return (
            True, fact.refund_id, fact.payment_id, None, amount.minor, None, happened_at, int(fact.status),
            amount.currency, encoded,
        )  # fmt: skip
    # All payments for a subscription may name the order that it began with.
    order_id = fact.order_id if fact.subscription_id is None else None
    tax_minor = None if fact.tax is None else fact.tax.minor
    return (
        False, fact.payment_id, fact.payment_id, order_id, fact.price.minor, tax_minor, happened_at, int(fact.status),
        fact.price.currency, encoded,
    )  # fmt: skip
