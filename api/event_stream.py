"""Sending server-sent events over ASGI: ends when the reader leaves, and gives up on one that has stopped reading."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final, Protocol, TypeAlias

import structlog
from litestar.types import Receive, Scope, Send

from api.answers import Header

HEADERS: Final[tuple[Header, ...]] = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
)
SLICE_BYTES: Final = 64 * 1024
"""The server holds what it could not send yet, and says so only between two calls: so no call is larger than this."""

STALLED_AFTER_S: Final = 30.0
"""A reader that has taken nothing for this long is cut off; it may come back with its cursor."""

DIRECT_EXTENSION: Final = "holdfast.direct"
"""Scope extension of our server: the connection's transport and its flow control. A thousand streams of thirty events a
second leave no time for the layers of an ASGI server, so the body is written past them, framed as they would."""

_log: Final = structlog.get_logger("api.streams")


Write: TypeAlias = Callable[[bytes], Awaitable[None] | None]
"""Writes some bytes; gives back what to wait for before writing more, if anything."""


class FlowControl(Protocol):
    """What the server knows of how much a connection still takes."""

    @property
    def write_paused(self) -> bool:
        """Whether more has been written than the connection takes now."""
        ...

    async def drain(self) -> None:
        """Wait until it takes more."""
        ...


class EventStream:
    """An ASGI application that sends the frames of one subscription.

    Nothing is settled when it ends, however it ends: a generation does not depend on who watches it.
    """

    def __init__(self, frames: AsyncGenerator[bytes, None]) -> None:
        self._frames = frames

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the frames end or the reader leaves."""
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        sending = asyncio.create_task(self._send_all(scope, send), name="stream")
        leaving = asyncio.create_task(_has_left(receive), name="stream reader")
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)
        if not sending.cancelled() and (error := sending.exception()) is not None:
            raise error

    async def _send_all(self, scope: Any, send: Send) -> None:
        direct = scope.get("extensions", {}).get(DIRECT_EXTENSION)
        write = _through(send) if direct is None else _past(direct["transport"], direct["flow"])
        try:
            async with contextlib.aclosing(self._frames) as frames:
                async for frame in frames:
                    for at in range(0, len(frame), SLICE_BYTES):
                        waiting = write(frame if len(frame) <= SLICE_BYTES else frame[at : at + SLICE_BYTES])
                        if waiting is not None:
                            async with asyncio.timeout(STALLED_AFTER_S):
                                await waiting
        except TimeoutError:
            _log.info("stalled_reader_cut_off", after_s=STALLED_AFTER_S)
            if direct is not None:
                direct["transport"].abort()
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _through(send: Send) -> Write:
    """Write by the means of any ASGI server."""
    return lambda data: send({"type": "http.response.body", "body": data, "more_body": True})


def _past(transport: asyncio.WriteTransport, flow: FlowControl) -> Write:
    """Write chunks of a chunked body to the connection; wait only when it is full."""

    def write(data: bytes) -> Awaitable[None] | None:
        if not transport.is_closing():
            transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        return flow.drain() if flow.write_paused else None

    return write


async def _has_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
