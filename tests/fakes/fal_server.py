"""A fake of fal's queue: submitting, asking, fetching, cancelling, its key set, and webhooks signed as fal does."""

import base64
import hashlib
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.fakes.scripted_server import Answer, Call, ScriptedServer, json_answer

API_KEY = "key-id:key-secret"
MODEL = "fal-ai/fake/film"
FILM = {"url": "https://v3.fal.media/files/fake/film.mp4", "content_type": "video/mp4", "file_size": 1_000}


def refused(status: int, detail: object, *, error_type: str | None = None, **headers: str) -> Answer:
    """A refusal as fal words it."""
    if error_type is not None:
        return json_answer(status, {"detail": detail, "error_type": error_type}, x_fal_error_type=error_type, **headers)
    return json_answer(status, {"detail": detail}, **headers)


class FakeFal(ScriptedServer):
    """Keeps requests. A new one is in the queue until the test says otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.key = Ed25519PrivateKey.generate()
        self.statuses: dict[str, dict[str, Any]] = {}
        self.results: dict[str, Answer] = {}
        self.webhooks: dict[str, str] = {}
        self.urls: dict[str, str] = {}
        """In place of the URLs that a submission is answered with."""

    @property
    def base_url(self) -> str:
        """What `FAL_BASE_URL` is to be."""
        return self.url

    @property
    def jwks_url(self) -> str:
        """What `FAL_JWKS_URL` is to be."""
        return f"{self.url}/.well-known/jwks.json"

    @property
    def latest(self) -> str:
        """The id of the latest request."""
        return list(self.statuses)[-1]

    def add(self) -> str:
        """Take on a request, and return its id."""
        request_id = f"0fake000-0000-4000-8000-{len(self.statuses):012}"
        self.statuses[request_id] = {"status": "IN_QUEUE", "queue_position": 3}
        return request_id

    def becomes(self, **status: Any) -> None:
        """Change the status of the latest request."""
        self.statuses[self.latest] = status

    def completes(self, result: Answer | None = None, **fields: Any) -> None:
        """The latest request has a result, or an error in its place."""
        self.becomes(**{"status": "COMPLETED", "logs": [], "metrics": {"inference_time": 2.5}, **fields})
        self.results[self.latest] = result or json_answer(200, {"video": FILM, "seed": 7})

    def refusal(self, call: Call) -> Answer | None:
        """Wrong key."""
        if call.path == "/.well-known/jwks.json":
            return None
        if call.headers.get("authorization") != f"Key {API_KEY}":
            return refused(401, "Cannot access application. Authentication is required.")
        return None

    def default(self, call: Call) -> Answer:
        """What the real one does when nothing is wrong."""
        parts = urlsplit(call.path)
        if parts.path == "/.well-known/jwks.json":
            return json_answer(200, {"keys": [jwk_of(self.key)]})
        if "/requests/" not in parts.path:
            return self._submit(call, parse_qs(parts.query))
        request_id, _, rest = parts.path.partition("/requests/")[2].partition("/")
        if request_id not in self.statuses:
            return refused(404, "Request not found")
        if rest == "cancel":
            return json_answer(202, {"status": "CANCELLATION_REQUESTED"})
        if rest == "status":
            status = self.statuses[request_id]
            return json_answer(200 if status["status"] == "COMPLETED" else 202, {"request_id": request_id, **status})
        return self.results.get(request_id, refused(400, "Request is still in progress"))

    def _submit(self, call: Call, query: dict[str, list[str]]) -> Answer:
        request_id = self.add()
        if "fal_webhook" in query:
            self.webhooks[request_id] = query["fal_webhook"][0]
        app = "/".join(urlsplit(call.path).path.strip("/").split("/")[:2])
        url = f"{self.url}/{app}/requests/{request_id}"
        urls = {"status_url": f"{url}/status", "response_url": url, "cancel_url": f"{url}/cancel", **self.urls}
        return json_answer(200, {"request_id": request_id, "gateway_request_id": request_id, **urls})

    @property
    def created(self) -> list[Call]:
        """The calls that submit something."""
        return [call for call in self.calls if call.method == "POST"]

    @property
    def cancelled(self) -> list[Call]:
        """The calls that cancel something."""
        return [call for call in self.calls if call.method == "PUT"]


def jwk_of(key: Ed25519PrivateKey) -> dict[str, str]:
    """The public half of a key, as fal's key set shows it."""
    raw = key.public_key().public_bytes_raw()
    return {"kty": "OKP", "crv": "Ed25519", "x": base64.urlsafe_b64encode(raw).decode().rstrip("=")}


def signed(
    body: bytes, key: Ed25519PrivateKey, *, at_s: float, request_id: str = "0fake", user_id: str = "user-fake"
) -> dict[str, str]:
    """The headers of a webhook with this body, as fal signs them."""
    timestamp = str(int(at_s))
    message = "\n".join([request_id, user_id, timestamp, hashlib.sha256(body).hexdigest()]).encode()
    return {
        "x-fal-webhook-request-id": request_id,
        "x-fal-webhook-user-id": user_id,
        "x-fal-webhook-timestamp": timestamp,
        "x-fal-webhook-signature": key.sign(message).hex(),
        "content-type": "application/json",
    }


def webhook_body(request_id: str, *, status: str = "OK", payload: object = None) -> bytes:
    """The body of a webhook."""
    body = {"request_id": request_id, "gateway_request_id": request_id, "status": status, "payload": payload}
    return json.dumps(body).encode()
