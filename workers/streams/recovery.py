"""For whoever finds a generation without its worker: what its stream still holds, and how to end it for readers."""

import json
from typing import cast

import structlog
from msgspec import Struct
from redis.asyncio import Redis

from workers.streams.content import NOTHING, Content, content_entry, read_content_entry
from workers.streams.cursor import Cursor, event_entry_id, parse_entry_id, snapshot_entry_id
from workers.streams.errors import UnreadableEntry
from workers.streams.happenings import VALUE_TYPE
from workers.streams.terminal import Terminal, end_payload
from workers.streams.wire import (
    ARTIFACT_KIND,
    DELTA_KIND,
    END_KIND,
    ENTRY_LIFETIME_S,
    JSON_ENTRY,
    PROGRESS_KIND,
    SNAPSHOT_KIND,
    STRUCTURED_KIND,
    TEXT_ENTRY,
    stream_key,
)

_log = structlog.stdlib.get_logger(__name__)


class Recovered(Struct, frozen=True):
    """What the latest attempt streamed, as far as Redis holds it without a gap."""

    cursor: Cursor
    content: Content

    @property
    def text(self) -> str:
        """The text."""
        return self.content.text

    @property
    def artifacts(self) -> list[dict[str, object]]:
        """The data of every artifact, without their seq."""
        return self.content.artifacts

    @property
    def structured(self) -> dict[str, object] | None:
        """Structured output so far: `{"json": ..., "value": ...}`."""
        return self.content.structured


async def recover_text(redis: Redis, generation_id: str) -> Recovered | None:
    """Read back what a lost worker had streamed; None if Redis has nothing of it."""
    entries = await redis.xrange(stream_key(generation_id))
    fold: _Fold | None = None
    for entry_id, fields in cast("list[tuple[bytes, dict[bytes, bytes]]]", entries):
        cursor, _ = parse_entry_id(entry_id)
        if fold is None or fold.cursor.epoch != cursor.epoch:
            fold = _Fold(Cursor(epoch=cursor.epoch, seq=0))
        try:
            ((kind, payload),) = fields.items()
            fold.take(cursor, kind.decode(), payload)
        except (UnreadableEntry, ValueError) as error:
            _log.warning("stream_entry_unreadable", generation_id=generation_id, error=str(error))
    return None if fold is None else fold.recovered()


class _Fold:
    """One attempt's entries, taken in order: those behind a gap are left out."""

    def __init__(self, cursor: Cursor) -> None:
        self._begin(cursor, NOTHING)

    def _begin(self, cursor: Cursor, base: Content) -> None:
        self.cursor = cursor
        self._base = base
        self._text: list[str] = []
        self._json: list[str] = []
        self._artifacts: list[dict[str, object]] = []
        self._value: dict[str, object] = {}
        self._progress: dict[str, object] | None = None

    def take(self, cursor: Cursor, kind: str, payload: bytes) -> None:
        if kind == SNAPSHOT_KIND:
            self._begin(cursor, read_content_entry(payload))
            return
        if cursor.seq != self.cursor.seq + 1:
            return
        if kind == TEXT_ENTRY:
            self._text.append(payload.decode())
        elif kind == JSON_ENTRY:
            self._json.append(payload.decode())
        else:
            self._take_event(kind, json.loads(payload))
        self.cursor = cursor

    def recovered(self) -> Recovered:
        base = self._base
        structured = {**(base.structured or {}), **self._value}
        if self._json or structured:
            so_far = structured.get("json", "")
            structured["json"] = (so_far if isinstance(so_far, str) else "") + "".join(self._json)
        content = Content(
            text=base.text + "".join(self._text),
            artifacts=base.artifacts + self._artifacts,
            structured=structured or None,
            progress=self._progress or base.progress,
        )
        return Recovered(self.cursor, content)

    def _take_event(self, kind: str, data: dict[str, object]) -> None:
        if kind == DELTA_KIND:
            self._text.append(str(data["text"]))
            return
        data.pop("seq", None)
        if kind == ARTIFACT_KIND:
            self._artifacts.append(data)
        elif kind == PROGRESS_KIND:
            self._progress = data
        elif kind == STRUCTURED_KIND and data.get("type") == VALUE_TYPE:
            self._value = {name: value for name, value in data.items() if name != "type"}


async def announce_end(redis: Redis, generation_id: str, terminal: Terminal) -> None:
    """Append the `end` of a generation that its own worker did not end, after its terminal state has committed.

    Best effort and safe to repeat: readers would get the same from Postgres a second later.
    """
    key = stream_key(generation_id)
    covered = Cursor(epoch=terminal.epoch, seq=terminal.end_seq - 1)
    async with redis.pipeline(transaction=False) as pipeline:
        if covered.seq > 0:
            pipeline.xadd(key, {SNAPSHOT_KIND: content_entry(terminal.content)}, id=snapshot_entry_id(covered))
        pipeline.xadd(key, {END_KIND: end_payload(terminal)}, id=event_entry_id(terminal.end))
        pipeline.expire(key, ENTRY_LIFETIME_S)
        await pipeline.execute(raise_on_error=False)
