"""Replicate's webhooks: Standard Webhooks, HMAC-SHA256 with the secret of our organisation there."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from workers.providers.background.webhooks import Verdict, id_in_body, is_fresh

SECRET_VARIABLE: Final = "REPLICATE_WEBHOOK_SECRET"  # noqa: S105 - a name
_SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - of every secret
_MAX_SIGNATURES: Final = 10
"""There are several while the secret is being changed."""


class ReplicateWebhooks:
    """Verifies with a secret that begins with `whsec_`."""

    def __init__(self, secret: str) -> None:
        self._key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)

    async def verdict(self, headers: Mapping[str, str], body: bytes, *, now_s: float) -> Verdict:
        """See `WebhookVerifier.verdict`."""
        message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        content = f"{message_id}.{timestamp}.".encode("utf-8", "replace") + body
        digest = base64.b64encode(hmac.digest(self._key, content, hashlib.sha256))
        given = headers.get("webhook-signature", "").split(" ")[:_MAX_SIGNATURES]
        signatures = [text.removeprefix("v1,").encode("utf-8", "replace") for text in given if text.startswith("v1,")]
        if not any(hmac.compare_digest(digest, signature) for signature in signatures):
            return "forged"
        return "genuine" if is_fresh(timestamp, now_s=now_s) else "stale"

    def upstream_id(self, body: bytes) -> str | None:
        """See `WebhookVerifier.upstream_id`."""
        return id_of_body(body)

    async def aclose(self) -> None:
        """Nothing is open."""


def id_of_body(body: bytes) -> str | None:
    """Return the id of the prediction that a webhook is about, or `None`."""
    return id_in_body(body, "id")


def is_secret(text: str) -> bool:
    """Whether this can be the secret."""
    try:
        return bool(base64.b64decode(text.removeprefix(_SECRET_PREFIX), validate=True))
    except (binascii.Error, ValueError):
        return False
