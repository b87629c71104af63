"""Reading what we have of what a gateway lists, a page at a time, and comparing it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import AsyncConnection, rows

from ledger.commands import OWN_KEY_PREFIX
from workers.payments.money import Money
from workers.payments.reconciling.judging import (
    Credited,
    OrderHere,
    PaymentEvidence,
    PaymentHere,
    RefundedPayment,
    RefundEvidence,
    RefundHere,
    judge_payment,
    judge_refund,
)
from workers.payments.reconciling.lines import Finding, Kind, Line
from workers.payments.reconciling.listing import sql


class Theirs(NamedTuple):
    """A row of `read_theirs.sql`."""

    at: datetime
    id: str
    payment_id: str
    order_id: UUID | None
    amount_minor: int
    tax_minor: int | None
    currency: str
    status: int
    fact: bytes

    @property
    def amount(self) -> Money:
        """What was paid or goes back."""
        return Money(self.amount_minor, self.currency)


def first_key(gateway: str) -> str:
    """Return what the command keys of all top-ups that a gateway's payments lead to begin with."""
    return f"{OWN_KEY_PREFIX}payment:{gateway}:"


async def payment_lines(connection: AsyncConnection[Any], gateway: str, page: Sequence[Theirs]) -> list[Line]:
    """Compare a page of payments, in its order."""
    parameters = {"gateway": gateway, "first_key": first_key(gateway), "ids": [theirs.id for theirs in page]}
    cursor = connection.cursor(row_factory=rows.namedtuple_row)
    await cursor.execute(sql.READ_PAYMENTS_HERE, parameters)
    here: dict[str, Any] = {row[0]: row async for row in cursor}
    return [_payment_line(theirs, here[theirs.id]) for theirs in page]


async def refund_lines(connection: AsyncConnection[Any], gateway: str, page: Sequence[Theirs]) -> list[Line]:
    """Compare a page of refunds, in its order."""
    parameters = {"gateway": gateway, "ids": [theirs.id for theirs in page]}
    cursor = connection.cursor(row_factory=rows.namedtuple_row)
    await cursor.execute(sql.READ_REFUNDS_HERE, parameters)
    here: dict[str, Any] = {row[0]: row async for row in cursor}
    return [_refund_line(theirs, here[theirs.id]) for theirs in page]


def missing_there_line(row: tuple[Any, ...]) -> Line:
    """Make the line of a row of `read_missing_there.sql`."""
    _, is_refund, id_, payment_id, order_id, account_id, at, amount_minor, currency, microcredits, detail = row
    return Line(
        what="refund" if is_refund else "payment",
        id=id_,
        payment_id=payment_id,
        order_id=order_id,
        account_id=account_id,
        at=at,
        theirs=None,
        ours=None if amount_minor is None else Money(amount_minor, currency),
        credits_microcredits=microcredits,
        found=Finding(Kind.missing_there, detail),
    )


def _payment_line(theirs: Theirs, row: Any) -> Line:
    here = credited = order = None
    if row.amount_minor is not None:
        here = PaymentHere(
            account_id=row.account_id,
            price=Money(row.amount_minor, row.currency),
            status=row.status,
            credits_microcredits=row.credits,
            command_key=row.command_key,
        )
    if row.credited_account_id is not None:
        credited = Credited(
            account_id=row.credited_account_id, microcredits=row.amount, times=row.times, body=bytes(row.body)
        )
    if row.order_minor is not None:
        order = OrderHere(Money(row.order_minor, row.order_currency), row.tax_inclusive)
    evidence = PaymentEvidence(
        price=theirs.amount,
        tax_minor=theirs.tax_minor,
        here=here,
        credited=credited,
        mismatch=row.reason,
        is_resolved=row.is_resolved,
        order=order,
        is_second=row.is_second,
        refunded_minor=row.minor,
    )
    return Line(
        what="payment",
        id=theirs.id,
        payment_id=theirs.id,
        order_id=row.order_id or theirs.order_id,
        account_id=row.account_id or row.credited_account_id,
        at=theirs.at,
        theirs=theirs.amount,
        ours=None if here is None else here.price,
        credits_microcredits=row.amount,
        found=judge_payment(evidence),
    )


def _refund_line(theirs: Theirs, row: Any) -> Line:
    here = payment = None
    if row.amount_minor is not None:
        here = RefundHere(row.payment_id, Money(row.amount_minor, row.currency), row.status)
    if row.command_key is not None:
        payment = RefundedPayment(
            price=Money(row.paid_minor, row.paid_currency),
            credits_microcredits=row.credits,
            refunded_minor=row.minor,
            is_strange=row.are_strange,
            taken_back_microcredits=row.back,
        )
    evidence = RefundEvidence(
        payment_id=theirs.payment_id, amount=theirs.amount, status=theirs.status, here=here, payment=payment
    )
    return Line(
        what="refund",
        id=theirs.id,
        payment_id=theirs.payment_id,
        order_id=row.order_id,
        account_id=row.account_id,
        at=theirs.at,
        theirs=theirs.amount,
        ours=None if here is None else here.amount,
        credits_microcredits=None if payment is None else payment.taken_back_microcredits,
        found=judge_refund(evidence),
    )
