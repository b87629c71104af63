"""How a generation ended, as Postgres keeps it, and the `end` event that everyone renders from it.

The worker appends `end` after the terminal state has committed, and the API composes the same `end` when Redis lost it
or the worker died in between. Both call `end_payload`, so the id and the bytes are the same whoever wrote them.
"""

import hashlib
from typing import Final, Literal, TypeAlias

from msgspec import Struct, field

from ledger.amounts import format_credits
from workers.streams.content import Content
from workers.streams.cursor import Cursor
from workers.streams.wire import ascii_json

Status: TypeAlias = Literal["completed", "cancelled", "failed"]


UNWRITTEN_END_SEQ: Final = 2
"""The seq of the `end` of an epoch in which nothing was streamed: a snapshot takes the place of seq 1."""


class Failure(Struct, frozen=True):
    """Why a generation failed, in a form that may be shown to its owner."""

    code: str
    message: str


class Terminal(Struct, frozen=True, kw_only=True):
    """The terminal state of a generation, complete enough to stream it again without Redis.

    `end_seq` is the seq of the `end` event: `GenerationStream.next_seq` after `finish_flush`. Whoever ends a generation
    without having written its stream (a sweeper that finds the worker gone, a cancel before the first claim) takes the
    next epoch and `UNWRITTEN_END_SEQ`, so that nothing a lost worker may still append can lie behind the end.
    """

    epoch: int
    end_seq: int
    status: Status
    text: str
    text_length: int
    text_sha256: str
    usage: dict[str, int] = field(default_factory=dict[str, int])
    cost_microcredits: int
    error: Failure | None = None
    artifacts: list[dict[str, object]] = field(default_factory=list[dict[str, object]])
    """The data of every `artifact` event, in their order, without their seq."""
    structured: dict[str, object] | None = None
    """Where structured output stands: `{"json": text so far}`, and `"value"` once it is complete."""

    def __post_init__(self) -> None:
        has_content = self.text or self.artifacts or self.structured is not None
        assert self.end_seq >= UNWRITTEN_END_SEQ or not has_content, (
            "content needs an event or a snapshot before the end"
        )

    @property
    def content(self) -> Content:
        """What a snapshot of it holds; nobody needs to see its progress any more."""
        return Content(self.text, self.artifacts, self.structured)

    @property
    def end(self) -> Cursor:
        """The cursor of the `end` event; a reader that has it has everything."""
        return Cursor(epoch=self.epoch, seq=self.end_seq)


class GenerationState(Struct, frozen=True):
    """What Postgres knows of a generation: its latest attempt (0 before the first claim), and its end if it has one."""

    epoch: int
    terminal: Terminal | None = None


def text_sha256(text: str) -> str:
    """SHA-256 of the UTF-8 bytes, in hex: what `end` names and every reader can check."""
    return hashlib.sha256(text.encode()).hexdigest()


def end_payload(terminal: Terminal) -> str:
    """The data of the `end` event as ASCII JSON.

    Usage is written in the order of its names: `jsonb` does not keep the order it was given.
    """
    data: dict[str, object] = {
        "seq": terminal.end_seq,
        "status": terminal.status,
        "text_len": terminal.text_length,
        "text_sha256": terminal.text_sha256,
        "usage": dict(sorted(terminal.usage.items())),
        "cost": format_credits(terminal.cost_microcredits),
    }
    if terminal.error is not None:
        data["error"] = {"code": terminal.error.code, "message": terminal.error.message}
    return ascii_json(data)
