"""Sending server-sent events over ASGI: ends when the reader leaves, and gives up on one that has stopped reading."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any, Final

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

ABORT_EXTENSION: Final = "holdfast.abort"
"""Scope extension of our server: closes the connection without waiting for what the reader does not take."""

_log: Final = structlog.get_logger("api.streams")


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
        try:
            async with contextlib.aclosing(self._frames) as frames:
                async for frame in frames:
                    for at in range(0, len(frame), SLICE_BYTES):
                        async with asyncio.timeout(STALLED_AFTER_S):
                            await send(
                                {
                                    "type": "http.response.body",
                                    "body": frame[at : at + SLICE_BYTES],
                                    "more_body": True,
                                }
                            )
        except TimeoutError:
            _log.info("stalled_reader_cut_off", after_s=STALLED_AFTER_S)
            if abort := scope.get("extensions", {}).get(ABORT_EXTENSION):
                abort["call"]()
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _has_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
