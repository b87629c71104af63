"""Asking Stripe for its objects, with what we need to know of them."""

import time
from typing import TYPE_CHECKING, Final

from workers.payments.facts import SubscriptionFact
from workers.payments.gateways.stripe.calls import Calls
from workers.payments.gateways.stripe.objects import (
    Intent,
    Invoice,
    InvoicePayment,
    Listed,
    Refund,
    Session,
    Subscription,
)
from workers.payments.gateways.stripe.translating import subscription_fact

if TYPE_CHECKING:
    from stripe.params import RefundListParams

PAGE: Final = 100
"""The longest page that Stripe gives."""

MAX_PAGES_OF_REFUNDS: Final = 20

SUBSCRIPTION_PARTS: Final = ["default_payment_method", "customer.invoice_settings.default_payment_method"]


async def fetch_intent(calls: Calls, intent_id: str) -> Intent:
    """Return a payment intent, with its means of payment."""
    return await calls.read(
        calls.client.payment_intents.retrieve_async(intent_id, {"expand": ["payment_method", "latest_charge"]}), Intent
    )


async def fetch_session_of(calls: Calls, intent_id: str) -> Session | None:
    """Return the Checkout session that made a payment intent."""
    listed = await calls.read(
        calls.client.checkout.sessions.list_async({"payment_intent": intent_id, "limit": 1}), Listed[Session]
    )
    return listed.data[0] if listed.data else None


async def fetch_invoice(calls: Calls, invoice_id: str) -> tuple[Invoice, list[InvoicePayment]]:
    """Return an invoice and the payments for it. An invoice does not say by itself what paid it."""
    invoice = await calls.read(
        calls.client.invoices.retrieve_async(invoice_id, {"expand": ["payments.data.payment.payment_intent"]}), Invoice
    )
    return invoice, invoice.payments.data if invoice.payments else []


async def fetch_invoice_payment_of(calls: Calls, intent_id: str) -> InvoicePayment | None:
    """Return the bond between a payment intent and the invoice that it paid, with the invoice; `None` without one."""
    listed = await calls.read(
        calls.client.invoice_payments.list_async(
            {
                "payment": {"type": "payment_intent", "payment_intent": intent_id},
                "status": "paid",
                "limit": 1,
                "expand": ["data.invoice"],
            }
        ),
        Listed[InvoicePayment],
    )
    return listed.data[0] if listed.data else None


async def fetch_refunds_of(calls: Calls, intent_id: str) -> list[Refund]:
    """Return all refunds of a payment."""
    refunds: list[Refund] = []
    params: RefundListParams = {"payment_intent": intent_id, "limit": PAGE}
    for _ in range(MAX_PAGES_OF_REFUNDS):
        page = await calls.read(calls.client.refunds.list_async(params), Listed[Refund])
        refunds += page.data
        if not page.has_more or not page.data:
            break
        params["starting_after"] = page.data[-1].id
    return refunds


async def fetch_subscription(calls: Calls, subscription_id: str) -> Subscription:
    """Return a subscription, with what it is paid with."""
    return await calls.read(
        calls.client.subscriptions.retrieve_async(subscription_id, {"expand": SUBSCRIPTION_PARTS}), Subscription
    )


async def ask_subscription(calls: Calls, subscription_id: str) -> SubscriptionFact:
    """Return what a subscription is now. The clock is read before the question: no old answer ever looks newer."""
    asked_at_us = time.time_ns() // 1000
    return subscription_fact(await fetch_subscription(calls, subscription_id), asked_at_us=asked_at_us)
