"""From what a gateway says to what the ledger does: each payment one top-up, and back exactly what went back.

Everything here may be done again, at the same time, and in any order: command keys are derived from the gateway's ids,
and rows of ours commit together with the ledger's events.
"""

from typing import Final, Literal, NamedTuple, TypeAlias
from uuid import UUID

import psycopg
import structlog

from ledger.amounts import format_credits
from ledger.batch import Rider, Statement
from ledger.commands import OWN_KEY_PREFIX, TopUp
from ledger.errors import IdempotencyKeyReused, Refused, RiderRefused
from ledger.rows import from_us
from workers.messages.kinds import MessageKind
from workers.messages.outbox import queue_message
from workers.payments import subscriptions
from workers.payments.auto_top_up.methods import remember_method
from workers.payments.context import PaymentContext
from workers.payments.expected import Expected
from workers.payments.facts import DisputeFact, Fact, NotYet, PaymentFact, PaymentStatus, RefundFact, SubscriptionFact
from workers.payments.money import shown
from workers.payments.orders import Order, OrderState, find_order, sql
from workers.payments.payments import Payment, has_gone_back, read_payment
from workers.payments.taking_back import take_back

MAX_ID_CHARACTERS: Final = 100
TRIES: Final = 5

Settled: TypeAlias = Literal["credited", "known", "noted", "mismatch", "taken_back"]
"""What came of a fact: credits came in; nothing was new; something was noted that moves no credits; money that fits
nothing was listed; credits were taken back or given again."""

Reason: TypeAlias = Literal["amount", "currency", "account", "order"]

_log = structlog.stdlib.get_logger(__name__)


class _Mismatch(NamedTuple):
    reason: Reason
    detail: str


def payment_key(gateway: str, payment_id: str) -> str:
    """Return the command key of the top-up that a payment leads to."""
    return f"{OWN_KEY_PREFIX}payment:{gateway}:{payment_id}"


async def settle(context: PaymentContext, gateway: str, fact: Fact) -> Settled:
    """Do what follows from a fact, once, however often it is told.

    Raises:
        NotYet: what it is about is not here.
        Refused: the ledger will not have it.
        Contended: the database could not take it now.
    """
    match fact:
        case PaymentFact():
            return await _settle_payment(context, gateway, fact)
        case RefundFact():
            await _execute(context, _refund_row(gateway, fact))
        case DisputeFact():
            await _execute(context, _dispute_row(gateway, fact))
        case SubscriptionFact():
            await subscriptions.note_subscription(context, gateway, fact)
            return "noted"
    return "taken_back" if await take_back(context, gateway, fact.payment_id, because=fact) else "noted"


async def _settle_payment(context: PaymentContext, gateway: str, fact: PaymentFact) -> Settled:
    if len(fact.payment_id) > MAX_ID_CHARACTERS:
        raise NotYet(f"{gateway} has an id that is longer than any we can keep")
    order = None if fact.order_id is None else await find_order(context.database, fact.order_id)
    # What an unpaid order was paid by is not credited: both commit together.
    may_be_known = order is None or order.state is OrderState.paid
    if may_be_known and await _told_again(context, gateway, fact):
        return "known"
    if fact.status is not PaymentStatus.paid:
        await _note_unpaid(context, gateway, fact, order)
        return "noted"
    settled = await _credit(context, gateway, fact, order)
    if settled == "known" and await _told_again(context, gateway, fact):
        return "known"
    # What was refunded may have been told before what was paid.
    if await has_gone_back(context.database, gateway, fact.payment_id):
        await take_back(context, gateway, fact.payment_id)
    return settled


async def _told_again(context: PaymentContext, gateway: str, fact: PaymentFact) -> bool:
    """Do what is left to do if a payment was credited before; false if it was not."""
    known = await _credited(context, gateway, fact)
    if known is None:
        return False
    if known.account_id is not None:
        # Not everybody who tells of a payment knows what it was paid by.
        await _execute(context, *_saved_method(gateway, fact, known.account_id))
    await take_back(context, gateway, fact.payment_id)
    return True


async def _credited(context: PaymentContext, gateway: str, fact: PaymentFact) -> Payment | None:
    known = await read_payment(context.database, gateway, fact.payment_id)
    return None if known is None or known.command_key is None else known


async def _credit(context: PaymentContext, gateway: str, fact: PaymentFact, order: Order | None) -> Settled:
    for _ in range(TRIES):
        expected = await _expected(context, gateway, fact, order)
        mismatch = expected if isinstance(expected, _Mismatch) else _compare(expected, gateway, fact)
        if mismatch is not None:
            return await _list(context, gateway, fact, mismatch)
        assert isinstance(expected, Expected), "anything else does not match"
        try:
            outcomes = await context.writer.submit_unit(
                (*expected.before, _top_up(gateway, fact, expected)),
                riders=(*expected.riders, Rider(writes=_rows_of_credit(gateway, fact, expected))),
            )
        except RiderRefused:
            if await _credited(context, gateway, fact) is not None:
                # By somebody else meanwhile, who has seen other lots to cut before it.
                return "known"
            mismatch = _Mismatch("order", "what it is for was paid for already, by another payment")
            return await _list(context, gateway, fact, mismatch)
        except IdempotencyKeyReused:
            # Credited by somebody else meanwhile, to whom the gateway had said another second.
            return "known"
        except psycopg.errors.ForeignKeyViolation:
            # The subscription has just got the name that its gateway calls it by.
            continue
        except Refused:
            if not expected.before:
                raise
            # What was to go before does not fit any more: look again.
            order = None if order is None else await find_order(context.database, order.id)
            continue
        return "known" if outcomes[-1].replayed else "credited"
    raise NotYet("the account changes faster than a payment can be credited")


async def _expected(
    context: PaymentContext, gateway: str, fact: PaymentFact, order: Order | None
) -> "Expected | _Mismatch":
    """Return what we offered that this payment may be for.

    Raises:
        NotYet: it names an order, or a subscription, that we do not know.
    """
    if order is not None and order.purpose in {"pack", "auto_top_up"}:
        return order.expected(paid_at_us=fact.at_us)
    if order is not None or fact.subscription_id is not None:
        expected = await subscriptions.expected_payment(context.database, gateway, fact, order)
        if expected is not None:
            return expected
    if fact.order_id is None and fact.subscription_id is None:
        return _Mismatch("order", "it names no order of ours")
    mismatch = _Mismatch("order", "there is no such order, or no such subscription, here")
    await _list(context, gateway, fact, mismatch)
    raise NotYet(mismatch.detail)


def _compare(expected: Expected, gateway: str, fact: PaymentFact) -> _Mismatch | None:
    if expected.gateway != gateway:
        return _Mismatch("order", f"the order is one for {expected.gateway}")
    if fact.account_id is not None and fact.account_id != expected.account_id:
        return _Mismatch("account", f"the order is account {expected.account_id}'s")
    if fact.price.currency != expected.price.currency:
        return _Mismatch("currency", f"{fact.price} was paid, {expected.price} was asked for")
    tax_minor = 0 if expected.tax_inclusive or fact.tax is None else fact.tax.minor
    if fact.price.minor - tax_minor != expected.price.minor:
        return _Mismatch("amount", f"{fact.price} was paid, {expected.price} was asked for")
    return None


def _top_up(gateway: str, fact: PaymentFact, expected: Expected) -> TopUp:
    return TopUp(
        account_id=expected.account_id,
        command_key=payment_key(gateway, fact.payment_id),
        actor=f"gateway:{gateway}",
        amount_microcredits=expected.credits_microcredits,
        reference=f"{gateway}:{fact.payment_id}",
        source=expected.source,
        paid_amount=fact.price.text,
        paid_currency=fact.price.currency,
        expires_at_us=expected.expires_at_us,
        effective_at_us=fact.at_us,
    )


def _rows_of_credit(gateway: str, fact: PaymentFact, expected: Expected) -> tuple[Statement, ...]:
    ids: dict[str, object] = {"gateway": gateway, "payment_id": fact.payment_id}
    receipt = queue_message(
        expected.account_id,
        MessageKind.receipt,
        key=f"receipt:{gateway}:{fact.payment_id}",
        values={
            "price": shown(fact.price),
            "tax": None if fact.tax is None else shown(fact.tax),
            "credits": format_credits(expected.credits_microcredits),
            "product": expected.product,
            "paid_at_us": fact.at_us,
            "period_begins_us": None if fact.period is None else fact.period.begins_us,
            "period_ends_us": None if fact.period is None else fact.period.ends_us,
            "expires_at_us": expected.expires_at_us,
            "gateway": gateway,
            "reference": fact.payment_id,
        },
    )
    row = _payment_row(gateway, fact, account_id=expected.account_id, credits=expected.credits_microcredits)
    return row, (sql.RESOLVE_MISMATCH, ids), receipt, *_saved_method(gateway, fact, expected.account_id)


def _saved_method(gateway: str, fact: PaymentFact, account_id: UUID) -> tuple[Statement, ...]:
    if fact.saved_method is None:
        return ()
    return (remember_method(account_id, gateway, fact.saved_method, saved_at_us=fact.at_us),)


async def _note_unpaid(context: PaymentContext, gateway: str, fact: PaymentFact, order: Order | None) -> None:
    row = _payment_row(gateway, fact, account_id=None if order is None else order.account_id)
    if fact.status is PaymentStatus.failed and order is not None:
        message = queue_message(
            order.account_id,
            MessageKind.payment_failed,
            key=f"payment_failed:{gateway}:{fact.payment_id}",
            values={"product": order.product, "price": shown(fact.price), "failed_at_us": fact.at_us},
        )
        # The message locks the account, and whoever credits a payment does so before it writes the payment's row.
        await _execute(context, message, row)
    else:
        await _execute(context, row)


async def _list(context: PaymentContext, gateway: str, fact: PaymentFact, mismatch: _Mismatch) -> Settled:
    _log.warning("payment_mismatch", gateway=gateway, payment_id=fact.payment_id, reason=mismatch.reason)
    row: dict[str, object] = {
        "gateway": gateway,
        "payment_id": fact.payment_id,
        "reason": mismatch.reason,
        "order_id": fact.order_id,
        "account_id": fact.account_id,
        "amount_minor": fact.price.minor,
        "currency": fact.price.currency,
        "detail": mismatch.detail,
    }
    await _execute(context, _payment_row(gateway, fact, account_id=None), (sql.INSERT_MISMATCH, row))
    return "mismatch"


def _payment_row(gateway: str, fact: PaymentFact, *, account_id: UUID | None, credits: int = 0) -> Statement:  # noqa: A002 - the word of the field
    return sql.UPSERT_PAYMENT, {
        "gateway": gateway,
        "payment_id": fact.payment_id,
        "account_id": account_id,
        "order_id": fact.order_id,
        "amount_minor": fact.price.minor,
        "currency": fact.price.currency,
        "credits": credits,
        "happened_at": from_us(fact.at_us),
        "status": fact.status,
        "subscription_id": fact.subscription_id,
        "failure": fact.failure or None,
        "command_key": payment_key(gateway, fact.payment_id) if credits else None,
    }


def _refund_row(gateway: str, fact: RefundFact) -> Statement:
    return sql.UPSERT_REFUND, {
        "gateway": gateway,
        "refund_id": fact.refund_id,
        "payment_id": fact.payment_id,
        "amount_minor": fact.amount.minor,
        "currency": fact.amount.currency,
        "happened_at": from_us(fact.at_us),
        "status": fact.status,
    }


def _dispute_row(gateway: str, fact: DisputeFact) -> Statement:
    return sql.UPSERT_DISPUTE, {
        "gateway": gateway,
        "dispute_id": fact.dispute_id,
        "payment_id": fact.payment_id,
        "amount_minor": fact.amount.minor,
        "currency": fact.amount.currency,
        "happened_at": from_us(fact.at_us),
        "status": fact.status,
    }


async def _execute(context: PaymentContext, *statements: Statement) -> None:
    if not statements:
        return
    async with context.database.connection() as connection:
        for statement, parameters in statements:
            await connection.execute(statement, parameters)
