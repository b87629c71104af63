"""Reading `text/event-stream` as the WHATWG standard says, from bytes cut anywhere."""

import codecs
from typing import Final

from msgspec import Struct

_BYTE_ORDER_MARK: Final = "\ufeff"


class SseEvent(Struct, frozen=True):
    """A dispatched event; `last_id` is the id a client would resume with after it."""

    event: str
    data: str
    last_id: str


class SseParser:
    """Give it bytes as they come; it gives back whole events. What is cut off before its blank line never happened."""

    def __init__(self) -> None:
        self.last_id = ""
        self.retry_ms: int | None = None
        self.comments = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = ""
        self._is_at_start = True
        self._event = ""
        self._data: list[str] = []
        self._id = ""

    def feed(self, data: bytes) -> list[SseEvent]:
        """The events that these bytes complete."""
        self._text += self._decoder.decode(data)
        if self._is_at_start and self._text:
            self._is_at_start = False
            self._text = self._text.removeprefix(_BYTE_ORDER_MARK)
        events: list[SseEvent] = []
        while (line := self._next_line()) is not None:
            if line:
                self._take_field(line)
            elif event := self._dispatch():
                events.append(event)
        return events

    def _next_line(self) -> str | None:
        ends = [at for at in (self._text.find("\n"), self._text.find("\r")) if at >= 0]
        if not ends:
            return None
        end = min(ends)
        is_return = self._text[end] == "\r"
        if is_return and end + 1 == len(self._text):
            return None  # the line feed that belongs to it may still come
        line = self._text[:end]
        self._text = self._text[end + (2 if is_return and self._text[end + 1] == "\n" else 1) :]
        return line

    def _take_field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not name:
            self.comments += 1
        elif name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry_ms = int(value)

    def _dispatch(self) -> SseEvent | None:
        self.last_id = self._id
        event = SseEvent(self._event or "message", "\n".join(self._data), self.last_id) if self._data else None
        self._event = ""
        self._data = []
        return event
