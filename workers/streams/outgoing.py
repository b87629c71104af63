"""What one attempt has produced for its stream and what Redis has confirmed of it. No I/O.

Text waits unnumbered until a flush takes it, so that a pause of Redis turns many small deltas into one. A sealed entry
has its seq and its bytes for ever: sending it twice is harmless, because Redis takes each entry id once.
"""

from collections import deque
from typing import Final, NamedTuple

from workers.streams.content import Content, content_entry
from workers.streams.cursor import Cursor, event_entry_id, snapshot_entry_id
from workers.streams.growing import GrowingText
from workers.streams.happenings import Happening
from workers.streams.link import Command, Reply
from workers.streams.wire import (
    ARTIFACT_KIND,
    END_KIND,
    ENTRY_LIFETIME_S,
    JSON_ENTRY,
    PROGRESS_KIND,
    SNAPSHOT_KIND,
    TEXT_ENTRY,
    stream_key,
)

MAX_DELTA_CODE_POINTS: Final = 16_384
"""A longer text is sent as several deltas, so that no frame outgrows a reader's buffer."""

SNAPSHOT_EVERY_ENTRIES: Final = 2_000
SNAPSHOT_EVERY_BYTES: Final = 512 * 1024
"""Whichever comes first replaces what lies before it in Redis by one snapshot entry."""

ENTRY_OVERHEAD_BYTES: Final = 24
"""What Redis needs for an entry besides its data: measured, and rounded up."""

MOST_PER_CONTENT: Final = 1.6
FREE_BYTES: Final = 2_048
"""A stream may take so many times its content in Redis, and this much more, before a snapshot replaces its history.
Each snapshot is larger than the one before by a fixed part, so all of them together cost a few times the content."""

LATEST_BYTES: Final = 1_536
"""So much of the history stays although a snapshot covers it, for readers that are a second or two behind."""

LEAST_PER_SNAPSHOT: Final = 0.25
"""How much must have been appended since the last snapshot, as a part of its size, before another is written."""

REFRESH_S: Final = 3_600.0
"""How often the lifetime of a stream that is written is renewed."""


class Step(NamedTuple):
    """One command to Redis, and the seq it confirms when Redis took it (0: none)."""

    command: Command
    confirms: int


class _Entry(NamedTuple):
    seq: int
    kind: str
    payload: bytes
    happening: Happening | None = None
    end: int = 0
    """Of the text or structured output it belongs to, in code points."""


class Outgoing:
    """The unconfirmed end of one stream, and everything produced so far."""

    def __init__(self, generation_id: str, epoch: int) -> None:
        self.epoch = epoch
        self.sealed_seq = 0
        self.doubtful = False
        """Redis may not hold what was confirmed, or may hold more: ask before sending."""
        self.text = GrowingText()
        self.json = GrowingText()
        self.artifacts: list[dict[str, object]] = []
        self.value: Happening | None = None
        """The event that carries the whole of the structured output."""
        self._key = stream_key(generation_id)
        self._run: list[str] = []
        self._run_kind = TEXT_ENTRY
        self._waiting: list[Happening | tuple[str, str]] = []
        self._entries: deque[_Entry] = deque()
        self._confirmed_seq = 0
        self._confirmed_artifacts = 0
        self._confirmed_value = False
        self._progress: dict[str, object] | None = None
        self._bridge_due = False
        self._entries_since_trim = 0
        self._bytes_since_trim = 0
        self._snapshot_bytes = 0
        self._content_bytes = 0
        self._refreshed_s = float("-inf")
        self._latest: deque[tuple[int, int]] = deque()
        """Seq and bytes in Redis of the latest confirmed entries: a trim leaves them to readers that lag a little."""
        self._latest_bytes = 0

    @property
    def is_drained(self) -> bool:
        """Nothing is left to send."""
        return not (self._run or self._waiting or self._entries or self._bridge_due)

    @property
    def pieces_waiting(self) -> int:
        """How many pieces of text the next delta would join."""
        return len(self._run)

    def add_text(self, piece: str) -> str:
        """Take a piece of text as the provider cut it; return what can be sent of it now."""
        return self._add_piece(TEXT_ENTRY, self.text.push(piece))

    def add_json(self, piece: str) -> str:
        """Take a piece of structured output; return what can be sent of it now."""
        return self._add_piece(JSON_ENTRY, self.json.push(piece))

    def flush_pieces(self) -> str:
        """Take what was held back as half a character; return the text among it."""
        self._add_piece(JSON_ENTRY, self.json.flush())
        return self._add_piece(TEXT_ENTRY, self.text.flush())

    def add(self, happening: Happening) -> None:
        """Take an event; of several `progress` in a row only the last is worth sending."""
        self._close_run()
        last = self._waiting[-1] if self._waiting else None
        if happening.kind == PROGRESS_KIND and isinstance(last, Happening) and last.kind == PROGRESS_KIND:
            self._waiting.pop()
        self._waiting.append(happening)
        if happening.kind == ARTIFACT_KIND:
            self.artifacts.append(happening.data())
        elif happening.is_value:
            self.value = happening

    def add_end(self, payload: str) -> None:
        """Take the `end` event, already rendered; everything else must be sealed."""
        assert not self._run
        assert not self._waiting
        self._seal(END_KIND, payload.encode("ascii"))

    def seal_all(self) -> None:
        """Give everything taken so far its seq, whatever Redis is doing."""
        self._close_run()
        for item in self._waiting:
            if isinstance(item, Happening):
                self._seal(item.kind, item.payload(self.sealed_seq + 1), happening=item)
            else:
                self._seal_pieces(*item)
        self._waiting.clear()

    def steps(self, now_s: float) -> list[Step]:
        """The commands that bring Redis up to date; each may safely be sent again after `reconcile`."""
        if not self._entries:
            self.seal_all()
        steps: list[Step] = []
        if self._bridge_due:
            steps += self._snapshot_steps(trim=False)
        elif self._trim_is_due():
            steps += self._snapshot_steps(trim=True)
        is_first = self._confirmed_seq == 0
        for entry in self._entries:
            entry_id = event_entry_id(Cursor(epoch=self.epoch, seq=entry.seq))
            create: tuple[str, ...] = () if is_first else ("NOMKSTREAM",)
            steps.append(Step(("XADD", self._key, *create, entry_id, entry.kind, entry.payload), entry.seq))
            if is_first:
                # An earlier attempt's text is not part of this one.
                steps.append(Step(("XTRIM", self._key, "MINID", "=", f"{self.epoch}-0"), 0))
            if is_first or entry.kind == END_KIND or now_s - self._refreshed_s >= REFRESH_S:
                # A stream must outlive its generation, and its readers, and nothing else.
                steps.append(Step(("EXPIRE", self._key, ENTRY_LIFETIME_S), 0))
                self._refreshed_s = now_s
            is_first = False
        return steps

    def settle(self, step: Step, reply: Reply) -> bool:
        """Take Redis's answer to a step; false if the later ones must not count because this one failed."""
        if reply is None or isinstance(reply, Exception):
            self.doubtful = True
            self._refreshed_s = float("-inf")
            return False
        if step.confirms:
            self._confirm(step.confirms)
        elif step.command[0] == "XADD":
            self._bridge_due = False
            self._snapshot_bytes = len(step.command[-1]) if isinstance(step.command[-1], bytes) else 0
        elif step.command[0] == "XTRIM":
            self._entries_since_trim = self._bytes_since_trim = 0
        return True

    def top_command(self) -> Command:
        """Asks for the newest entry of the stream, whoever wrote it."""
        return ("XREVRANGE", self._key, "+", "-", "COUNT", 1)

    def reconcile(self, top: Cursor | None, *, is_snapshot: bool) -> bool:
        """Take what `top_command` found; false if another attempt writes this stream now.

        What was confirmed is then covered by a snapshot entry, because Redis may have lost any part of it: readers that
        have it all skip the snapshot, the others are made whole by it.
        """
        if top is not None and (top.epoch > self.epoch or (top.epoch == self.epoch and top.seq > self.sealed_seq)):
            return False
        self.doubtful = False
        if top is not None and top.epoch == self.epoch and top.seq > self._confirmed_seq:
            self._confirm(top.seq)
        is_covered = is_snapshot and top == Cursor(epoch=self.epoch, seq=self._confirmed_seq)
        self._bridge_due = self._confirmed_seq > 0 and not is_covered
        return True

    def doubt(self) -> None:
        """Redis may have changed behind our back: ask before the next append."""
        self.doubtful = self.doubtful or self.sealed_seq > 0

    def _add_piece(self, kind: str, piece: str) -> str:
        if piece:
            if kind != self._run_kind:
                self._close_run()
                self._run_kind = kind
            self._run.append(piece)
        return piece

    def _close_run(self) -> None:
        if self._run:
            self._waiting.append((self._run_kind, "".join(self._run)))
            self._run.clear()

    def _seal_pieces(self, kind: str, pieces: str) -> None:
        growing = self.text if kind == TEXT_ENTRY else self.json
        for start in range(0, len(pieces), MAX_DELTA_CODE_POINTS):
            part = pieces[start : start + MAX_DELTA_CODE_POINTS]
            growing.sealed_end += len(part)
            self._seal(kind, part.encode(), end=growing.sealed_end)

    def _seal(self, kind: str, payload: bytes, *, happening: Happening | None = None, end: int = 0) -> None:
        self.sealed_seq += 1
        self._entries.append(_Entry(self.sealed_seq, kind, payload, happening, end))

    def _confirm(self, seq: int) -> None:
        while self._entries and self._entries[0].seq <= seq:
            entry = self._entries.popleft()
            self._confirmed_seq = entry.seq
            self._entries_since_trim += 1
            self._bytes_since_trim += len(entry.payload)
            self._confirm_content(entry)
            self._keep_latest(entry.seq, len(entry.payload) + ENTRY_OVERHEAD_BYTES)

    def _keep_latest(self, seq: int, held_bytes: int) -> None:
        self._latest.append((seq, held_bytes))
        self._latest_bytes += held_bytes
        while self._latest_bytes > LATEST_BYTES:
            self._latest_bytes -= self._latest.popleft()[1]

    def _confirm_content(self, entry: _Entry) -> None:
        if entry.kind == TEXT_ENTRY:
            self.text.confirmed_end = entry.end
        elif entry.kind == JSON_ENTRY:
            self.json.confirmed_end = entry.end
        elif entry.happening is None or entry.kind == PROGRESS_KIND:
            self._progress = self._progress if entry.happening is None else entry.happening.data()
            return
        elif entry.kind == ARTIFACT_KIND:
            self._confirmed_artifacts += 1
        elif entry.happening.is_value:
            self._confirmed_value = True
        self._content_bytes += len(entry.payload)

    def _trim_is_due(self) -> bool:
        if self._entries_since_trim >= SNAPSHOT_EVERY_ENTRIES or self._bytes_since_trim >= SNAPSHOT_EVERY_BYTES:
            return True
        since_bytes = self._bytes_since_trim + self._entries_since_trim * ENTRY_OVERHEAD_BYTES
        # However large snapshots are, each must pay for itself: written often, they would cost the square of the text.
        is_worth_it = since_bytes >= self._snapshot_bytes * LEAST_PER_SNAPSHOT
        return is_worth_it and self._snapshot_bytes + since_bytes > MOST_PER_CONTENT * self._content_bytes + FREE_BYTES

    def _snapshot_steps(self, *, trim: bool) -> list[Step]:
        entry_id = snapshot_entry_id(Cursor(epoch=self.epoch, seq=self._confirmed_seq))
        create: tuple[str, ...] = ("NOMKSTREAM",) if trim else ()
        steps = [Step(("XADD", self._key, *create, entry_id, SNAPSHOT_KIND, content_entry(self._confirmed())), 0)]
        if trim:
            oldest = event_entry_id(Cursor(epoch=self.epoch, seq=self._latest[0][0])) if self._latest else entry_id
            steps.append(Step(("XTRIM", self._key, "MINID", "=", oldest), 0))
        steps.append(Step(("EXPIRE", self._key, ENTRY_LIFETIME_S), 0))
        return steps

    def _confirmed(self) -> Content:
        structured: dict[str, object] = {}
        if self.json.confirmed_end:
            structured["json"] = self.json.confirmed
        if self._confirmed_value and self.value is not None:
            structured = {"json": self.json.confirmed, **self.value.value_part()}
        return Content(
            text=self.text.confirmed,
            artifacts=self.artifacts[: self._confirmed_artifacts],
            structured=structured or None,
            progress=self._progress,
        )
