"""Whose webhooks this installation can verify. Of the others none are asked for."""

from collections.abc import Callable, Mapping
from typing import Final

from workers.providers.background.webhooks import WebhookVerifier
from workers.providers.fal.webhooks import DEFAULT_JWKS_URL, JWKS_VARIABLE, FalWebhooks
from workers.providers.replicate.webhooks import SECRET_VARIABLE, ReplicateWebhooks, is_secret


def _replicate(environment: Mapping[str, str]) -> WebhookVerifier | None:
    secret = environment.get(SECRET_VARIABLE, "").strip()
    return ReplicateWebhooks(secret) if secret and is_secret(secret) else None


def _fal(environment: Mapping[str, str]) -> WebhookVerifier | None:
    return FalWebhooks(environment.get(JWKS_VARIABLE, "").strip() or DEFAULT_JWKS_URL)


_MAKERS: Final[dict[str, Callable[[Mapping[str, str]], WebhookVerifier | None]]] = {
    "fal": _fal,
    "replicate": _replicate,
}


class WebhookVerifiers:
    """The verifiers of one process, by the name of the provider."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        made = {name: make(environment) for name, make in _MAKERS.items()}
        self._verifiers = {name: verifier for name, verifier in made.items() if verifier is not None}

    def get(self, provider: str) -> WebhookVerifier | None:
        """Return the verifier of a provider; `None` if it sends none, or its secret is not configured."""
        return self._verifiers.get(provider)

    async def aclose(self) -> None:
        """Close what was opened."""
        for verifier in self._verifiers.values():
            await verifier.aclose()
