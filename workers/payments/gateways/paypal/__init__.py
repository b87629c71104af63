"""PayPal: orders that the customer approves and we capture, their refunds, and disputes. Packs only."""

from collections.abc import Mapping

from workers.payments.gateway import Gateway
from workers.payments.gateways.registry import GatewayFactory


def _make(environment: Mapping[str, str]) -> Gateway:
    from workers.payments.gateways.paypal.gateway import from_environment  # noqa: PLC0415 - only where it has keys

    return from_environment(environment)


FACTORY = GatewayFactory(name="paypal", required=("PAYPAL_CLIENT_ID", "PAYPAL_CLIENT_SECRET"), make=_make)
