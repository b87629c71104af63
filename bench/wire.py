"""An HTTP/1.1 client that costs almost nothing, since it shares the cores with the server it measures."""

import asyncio
import time
from typing import ClassVar, Final, cast

_HEAD_END: Final = b"\r\n\r\n"


class Connection(asyncio.Protocol):
    """One keep-alive connection with one request in flight at a time, answers with a length."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    @classmethod
    async def open(cls, host: str, port: int) -> "Connection":
        """Connect."""
        _, protocol = await asyncio.get_running_loop().create_connection(cls, host, port)
        return protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("closed by the server"))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a whole request and return the status and body of its answer."""
        assert self._transport is not None, "not connected"
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        self._received += data
        end = self._received.find(_HEAD_END)
        if end < 0:
            return
        head = self._received[:end].lower()
        start = head.find(b"content-length:")
        length = int(head[start + 15 :].split(b"\r", 1)[0])
        whole = end + 4 + length
        if len(self._received) < whole:
            return
        body, self._received = self._received[end + 4 : whole], self._received[whole:]
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((int(head[9:12]), body))

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()


class Stream(asyncio.Protocol):
    """A streamed answer, kept as it arrived: when, and which bytes. Taking it apart waits until the run is over."""

    first_sign: ClassVar[bytes] = b"event: delta"
    """What is in the bytes that bring the first text."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._transport: asyncio.Transport | None = None
        self.chunks: list[tuple[float, bytes]] = []
        self.closed = asyncio.Event()
        self.saw_delta: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    @classmethod
    async def open(cls, host: str, port: int, request: bytes) -> "Stream":
        """Connect and send the request."""
        _, protocol = await asyncio.get_running_loop().create_connection(lambda: cls(request), host, port)
        return protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        now = time.monotonic()
        self.chunks.append((now, data))
        if not self.saw_delta.done() and self.first_sign in data:
            self.saw_delta.set_result(now)
        # Chunked transfer ends with an empty chunk.
        if data.endswith(b"0\r\n\r\n"):
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        self.closed.set()

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def events(self) -> list[tuple[float, bytes]]:
        """Return each server-sent event's bytes with the time at which its last byte came."""
        received = b""
        found: list[tuple[float, bytes]] = []
        pending = b""
        in_body = False
        for moment, data in self.chunks:
            received += data
            if not in_body:
                end = received.find(_HEAD_END)
                if end < 0:
                    continue
                received, in_body = received[end + 4 :], True
            while (body := _take_chunk(received)) is not None:
                content, received = body
                pending += content
            *frames, pending = pending.split(b"\n\n")
            found += [(moment, frame) for frame in frames]
        return found


def _take_chunk(received: bytes) -> tuple[bytes, bytes] | None:
    end = received.find(b"\r\n")
    if end < 0:
        return None
    size = int(received[:end], 16)
    if size == 0 or len(received) < end + 2 + size + 2:
        return None
    return received[end + 2 : end + 2 + size], received[end + 2 + size + 2 :]


def request(method: str, path: str, *, key: str, body: bytes = b"", headers: str = "") -> bytes:
    """Render a request."""
    return (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    ).encode() + body
