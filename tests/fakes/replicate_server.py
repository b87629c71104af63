"""A fake of Replicate's predictions: creating, asking, listing, cancelling, and webhooks signed as it signs them."""

import base64
import hashlib
import hmac
import json
from typing import Any

from tests.fakes.scripted_server import Answer, Call, ScriptedServer, json_answer

API_TOKEN = "r8_fake"
MODEL = "fake-labs/painter"
WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"a secret of the fake, 32 bytes..").decode()
PICTURE = "https://replicate.delivery/xezq/out-0.png"
FILM = "https://replicate.delivery/xezq/out.mp4"


def refused(status: int, detail: str, **headers: str) -> Answer:
    """A refusal as Replicate words it."""
    return json_answer(status, {"title": "Fake", "detail": detail, "status": status}, **headers)


class FakeReplicate(ScriptedServer):
    """Keeps predictions. A new one is `starting` until the test says otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.predictions: dict[str, dict[str, Any]] = {}
        self.lists_webhooks = True
        """Whether the list says what the webhook of each is; asking for a single one always does."""

    @property
    def base_url(self) -> str:
        """What `REPLICATE_BASE_URL` is to be."""
        return f"{self.url}/v1"

    def add(self, webhook: str | None = None, **fields: Any) -> str:
        """Take on a prediction, as if a call had created it, and return its id."""
        prediction_id = f"pred{len(self.predictions)}fake"
        self.predictions[prediction_id] = {
            "id": prediction_id,
            "model": MODEL,
            "version": "hidden",
            "input": {},
            "logs": "",
            "output": None,
            "data_removed": False,
            "error": None,
            "source": "api",
            "status": "starting",
            "created_at": "2026-11-20T12:00:00.123Z",
            "started_at": None,
            "completed_at": None,
            "metrics": {},
            "urls": {
                "get": f"{self.base_url}/predictions/{prediction_id}",
                "cancel": f"{self.base_url}/predictions/{prediction_id}/cancel",
            },
            **({} if webhook is None else {"webhook": webhook}),
            **fields,
        }
        return prediction_id

    def becomes(self, prediction_id: str | None = None, **fields: Any) -> None:
        """Change a prediction, by default the latest."""
        self.predictions[prediction_id or list(self.predictions)[-1]].update(fields)

    def succeeds(self, prediction_id: str | None = None, output: object = PICTURE, **metrics: Any) -> None:
        """The prediction has a result."""
        self.becomes(
            prediction_id,
            status="succeeded",
            output=output,
            started_at="2026-11-20T12:00:01Z",
            completed_at="2026-11-20T12:00:05.25Z",
            metrics=metrics or {"predict_time": 4.2},
        )

    def refusal(self, call: Call) -> Answer | None:
        """Wrong token or body."""
        if call.headers.get("authorization") != f"Bearer {API_TOKEN}":
            return refused(401, "You did not pass a valid authentication token")
        if call.method == "POST" and not call.path.endswith("/cancel") and not isinstance(call.body.get("input"), dict):
            return refused(422, "- input: is required\n")
        return None

    def default(self, call: Call) -> Answer:
        """What the real one does when nothing is wrong."""
        path = call.path.removeprefix("/v1/")
        if call.method == "POST" and path.endswith("/cancel"):
            prediction_id = path.split("/")[1]
            if self.predictions[prediction_id]["status"] in ("starting", "processing"):
                self.becomes(prediction_id, status="canceled", metrics={"predict_time": 1.5})
            return json_answer(200, self.predictions[prediction_id])
        if call.method == "POST":
            webhook = call.body.get("webhook")
            created = self.add(str(webhook) if webhook else None, input=call.body["input"])
            return json_answer(201, self.predictions[created])
        if path.startswith("predictions/"):
            found = self.predictions.get(path.split("/")[1])
            return refused(404, "Not found") if found is None else json_answer(200, found)
        hidden = set[str]() if self.lists_webhooks else {"webhook"}
        listed = [
            {name: value for name, value in prediction.items() if name not in hidden}
            for prediction in reversed(self.predictions.values())
        ]
        return json_answer(200, {"next": None, "previous": None, "results": listed})

    @property
    def created(self) -> list[Call]:
        """The calls that create something."""
        return [call for call in self.calls if call.method == "POST" and not call.path.endswith("/cancel")]

    @property
    def cancelled(self) -> list[Call]:
        """The calls that cancel something."""
        return [call for call in self.calls if call.path.endswith("/cancel")]


def signed(body: bytes, *, at_s: float, message_id: str = "msg_fake", secret: str = WEBHOOK_SECRET) -> dict[str, str]:
    """The headers of a webhook with this body, as Standard Webhooks signs them."""
    timestamp = str(int(at_s))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        "content-type": "application/json",
    }


def webhook_body(prediction: dict[str, Any]) -> bytes:
    """The body of a webhook: the prediction."""
    return json.dumps(prediction).encode()
