"""One attempt's stream, as the code that runs the generation sees it."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

import structlog

from workers.streams.code_blocks import CodeBlock, CodeBlocks
from workers.streams.errors import StreamFenced
from workers.streams.happenings import VALUE_TYPE, Budget, Happening
from workers.streams.json_fields import TopLevelFields
from workers.streams.outgoing import Outgoing
from workers.streams.terminal import Terminal, end_payload
from workers.streams.wire import ARTIFACT_KIND, STRUCTURED_KIND

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
    """One attempt's stream. What adds to it only takes note and returns; the writer's task does the sending."""

    def __init__(
        self,
        sender: Sender,
        generation_id: str,
        epoch: int,
        may_append: Callable[[], bool],
        *,
        code_blocks: bool = False,
    ) -> None:
        self.generation_id = generation_id
        self.epoch = epoch
        self.fenced = False
        self.outgoing = Outgoing(generation_id, epoch)
        self.may_append = may_append
        self.last_sent_s = float("-inf")
        self.has_spoken = False
        """Whether readers have been sent more than that it began."""
        self.drained = asyncio.Event()
        self._sender = sender
        self._is_finished = False
        self._budget = Budget()
        self._code_blocks = CodeBlocks() if code_blocks else None
        self._fields = TopLevelFields()
        self._has_value = False
        self._value: object = None

    @property
    def output_text(self) -> str:
        """The whole text so far: what the terminal state must hold once `finish_flush` has returned."""
        return self.outgoing.text.whole

    @property
    def output_artifacts(self) -> list[dict[str, object]]:
        """The data of every artifact so far, without their seq: the terminal state must hold them too."""
        return list(self.outgoing.artifacts)

    @property
    def output_structured(self) -> dict[str, object] | None:
        """The structured output so far, `{"json": ..., "value": ...}`; the value once it was given. `None`: none."""
        text = self.outgoing.json.whole
        if not text and not self._has_value:
            return None
        return {"json": text, "value": self._value} if self._has_value else {"json": text}

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
        if piece := self.outgoing.add_text(piece):
            if self._code_blocks is not None:
                self._add_blocks(self._code_blocks.feed(piece))
            self._sender.note(self)

    def json(self, piece: str) -> None:
        """Add a piece of the JSON text of structured output, cut anywhere; each top-level field is shown once whole.

        Raises:
            StreamFenced: a later attempt writes this stream.
        """
        self._check()
        if piece := self.outgoing.add_json(piece):
            for found in self._fields.feed(piece):
                self._offer(Happening(STRUCTURED_KIND, {"type": "field", "path": found.path, "value": found.value}))
            self._sender.note(self)

    def structured_value(self, value: object) -> None:
        """Show the whole of the structured output, once it is complete and valid. Call it once, after all of `json`.

        Raises:
            StreamFenced: a later attempt writes this stream.
        """
        self._check()
        assert not self._has_value, "the value is given once"
        self._has_value, self._value = True, value
        if not self._offer(Happening(STRUCTURED_KIND, {"type": VALUE_TYPE, "value": value})):
            self._offer(Happening(STRUCTURED_KIND, {"type": VALUE_TYPE, "omitted": True}))
        self._sender.note(self)

    def event(self, kind: str, data: Mapping[str, object]) -> None:
        """Add a `progress`, `artifact` or `structured` event; its seq is added to the data.

        Progress that says the same again, or comes far too often, is left out.

        Raises:
            EventRefused: it is larger than an event may be, or one too many.
            StreamFenced: a later attempt writes this stream.
        """
        self._check()
        happening = Happening(kind, data)
        if self._budget.take(happening):
            self.outgoing.add(happening)
            self._sender.note(self)

    async def finish_flush(self, timeout_s: float = FLUSH_TIMEOUT_S) -> bool:
        """Close the text and wait until readers can have all of it; false if Redis did not take it in time.

        Either way `output_text`, `output_artifacts`, `output_structured` and `next_seq` are final and the generation
        may be settled. A second call only waits.

        Raises:
            StreamFenced: a later attempt writes this stream; settle nothing.
        """
        if not self._is_finished:
            self._check()
            left = self.outgoing.flush_pieces()
            if self._code_blocks is not None:
                self._add_blocks([*self._code_blocks.feed(left), *self._code_blocks.finish()])
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

    def _add_blocks(self, blocks: Iterable[CodeBlock]) -> None:
        for block in blocks:
            # What does not fit any more is still in the text: a generation does not fail for it.
            self._offer(Happening(ARTIFACT_KIND, {"index": len(self.outgoing.artifacts), **block.data()}))

    def _offer(self, happening: Happening) -> bool:
        """Add an event that readers can do without; false if there is no room for it."""
        has_room = self._budget.has_room(happening)
        if has_room:
            self.outgoing.add(happening)
        return has_room

    def _check(self) -> None:
        self._check_fence()
        assert not self._is_finished, "nothing may follow the end of the text"

    def _check_fence(self) -> None:
        if self.fenced:
            raise StreamFenced(self.generation_id, epoch=self.epoch)
