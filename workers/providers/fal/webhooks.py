"""fal's webhooks: Ed25519 with one of the keys that fal publishes."""

import asyncio
import base64
import binascii
import hashlib
import time
from collections.abc import Mapping
from typing import Any, Final

import httpx
import msgspec
import structlog
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from workers.providers.background.webhooks import Verdict, id_in_body, is_fresh

JWKS_VARIABLE: Final = "FAL_JWKS_URL"
DEFAULT_JWKS_URL: Final = "https://rest.alpha.fal.ai/.well-known/jwks.json"

KEYS_KEPT_S: Final = 86_400.0
FETCH_AGAIN_S: Final = 60.0
"""A signature that no known key made may be by a new one; but forgers cannot make us ask more often than this."""

FETCH_S: Final = 5.0
MAX_KEYS: Final = 20
MAX_SET_BYTES: Final = 65_536

_HEADERS: Final = ("x-fal-webhook-request-id", "x-fal-webhook-user-id", "x-fal-webhook-timestamp")

_log = structlog.stdlib.get_logger(__name__)


class _KeySet(msgspec.Struct, frozen=True):
    keys: list[dict[str, Any]]


class FalWebhooks:
    """Verifies with the published keys, which it keeps for a day."""

    def __init__(self, jwks_url: str) -> None:
        self._jwks_url = jwks_url
        self._keys: list[Ed25519PublicKey] = []
        self._fetched_at_s = float("-inf")
        self._fetching = asyncio.Lock()

    async def verdict(self, headers: Mapping[str, str], body: bytes, *, now_s: float) -> Verdict:
        """See `WebhookVerifier.verdict`."""
        request_id, user_id, timestamp = (headers.get(name, "") for name in _HEADERS)
        lines = [request_id, user_id, timestamp, hashlib.sha256(body).hexdigest()]
        message = "\n".join(lines).encode("utf-8", "replace")
        try:
            signature = binascii.unhexlify(headers.get("x-fal-webhook-signature", ""))
        except (binascii.Error, ValueError):
            return "forged"
        # A stale one is not worth fetching keys for; whether it is forged too is of no interest.
        if not is_fresh(timestamp, now_s=now_s):
            return "stale"
        if _is_signed(signature, message, await self._known_keys(older_than_s=KEYS_KEPT_S)):
            return "genuine"
        if _is_signed(signature, message, await self._known_keys(older_than_s=FETCH_AGAIN_S)):
            return "genuine"
        return "forged"

    def upstream_id(self, body: bytes) -> str | None:
        """See `WebhookVerifier.upstream_id`."""
        return id_of_body(body)

    async def aclose(self) -> None:
        """Nothing stays open."""

    async def _known_keys(self, *, older_than_s: float) -> list[Ed25519PublicKey]:
        """Return the keys, fetched again if they are older than this; the old ones if that does not work."""
        async with self._fetching:
            if time.monotonic() - self._fetched_at_s < older_than_s:
                return self._keys
            try:
                keys = await _fetch(self._jwks_url)
            except (httpx.HTTPError, OSError, ValueError) as error:
                _log.warning("webhook_keys_not_fetched", provider="fal", error=repr(error))
                if not self._keys:
                    raise ConnectionError(f"the keys of fal's webhooks: {error!r}") from error
                return self._keys
            self._keys, self._fetched_at_s = keys, time.monotonic()
            return self._keys


def id_of_body(body: bytes) -> str | None:
    """Return the id of the request that a webhook is about, or `None`."""
    return id_in_body(body, "request_id")


async def _fetch(url: str) -> list[Ed25519PublicKey]:
    async with asyncio.timeout(FETCH_S), httpx.AsyncClient(timeout=FETCH_S, follow_redirects=False) as client:
        reply = await client.get(url, headers={"Accept": "application/json"})
    reply.raise_for_status()
    if len(reply.content) > MAX_SET_BYTES:
        raise ValueError("the key set is too large")
    found = msgspec.json.decode(reply.content, type=_KeySet).keys[:MAX_KEYS]
    keys = [_key(jwk) for jwk in found if jwk.get("kty") == "OKP" and jwk.get("crv") == "Ed25519"]
    if not keys:
        raise ValueError("the key set has no Ed25519 key")
    return keys


def _key(jwk: dict[str, Any]) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(str(jwk.get("x", "")) + "=="))


def _is_signed(signature: bytes, message: bytes, keys: list[Ed25519PublicKey]) -> bool:
    for key in keys:
        try:
            key.verify(signature, message)
        except InvalidSignature:
            continue
        return True
    return False
