"""Webhooks as Paddle signs and sends them."""

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any

from tests.fakes.paddle_objects import new_id

WEBHOOK_SECRET = "pdl_ntfset_01fake_6h3qd3uFSi9YCD3OLYAShQI90XTI5vEI"


@dataclass(frozen=True)
class Webhook:
    """One webhook, as it reaches our door. Header names are in lower case, as servers hand them on."""

    headers: dict[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        """Its `event_type`."""
        return self.event["event_type"]

    @property
    def event(self) -> dict[str, Any]:
        """What it says."""
        return json.loads(self.body)

    @property
    def data(self) -> dict[str, Any]:
        """The object that it is about."""
        return self.event["data"]


def signature(body: bytes, *, at_s: float, secrets: tuple[str, ...] = (WEBHOOK_SECRET,)) -> str:
    """A `Paddle-Signature`, with one `h1` for each secret, as while one is being rotated."""
    content = f"{int(at_s)}:".encode() + body
    digests = [hmac.new(secret.encode(), content, hashlib.sha256).hexdigest() for secret in secrets]
    return ";".join([f"ts={int(at_s)}", *(f"h1={digest}" for digest in digests)])


def event_of(kind: str, data: dict[str, Any], *, occurred_at: str) -> bytes:
    """The body that tells of an event, with the object as it is now."""
    event = {
        "event_id": new_id("evt"),
        "event_type": kind,
        "occurred_at": occurred_at,
        "notification_id": new_id("ntf"),
        "data": data,
    }
    return json.dumps(event, separators=(",", ":")).encode()


def signed(body: bytes, *, at_s: float, secrets: tuple[str, ...] = (WEBHOOK_SECRET,)) -> Webhook:
    """A webhook with this body, signed at that time."""
    headers = {
        "content-type": "application/json",
        "user-agent": "Paddle",
        "paddle-signature": signature(body, at_s=at_s, secrets=secrets),
        "paddle-version": "1",
    }
    return Webhook(headers, body)
