"""What one attempt has produced for its stream and what Redis has confirmed of it. No I/O.

Text waits unnumbered until a flush takes it, so that a pause of Redis turns many small deltas into one. A sealed entry
has its seq and its bytes for ever: sending it twice is harmless, because Redis takes each entry id once.
"""

from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple

from workers.providers.surrogates import SurrogateJoiner
from workers.streams.cursor import Cursor, event_entry_id, snapshot_entry_id
from workers.streams.link import Command, Reply
from workers.streams.wire import (
    END_KIND,
    ENTRY_LIFETIME_S,
    SNAPSHOT_KIND,
    ascii_json,
    ascii_text,
    delta_payload,
    stream_key,
)

MAX_DELTA_CODE_POINTS: Final = 16_384
"""A longer text is sent as several deltas, so that no frame outgrows a reader's buffer."""

SNAPSHOT_EVERY_ENTRIES: Final = 2_000
SNAPSHOT_EVERY_BYTES: Final = 512 * 1024
"""Whichever comes first replaces what lies before it in Redis by one snapshot entry."""

DELTA_KIND: Final = "delta"
PROGRESS_KIND: Final = "progress"
START_KIND: Final = "start"


class Step(NamedTuple):
    """One command to Redis, and the seq it confirms when Redis took it (0: none)."""

    command: Command
    confirms: int


class _Entry(NamedTuple):
    seq: int
    kind: str
    payload: str
    text_end: int


class Outgoing:
    """The unconfirmed end of one stream, and the whole text so far."""

    def __init__(self, generation_id: str, epoch: int) -> None:
        self.epoch = epoch
        self.sealed_seq = 0
        self.doubtful = False
        """Redis may not hold what was confirmed, or may hold more: ask before sending."""
        self._key = stream_key(generation_id)
        self._joiner = SurrogateJoiner()
        self._text_parts: list[str] = []
        self._sealed_text_end = 0
        self._run: list[str] = []
        self._waiting: list[str | tuple[str, Mapping[str, object]]] = []
        self._entries: deque[_Entry] = deque()
        self._confirmed_seq = 0
        self._confirmed_text_end = 0
        self._bridge_due = False
        self._entries_since_trim = 0
        self._bytes_since_trim = 0

    @property
    def text(self) -> str:
        """Everything produced so far."""
        if len(self._text_parts) > 1:
            self._text_parts = ["".join(self._text_parts)]
        return self._text_parts[0] if self._text_parts else ""

    @property
    def is_drained(self) -> bool:
        """Nothing is left to send."""
        return not (self._run or self._waiting or self._entries or self._bridge_due)

    @property
    def pieces_waiting(self) -> int:
        """How many pieces of text the next delta would join."""
        return len(self._run)

    def add_text(self, piece: str) -> bool:
        """Take a piece of text as the provider cut it; false if nothing can be sent yet."""
        piece = self._joiner.push(piece)
        if piece:
            self._text_parts.append(piece)
            self._run.append(piece)
        return bool(piece)

    def add_event(self, kind: str, data: Mapping[str, object]) -> None:
        """Take an event; of several `progress` in a row only the last is worth sending."""
        self._close_run()
        last = self._waiting[-1] if self._waiting else ""
        if kind == PROGRESS_KIND and not isinstance(last, str) and last[0] == PROGRESS_KIND:
            self._waiting.pop()
        self._waiting.append((kind, data))

    def add_end(self, payload: str) -> None:
        """Take the `end` event, already rendered; everything else must be sealed."""
        assert not self._run
        assert not self._waiting
        self._seal(END_KIND, payload, self._sealed_text_end)

    def seal_all(self) -> None:
        """Give everything taken so far its seq, whatever Redis is doing; no text may follow."""
        if left := self._joiner.flush():
            self._text_parts.append(left)
            self._run.append(left)
        self._seal_waiting()

    def steps(self) -> list[Step]:
        """The commands that bring Redis up to date; each may safely be sent again after `reconcile`."""
        if not self._entries:
            self._seal_waiting()
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
                # An earlier attempt's text is not part of this one, and a stream must not outlive its readers.
                steps.append(Step(("XTRIM", self._key, "MINID", "=", f"{self.epoch}-0"), 0))
            if is_first or entry.kind == END_KIND:
                steps.append(Step(("EXPIRE", self._key, ENTRY_LIFETIME_S), 0))
            is_first = False
        return steps

    def settle(self, step: Step, reply: Reply) -> bool:
        """Take Redis's answer to a step; false if the later ones must not count because this one failed."""
        if reply is None or isinstance(reply, Exception):
            self.doubtful = True
            return False
        if step.confirms:
            self._confirm(step.confirms)
        elif step.command[0] == "XADD":
            self._bridge_due = False
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

    def _close_run(self) -> None:
        if self._run:
            self._waiting.append("".join(self._run))
            self._run.clear()

    def _seal_waiting(self) -> None:
        self._close_run()
        for item in self._waiting:
            if isinstance(item, str):
                self._seal_text(item)
            else:
                self._seal_event(*item)
        self._waiting.clear()

    def _seal_text(self, text: str) -> None:
        for start in range(0, len(text), MAX_DELTA_CODE_POINTS):
            part = text[start : start + MAX_DELTA_CODE_POINTS]
            payload = delta_payload(seq=self.sealed_seq + 1, offset=self._sealed_text_end, text=part)
            self._seal(DELTA_KIND, payload, self._sealed_text_end + len(part))

    def _seal_event(self, kind: str, data: Mapping[str, object]) -> None:
        numbered = data if kind == START_KIND else {"seq": self.sealed_seq + 1, **data}
        self._seal(kind, ascii_json(numbered), self._sealed_text_end)

    def _seal(self, kind: str, payload: str, text_end: int) -> None:
        self.sealed_seq += 1
        self._sealed_text_end = text_end
        self._entries.append(_Entry(self.sealed_seq, kind, payload, text_end))

    def _confirm(self, seq: int) -> None:
        while self._entries and self._entries[0].seq <= seq:
            entry = self._entries.popleft()
            self._confirmed_seq = entry.seq
            self._confirmed_text_end = entry.text_end
            self._entries_since_trim += 1
            self._bytes_since_trim += len(entry.payload)

    def _trim_is_due(self) -> bool:
        return self._entries_since_trim >= SNAPSHOT_EVERY_ENTRIES or self._bytes_since_trim >= SNAPSHOT_EVERY_BYTES

    def _snapshot_steps(self, *, trim: bool) -> list[Step]:
        entry_id = snapshot_entry_id(Cursor(epoch=self.epoch, seq=self._confirmed_seq))
        covered = ascii_text(self.text[: self._confirmed_text_end])
        create: tuple[str, ...] = ("NOMKSTREAM",) if trim else ()
        steps = [Step(("XADD", self._key, *create, entry_id, SNAPSHOT_KIND, covered), 0)]
        if trim:
            steps.append(Step(("XTRIM", self._key, "MINID", "=", entry_id), 0))
        steps.append(Step(("EXPIRE", self._key, ENTRY_LIFETIME_S), 0))
        return steps
