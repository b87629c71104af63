"""What can go wrong in a stream that its user has to know about."""

from typing import ClassVar


class StreamError(Exception):
    """Anything a stream refuses."""

    code: ClassVar[str] = "stream_error"


class MalformedCursor(StreamError):
    """A cursor is not of the form `0001.000000000042`."""

    code = "malformed_cursor"

    def __init__(self, text: str) -> None:
        super().__init__(f"{text[:40]!r} is not a cursor; one looks like 0001.000000000042")


class StreamFenced(StreamError):
    """A later attempt writes this stream now; whoever gets this must stop and settle nothing."""

    code = "stream_fenced"

    def __init__(self, generation_id: str, *, epoch: int) -> None:
        super().__init__(f"generation {generation_id} is no longer written by attempt {epoch}")
        self.generation_id = generation_id
        self.epoch = epoch


class UnreadableEntry(StreamError):
    """An entry in Redis is not one of ours."""

    code = "unreadable_stream_entry"


class EventRefused(StreamError):
    """An event is too large for a stream, or one too many."""

    code = "stream_event_refused"
