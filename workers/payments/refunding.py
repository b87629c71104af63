"""Giving money back through a payment's own gateway, at once with the credits that it takes."""

import psycopg

from ledger.errors import LedgerError
from workers.payments.context import PaymentContext
from workers.payments.facts import NotYet, RefundFact
from workers.payments.money import Money
from workers.payments.payments import read_payment
from workers.payments.settling import settle
from workers.payments.taking_back import Unsettleable


class NotRefundable(Exception):
    """There is no such payment, or less is left of it than was to be given back."""


class RefundUnsettled(Exception):
    """The gateway has given the money back, and the credits are not taken back yet: its webhook does that, too."""

    def __init__(self, fact: RefundFact, reason: Exception) -> None:
        super().__init__(
            f"{fact.amount} was given back as {fact.refund_id}, and the credits were not taken yet ({reason}):"
            " the gateway's webhook does so, else the same key again"
        )
        self.fact = fact


async def refund(
    context: PaymentContext, gateway: str, payment_id: str, minor: int | None, *, key: str, reason: str
) -> RefundFact:
    """Give back so many minor units of a payment, by default all that is left; return what the gateway says of it.

    Under the same key it is given back once, however often this is called. Two at the same time never give back more
    than was paid: the gateway has the last word.

    Raises:
        NotRefundable: there is no such payment here, or so much is not left of it.
        GatewayNotConfigured, GatewayError: the gateway cannot, or will not. If that is `ambiguous`, the same key shows.
        RefundUnsettled: it was given back, and something kept the credits from going with it.
    """
    payment = await read_payment(context.database, gateway, payment_id)
    if payment is None or payment.command_key is None:
        raise NotRefundable(f"no payment {payment_id} of {gateway} was credited here")
    left_minor = payment.price.minor - payment.refunded_minor
    given_minor = left_minor if minor is None else minor
    if not 0 < given_minor <= payment.price.minor:
        raise NotRefundable(f"{Money(left_minor, payment.price.currency)} is left of this payment")
    amount = Money(given_minor, payment.price.currency)
    fact = await context.gateways.get(gateway).refund(payment_id, amount, key=key, reason=reason)
    try:
        await settle(context, gateway, fact)
    except (NotYet, Unsettleable, LedgerError, psycopg.Error) as error:
        raise RefundUnsettled(fact, error) from error
    return fact
