"""An HTTP/1.1 server on a real socket that answers by script, down to the byte and the moment a connection breaks.

Each call takes the next scripted answer; without one the server's own default answers. What a client sent, and whether
it went away before the answer was over, is recorded in `calls`.
"""

import asyncio
import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import msgspec

from tests.waiting import eventually

READ_LIMIT_BYTES = 1 << 20


class Cut:
    """The connection breaks at once (RST), as when a process or a machine dies."""


class Hang:
    """Nothing more is ever sent, and the connection stays open."""


@dataclass
class Hold:
    """Nothing is sent until the test says so."""

    released: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        """Let the answer go on."""
        self.released.set()


@dataclass
class Repeat:
    """The same bytes again and again, until the client goes: a server that only pings."""

    payload: bytes
    every_s: float


Step = bytes | Cut | Hang | Hold | Repeat


@dataclass(frozen=True)
class Answer:
    """What to send back. Each piece of bytes in `steps` is one HTTP chunk, flushed on its own."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    steps: tuple[Step, ...] = ()
    ends_cleanly: bool = True
    """Send the closing chunk. Without it the connection closes (FIN) in the middle of the body."""
    has_head: bool = True
    """Send a status line and headers at all."""


@dataclass
class Call:
    """One request as it arrived."""

    connection: int
    method: str
    path: str
    headers: dict[str, str]
    raw_body: bytes
    client_left: asyncio.Event = field(default_factory=asyncio.Event)
    """The client closed the connection before it had the whole answer."""

    @property
    def body(self) -> dict[str, object]:
        """The JSON object that was sent."""
        return msgspec.json.decode(self.raw_body, type=dict[str, object])


def json_answer(status: int, body: object, **headers: str) -> Answer:
    """A whole JSON answer. Underscores in header names become dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"content-type": "application/json", **named}, (json.dumps(body).encode(),))


def event_stream(*steps: Step, ends_cleanly: bool = True, **headers: str) -> Answer:
    """A stream of server-sent events."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(200, {"content-type": "text/event-stream; charset=utf-8", **named}, steps, ends_cleanly)


def no_answer(step: Step) -> Answer:
    """Not even a status line, but this."""
    return Answer(steps=(step,), has_head=False)


class ScriptedServer:
    """Listens on a free port of the loopback while used as a context manager."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._script: deque[Answer] = deque()
        self._connections = 0
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=READ_LIMIT_BYTES)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._open:
            writer.transport.abort()
        await eventually(lambda: not self._open)

    @property
    def url(self) -> str:
        """The address, without a path."""
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def script(self, *answers: Answer) -> None:
        """Answer the next calls so, one each."""
        self._script.extend(answers)

    async def call(self, at: int = 0) -> Call:
        """The call of that number, as soon as it has arrived."""
        await eventually(lambda: len(self.calls) > at)
        return self.calls[at]

    def refusal(self, call: Call) -> Answer | None:
        """What the real service would refuse in this call, whatever the script says."""
        del call
        return None

    def default(self, call: Call) -> Answer:
        """The answer to a call that no script covers."""
        return json_answer(404, {"path": call.path})

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        self._connections += 1
        connection = self._connections
        try:
            while (call := await _read_call(reader, connection)) is not None:
                self.calls.append(call)
                answer = self.refusal(call) or (self._script.popleft() if self._script else self.default(call))
                if not await _send(answer, call, reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            if self.calls:
                self.calls[-1].client_left.set()
        finally:
            self._open.discard(writer)
            writer.close()


async def _read_call(reader: asyncio.StreamReader, connection: int) -> Call | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    request_line, *lines = head.decode("latin-1").rstrip().split("\r\n")
    method, path, _ = request_line.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Call(connection, method, path, headers, body)


async def _send(answer: Answer, call: Call, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Whether the connection can take another call."""
    if answer.has_head:
        await _write_head(answer, writer)
    for step in answer.steps:
        if not await _take(step, call, reader, writer):
            return False
    if answer.ends_cleanly:
        writer.write(b"0\r\n\r\n")
        await writer.drain()
    return answer.ends_cleanly


async def _write_head(answer: Answer, writer: asyncio.StreamWriter) -> None:
    head = [f"HTTP/1.1 {answer.status} Scripted", "transfer-encoding: chunked"]
    head += [f"{name}: {value}" for name, value in answer.headers.items()]
    writer.write("\r\n".join([*head, "", ""]).encode("latin-1"))
    await writer.drain()


async def _take(step: Step, call: Call, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Whether the answer goes on after this step."""
    match step:
        case bytes():
            await _write_chunk(writer, step)
            return True
        case Cut():
            writer.transport.abort()
            return False
        case Hang():
            await _client_leaves(call, reader)
            return False
        case Hold():
            return await _released_before_client_leaves(step, call, reader)
        case Repeat():
            leaving = asyncio.ensure_future(_client_leaves(call, reader))
            while not leaving.done():
                await _write_chunk(writer, step.payload)
                await asyncio.wait({leaving}, timeout=step.every_s)
            return False


async def _write_chunk(writer: asyncio.StreamWriter, payload: bytes) -> None:
    if payload:
        writer.write(f"{len(payload):x}\r\n".encode() + payload + b"\r\n")
        await writer.drain()


async def _released_before_client_leaves(hold: Hold, call: Call, reader: asyncio.StreamReader) -> bool:
    released = asyncio.ensure_future(hold.released.wait())
    leaving = asyncio.ensure_future(_client_leaves(call, reader))
    try:
        await asyncio.wait({released, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return not leaving.done()
    finally:
        for waiting in (released, leaving):
            waiting.cancel()
        await asyncio.gather(released, leaving, return_exceptions=True)


async def _client_leaves(call: Call, reader: asyncio.StreamReader) -> None:
    """Return when the client closed. It sends nothing while it waits, so nothing of a later call is lost."""
    try:
        sent = await reader.read(1)
    except ConnectionError:
        sent = b""
    assert sent == b"", "a client sent a second request before it had the answer to the first"
    call.client_left.set()
