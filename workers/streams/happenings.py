"""Events that are neither text nor a piece of structured output: rendered when they are taken, numbered when sealed."""

import json
from collections.abc import Mapping
from typing import Final

import msgspec

from workers.streams.errors import EventRefused
from workers.streams.wire import ARTIFACT_KIND, PROGRESS_KIND, START_KIND, STRUCTURED_KIND

MAX_EVENT_BYTES: Final = 64 * 1024
MAX_VALUE_BYTES: Final = 256 * 1024
"""A whole value that is larger is not repeated: readers have its JSON text."""

MAX_ARTIFACTS: Final = 1_000
MAX_ARTIFACT_BYTES: Final = 4 * 1024 * 1024
MAX_OTHERS: Final = 10_000
"""Fields of structured output, and the like."""

MAX_PROGRESS: Final = 2_000
"""Further progress is not shown; the end is."""

VALUE_TYPE: Final = "value"


class Happening:
    """One event, as the JSON object it will be but for its seq."""

    __slots__ = ("body", "is_value", "kind")

    def __init__(self, kind: str, data: Mapping[str, object]) -> None:
        self.kind = kind
        self.is_value = kind == STRUCTURED_KIND and data.get("type") == VALUE_TYPE
        # Providers cut and mix text: half a character is shown as one that is missing.
        self.body: Final = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode(
            "utf-8", "replace"
        )

    def payload(self, seq: int) -> bytes:
        """The data of the event once it has its place."""
        if self.kind == START_KIND:
            return self.body
        return b'{"seq":%d%s%s' % (seq, b"" if self.body == b"{}" else b",", self.body[1:])

    def data(self) -> dict[str, object]:
        """The data without the seq."""
        return msgspec.json.decode(self.body, type=dict[str, object])

    def value_part(self) -> dict[str, object]:
        """What the snapshot says of a whole value."""
        return {name: value for name, value in self.data().items() if name != "type"}


class Budget:
    """How many events one generation may have, and how large they may be: Redis and every reader hold them all."""

    def __init__(self) -> None:
        self._artifacts = 0
        self._artifact_bytes = 0
        self._others = 0
        self._progress = 0
        self._last_progress = b""

    def has_room(self, happening: Happening) -> bool:
        """Whether another event like this may be taken; if so, it counts."""
        size_bytes = len(happening.body)
        if happening.kind == PROGRESS_KIND:
            return self._take_progress(happening.body)
        if happening.kind == ARTIFACT_KIND:
            if (
                size_bytes > MAX_EVENT_BYTES
                or self._artifacts == MAX_ARTIFACTS
                or self._artifact_bytes + size_bytes > MAX_ARTIFACT_BYTES
            ):
                return False
            self._artifacts += 1
            self._artifact_bytes += size_bytes
            return True
        if self._others == MAX_OTHERS or size_bytes > (MAX_VALUE_BYTES if happening.is_value else MAX_EVENT_BYTES):
            return False
        self._others += 1
        return True

    def take(self, happening: Happening) -> bool:
        """Count an event; false if it says nothing worth sending.

        Raises:
            EventRefused: it is larger than an event may be, or one too many.
        """
        if self.has_room(happening):
            return True
        if happening.kind == PROGRESS_KIND and len(happening.body) <= MAX_EVENT_BYTES:
            return False
        raise EventRefused(
            f"an event of kind {happening.kind} with {len(happening.body)} bytes: one may have {MAX_EVENT_BYTES}, and "
            f"a generation {MAX_ARTIFACTS} artifacts of {MAX_ARTIFACT_BYTES} bytes and {MAX_OTHERS} other events"
        )

    def _take_progress(self, body: bytes) -> bool:
        if len(body) > MAX_EVENT_BYTES or self._progress == MAX_PROGRESS or body == self._last_progress:
            return False
        self._progress += 1
        self._last_progress = body
        return True
