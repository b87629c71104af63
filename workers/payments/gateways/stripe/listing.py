"""All that Stripe took and gave back in a time, a page at a time, the latest first.

A payment intent that paid an invoice says neither which nor for what. So where one comes up, the invoices' payments of
its day are listed as well, and only an intent that is not among them is asked about by itself. No more than a page and
one such day is kept in memory.
"""

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Final

from workers.payments.facts import PaymentFact, RefundFact
from workers.payments.gateways.stripe.calls import Calls
from workers.payments.gateways.stripe.objects import Intent, Invoice, InvoicePayment, Listed, Refund
from workers.payments.gateways.stripe.reading import PAGE, fetch_invoice_payment_of, fetch_session_of
from workers.payments.gateways.stripe.translating import (
    MICROSECONDS,
    TAXED,
    intent_fact,
    invoice_facts,
    ours,
    refund_fact,
)

if TYPE_CHECKING:
    from stripe.params import InvoicePaymentListParams, PaymentIntentListParams, RefundListParams

DAY_S: Final = 24 * 3600
MARGIN_S: Final = 3600
"""How far apart an invoice's payment and its intent are made at most, for the intent not to be asked about."""


async def listed(calls: Calls, *, since_us: int, until_us: int) -> AsyncGenerator[PaymentFact | RefundFact, None]:
    """Yield the payments that were paid, and the refunds, that were made from one time up to another."""
    since_s, until_s = -(-since_us // MICROSECONDS), -(-until_us // MICROSECONDS)
    days = _InvoicePaymentsByDay(calls)
    async for intent in _intents(calls, since_s, until_s):
        if intent.status == "succeeded":
            for fact in await _facts_of(calls, intent, days):
                yield fact
    async for refund in _refunds(calls, since_s, until_s):
        fact = refund_fact(refund)
        if fact is not None:
            yield fact


class _InvoicePaymentsByDay:
    """The payments of one day's invoices by their payment intents: of the day that was asked for last."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._day = -1
        self._payments: dict[str, InvoicePayment] = {}

    async def of(self, intent: Intent) -> InvoicePayment | None:
        """Return the payment of an invoice that an intent made; `None` if it paid no invoice."""
        if intent.customer is None:
            return None
        day = intent.created // DAY_S
        if day != self._day:
            self._payments = {}
            async for payment in _invoice_payments(self._calls, day * DAY_S - MARGIN_S, (day + 1) * DAY_S + MARGIN_S):
                if isinstance(payment.payment.payment_intent, str):
                    self._payments[payment.payment.payment_intent] = payment
            self._day = day
        return self._payments.pop(intent.id, None) or await fetch_invoice_payment_of(self._calls, intent.id)


async def _facts_of(calls: Calls, intent: Intent, days: _InvoicePaymentsByDay) -> list[PaymentFact]:
    """What a payment intent that was paid says: one fact, or none for an invoice that cost nothing."""
    if ours(intent.metadata) is None:
        payment = await days.of(intent)
        if payment is not None and isinstance(payment.invoice, Invoice):
            return invoice_facts(payment.invoice, [payment])
    taxed = TAXED in (intent.metadata or {})
    return [intent_fact(intent, taxed_in=await fetch_session_of(calls, intent.id) if taxed else None)]


async def _intents(calls: Calls, since_s: int, until_s: int) -> AsyncGenerator[Intent, None]:
    params: PaymentIntentListParams = {
        "created": {"gte": since_s, "lt": until_s},
        "limit": PAGE,
        "expand": ["data.latest_charge"],
    }
    while True:
        page = await calls.page("/v1/payment_intents", params, Listed[Intent])
        for intent in page.data:
            yield intent
        if not page.has_more or not page.data:
            return
        params["starting_after"] = page.data[-1].id


async def _invoice_payments(calls: Calls, since_s: int, until_s: int) -> AsyncGenerator[InvoicePayment, None]:
    params: InvoicePaymentListParams = {
        "created": {"gte": since_s, "lt": until_s},
        "status": "paid",
        "limit": PAGE,
        "expand": ["data.invoice"],
    }
    while True:
        page = await calls.page("/v1/invoice_payments", params, Listed[InvoicePayment])
        for payment in page.data:
            yield payment
        if not page.has_more or not page.data:
            return
        params["starting_after"] = page.data[-1].id


async def _refunds(calls: Calls, since_s: int, until_s: int) -> AsyncGenerator[Refund, None]:
    params: RefundListParams = {"created": {"gte": since_s, "lt": until_s}, "limit": PAGE}
    while True:
        page = await calls.page("/v1/refunds", params, Listed[Refund])
        for refund in page.data:
            yield refund
        if not page.has_more or not page.data:
            return
        params["starting_after"] = page.data[-1].id
