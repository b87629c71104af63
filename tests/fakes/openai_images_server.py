"""A fake of OpenAI's Images API: generating and editing, streamed or whole."""

import base64
import json
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from tests.fakes.openai_server import API_KEY, REQUEST_ID, failure
from tests.fakes.scripted_server import Answer, Call, ScriptedServer, Step, event_stream, json_answer

MODEL = "gpt-image-fake"
PICTURE = b"\x89PNG\r\n\x1a\n a picture of the fake"
USAGE = {
    "input_tokens": 50,
    "input_tokens_details": {"image_tokens": 40, "text_tokens": 10},
    "output_tokens": 1056,
    "total_tokens": 1106,
}
NOT_SAID: Any = object()


def event(kind: str, **fields: Any) -> bytes:
    """One event of a stream, which is named as its type."""
    described = {"background": "opaque", "created_at": 1793000000, "output_format": "png", "quality": "high"}
    body = {"type": kind, **described, "size": "1024x1024", **fields}
    return f"event: {kind}\ndata: {json.dumps(body)}\n\n".encode()


def sketch(index: int = 0, *, of: str = "image_generation") -> bytes:
    """A partial picture."""
    return event(f"{of}.partial_image", partial_image_index=index, b64_json=base64.b64encode(b"sketch").decode())


def completed(*, of: str = "image_generation", usage: Any = USAGE, **fields: Any) -> bytes:
    """The picture."""
    counted = {} if usage is NOT_SAID else {"usage": usage}
    return event(f"{of}.completed", **{"b64_json": base64.b64encode(PICTURE).decode(), **counted, **fields})


def stream_error(message: str, *, code: str | None = None, kind: str = "image_generation_server_error") -> bytes:
    """An error in mid-stream, under status 200."""
    error = {"type": kind, "code": code, "message": message, "param": None}
    return f"event: error\ndata: {json.dumps({'type': 'error', 'error': error})}\n\n".encode()


def streamed(*steps: Step, ends_cleanly: bool = True) -> Answer:
    """A stream of events."""
    return event_stream(*steps, ends_cleanly=ends_cleanly, x_request_id=REQUEST_ID)


def whole(count: int, **fields: Any) -> Answer:
    """An answer with so many pictures."""
    pictures = [{"b64_json": base64.b64encode(PICTURE).decode()}] * count
    described = {"created": 1793000000, "output_format": "png", "quality": "high", "size": "1024x1024"}
    return json_answer(200, {**described, "data": pictures, "usage": USAGE, **fields}, x_request_id=REQUEST_ID)


def form_of(call: Call) -> dict[str, list[tuple[str | None, str, bytes]]]:
    """The parts of a multipart body by name: file name, content type, content."""
    head = f"content-type: {call.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + call.raw_body)
    parts: dict[str, list[tuple[str | None, str, bytes]]] = {}
    for part in message.iter_parts():
        name = str(part.get_param("name", header="content-disposition"))
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        parts.setdefault(name, []).append((part.get_filename(), part.get_content_type(), content))
    return parts


class FakeOpenAIImages(ScriptedServer):
    """Refuses what the real one refuses; without a script it paints."""

    @property
    def base_url(self) -> str:
        """What `OPENAI_BASE_URL` is to be."""
        return f"{self.url}/v1"

    def refusal(self, call: Call) -> Answer | None:
        """Wrong path or key."""
        if call.method == "GET":
            return None
        if call.path not in ("/v1/images/generations", "/v1/images/edits"):
            return failure(404, f"Invalid URL (POST {call.path})", kind="invalid_request_error")
        if call.headers.get("authorization") != f"Bearer {API_KEY}":
            return failure(401, "Incorrect API key provided.", kind="invalid_request_error", code="invalid_api_key")
        return None

    def default(self, call: Call) -> Answer:
        """One picture, or as many as are asked for."""
        if call.path == "/v1/images/edits":
            return streamed(sketch(of="image_edit"), completed(of="image_edit"))
        if call.body.get("stream"):
            return streamed(sketch(), completed())
        return whole(int(str(call.body.get("n", 1))))
