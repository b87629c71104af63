"""Paddle Billing, by its REST API: transactions of prices that are not in its catalogue, subscriptions, adjustments."""

from collections.abc import Mapping
from typing import Final

from workers.payments.gateway import Gateway
from workers.payments.gateways.registry import GatewayFactory, base_url
from workers.settings import SettingsError

LIVE_URL: Final = "https://api.paddle.com"
SANDBOX_URL: Final = "https://sandbox-api.paddle.com"
SANDBOX_KEY_PREFIX: Final = "pdl_sdbx_"

DEFAULT_TAX_CATEGORY: Final = "standard"
TAX_CATEGORIES: Final = frozenset({
    "digital-goods", "ebooks", "implementation-services", "professional-services", "saas",
    "software-programming-services", "standard", "training-services", "website-hosting",
})  # fmt: skip
"""How Paddle taxes what is sold. All but `standard` have to be allowed for the account first."""


def home_of(key: str) -> str:
    """Return where a key is good: keys of the sandbox say that they are."""
    return SANDBOX_URL if key.startswith(SANDBOX_KEY_PREFIX) else LIVE_URL


def _make(environment: Mapping[str, str]) -> Gateway:
    from workers.payments.gateways.paddle.api import PaddleApi  # noqa: PLC0415 - only where it has a key
    from workers.payments.gateways.paddle.gateway import PaddleGateway  # noqa: PLC0415 - see above
    from workers.payments.gateways.paddle.signatures import PaddleSignatures  # noqa: PLC0415 - see above

    key = environment.get("PADDLE_API_KEY", "").strip()
    if not key.isascii() or not key.isprintable():
        raise SettingsError("PADDLE_API_KEY has characters that no key has")
    category = environment.get("PADDLE_TAX_CATEGORY", "").strip() or DEFAULT_TAX_CATEGORY
    if category not in TAX_CATEGORIES:
        raise SettingsError(f"PADDLE_TAX_CATEGORY must be one of {', '.join(sorted(TAX_CATEGORIES))}")
    return PaddleGateway(
        api=PaddleApi(base_url=base_url(environment, "PADDLE_BASE_URL", home_of(key)), key=key),
        signatures=PaddleSignatures(environment.get("PADDLE_WEBHOOK_SECRET", "").split(",")),
        tax_category=category,
    )


FACTORY: Final = GatewayFactory(name="paddle", required=("PADDLE_API_KEY",), make=_make)
