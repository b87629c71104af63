"""A fake of OpenAI's Responses API: its events, its headers, its refusals."""

import itertools
import json
from collections.abc import Iterator

from tests.fakes.openai_server import API_KEY, REQUEST_ID, failure
from tests.fakes.scripted_server import Answer, Call, ScriptedServer, Step, event_stream

MODEL = "gpt-fake-6"
KEEP_ALIVE = b": keep-alive\n\n"

_sequence: Iterator[int] = itertools.count()


def event(kind: str, **fields: object) -> bytes:
    """One server-sent event, named as its type."""
    body = {"type": kind, "sequence_number": next(_sequence), **fields}
    return f"event: {kind}\ndata: {json.dumps(body, ensure_ascii=False)}\n\n".encode()


def response(status: str, **fields: object) -> dict[str, object]:
    """The response object, as far as it has come."""
    return {
        "id": "resp_fake_01",
        "object": "response",
        "created_at": 1793000000,
        "status": status,
        "model": MODEL,
        "output": [],
        "error": None,
        "incomplete_details": None,
        "parallel_tool_calls": False,
        "store": False,
        "usage": None,
        **fields,
    }


def usage(input_tokens: object = 11, output_tokens: object = 7, **details: object) -> dict[str, object]:
    """The usage of a terminal event. Without details: nothing cached, no reasoning."""
    return {
        "input_tokens": input_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 18,
        **details,
    }


def text(delta: str) -> bytes:
    """A piece of text."""
    return event(
        "response.output_text.delta", item_id="msg_1", output_index=0, content_index=0, delta=delta, logprobs=[]
    )


def refusal(delta: str) -> bytes:
    """A piece of the model's refusal."""
    return event("response.refusal.delta", item_id="msg_1", output_index=0, content_index=0, delta=delta)


def reasoning(delta: str) -> bytes:
    """A piece of a summary of the model's reasoning."""
    return event("response.reasoning_summary_text.delta", item_id="rs_1", output_index=0, summary_index=0, delta=delta)


def call_start(output_index: int = 0, name: str = "answer") -> bytes:
    """A function call begins."""
    item = {
        "id": f"fc_{output_index}",
        "type": "function_call",
        "status": "in_progress",
        "call_id": "call_1",
        "name": name,
        "arguments": "",
    }
    return event("response.output_item.added", output_index=output_index, item=item)


def arguments(delta: str, output_index: int = 0) -> bytes:
    """A piece of the arguments of a call."""
    return event(
        "response.function_call_arguments.delta", item_id=f"fc_{output_index}", output_index=output_index, delta=delta
    )


def arguments_done(whole: str, output_index: int = 0) -> bytes:
    """All the arguments of a call."""
    return event(
        "response.function_call_arguments.done",
        item_id=f"fc_{output_index}",
        output_index=output_index,
        name="answer",
        arguments=whole,
    )


def completed(counted: object = None) -> bytes:
    """The last event of a response that is complete, with its usage."""
    return event("response.completed", response=response("completed", usage=counted))


def incomplete(reason: str, counted: object = None) -> bytes:
    """The last event of a response that was ended early."""
    return event(
        "response.incomplete", response=response("incomplete", incomplete_details={"reason": reason}, usage=counted)
    )


def failed(code: str, message: str, counted: object = None) -> bytes:
    """The last event of a response that failed."""
    return event(
        "response.failed", response=response("failed", error={"code": code, "message": message}, usage=counted)
    )


def stream_error(message: str, *, code: str | None = None) -> bytes:
    """An error in mid-stream, under status 200."""
    return event("error", code=code, message=message, param=None)


def beginning(*deltas: str) -> tuple[Step, ...]:
    """A response that has begun and said so much."""
    item: dict[str, object] = {
        "id": "msg_1",
        "type": "message",
        "status": "in_progress",
        "role": "assistant",
        "content": [],
    }
    part: dict[str, object] = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    return (
        event("response.created", response=response("in_progress")),
        event("response.in_progress", response=response("in_progress")),
        event("response.output_item.added", output_index=0, item=item),
        event("response.content_part.added", item_id="msg_1", output_index=0, content_index=0, part=part),
        KEEP_ALIVE,
        *map(text, deltas),
    )


def completion(*deltas: str, output_tokens: int = 7) -> Answer:
    """A response from beginning to end."""
    counted = usage(output_tokens=output_tokens)
    return event_stream(*beginning(*deltas), completed(counted), x_request_id=REQUEST_ID)


class FakeOpenAIResponses(ScriptedServer):
    """Refuses what the real one refuses; without a script it says hello."""

    @property
    def base_url(self) -> str:
        """What `OPENAI_BASE_URL` is to be."""
        return f"{self.url}/v1"

    def refusal(self, call: Call) -> Answer | None:
        """Wrong path, key or body; and a conversation that would be kept."""
        if (call.method, call.path) != ("POST", "/v1/responses"):
            return failure(404, f"Invalid URL (POST {call.path})", kind="invalid_request_error")
        if call.headers.get("authorization") != f"Bearer {API_KEY}":
            return failure(401, "Incorrect API key provided.", kind="invalid_request_error", code="invalid_api_key")
        missing = [name for name in ("model", "input") if not call.body.get(name)]
        if missing:
            return failure(400, f"Missing required parameter: '{missing[0]}'.", kind="invalid_request_error")
        limit = call.body.get("max_output_tokens")
        if isinstance(limit, int) and limit < 16:
            return failure(400, "Expected a value >= 16.", kind="invalid_request_error")
        return None

    def default(self, call: Call) -> Answer:
        """A short response."""
        del call
        return completion("Hello", " world")
