"""Whether a webhook is PayPal's: RSA with SHA-256 over its transmission, our webhook's id and a checksum of its body.

The checksum is a CRC-32, which proves little: whoever has one genuine transmission can make another body for it. So a
genuine webhook only says what to look at; what it is worth is asked of PayPal again.
"""

import base64
import binascii
import zlib
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from workers.payments.gateway import WebhookEvent, WebhookForged, WebhookMalformed, WebhookStale
from workers.payments.gateways.paypal.certificates import Certificates
from workers.payments.gateways.paypal.times import parse_us
from workers.payments.gateways.paypal.wire import Event, Named, Resource

STALE_AFTER_S: Final = 4 * 86_400
"""PayPal sends up to 25 times within three days, and does not promise a new time each. What comes twice in that time is
told apart by the event's id."""

MAX_AHEAD_S: Final = 300
"""How far PayPal's clock may be ahead of ours."""

ALGORITHM: Final = "SHA256withRSA"

MAX_ID_CHARACTERS: Final = 255
"""Of an event's id, and of the name of its kind: whoever makes another body for a checksum chooses both."""

_MAX_HEADER: Final = 1_024
_MICROS: Final = 1_000_000


class Signatures:
    """Verifies webhooks of one or, while they are being changed, several webhook ids; without any, none is genuine."""

    def __init__(self, *, webhook_ids: Sequence[str], certificates: Certificates) -> None:
        self._webhook_ids = tuple(webhook_ids)
        self._certificates = certificates

    async def verify(self, headers: Mapping[str, str], body: bytes, *, now_s: float) -> WebhookEvent:
        """Return what a webhook is, if it is genuine. See `Gateway.verify`.

        Raises:
            WebhookRefused: it is not genuine, too old, or makes no sense.
            GatewayError: its certificate cannot be had just now.
        """
        if not self._webhook_ids:
            raise WebhookForged("PAYPAL_WEBHOOK_ID is not set, so no webhook can be known to be genuine")
        transmission_id = _header(headers, "paypal-transmission-id")
        sent_at = _header(headers, "paypal-transmission-time")
        signature = _signature(headers)
        if _header(headers, "paypal-auth-algo").lower() != ALGORITHM.lower():
            raise WebhookForged("it is not signed with SHA-256 and RSA")
        # Before the certificate: what is too old is not worth fetching anything for.
        _must_be_fresh(sent_at, now_s=now_s)
        key = await self._certificates.public_key(_header(headers, "paypal-cert-url"), now_s=now_s)
        checksum = zlib.crc32(body)
        messages = (f"{transmission_id}|{sent_at}|{webhook_id}|{checksum}" for webhook_id in self._webhook_ids)
        if not any(_is_signed(key, signature, message.encode()) for message in messages):
            raise WebhookForged("its signature is not over this body and our webhook id")
        event = event_of(body)
        return WebhookEvent(event_id=event.id, kind=event.event_type, object_id=_object_id(event))


def event_of(body: bytes) -> Event:
    """Return what a webhook's body says.

    Raises:
        WebhookMalformed: it makes no sense.
    """
    try:
        event = msgspec.json.decode(body, type=Event)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WebhookMalformed("its body is not an event") from error
    if not all(0 < len(text) <= MAX_ID_CHARACTERS and text.isprintable() for text in (event.id, event.event_type)):
        raise WebhookMalformed("its body names no event")
    return event


def resource_of(event: Event) -> Resource:
    """Return what an event is about, of a kind that concerns us.

    Raises:
        WebhookMalformed: it makes no sense.
    """
    try:
        return msgspec.json.decode(event.resource, type=Resource)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WebhookMalformed(f"the resource of {event.id[:64]} is not what its kind has") from error


def _object_id(event: Event) -> str:
    try:
        named = msgspec.json.decode(event.resource, type=Named)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return named.id or named.dispute_id


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "")
    if not value or len(value) > _MAX_HEADER or not value.isascii():
        raise WebhookForged(f"it has no usable header {name}")
    return value


def _signature(headers: Mapping[str, str]) -> bytes:
    try:
        return base64.b64decode(_header(headers, "paypal-transmission-sig"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise WebhookForged("its signature is not base64") from error


def _must_be_fresh(sent_at: str, *, now_s: float) -> None:
    at_us = parse_us(sent_at)
    if at_us is None:
        raise WebhookForged("its transmission time is no time")
    age_us = int(now_s * _MICROS) - at_us
    if not -MAX_AHEAD_S * _MICROS <= age_us <= STALE_AFTER_S * _MICROS:
        raise WebhookStale("it was sent too long ago, or in the future")


def _is_signed(key: RSAPublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True
