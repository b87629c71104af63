"""`holdfast payments refund`: money back through the gateway, with the credits that it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from uuid import uuid4

import click

from ledger.writer import LedgerWriter
from ops.command import data_dir_option, json_option, run
from ops.errors import CheckFailed
from ops.output import Output
from ops.reading import opened_database
from ops.reconcile_commands import opened_gateway
from workers.logs import configure_logs
from workers.payments.context import PaymentContext
from workers.payments.gateways.registry import NAMES
from workers.payments.money import Money, NotMoney
from workers.payments.payments import read_payment
from workers.payments.refunding import NotRefundable, RefundUnsettled, refund

MAX_REASON_CHARACTERS: Final = 200


@click.command("refund")
@click.argument("gateway", type=click.Choice(NAMES))
@click.argument("payment_id")
@click.option("--amount", help="Such as 4.50, in the currency of the payment; by default, all that is left.")
@click.option("--reason", required=True, help="Why; the gateway keeps it.")
@click.option("--key", help="Of an earlier try whose answer was lost: nothing is given back a second time.")
@data_dir_option
@json_option
def refund_command(
    gateway: str, payment_id: str, *, amount: str | None, reason: str, key: str | None, data_dir: Path, as_json: bool
) -> None:
    """Give PAYMENT_ID of GATEWAY back, or a part of it. The credits that it bought go with it."""
    if not 0 < len(reason) <= MAX_REASON_CHARACTERS:
        raise click.UsageError(f"--reason has up to {MAX_REASON_CHARACTERS} characters")
    key = key or f"refund-{uuid4()}"

    async def work(output: Output) -> None:
        # What is noted on the way is no part of the answer.
        configure_logs(process="refund", log_format=output.log_format, level="error")
        async with (
            opened_database(data_dir) as database,
            LedgerWriter(database.url) as writer,
            opened_gateway(gateway) as gateways,
        ):
            context = PaymentContext(database, writer, gateways)
            output.note(f"--key {key} repeats this if its answer is lost")
            try:
                minor = None if amount is None else await _minor_of(context, gateway, payment_id, amount)
                fact = await refund(context, gateway, payment_id, minor, key=key, reason=reason)
            except (NotRefundable, RefundUnsettled) as refused:
                raise CheckFailed(str(refused)) from None
        result = {
            "refund_id": fact.refund_id,
            "payment_id": fact.payment_id,
            "amount": fact.amount.text,
            "currency": fact.amount.currency,
            "status": fact.status.name,
            "key": key,
        }
        output.result(result, f"{fact.amount} given back: {fact.refund_id}, {fact.status.name}")

    run(work, as_json=as_json)


async def _minor_of(context: PaymentContext, gateway: str, payment_id: str, amount: str) -> int:
    payment = await read_payment(context.database, gateway, payment_id)
    if payment is None:
        raise NotRefundable(f"no payment {payment_id} of {gateway} is known here")
    try:
        return Money.parse(amount, payment.price.currency).minor
    except NotMoney as error:
        raise NotRefundable(str(error)) from None
