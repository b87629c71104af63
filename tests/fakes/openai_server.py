"""A fake of OpenAI's Chat Completions API: its chunks, its headers, its refusals."""

import json

from tests.fakes.scripted_server import Answer, Call, ScriptedServer, Step, event_stream, json_answer

API_KEY = "sk-fake"
MODEL = "gpt-fake-6"
REQUEST_ID = "req_fake_02"

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"


def data(payload: object) -> bytes:
    """One server-sent event; this API names none."""
    return f"data: {json.dumps(payload, ensure_ascii=False)}\n\n".encode()


def chunk(*choices: dict[str, object], usage: object = None) -> bytes:
    """One chunk of the completion."""
    return data(
        {
            "id": "chatcmpl-fake",
            "object": "chat.completion.chunk",
            "created": 1793000000,
            "model": MODEL,
            "service_tier": "default",
            "system_fingerprint": "fp_fake",
            "choices": list(choices),
            "usage": usage,
        }
    )


def choice(delta: dict[str, object], *, finish_reason: str | None = None, index: int = 0) -> dict[str, object]:
    """One choice of a chunk."""
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def role() -> bytes:
    """The first chunk: who speaks, and no text yet."""
    return chunk(choice({"role": "assistant", "content": "", "refusal": None}))


def text(delta: str) -> bytes:
    """A piece of text."""
    return chunk(choice({"content": delta}))


def refusal(delta: str) -> bytes:
    """A piece of the model's refusal."""
    return chunk(choice({"refusal": delta}))


def tool_call(arguments: str, *, first: bool = False, index: int | None = 0) -> bytes:
    """A piece of the arguments of a call; only the first has an id and a name."""
    call: dict[str, object] = {"function": {"arguments": arguments}}
    if first:
        call = {"id": "call_1", "type": "function", "function": {"name": "answer", "arguments": arguments}}
    if index is not None:
        call["index"] = index
    return chunk(choice({"tool_calls": [call]}))


def finish(reason: str = "stop") -> bytes:
    """The last chunk of the choice."""
    return chunk(choice({}, finish_reason=reason))


def usage(
    prompt_tokens: object = 11, completion_tokens: object = 7, total_tokens: object = 18, **details: object
) -> bytes:
    """The chunk with the usage, which has no choices."""
    return chunk(
        usage={
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": total_tokens,
            **details,
        }
    )


def stream_error(message: str, *, kind: str = "server_error", code: str | None = None) -> bytes:
    """An error in mid-stream, under status 200."""
    return data({"error": {"message": message, "type": kind, "param": None, "code": code}})


def beginning(*deltas: str) -> tuple[Step, ...]:
    """A completion that has begun and said so much."""
    return (role(), KEEP_ALIVE, *map(text, deltas))


def completion(*deltas: str, finish_reason: str = "stop", completion_tokens: int = 7) -> Answer:
    """A completion from beginning to end."""
    counted = usage(completion_tokens=completion_tokens, total_tokens=11 + completion_tokens)
    return event_stream(*beginning(*deltas), finish(finish_reason), counted, DONE, x_request_id=REQUEST_ID)


def failure(status: int, message: str, *, kind: str | None = None, code: str | None = None, **headers: str) -> Answer:
    """An error instead of a stream."""
    body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return json_answer(status, body, x_request_id=REQUEST_ID, **headers)


class FakeOpenAI(ScriptedServer):
    """Refuses what the real one refuses; without a script it says hello. Usage is streamed only to who asks for it."""

    @property
    def base_url(self) -> str:
        """What `OPENAI_BASE_URL` is to be."""
        return f"{self.url}/v1"

    def refusal(self, call: Call) -> Answer | None:
        """Wrong path, key or body."""
        if call.method != "POST" or not call.path.endswith("/chat/completions"):
            return failure(404, f"Invalid URL (POST {call.path})", kind="invalid_request_error")
        if call.headers.get("authorization") != f"Bearer {API_KEY}":
            return failure(401, "Incorrect API key provided.", kind="invalid_request_error", code="invalid_api_key")
        missing = [name for name in ("model", "messages") if not call.body.get(name)]
        message = f"Missing required parameter: '{''.join(missing[:1])}'."
        return (
            failure(400, message, kind="invalid_request_error", code="missing_required_parameter") if missing else None
        )

    def default(self, call: Call) -> Answer:
        """A short completion."""
        if call.body.get("stream_options") == {"include_usage": True}:
            return completion("Hello", " world")
        return event_stream(*beginning("Hello", " world"), finish(), DONE, x_request_id=REQUEST_ID)
