"""One attempt's stream, as the code that runs the generation sees it."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import structlog

from workers.streams.errors import StreamFenced
from workers.streams.outgoing import Outgoing
from workers.streams.terminal import Terminal, end_payload

FLUSH_TIMEOUT_S: Final = 2.0
"""How long the end of a generation waits for Redis before it goes on without."""

_log = structlog.stdlib.get_logger(__name__)


class Sender(Protocol):
    """Who sends what streams have taken note of."""

    def note(self, stream: "GenerationStream") -> None:
        """Take note that the stream has something to send."""
        ...

    async def drain(self, stream: "GenerationStream", timeout_s: float) -> bool:
        """Send what the stream has without waiting for its turn; false if it was not taken in time."""
        ...

    def forget(self, stream: "GenerationStream") -> None:
        """Stop writing a stream."""
        ...


class GenerationStream:
    """One attempt's stream. `text` and `event` only take note and return; the writer's task does the sending."""

    def __init__(self, sender: Sender, generation_id: str, epoch: int, may_append: Callable[[], bool]) -> None:
        self.generation_id = generation_id
        self.epoch = epoch
        self.fenced = False
        self.outgoing = Outgoing(generation_id, epoch)
        self.may_append = may_append
        self.last_sent_s = float("-inf")
        self.drained = asyncio.Event()
        self._sender = sender
        self._is_finished = False

    @property
    def output_text(self) -> str:
        """The whole text so far: what the terminal state must hold once `finish_flush` has returned."""
        return self.outgoing.text

    @property
    def next_seq(self) -> int:
        """The seq of the `end` event; known once `finish_flush` has returned."""
        assert self._is_finished
        return self.outgoing.sealed_seq + 1

    def text(self, piece: str) -> None:
        """Add a piece of text, cut anywhere.

        Raises:
            StreamFenced: a later attempt writes this stream.
        """
        self._check()
        if self.outgoing.add_text(piece):
            self._sender.note(self)

    def event(self, kind: str, data: Mapping[str, object]) -> None:
        """Add a `progress`, `artifact` or `structured` event; its seq is added to the data.

        Raises:
            StreamFenced: a later attempt writes this stream.
        """
        self._check()
        self.outgoing.add_event(kind, data)
        self._sender.note(self)

    async def finish_flush(self, timeout_s: float = FLUSH_TIMEOUT_S) -> bool:
        """Close the text and wait until readers can have all of it; false if Redis did not take it in time.

        Either way `output_text` and `next_seq` are final and the generation may be settled. A second call only waits.

        Raises:
            StreamFenced: a later attempt writes this stream; settle nothing.
        """
        if not self._is_finished:
            self._check()
            self.outgoing.seal_all()
            self._is_finished = True
        is_drained = await self._sender.drain(self, timeout_s)
        self._check_fence()
        return is_drained

    async def end(self, terminal: Terminal, timeout_s: float = FLUSH_TIMEOUT_S) -> bool:
        """Append `end` and let go of the stream. Call it after the terminal state has committed.

        False if Redis did not take it; readers then get the same `end` from Postgres within a second or two.
        """
        assert self._is_finished
        assert (terminal.epoch, terminal.end_seq) == (self.epoch, self.next_seq)
        self.outgoing.add_end(end_payload(terminal))
        try:
            return await self._sender.drain(self, timeout_s) and not self.fenced
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of the stream without an end: the attempt is lost or given back. What was not sent is forgotten."""
        self._is_finished = True
        self._sender.forget(self)

    def fence(self) -> None:
        """Take note that a later attempt writes this stream."""
        self.fenced = True
        _log.warning("stream_fenced", generation_id=self.generation_id, epoch=self.epoch)
        self.abandon()

    def _check(self) -> None:
        self._check_fence()
        assert not self._is_finished, "nothing may follow the end of the text"

    def _check_fence(self) -> None:
        if self.fenced:
            raise StreamFenced(self.generation_id, epoch=self.epoch)
