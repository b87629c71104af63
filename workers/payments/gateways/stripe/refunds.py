"""Giving money back."""

from typing import TYPE_CHECKING, Final

from workers.payments.facts import RefundFact
from workers.payments.gateway import GatewayError
from workers.payments.gateways.stripe.amounts import to_stripe
from workers.payments.gateways.stripe.calls import Calls
from workers.payments.gateways.stripe.objects import Refund
from workers.payments.gateways.stripe.translating import refund_fact
from workers.payments.money import Money

if TYPE_CHECKING:
    from stripe.params import RefundCreateParams

REASONS: Final = frozenset(("duplicate", "fraudulent", "requested_by_customer"))
"""Those that Stripe knows. Every other is kept with the refund as it is."""

MAX_REASON_LENGTH: Final = 500


async def refund(calls: Calls, payment_id: str, amount: Money, *, key: str, reason: str) -> RefundFact:
    """Give so much of a payment back."""
    params: RefundCreateParams = {"payment_intent": payment_id, "amount": to_stripe(amount)}
    if reason in REASONS:
        params["reason"] = reason
    elif reason:
        params["metadata"] = {"reason": reason[:MAX_REASON_LENGTH]}
    made = await calls.write(
        calls.client.refunds.create_async(params, {"idempotency_key": f"holdfast:refund:{key}"}), Refund
    )
    fact = refund_fact(made)
    if fact is None:
        raise GatewayError("stripe", f"refund {made.id} is of no payment that we know", retryable=False)
    return fact
