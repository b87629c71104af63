"""What Stripe's events say. Those of a payment, a refund or a dispute only ever go forward and are taken at their word.

Subscriptions change in every direction, and an invoice does not say what paid it: those are fetched.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias, TypeVar

import msgspec

from workers.payments.facts import Fact, PaymentFact
from workers.payments.gateway import GatewayError
from workers.payments.gateways.stripe.calls import Calls
from workers.payments.gateways.stripe.objects import (
    Charge,
    Dispute,
    Event,
    Intent,
    Invoice,
    Refund,
    Session,
    Subscription,
)
from workers.payments.gateways.stripe.reading import (
    ask_subscription,
    fetch_intent,
    fetch_invoice,
    fetch_refunds_of,
    fetch_session_of,
)
from workers.payments.gateways.stripe.translating import (
    SAVES_METHOD,
    TAXED,
    dispute_fact,
    intent_fact,
    invoice_facts,
    ours,
    refund_fact,
    session_fact,
)

SAVED: Final = "off_session"
WITHDRAWN: Final = "charge.dispute.funds_withdrawn"
SESSION_FAILED: Final = "checkout.session.async_payment_failed"

T = TypeVar("T")
Handler: TypeAlias = Callable[[Calls, str, bytes], Awaitable[Sequence[Fact]]]


async def facts_of(calls: Calls, kind: str, body: bytes) -> Sequence[Fact]:
    """Return what a verified event says, as far as it concerns us.

    Raises:
        GatewayError: something had to be fetched and was not to be had, or the event makes no sense.
    """
    handler = HANDLERS.get(kind)
    return [] if handler is None else await handler(calls, kind, body)


async def intent_with_everything(calls: Calls, intent: Intent, *, at_s: int | None) -> PaymentFact:
    """Return what a payment of ours says, with its taxes and what was saved of it, fetched only where there is any."""
    taxed = TAXED in (intent.metadata or {})
    session = await fetch_session_of(calls, intent.id) if taxed else None
    saves = intent.setup_future_usage == SAVED and intent.status == "succeeded"
    whole = await fetch_intent(calls, intent.id) if saves else intent
    return intent_fact(whole, at_s=at_s, taxed_in=session, saves_method=saves)


async def _session(calls: Calls, kind: str, body: bytes) -> Sequence[Fact]:
    event = _decoded(_SESSION, body)
    session = event.data.object
    owner = ours(session.metadata)
    if event.account or owner is None:
        return []
    if session.invoice is not None:
        return await _paid_for(calls, session.invoice)
    fact = session_fact(session, owner, failed=kind == SESSION_FAILED, at_s=event.created)
    if fact is None:
        return []
    if (session.metadata or {}).get(SAVES_METHOD) and session.payment_status == "paid":
        whole = await fetch_intent(calls, fact.payment_id)
        return [intent_fact(whole, at_s=event.created, taxed_in=session, saves_method=True)]
    return [fact]


async def _intent(calls: Calls, kind: str, body: bytes) -> Sequence[Fact]:
    """A payment of one of our orders. Of one that paid an invoice the invoice tells, which knows what it was for."""
    del kind
    event = _decoded(_INTENT, body)
    intent = event.data.object
    if event.account or ours(intent.metadata) is None:
        return []
    return [await intent_with_everything(calls, intent, at_s=event.created)]


async def _invoice(calls: Calls, kind: str, body: bytes) -> Sequence[Fact]:
    del kind
    event = _decoded(_INVOICE, body)
    invoice = event.data.object
    if event.account or (invoice.parent is not None and not _is_ours(invoice)):
        return []
    return await _paid_for(calls, invoice.id)


async def _paid_for(calls: Calls, invoice_id: str) -> Sequence[Fact]:
    """What an invoice says, after what its subscription says: it is judged by the plan that is known by then."""
    invoice, payments = await fetch_invoice(calls, invoice_id)
    details = invoice.parent.subscription_details if invoice.parent else None
    if details is None or not _is_ours(invoice):
        return []
    return [await ask_subscription(calls, details.subscription), *invoice_facts(invoice, payments)]


def _is_ours(invoice: Invoice) -> bool:
    details = invoice.parent.subscription_details if invoice.parent else None
    return details is not None and ours(details.metadata) is not None


async def _refund(calls: Calls, kind: str, body: bytes) -> Sequence[Fact]:
    del calls, kind
    event = _decoded(_REFUND, body)
    fact = None if event.account else refund_fact(event.data.object)
    return [] if fact is None else [fact]


async def _refunded(calls: Calls, kind: str, body: bytes) -> Sequence[Fact]:
    """The charge only says how much went back in all: each refund is asked for."""
    del kind
    event = _decoded(_CHARGE, body)
    intent_id = event.data.object.payment_intent
    if event.account or intent_id is None:
        return []
    facts = [refund_fact(refund) for refund in await fetch_refunds_of(calls, intent_id)]
    return [fact for fact in facts if fact is not None]


async def _dispute(calls: Calls, kind: str, body: bytes) -> Sequence[Fact]:
    del calls
    event = _decoded(_DISPUTE, body)
    fact = None if event.account else dispute_fact(event.data.object, withdrawn=kind == WITHDRAWN)
    return [] if fact is None else [fact]


async def _subscription(calls: Calls, kind: str, body: bytes) -> Sequence[Fact]:
    del kind
    event = _decoded(_SUBSCRIPTION, body)
    if event.account or ours(event.data.object.metadata) is None:
        return []
    return [await ask_subscription(calls, event.data.object.id)]


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise GatewayError("stripe", f"an event makes no sense: {error}", retryable=False) from error


_SESSION: Final = msgspec.json.Decoder(Event[Session])
_INTENT: Final = msgspec.json.Decoder(Event[Intent])
_INVOICE: Final = msgspec.json.Decoder(Event[Invoice])
_CHARGE: Final = msgspec.json.Decoder(Event[Charge])
_REFUND: Final = msgspec.json.Decoder(Event[Refund])
_DISPUTE: Final = msgspec.json.Decoder(Event[Dispute])
_SUBSCRIPTION: Final = msgspec.json.Decoder(Event[Subscription])

HANDLERS: Final[dict[str, Handler]] = {
    "checkout.session.completed": _session,
    "checkout.session.async_payment_succeeded": _session,
    SESSION_FAILED: _session,
    "payment_intent.succeeded": _intent,
    "payment_intent.payment_failed": _intent,
    "payment_intent.canceled": _intent,
    "invoice.paid": _invoice,
    "invoice.payment_failed": _invoice,
    "charge.refunded": _refunded,
    "charge.refund.updated": _refund,
    "refund.created": _refund,
    "refund.updated": _refund,
    "refund.failed": _refund,
    "charge.dispute.created": _dispute,
    "charge.dispute.updated": _dispute,
    WITHDRAWN: _dispute,
    "charge.dispute.funds_reinstated": _dispute,
    "charge.dispute.closed": _dispute,
    "customer.subscription.created": _subscription,
    "customer.subscription.updated": _subscription,
    "customer.subscription.deleted": _subscription,
    "customer.subscription.paused": _subscription,
    "customer.subscription.resumed": _subscription,
}
"""What an endpoint for our webhooks has to be told. Everything else may be sent too, and says nothing to us."""
