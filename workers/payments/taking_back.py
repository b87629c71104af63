"""Bringing what was taken back of a payment's credits to what it should be, in one step of the ledger."""

from typing import Final, cast
from uuid import UUID

import structlog

from ledger.amounts import format_credits
from ledger.batch import Rider, Statement
from ledger.commands import Command, ReinstateReversal, ReverseTopUp
from ledger.errors import IdempotencyKeyReused, RiderRefused
from workers.messages.kinds import MessageKind
from workers.messages.outbox import queue_message
from workers.payments.clawback import Cause, Steps, steps_to, wanted
from workers.payments.context import PaymentContext
from workers.payments.facts import DisputeFact, DisputeStatus, RefundFact
from workers.payments.money import shown
from workers.payments.payments import Payment, read_payment, sql

TRIES: Final = 20

_SAID: Final = {
    DisputeStatus.opened: "opened",
    DisputeStatus.withdrawn: "opened",
    DisputeStatus.won: "won",
    DisputeStatus.lost: "lost",
}

_log = structlog.stdlib.get_logger(__name__)


class Unsettleable(Exception):
    """Money went back in a way that says nothing about credits. Somebody has to look at it."""


async def take_back(
    context: PaymentContext, gateway: str, payment_id: str, *, because: RefundFact | DisputeFact | None = None
) -> bool:
    """Take back, or give again, what refunds and disputes of a payment say; whether there was anything to do.

    Whoever else does so at the same time is noticed by the payment's revision. The owner is told `because` of what.

    Raises:
        Unsettleable: something of it went back in another currency.
        Refused, Contended: the ledger does not take it, or not now.
    """
    for _ in range(TRIES):
        payment = await read_payment(context.database, gateway, payment_id)
        if payment is None or payment.command_key is None:
            return False
        if payment.is_strange:
            raise Unsettleable(f"a part of {gateway}'s payment went back in another currency")
        steps = steps_to(wanted(payment.taken), payment.standing)
        if not steps.reinstate and not steps.reverse:
            return False
        try:
            await _take_steps(context, payment, steps, because)
        except (RiderRefused, IdempotencyKeyReused):
            # Somebody else did so since it was read, perhaps under the number that was to be ours.
            continue
        _log.info("payment_taken_back", gateway=gateway, payment_id=payment_id, steps=len(steps[0]) + len(steps[1]))
        return True
    raise Unsettleable("this payment's refunds and disputes change faster than they can be followed")


async def _take_steps(
    context: PaymentContext, payment: Payment, steps: Steps, because: RefundFact | DisputeFact | None
) -> None:
    account_id = cast("UUID", payment.account_id)
    versions = await _versions(context, payment, steps)
    ids: dict[str, object] = {"gateway": payment.gateway, "payment_id": payment.payment_id}
    commands: list[Command] = []
    writes: list[Statement] = [(sql.REVISE_PAYMENT, ids)]
    for standing in steps.reinstate:
        reinstated = ReinstateReversal(
            account_id=account_id,
            command_key=f"{standing.command_key}:reinstated",
            actor=f"gateway:{payment.gateway}",
            reversal_version=versions[standing.command_key],
            reason=_reason(standing.cause, payment),
        )
        commands.append(reinstated)
        writes.append((sql.REINSTATE_REVERSAL, {**ids, "number": standing.number}))
    for number, (cause, microcredits) in enumerate(steps.reverse, payment.last_number + 1):
        key = f"{payment.command_key}:reversal:{number}"
        reversal = ReverseTopUp(
            account_id=account_id,
            command_key=key,
            actor=f"gateway:{payment.gateway}",
            lot_number=versions[cast("str", payment.command_key)],
            amount_microcredits=microcredits,
            reason=_reason(cause, payment),
        )
        commands.append(reversal)
        row: dict[str, object] = {**ids, "number": number, "cause": cause, "credits": microcredits, "command_key": key}
        writes.append((sql.INSERT_REVERSAL, row))
    if because is not None:
        moved = sum(taken for _, taken in steps.reverse) - sum(standing.credits for standing in steps.reinstate)
        writes.append(_message(account_id, payment, because, abs(moved)))
    guard: Statement = (sql.GUARD_PAYMENT, {**ids, "revision": payment.revision})
    await context.writer.submit_unit(commands, riders=(Rider(guard=guard, writes=tuple(writes)),))


async def _versions(context: PaymentContext, payment: Payment, steps: Steps) -> dict[str, int]:
    """Return the versions of the events that this is about, by their command keys."""
    keys = [cast("str", payment.command_key), *(standing.command_key for standing in steps.reinstate)]
    parameters = {"account_id": payment.account_id, "command_keys": keys}
    async with context.database.autocommit() as connection:
        rows = await (await connection.execute(sql.FIND_VERSIONS, parameters)).fetchall()
    return {row[0]: row[1] for row in rows}


def _reason(cause: Cause, payment: Payment) -> str:
    """Return why, beginning with the word by which the journal tells a chargeback from a refund."""
    return f"{cause} of {payment.gateway}:{payment.payment_id}"


def _message(account_id: UUID, payment: Payment, because: RefundFact | DisputeFact, microcredits: int) -> Statement:
    values: dict[str, object] = {
        "amount": shown(because.amount),
        "credits": format_credits(microcredits),
        "gateway": payment.gateway,
        "reference": payment.payment_id,
    }
    if isinstance(because, RefundFact):
        key = f"refund:{payment.gateway}:{because.refund_id}:{because.status.name}"
        values |= {"status": because.status.name, "price": shown(payment.price), "refunded_at_us": because.at_us}
        return queue_message(account_id, MessageKind.refund, key=key, values=values)
    key = f"dispute:{payment.gateway}:{because.dispute_id}:{because.status.name}"
    values |= {"status": _SAID[because.status], "changed_at_us": because.at_us}
    return queue_message(account_id, MessageKind.dispute, key=key, values=values)
