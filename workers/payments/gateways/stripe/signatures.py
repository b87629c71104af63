"""Telling Stripe's webhooks from everybody else's."""

import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from stripe import WebhookSignature

from workers.payments.gateway import WebhookEvent, WebhookForged, WebhookMalformed, WebhookStale

HEADER: Final = "stripe-signature"
TOLERANCE_S: Final = 300
"""What Stripe recommends, in both directions: a time in the future is as wrong as an old one."""

MAX_HEADER_LENGTH: Final = 4096
MAX_ID_LENGTH: Final = 255

_TIMESTAMP: Final = re.compile(r"\d{1,12}", re.ASCII)


class _Named(msgspec.Struct):
    id: str = ""


class _Data(msgspec.Struct):
    object: _Named


class _Envelope(msgspec.Struct):
    id: str
    object: str
    type: str
    data: _Data


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)


def verify(headers: Mapping[str, str], body: bytes, *, secrets: Sequence[str], now_s: float) -> WebhookEvent:
    """Return what a webhook is, if somebody who knows one of the secrets signed exactly this body, just now.

    Raises:
        WebhookRefused: it is not genuine, not of now, or no event of Stripe's.
    """
    timestamp, signatures = _parts(headers.get(HEADER, ""))
    if not any(_signed_with(secret, timestamp, body, signatures) for secret in secrets if secret):
        raise WebhookForged("no signature matches")
    if abs(now_s - int(timestamp)) > TOLERANCE_S:
        raise WebhookStale("it was signed too long ago, or in the future")
    return _event(body)


def _parts(header: str) -> tuple[str, list[str]]:
    """The time, and all signatures of the scheme that is in use; others are only for Stripe's own tests."""
    if not header or len(header) > MAX_HEADER_LENGTH:
        raise WebhookForged("it is not signed")
    parts = [(name.strip(), value) for name, _, value in (part.partition("=") for part in header.split(","))]
    timestamps = [value for name, value in parts if name == "t"]
    signatures = [value for name, value in parts if name == WebhookSignature.EXPECTED_SCHEME]
    if len(timestamps) != 1 or _TIMESTAMP.fullmatch(timestamps[0]) is None or not signatures:
        raise WebhookForged("its signature is not one of Stripe's")
    return timestamps[0], signatures


def _signed_with(secret: str, timestamp: str, body: bytes, signatures: Sequence[str]) -> bool:
    expected = hmac.digest(secret.encode(), b"%b.%b" % (timestamp.encode(), body), "sha256").hex().encode()
    return any(hmac.compare_digest(expected, given.encode(errors="replace")) for given in signatures)


def _event(body: bytes) -> WebhookEvent:
    try:
        envelope = _ENVELOPE.decode(body)
    except msgspec.MsgspecError as error:
        raise WebhookMalformed("it is signed, and no event") from error
    if envelope.object != "event" or not envelope.type or not 0 < len(envelope.id) <= MAX_ID_LENGTH:
        raise WebhookMalformed("it is signed, and no event")
    return WebhookEvent(event_id=envelope.id, kind=envelope.type, object_id=envelope.data.object.id)
