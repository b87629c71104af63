"""Stripe: Checkout for packs and plans, saved cards, refunds, disputes, the customer portal."""

from collections.abc import Mapping
from typing import Final

from workers.payments.gateway import Gateway
from workers.payments.gateways.registry import GatewayFactory


def _make(environment: Mapping[str, str]) -> Gateway:
    """Make the gateway. The SDK takes a third of a second to import, so that is left until somebody wants it."""
    from workers.payments.gateways.stripe.gateway import StripeGateway  # noqa: PLC0415 - see the docstring
    from workers.payments.gateways.stripe.settings import StripeSettings  # noqa: PLC0415 - as above

    return StripeGateway(StripeSettings.from_environment(environment))


FACTORY: Final = GatewayFactory(name="stripe", required=("STRIPE_API_KEY",), make=_make)
