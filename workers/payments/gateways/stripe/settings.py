"""What the environment says about our account at Stripe."""

from collections.abc import Mapping
from typing import Final, Self

import msgspec

from workers.payments.gateways.registry import base_url
from workers.settings import SettingsError

DEFAULT_BASE_URL: Final = "https://api.stripe.com"
DEFAULT_TIMEOUT_S: Final = 10.0
MAX_WEBHOOK_SECRETS: Final = 8

_ON: Final = frozenset({"1", "true", "yes", "on"})
_OFF: Final = frozenset({"", "0", "false", "no", "off"})


class StripeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Our account, and how to reach it."""

    api_key: str
    webhook_secrets: tuple[str, ...] = ()
    """All that are good just now: two while one replaces the other. Without any, every webhook is refused."""
    base_url: str = DEFAULT_BASE_URL
    automatic_tax: bool = False
    """Whether Stripe Tax works out what is due; it has to be set up in the account first."""
    timeout_s: float = DEFAULT_TIMEOUT_S
    """For one attempt at one request."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings.

        Raises:
            SettingsError: a value makes no sense.
        """
        api_key = environment.get("STRIPE_API_KEY", "").strip()
        if not api_key or api_key.startswith(("pk_", "whsec_")) or not api_key.isascii() or " " in api_key:
            raise SettingsError("STRIPE_API_KEY must be a secret or restricted key, such as sk_live_... or rk_live_...")
        given = environment.get("STRIPE_WEBHOOK_SECRET", "").split(",")
        secrets = tuple(secret.strip() for secret in given if secret.strip())
        if len(secrets) > MAX_WEBHOOK_SECRETS:
            raise SettingsError(f"STRIPE_WEBHOOK_SECRET may hold {MAX_WEBHOOK_SECRETS} secrets at most")
        return cls(
            api_key=api_key,
            webhook_secrets=secrets,
            base_url=base_url(environment, "STRIPE_BASE_URL", DEFAULT_BASE_URL),
            automatic_tax=_switch(environment, "STRIPE_AUTOMATIC_TAX"),
        )

    def __repr__(self) -> str:
        return f"StripeSettings(base_url={self.base_url!r})"


def _switch(environment: Mapping[str, str], name: str) -> bool:
    value = environment.get(name, "").strip().lower()
    if value not in _ON | _OFF:
        raise SettingsError(f"{name} must be 1 or 0")
    return value in _ON
