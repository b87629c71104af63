"""Webhooks as PayPal sends them: signed by a certificate that the webhook itself names."""

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

COMMON_NAME = "messageverificationcerts.paypal.com"


@dataclass(frozen=True)
class Webhook:
    """One request of PayPal's to `POST /webhooks/paypal`. Header names are in lower case."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """What its body says."""
        return json.loads(self.body)

    @property
    def id(self) -> str:
        """Of the event."""
        return self.event["id"]

    @property
    def kind(self) -> str:
        """Such as `PAYMENT.CAPTURE.COMPLETED`."""
        return self.event["event_type"]


@cache
def new_key(bits: int = 2_048) -> RSAPrivateKey:
    """A key, the same one every time: making one takes long."""
    return generate_private_key(public_exponent=65_537, key_size=bits)


def certificate(
    key: RSAPrivateKey | None = None,
    *,
    common_name: str = COMMON_NAME,
    valid_for_days: tuple[float, float] = (-1, 365),
    issuer: x509.Certificate | None = None,
    issuer_key: RSAPrivateKey | None = None,
) -> x509.Certificate:
    """A certificate of this key, signed by itself unless it has an issuer."""
    key = key or new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    begins, ends = (datetime.now(UTC) + timedelta(days=days) for days in valid_for_days)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )
    return builder.sign(issuer_key or key, SHA256())


def pem(*chain: x509.Certificate) -> bytes:
    """Certificates as they are served."""
    return b"".join(each.public_bytes(Encoding.PEM) for each in chain)


def signed(
    body: bytes, *, webhook_id: str, cert_url: str, at_s: float, key: RSAPrivateKey | None = None
) -> dict[str, str]:
    """The headers of a webhook with this body, as PayPal signs them."""
    transmission_id = str(uuid4())
    sent_at = datetime.fromtimestamp(int(at_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    message = f"{transmission_id}|{sent_at}|{webhook_id}|{zlib.crc32(body)}".encode()
    signature = (key or new_key()).sign(message, PKCS1v15(), SHA256())
    return {
        "content-type": "application/json",
        "user-agent": "PayPal/AUHR-214.0-58827894",
        "paypal-auth-algo": "SHA256withRSA",
        "paypal-auth-version": "v2",
        "paypal-cert-url": cert_url,
        "paypal-transmission-id": transmission_id,
        "paypal-transmission-sig": base64.b64encode(signature).decode(),
        "paypal-transmission-time": sent_at,
    }
