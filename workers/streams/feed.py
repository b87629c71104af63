"""What this process knows of one generation's stream, kept once for all its readers. No I/O.

Frames are rendered when an entry arrives and shared: a reader is only a cursor into this. So a reader that stops
reading holds nothing, a thousand readers of one generation cost one copy, and a reader that comes back is served from
memory.
"""

import json
from bisect import bisect_right
from typing import Final, NamedTuple

from workers.streams.content import NOTHING, Content, content_json, read_content_entry
from workers.streams.cursor import Cursor
from workers.streams.terminal import GenerationState, Terminal, end_payload
from workers.streams.wire import (
    DELTA_KIND,
    END_KIND,
    JSON_ENTRY,
    SNAPSHOT_KIND,
    STRUCTURED_KIND,
    TEXT_ENTRY,
    SnapshotReason,
    ascii_of,
    delta_payload,
    event_frame,
    snapshot_frame,
    structured_delta_payload,
)

MAX_CHUNK_BYTES: Final = 64 * 1024
KEPT_BEFORE_SNAPSHOT: Final = 512
"""Events kept in memory although a snapshot covers them, for readers that are only a little behind."""


class Chunk(NamedTuple):
    """Bytes for a reader and where they take it."""

    data: bytes
    cursor: Cursor


class Feed:
    """The latest epoch of one stream: a run of events without gaps, and a snapshot somewhere inside it."""

    def __init__(self, generation_id: str) -> None:
        self.generation_id = generation_id
        self.last_entry_id = "0-0"
        """Everything up to here has been read from Redis."""
        self.is_ended = False
        self.bytes_total = 0
        """All frame bytes ever taken; a reader that is further behind than it may be shows by this."""
        self._epoch = 0
        self._base_seq = 0
        self._frames: list[bytes] = []
        self._offsets: list[int] = []
        self._anchor_seq = 0
        self._anchor: bytes | Content = NOTHING
        """What a snapshot shows, rendered when the first reader needs it."""
        self._anchor_json: str | None = None
        self._text_length = 0
        self._shared: tuple[tuple[int, int, int], Chunk] | None = None

    @property
    def top(self) -> Cursor:
        """The newest event known."""
        return Cursor(epoch=self._epoch, seq=self._base_seq + len(self._frames))

    def take_entry(self, cursor: Cursor, kind: str, payload: bytes) -> bool:
        """Take an entry from Redis; false if it says nothing new.

        Entries of an earlier epoch come from a worker that has lost its lease and are ignored. An event that does not
        follow the last one shows that Redis lost some: it is left out, and the snapshot its writer appends covers it.

        Raises:
            UnreadableEntry, ValueError: it is not one of ours.
        """
        if self.is_ended or cursor.epoch < self._epoch:
            return False
        if cursor.epoch > self._epoch:
            self._begin_epoch(cursor.epoch)
        if kind == SNAPSHOT_KIND:
            return self._take_snapshot(cursor.seq, payload)
        if cursor.seq != self.top.seq + 1:
            return False
        self._append_entry(cursor, kind, payload)
        return True

    def take_state(self, state: GenerationState) -> bool:
        """Take what Postgres says; false if it says nothing new."""
        if self.is_ended:
            return False
        if state.terminal is not None:
            self._take_terminal(state.terminal)
            return True
        if state.epoch > self._epoch:
            self._begin_epoch(state.epoch)
            return True
        return False

    def next_chunk(self, cursor: Cursor | None) -> Chunk | None:
        """What a reader at `cursor` (None: from the start) gets next; None if it has everything."""
        frames: list[bytes] = []
        reason = self._snapshot_reason(cursor)
        if reason is not None:
            cursor = Cursor(epoch=self._epoch, seq=self._anchor_seq)
            frames.append(snapshot_frame(cursor, self._snapshot_json(), reason))
        index = 0 if cursor is None or cursor.epoch != self._epoch else cursor.seq - self._base_seq
        if not frames:
            return self._shared_chunk(index)
        stop = self._chunk_stop(index)
        frames += self._frames[index:stop]
        return Chunk(b"".join(frames), Cursor(epoch=self._epoch, seq=self._base_seq + stop))

    def bytes_behind(self, cursor: Cursor | None) -> int:
        """How many bytes a reader at `cursor` has yet to get."""
        if cursor is None or cursor.epoch != self._epoch or cursor.seq < self._base_seq:
            return self.bytes_total - self._offsets[0] if self._offsets else 0
        index = cursor.seq - self._base_seq
        return self.bytes_total - self._offsets[index] if index < len(self._offsets) else 0

    def has_all(self, cursor: Cursor | None) -> bool:
        """Whether a reader at `cursor` has the `end`."""
        return self.is_ended and cursor == self.top

    def _snapshot_reason(self, cursor: Cursor | None) -> SnapshotReason | None:
        if cursor is None or (cursor.epoch == 0 and cursor.seq == 0):
            return "catchup" if self._base_seq > 0 else None
        if cursor.epoch != self._epoch:
            return "epoch_changed"
        if cursor.seq > self.top.seq:
            return "catchup"
        return "trimmed" if cursor.seq < self._base_seq else None

    def _shared_chunk(self, index: int) -> Chunk | None:
        """The events from here on. Most readers of a generation are at the same place: they get the same bytes."""
        if index >= len(self._frames):
            return None
        stop = self._chunk_stop(index)
        place = (self._epoch, self._base_seq + index, self._base_seq + stop)
        if self._shared is None or self._shared[0] != place:
            chunk = Chunk(b"".join(self._frames[index:stop]), Cursor(epoch=self._epoch, seq=self._base_seq + stop))
            self._shared = (place, chunk)
        return self._shared[1]

    def _chunk_stop(self, index: int) -> int:
        if index >= len(self._frames):
            return index
        limit = self._offsets[index] + MAX_CHUNK_BYTES
        if self.bytes_total <= limit:
            return len(self._frames)
        return max(index + 1, bisect_right(self._offsets, limit) - 1)

    def _snapshot_json(self) -> str:
        if self._anchor_json is None:
            content = read_content_entry(self._anchor) if isinstance(self._anchor, bytes) else self._anchor
            self._anchor_json = content_json(content)
        return self._anchor_json

    def _begin_epoch(self, epoch: int) -> None:
        self._epoch = epoch
        self._restart(seq=0, content=NOTHING)

    def _restart(self, *, seq: int, content: Content) -> None:
        self._base_seq = seq
        self._text_length = len(content.text)
        self._frames.clear()
        self._offsets.clear()
        self._set_anchor(seq, content)

    def _set_anchor(self, seq: int, anchor: bytes | Content) -> None:
        self._anchor_seq, self._anchor, self._anchor_json = seq, anchor, None

    def _append_entry(self, cursor: Cursor, kind: str, payload: bytes) -> None:
        text = payload.decode()
        if kind == TEXT_ENTRY:
            self._append(cursor, DELTA_KIND, delta_payload(seq=cursor.seq, offset=self._text_length, text=text))
            self._text_length += len(text)
        elif kind == JSON_ENTRY:
            self._append(cursor, STRUCTURED_KIND, structured_delta_payload(seq=cursor.seq, piece=text))
        else:
            if kind == DELTA_KIND:
                self._text_length += len(json.loads(text)["text"])
            self._append(cursor, kind, ascii_of(text))

    def _append(self, cursor: Cursor, kind: str, payload: str) -> None:
        frame = event_frame(cursor, kind, payload)
        self._frames.append(frame)
        self._offsets.append(self.bytes_total)
        self.bytes_total += len(frame)
        self.is_ended = kind == END_KIND

    def _take_snapshot(self, seq: int, payload: bytes) -> bool:
        if seq < self.top.seq:
            return False
        if seq > self.top.seq:
            self._restart(seq=seq, content=read_content_entry(payload))
            return True
        self._set_anchor(seq, payload)
        dropped = max(0, len(self._frames) - KEPT_BEFORE_SNAPSHOT)
        del self._frames[:dropped], self._offsets[:dropped]
        self._base_seq += dropped
        return False

    def _take_terminal(self, terminal: Terminal) -> None:
        before_end = Cursor(epoch=terminal.epoch, seq=terminal.end_seq - 1)
        if self.top != before_end:
            self._epoch = terminal.epoch
            self._restart(seq=before_end.seq, content=terminal.content)
        self._append(terminal.end, END_KIND, end_payload(terminal))
