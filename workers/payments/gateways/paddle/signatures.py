"""Whether a webhook is Paddle's: HMAC-SHA256 of its time and raw body, with the notification destination's secret."""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from workers.payments.gateway import WebhookEvent, WebhookForged, WebhookMalformed, WebhookStale
from workers.payments.gateways.paddle.wire import Notification

TOLERANCE_S: Final = 300
"""How old a signature may be, and how far in the future: clocks differ. Each delivery is signed anew."""

MAX_SIGNATURES: Final = 10
"""There are several while the secret is being rotated."""

MAX_ID_CHARACTERS: Final = 100

_TIMESTAMP: Final = re.compile(r"\d{1,12}", re.ASCII)


class PaddleSignatures:
    """Verifies with any of the secrets; with none, nothing."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = tuple(stripped.encode() for secret in secrets if (stripped := secret.strip()))

    def verify(self, headers: Mapping[str, str], body: bytes, *, now_s: float) -> WebhookEvent:
        """Return what a webhook is.

        Raises:
            WebhookRefused: it is not Paddle's, is too old, or makes no sense.
        """
        if not self._secrets:
            raise WebhookForged("there is no secret to verify it with")
        timestamp, signatures = _parts(headers.get("paddle-signature", ""))
        if not self._is_signed(timestamp, signatures, body):
            raise WebhookForged("its signature is not by a secret of ours")
        if abs(now_s - int(timestamp)) > TOLERANCE_S:
            raise WebhookStale(f"it was signed more than {TOLERANCE_S} s from now")
        return _event(body)

    def _is_signed(self, timestamp: str, signatures: list[bytes], body: bytes) -> bool:
        content = timestamp.encode() + b":" + body
        digests = [hmac.new(secret, content, hashlib.sha256).hexdigest().encode() for secret in self._secrets]
        return any(hmac.compare_digest(digest, given) for digest in digests for given in signatures)


def _parts(header: str) -> tuple[str, list[bytes]]:
    """Split `ts=…;h1=…;h1=…`. Parts of a later scheme are passed over."""
    pairs = [part.strip().partition("=") for part in header.split(";")]
    timestamps = [value for name, _, value in pairs if name == "ts"]
    signatures = [value.encode("utf-8", "replace") for name, _, value in pairs if name == "h1"]
    if len(timestamps) != 1 or _TIMESTAMP.fullmatch(timestamps[0]) is None or not signatures:
        raise WebhookForged("it has no signature of Paddle's")
    return timestamps[0], signatures[:MAX_SIGNATURES]


def _event(body: bytes) -> WebhookEvent:
    try:
        notification = msgspec.json.decode(body, type=Notification)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WebhookMalformed("it is not an event of Paddle's") from error
    ids = (notification.event_id, notification.event_type, notification.data.id)
    if not all(0 < len(text) <= MAX_ID_CHARACTERS and text.isprintable() for text in ids):
        raise WebhookMalformed("it has no proper ids")
    return WebhookEvent(event_id=ids[0], kind=ids[1], object_id=ids[2])
