"""Giving money back."""

import hashlib
from typing import TYPE_CHECKING, Final

from workers.payments.facts import RefundFact
from workers.payments.gateway import GatewayError
from workers.payments.gateways.stripe.amounts import to_stripe
from workers.payments.gateways.stripe.calls import Calls
from workers.payments.gateways.stripe.objects import Refund
from workers.payments.gateways.stripe.reading import fetch_refunds_of
from workers.payments.gateways.stripe.translating import refund_fact
from workers.payments.money import Money

if TYPE_CHECKING:
    from stripe.params import RefundCreateParams

REASONS: Final = frozenset(("duplicate", "fraudulent", "requested_by_customer"))
"""Those that Stripe knows. Every other is kept with the refund as it is."""

MAX_REASON_LENGTH: Final = 500

KEY_SHA256: Final = "key_sha256"
"""In the metadata of a refund: what it was made under."""


async def refund(calls: Calls, payment_id: str, amount: Money, *, key: str, reason: str) -> RefundFact:
    """Give so much of a payment back.

    Stripe knows a key for a day. Whoever repeats it later finds the refund by what was put into it.
    """
    digest = hashlib.sha256(key.encode()).hexdigest()
    refunds = await fetch_refunds_of(calls, payment_id)
    earlier = next((each for each in refunds if (each.metadata or {}).get(KEY_SHA256) == digest), None)
    made = earlier or await _make(calls, payment_id, amount, digest=digest, reason=reason)
    fact = refund_fact(made)
    if fact is None:
        raise GatewayError("stripe", f"refund {made.id} is of no payment that we know", retryable=False)
    return fact


async def _make(calls: Calls, payment_id: str, amount: Money, *, digest: str, reason: str) -> Refund:
    metadata = {KEY_SHA256: digest}
    params: RefundCreateParams = {"payment_intent": payment_id, "amount": to_stripe(amount), "metadata": metadata}
    if reason in REASONS:
        params["reason"] = reason
    elif reason:
        metadata["reason"] = reason[:MAX_REASON_LENGTH]
    return await calls.write(
        calls.client.refunds.create_async(params, {"idempotency_key": f"holdfast:refund:{digest}"}), Refund
    )
