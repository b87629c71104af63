"""A provider that costs almost nothing: a process that speaks OpenAI's Chat Completions, streamed, at a known pace."""

import asyncio
import json
import multiprocessing
from collections.abc import Iterator
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Final, Self, cast

import uvloop

PACED: Final = "paced"
"""The model whose first token comes at once and the others at `TOKENS_PER_S`."""

UNPACED: Final = "unpaced"
"""The model that says everything as fast as it is read."""

TOKENS_PER_S: Final = 30
WORD: Final = "word"
"""What every token contains. No two that follow each other are the same: gateways cut off who repeats himself."""

WORDS_A_WRITE: Final = 25
"""Of the unpaced model."""

START_TIMEOUT_S: Final = 20
STOP_TIMEOUT_S: Final = 5

_ASKS: Final = b"POST /v1/chat/completions "
_HEAD_END: Final = b"\r\n\r\n"
_ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\n"
    b"content-type: text/event-stream\r\n"
    b"cache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_NOT_THAT: Final = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
_LAST: Final = b"0\r\n\r\n"


class ProviderServer:
    """The process. A context manager."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self.port = 0

    @property
    def base_url(self) -> str:
        """What a client of OpenAI's takes as its base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        self._process.start()
        if not self._pipe.poll(START_TIMEOUT_S):
            raise TimeoutError("the local provider did not start")
        self.port = cast("int", self._pipe.recv())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.join(STOP_TIMEOUT_S)


def chat_body(model: str, *, tokens: int) -> bytes:
    """Render the request for that many tokens."""
    messages = [{"role": "user", "content": "Say it."}]
    said = {"model": model, "messages": messages, "max_tokens": tokens, "stream": True}
    return json.dumps(said | {"stream_options": {"include_usage": True}}).encode()


class _Provider(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._answering: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answering is not None:
            self._answering.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, rest = self._received.partition(_HEAD_END)
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0] or 0)
        if len(rest) < length:
            return
        body, self._received = rest[:length], rest[length:]
        if not head.startswith(_ASKS):
            assert self._transport is not None
            self._transport.write(_NOT_THAT)
            return
        self._answering = asyncio.create_task(self._answer(json.loads(body)))

    async def _answer(self, asked: dict[str, object]) -> None:
        assert self._transport is not None
        model = str(asked["model"])
        tokens = int(str(asked.get("max_tokens") or asked["max_completion_tokens"]))
        words = [_text(model, f"{WORD}{number} ") for number in range(WORDS_A_WRITE)]
        if model == PACED:
            self._transport.write(_ANSWER + words[0])
            await self._say_paced(words, tokens - 1)
        else:
            self._transport.write(_ANSWER)
            for said in range(0, tokens, WORDS_A_WRITE):
                self._transport.write(b"".join(words[: tokens - said]))
                await asyncio.sleep(0)
        self._transport.write(b"".join(_ending(model, tokens)) + _LAST)

    async def _say_paced(self, words: list[bytes], times: int) -> None:
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        for number in range(1, times + 1):
            await asyncio.sleep(began_s + number / TOKENS_PER_S - loop.time())
            self._transport.write(words[number % len(words)])


def _text(model: str, text: str) -> bytes:
    return _event(model, [{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}])


def _ending(model: str, tokens: int) -> Iterator[bytes]:
    yield _event(model, [{"index": 0, "delta": {}, "finish_reason": "stop"}])
    usage = {"prompt_tokens": 10, "completion_tokens": tokens, "total_tokens": 10 + tokens}
    yield _event(model, [], usage=usage)
    yield _chunk(b"data: [DONE]\n\n")


def _event(model: str, choices: list[dict[str, object]], *, usage: dict[str, int] | None = None) -> bytes:
    said = {"id": "chatcmpl-local", "object": "chat.completion.chunk", "created": 1_793_000_000, "model": model}
    return _chunk(b"data: " + json.dumps(said | {"choices": choices, "usage": usage}).encode() + b"\n\n")


def _chunk(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(content), content)


def _serve(pipe: "Connection[object, object]") -> None:
    uvloop.run(_run(pipe))


async def _run(pipe: "Connection[object, object]") -> None:
    server = await asyncio.get_running_loop().create_server(_Provider, "127.0.0.1", 0, backlog=4_096)
    pipe.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()
