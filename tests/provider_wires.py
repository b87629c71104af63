"""The wire formats of text providers, each with the same handful of builders, so that one suite can try them all."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, cast

from tests.fakes import anthropic_server, openai_responses_server, openai_server
from tests.fakes.anthropic_server import FakeAnthropic
from tests.fakes.openai_responses_server import FakeOpenAIResponses
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.scripted_server import Answer, ScriptedServer, Step, event_stream, json_answer

Counts: TypeAlias = Mapping[str, Any]
"""The fields of `Usage`, with any values: providers send anything."""

HELLO: Counts = {"input_tokens": 11, "output_tokens": 7}


@dataclass(frozen=True)
class Wire:
    """One wire format, as one provider speaks it."""

    provider: str
    server: type[ScriptedServer]
    environment: Callable[[str], dict[str, str]]
    """What configures the provider, given the address of the server."""
    beginning: Callable[..., tuple[Step, ...]]
    text: Callable[[str], bytes]
    ending: Callable[[Counts | None], tuple[bytes, ...]]
    """The end of an answer with this usage, or without any."""
    cut_off: Callable[[Counts], tuple[bytes, ...]]
    """The end of an answer that met the token limit."""
    interim: Callable[[Counts], bytes] | None
    """Usage so far, where the provider can send it before the end."""
    refused: Callable[[str], tuple[bytes, ...]]
    """The end of an answer that the provider refuses, with its words."""
    answer: Callable[..., tuple[bytes, ...]]
    """A structured answer in pieces, up to its end."""
    failure: Callable[..., Answer]
    """An error with this status instead of a stream."""
    overloaded: Answer
    mid_stream_errors: Mapping[str, bytes]
    """By the code of ours that each one means."""
    malformed: Mapping[str, bytes]
    keep_alive: bytes

    def completion(self, *deltas: str, usage: Counts | None = HELLO) -> Answer:
        """An answer from beginning to end."""
        return event_stream(*self.beginning(*deltas), *self.ending(usage))

    def structured(self, *pieces: str, usage: Counts | None = HELLO) -> Answer:
        """A structured answer from beginning to end."""
        return event_stream(*self.answer(*pieces), *self.ending_of_answer(usage))

    @property
    def ending_of_answer(self) -> Callable[[Counts | None], tuple[bytes, ...]]:
        """The end of a structured answer."""
        return self.ending if self.provider != "anthropic" else _anthropic_tool_ending


def _anthropic_usage(counts: Counts) -> dict[str, Any]:
    read, written = counts.get("cache_read_tokens", 0), counts.get("cache_write_tokens", 0)
    usage = {
        "input_tokens": counts["input_tokens"] - read - written,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": written,
        "output_tokens": counts["output_tokens"],
    }
    if "reasoning_tokens" in counts:
        usage["output_tokens_details"] = {"thinking_tokens": counts["reasoning_tokens"]}
    return usage


def _anthropic_ending(counts: Counts | None, *, reason: str = "end_turn", details: object = None) -> tuple[bytes, ...]:
    usage = {} if counts is None else _anthropic_usage(counts)
    delta = anthropic_server.message_delta(reason, stop_details=details, **usage)
    return (anthropic_server.block_stop(), delta, anthropic_server.message_stop())


def _anthropic_tool_ending(counts: Counts | None) -> tuple[bytes, ...]:
    return _anthropic_ending(counts, reason="tool_use")


def _anthropic_refusal(words: str) -> tuple[bytes, ...]:
    details = {"type": "refusal", "category": "bio", "explanation": words}
    return _anthropic_ending(HELLO, reason="refusal", details=details)


def _anthropic_answer(*pieces: str) -> tuple[bytes, ...]:
    started = (anthropic_server.message_start(), anthropic_server.tool_start())
    return (*started, *map(anthropic_server.tool_input, pieces))


def _anthropic_failure(status: int, message: str = "no", **headers: str) -> Answer:
    kinds = {
        400: "invalid_request_error",
        401: "authentication_error",
        402: "billing_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        500: "api_error",
        504: "timeout_error",
        529: "overloaded_error",
    }
    return anthropic_server.failure(status, kinds.get(status, "api_error"), message, **headers)


ANTHROPIC = Wire(
    provider="anthropic",
    server=FakeAnthropic,
    environment=lambda url: {"ANTHROPIC_API_KEY": anthropic_server.API_KEY, "ANTHROPIC_BASE_URL": url},
    beginning=anthropic_server.beginning,
    text=anthropic_server.text,
    ending=_anthropic_ending,
    cut_off=lambda counts: _anthropic_ending(counts, reason="max_tokens"),
    interim=lambda counts: anthropic_server.message_delta(None, **_anthropic_usage(counts)),
    refused=_anthropic_refusal,
    answer=_anthropic_answer,
    failure=_anthropic_failure,
    overloaded=_anthropic_failure(529),
    mid_stream_errors={
        "overloaded": anthropic_server.stream_error("overloaded_error", "Overloaded"),
        "rate_limited": anthropic_server.stream_error("rate_limit_error", "slower"),
        "unavailable": anthropic_server.stream_error("api_error", "Internal server error"),
        "invalid_request": anthropic_server.stream_error("invalid_request_error", "no"),
    },
    malformed={
        "half an object": b'event: content_block_delta\ndata: {"type": "content_block_delta", "index": 0, "del\n\n',
        "a number": b"event: content_block_delta\ndata: 5\n\n",
        "null": b"event: content_block_delta\ndata: null\n\n",
        "no UTF-8": b"event: content_block_delta\ndata: \xff\xfe\n\n",
        "a field too few": b'event: content_block_delta\ndata: {"type": "content_block_delta", "index": 0}\n\n',
        "text that is a number": anthropic_server.event(
            "content_block_delta", index=0, delta={"type": "text_delta", "text": 5}
        ),
        "null inside": anthropic_server.event("message_start", message=None),
    },
    keep_alive=anthropic_server.PING,
)


def _chat_usage(counts: Counts, **extra: object) -> dict[str, object]:
    details = {"cached_tokens": counts.get("cache_read_tokens"), "cache_write_tokens": counts.get("cache_write_tokens")}
    return {
        "prompt_tokens": counts["input_tokens"],
        "completion_tokens": counts["output_tokens"],
        "prompt_tokens_details": details,
        "completion_tokens_details": {"reasoning_tokens": counts.get("reasoning_tokens")},
        **extra,
    }


def _chat_ending(counts: Counts | None, *, reason: str = "stop", **extra: object) -> tuple[bytes, ...]:
    if counts is None:
        return (openai_server.finish(reason), openai_server.DONE)
    usage = openai_server.chunk(usage=_chat_usage(counts, **extra))
    return (openai_server.finish(reason), usage, openai_server.DONE)


def _chat_refusal(words: str) -> tuple[bytes, ...]:
    return (openai_server.refusal(words), *_chat_ending(HELLO))


def _chat_answer(*pieces: str) -> tuple[bytes, ...]:
    return (
        openai_server.role(),
        openai_server.tool_call("", first=True),
        *map(openai_server.tool_call, pieces),
    )


def _chat_failure(status: int, message: str = "no", **headers: str) -> Answer:
    kinds = {429: "requests", 500: "server_error", 503: "service_unavailable_error"}
    return openai_server.failure(status, message, kind=kinds.get(status, "invalid_request_error"), **headers)


CHAT = Wire(
    provider="openai",
    server=FakeOpenAI,
    environment=lambda url: {"OPENAI_API_KEY": openai_server.API_KEY, "OPENAI_BASE_URL": f"{url}/v1"},
    beginning=openai_server.beginning,
    text=openai_server.text,
    ending=_chat_ending,
    cut_off=lambda counts: _chat_ending(counts, reason="length"),
    interim=lambda counts: openai_server.chunk(openai_server.choice({"content": "."}), usage=_chat_usage(counts)),
    refused=_chat_refusal,
    answer=_chat_answer,
    failure=_chat_failure,
    overloaded=_chat_failure(503),
    mid_stream_errors={
        "overloaded": openai_server.stream_error("busy", code="server_is_overloaded"),
        "rate_limited": openai_server.stream_error("slower", kind="tokens", code="rate_limit_exceeded"),
        "unavailable": openai_server.data({"error": "just words"}),
        "invalid_request": openai_server.stream_error("too long", kind="invalid_request_error"),
    },
    malformed={
        "half an object": b'data: {"id": "chatcmpl-1", "cho\n\n',
        "a number": b"data: 5\n\n",
        "null": b"data: null\n\n",
        "no UTF-8": b"data: \xff\xfe\n\n",
        "a field too few": openai_server.data({"id": "chatcmpl-1", "object": "chat.completion.chunk"}),
        "text that is a number": openai_server.chunk(openai_server.choice({"content": 5})),
        "null inside": openai_server.chunk({"index": 0}),
    },
    keep_alive=openai_server.KEEP_ALIVE,
)


def _responses_usage(counts: Counts) -> dict[str, object]:
    read, written = counts.get("cache_read_tokens", 0), counts.get("cache_write_tokens", 0)
    return openai_responses_server.usage(
        counts["input_tokens"],
        counts["output_tokens"],
        input_tokens_details={"cached_tokens": read, "cache_write_tokens": written},
        output_tokens_details={"reasoning_tokens": counts.get("reasoning_tokens", 0)},
    )


def _responses_ending(counts: Counts | None) -> tuple[bytes, ...]:
    return (openai_responses_server.completed(None if counts is None else _responses_usage(counts)),)


def _responses_refusal(words: str) -> tuple[bytes, ...]:
    return (openai_responses_server.refusal(words), *_responses_ending(HELLO))


def _responses_answer(*pieces: str) -> tuple[bytes, ...]:
    return (openai_responses_server.call_start(), *map(openai_responses_server.arguments, pieces))


RESPONSES = Wire(
    provider="openai-responses",
    server=FakeOpenAIResponses,
    environment=lambda url: {"OPENAI_API_KEY": openai_server.API_KEY, "OPENAI_BASE_URL": f"{url}/v1"},
    beginning=openai_responses_server.beginning,
    text=openai_responses_server.text,
    ending=_responses_ending,
    cut_off=lambda counts: (openai_responses_server.incomplete("max_output_tokens", _responses_usage(counts)),),
    interim=None,
    refused=_responses_refusal,
    answer=_responses_answer,
    failure=_chat_failure,
    overloaded=_chat_failure(503),
    mid_stream_errors={
        "overloaded": openai_responses_server.stream_error("busy", code="server_is_overloaded"),
        "rate_limited": openai_responses_server.failed("rate_limit_exceeded", "slower"),
        "unavailable": openai_responses_server.failed("server_error", "The server had an error"),
        "content_refused": openai_responses_server.failed("bio_policy", "not this"),
        "invalid_request": openai_responses_server.failed("invalid_image", "no picture"),
    },
    malformed={
        "half an object": b'event: response.output_text.delta\ndata: {"type": "response.output_text.del\n\n',
        "a number": b"event: response.output_text.delta\ndata: 5\n\n",
        "null": b"event: response.output_text.delta\ndata: null\n\n",
        "no UTF-8": b"event: response.output_text.delta\ndata: \xff\xfe\n\n",
        "a field too few": openai_responses_server.event("response.output_text.delta", output_index=0),
        "text that is a number": openai_responses_server.event("response.output_text.delta", delta=5),
        "null inside": openai_responses_server.event("response.completed", response=None),
    },
    keep_alive=openai_responses_server.KEEP_ALIVE,
)


def _compatible(name: str, **changes: object) -> Wire:
    """A server that speaks as OpenAI does, but for the changes."""
    prefix = name.upper()

    def environment(url: str) -> dict[str, str]:
        return {
            "HOLDFAST_COMPATIBLE_PROVIDERS": name,
            f"{prefix}_API_KEY": openai_server.API_KEY,
            f"{prefix}_BASE_URL": f"{url}/{name}/v1",
        }

    return replace(CHAT, provider=name, environment=environment, **cast("dict[str, Any]", changes))


def _groq_ending(counts: Counts | None, *, reason: str = "stop") -> tuple[bytes, ...]:
    last = json.loads(openai_server.finish(reason).removeprefix(b"data: "))
    extra = {"id": "req_groq"} if counts is None else {"id": "req_groq", "usage": _chat_usage(counts, queue_time=0.03)}
    return (openai_server.data({**last, "x_groq": extra}), openai_server.DONE)


def _groq_cut_off(counts: Counts) -> tuple[bytes, ...]:
    return _groq_ending(counts, reason="length")


def _groq_refusal(words: str) -> tuple[bytes, ...]:
    return (openai_server.refusal(words), *_groq_ending(HELLO))


def _groq_error(message: str) -> bytes:
    chunk = json.loads(openai_server.role().removeprefix(b"data: "))
    return openai_server.data({**chunk, "x_groq": {"id": "req_groq", "error": message}})


GROQ = _compatible(
    "groq",
    ending=_groq_ending,
    cut_off=_groq_cut_off,
    refused=_groq_refusal,
    mid_stream_errors={**CHAT.mid_stream_errors, "unavailable": _groq_error("stopped early")},
)


def _openrouter_error(code: int, message: str, **metadata: object) -> bytes:
    body = json.loads(openai_server.finish("error").removeprefix(b"data: "))
    return openai_server.data({**body, "error": {"code": code, "message": message, "metadata": metadata}})


def _openrouter_failure(status: int, message: str = "no", **headers: str) -> Answer:
    return json_answer(status, {"error": {"code": status, "message": message}}, **headers)


def _openrouter_ending(counts: Counts | None) -> tuple[bytes, ...]:
    return _chat_ending(counts, cost=0.0001234, is_byok=False)


OPENROUTER = _compatible(
    "openrouter",
    ending=_openrouter_ending,
    failure=_openrouter_failure,
    overloaded=_openrouter_failure(529),
    mid_stream_errors={
        "overloaded": _openrouter_error(529, "Provider overloaded", provider_name="Someone"),
        "rate_limited": _openrouter_error(429, "slower"),
        "unavailable": _openrouter_error(502, "Provider disconnected"),
        "content_refused": _openrouter_error(403, "flagged", reasons=["violence"], flagged_input="..."),
        "invalid_request": _openrouter_error(400, "no"),
    },
    keep_alive=b": OPENROUTER PROCESSING\n\n",
)


def _gemini_chunk(delta: dict[str, object], *, reason: str | None = None, usage: object = None) -> bytes:
    """Gemini leaves out what is empty: the index, the finish reason, the usage."""
    choice: dict[str, object] = {"delta": {"role": "assistant", **delta}}
    if reason is not None:
        choice["finish_reason"] = reason
    chunk: dict[str, object] = {"choices": [choice], "created": 1793000000, "model": "gemini-fake"}
    if usage is not None:
        chunk["usage"] = usage
    return openai_server.data({**chunk, "object": "chat.completion.chunk"})


def _gemini_text(delta: str) -> bytes:
    return _gemini_chunk({"content": delta})


def _gemini_ending(counts: Counts | None, *, reason: str = "stop") -> tuple[bytes, ...]:
    usage = None if counts is None else _chat_usage(counts)
    return (_gemini_chunk({"content": ""}, reason=reason, usage=usage), openai_server.DONE)


def _gemini_answer(*pieces: str) -> tuple[bytes, ...]:
    """It sends the whole call at once."""
    return (openai_server.tool_call("".join(pieces), first=True, index=None),)


def _gemini_failure(status: int, message: str = "no", **headers: str) -> Answer:
    """It wraps its errors in a list."""
    body = [{"error": {"code": status, "message": message, "status": "SOME_STATUS"}}]
    return json_answer(status, body, **headers)


def _gemini_beginning(*deltas: str) -> tuple[Step, ...]:
    return tuple(map(_gemini_text, deltas))


def _gemini_cut_off(counts: Counts) -> tuple[bytes, ...]:
    return _gemini_ending(counts, reason="length")


def _gemini_interim(counts: Counts) -> bytes:
    return _gemini_chunk({"content": "."}, usage=_chat_usage(counts))


def _gemini_refusal(words: str) -> tuple[bytes, ...]:
    del words
    return _gemini_ending(HELLO, reason="content_filter")


GEMINI = _compatible(
    "gemini",
    beginning=_gemini_beginning,
    text=_gemini_text,
    ending=_gemini_ending,
    cut_off=_gemini_cut_off,
    interim=_gemini_interim,
    refused=_gemini_refusal,
    answer=_gemini_answer,
    failure=_gemini_failure,
    overloaded=_gemini_failure(503),
    malformed={name: bad for name, bad in CHAT.malformed.items() if name != "null inside"},
)

WIRES = {wire.provider: wire for wire in (ANTHROPIC, CHAT, RESPONSES, GROQ, OPENROUTER, GEMINI, _compatible("vllm"))}
