"""Sending a stream to readers who take it, who leave, and who stop reading."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from api import event_stream
from api.event_stream import DIRECT_EXTENSION, SLICE_BYTES, EventStream
from tests.waiting import eventually


class Reader:
    """One connection, as a server shows it to an application."""

    def __init__(self, *, takes: int | None = None) -> None:
        self.messages: list[Any] = []
        self.left = asyncio.Event()
        self.aborted = False
        self._takes = takes
        self.scope: Any = {"type": "http"}

    def abort(self) -> None:
        self.aborted = True

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    async def receive(self) -> Any:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        """Take a message as any server does."""
        if self._takes is not None and len(self.messages) > self._takes:
            await asyncio.Event().wait()
        self.messages.append(message)


class DirectReader(Reader):
    """A connection of our own server, which can be written to directly."""

    def __init__(self, *, takes: int | None = None) -> None:
        super().__init__(takes=takes)
        self.scope["extensions"] = {DIRECT_EXTENSION: {"transport": self, "flow": self}}
        self.written = b""
        self.has_gone = False

    @property
    def write_paused(self) -> bool:
        return self._takes is not None and len(self.written) > self._takes

    async def drain(self) -> None:
        await asyncio.Event().wait()

    def is_closing(self) -> bool:
        return self.has_gone

    def write(self, data: bytes) -> None:
        self.written += data


async def frames(*given: bytes, closed: list[str], endless: bool = False) -> AsyncGenerator[bytes, None]:
    try:
        for frame in given:
            yield frame
        if endless:
            await asyncio.Event().wait()
    finally:
        closed.append("closed")


async def test_a_stream_is_sent_to_its_end() -> None:
    reader, closed = Reader(), list[str]()

    await EventStream(frames(b"one", b"two", closed=closed))(reader.scope, reader.receive, reader.send)

    assert reader.messages[0]["status"] == 200
    assert dict(reader.messages[0]["headers"]) == {
        b"content-type": b"text/event-stream; charset=utf-8",
        b"cache-control": b"no-store, no-transform",
        b"x-accel-buffering": b"no",
    }
    assert reader.body == b"onetwo"
    assert reader.messages[-1]["more_body"] is False
    assert closed == ["closed"]


async def test_a_large_frame_is_sent_in_slices_so_that_the_server_can_say_stop() -> None:
    reader, frame = Reader(), bytes(range(256)) * 1_000

    await EventStream(frames(frame, closed=[]))(reader.scope, reader.receive, reader.send)

    assert reader.body == frame
    assert max(len(message.get("body", b"")) for message in reader.messages) == SLICE_BYTES


async def test_a_reader_who_leaves_ends_the_stream_and_nothing_else() -> None:
    reader, closed = Reader(), list[str]()
    sending = asyncio.create_task(
        EventStream(frames(b"one", closed=closed, endless=True))(reader.scope, reader.receive, reader.send)
    )
    await eventually(lambda: reader.body == b"one")
    assert not closed

    reader.left.set()
    async with asyncio.timeout(5):
        await sending

    assert closed == ["closed"]
    assert not reader.aborted


async def test_a_reader_who_stops_reading_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "STALLED_AFTER_S", 0.05)
    for reader in (Reader(takes=1), DirectReader(takes=1)):
        closed = list[str]()

        async with asyncio.timeout(5):
            await EventStream(frames(b"one", b"two", closed=closed))(reader.scope, reader.receive, reader.send)

        assert reader.aborted == isinstance(reader, DirectReader)
        assert closed == ["closed"]


async def test_our_own_server_is_written_to_directly_in_chunks_as_http_wants_them() -> None:
    reader = DirectReader()

    await EventStream(frames(b"one", b"x" * 20, closed=[]))(reader.scope, reader.receive, reader.send)

    assert reader.written == b"3\r\none\r\n14\r\n" + b"x" * 20 + b"\r\n"
    assert [message["type"] for message in reader.messages] == ["http.response.start", "http.response.body"]
    assert reader.messages[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


async def test_nothing_is_written_to_a_connection_that_has_gone() -> None:
    reader = DirectReader()
    reader.has_gone = True

    await EventStream(frames(b"one", closed=[]))(reader.scope, reader.receive, reader.send)

    assert reader.written == b""


async def test_a_bug_in_a_stream_is_not_swallowed() -> None:
    async def breaks() -> AsyncGenerator[bytes, None]:
        yield b"one"
        raise RuntimeError("bug")

    reader = Reader()

    with pytest.raises(RuntimeError, match="bug"):
        await EventStream(breaks())(reader.scope, reader.receive, reader.send)
