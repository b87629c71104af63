"""A fake of Anthropic's Messages API: its events, its headers, its refusals."""

import json

from tests.fakes.scripted_server import Answer, Call, ScriptedServer, Step, event_stream, json_answer

API_KEY = "sk-ant-fake"
API_VERSION = "2026-10-21"
MODEL = "claude-fake-5"
REQUEST_ID = "req_fake_01"

PING = b'event: ping\ndata: {"type": "ping"}\n\n'


def event(kind: str, **fields: object) -> bytes:
    """One server-sent event, named as its type."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields}, ensure_ascii=False)}\n\n".encode()


def message_start(**usage: object) -> bytes:
    """The first event. Without arguments: 11 input tokens, none cached, and the 1 output token it always says."""
    counted = {
        "input_tokens": 11,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 1,
        **usage,
    }
    return event(
        "message_start",
        message={
            "id": "msg_fake_01",
            "type": "message",
            "role": "assistant",
            "model": MODEL,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": counted,
        },
    )


def block_start(index: int = 0) -> bytes:
    """A text block begins."""
    return event("content_block_start", index=index, content_block={"type": "text", "text": ""})


def text(delta: str, index: int = 0) -> bytes:
    """A piece of text."""
    return event("content_block_delta", index=index, delta={"type": "text_delta", "text": delta})


def thinking(*deltas: str) -> bytes:
    """A whole thinking block; the text block that follows has index 1."""
    started = event("content_block_start", index=0, content_block={"type": "thinking", "thinking": "", "signature": ""})
    thought = b"".join(
        event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": delta}) for delta in deltas
    )
    signed = event("content_block_delta", index=0, delta={"type": "signature_delta", "signature": "c2ln"})
    return started + thought + signed + event("content_block_stop", index=0)


def tool_start(index: int = 0, name: str = "answer") -> bytes:
    """A tool call begins; its input comes in deltas."""
    block: dict[str, object] = {"type": "tool_use", "id": "toolu_1", "name": name, "input": {}}
    return event("content_block_start", index=index, content_block=block)


def tool_input(delta: str, index: int = 0) -> bytes:
    """A piece of the input of a tool call."""
    return event("content_block_delta", index=index, delta={"type": "input_json_delta", "partial_json": delta})


def block_stop(index: int = 0) -> bytes:
    """A block is over."""
    return event("content_block_stop", index=index)


def message_delta(stop_reason: str | None = "end_turn", *, stop_details: object = None, **usage: object) -> bytes:
    """Why it ended, and the cumulative usage. Without usage arguments the event carries none, as some gateways do."""
    delta = {"stop_reason": stop_reason, "stop_sequence": None, "stop_details": stop_details}
    return event("message_delta", delta=delta, **({"usage": usage} if usage else {}))


def message_stop() -> bytes:
    """The last event."""
    return event("message_stop")


def stream_error(kind: str, message: str) -> bytes:
    """An error in mid-stream, under status 200."""
    return event("error", error={"type": kind, "message": message}, request_id=REQUEST_ID)


def beginning(*deltas: str) -> tuple[Step, ...]:
    """A message that has begun and said so much."""
    return (message_start(), block_start(), PING, *map(text, deltas))


def completion(*deltas: str, stop_reason: str = "end_turn", output_tokens: int = 7) -> Answer:
    """A message from beginning to end."""
    ending = (block_stop(), message_delta(stop_reason, output_tokens=output_tokens), message_stop())
    return event_stream(*beginning(*deltas), *ending, request_id=REQUEST_ID)


def failure(
    status: int, kind: str, message: str = "Overloaded", *, error_code: str | None = None, **headers: str
) -> Answer:
    """An error instead of a stream."""
    error: dict[str, object] = {"type": kind, "message": message}
    if error_code is not None:
        error["details"] = {"error_code": error_code}
    body = {"type": "error", "error": error, "request_id": REQUEST_ID}
    return json_answer(status, body, request_id=REQUEST_ID, **headers)


class FakeAnthropic(ScriptedServer):
    """Refuses what the real one refuses; without a script it says hello."""

    def refusal(self, call: Call) -> Answer | None:
        """Wrong path, key, version or body."""
        if (call.method, call.path) != ("POST", "/v1/messages"):
            return failure(404, "not_found_error", "Not found")
        if call.headers.get("authorization") != f"Bearer {API_KEY}":
            return failure(401, "authentication_error", "invalid bearer token")
        if call.headers.get("anthropic-version") != API_VERSION:
            return failure(400, "invalid_request_error", "anthropic-version: header is required")
        missing = [name for name in ("model", "max_tokens", "messages") if not call.body.get(name)]
        return failure(400, "invalid_request_error", f"{missing[0]}: Field required") if missing else None

    def default(self, call: Call) -> Answer:
        """A short message."""
        del call
        return completion("Hello", " world")
