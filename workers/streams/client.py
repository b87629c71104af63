"""What a client makes of a stream: the text so far and where to resume. Pure, and strict about what it was promised."""

import json
from typing import cast

from workers.streams.sse import SseEvent
from workers.streams.terminal import text_sha256


class BrokenStream(Exception):
    """The server broke its promise: an event out of turn, or text that does not fit what came before."""


class TextClient:
    """Folds the events of one generation, over any number of connections, into what it produced."""

    def __init__(self) -> None:
        self.text = ""
        self.artifacts: list[dict[str, object]] = []
        self.structured_json = ""
        self.structured_value: object = None
        self.progress: dict[str, object] | None = None
        self.cursor: str | None = None
        self.end: dict[str, object] | None = None
        self.reconnect: str | None = None
        self.snapshots: list[str] = []
        self._epoch = 0
        self._seq = 0

    def take(self, event: SseEvent) -> None:
        """Take the next event.

        Raises:
            BrokenStream: it cannot follow what came before.
        """
        data = cast("dict[str, object]", json.loads(event.data))
        if event.event == "reconnect":
            self.reconnect = str(data["reason"])
            return
        epoch, seq = (int(part) for part in event.last_id.split("."))
        if event.event == "snapshot":
            self._take_snapshot(data)
            self.snapshots.append(str(data["reason"]))
        else:
            self._check_turn(event, epoch, seq)
            self._take_data(event.event, data)
        self._epoch, self._seq = epoch, seq
        self.cursor = event.last_id

    def _check_turn(self, event: SseEvent, epoch: int, seq: int) -> None:
        is_first = self._seq == 0 and self._epoch in {0, epoch}
        if self.end is not None or seq != self._seq + 1 or not (is_first or epoch == self._epoch):
            raise BrokenStream(f"{event.event} {event.last_id} after {self._epoch:04d}.{self._seq:012d}")

    def _take_snapshot(self, data: dict[str, object]) -> None:
        self.text = str(data["text"])
        self.artifacts = list(cast("list[dict[str, object]]", data.get("artifacts", [])))
        structured = cast("dict[str, object]", data.get("structured", {}))
        self.structured_json = str(structured.get("json", ""))
        self.structured_value = structured.get("value")
        self.progress = cast("dict[str, object] | None", data.get("progress"))

    def _take_data(self, kind: str, data: dict[str, object]) -> None:
        if kind == "delta":
            if data["off"] != len(self.text):
                raise BrokenStream(f"a delta for offset {data['off']} after {len(self.text)} code points")
            self.text += str(data["text"])
        elif kind == "artifact":
            self.artifacts.append(_without_seq(data))
        elif kind == "progress":
            self.progress = _without_seq(data)
        elif kind == "structured":
            self._take_structured(data)
        elif kind == "end":
            if (data["text_len"], data["text_sha256"]) != (len(self.text), text_sha256(self.text)):
                raise BrokenStream("the end names another text")
            self.end = data

    def _take_structured(self, data: dict[str, object]) -> None:
        if data.get("type") == "delta":
            self.structured_json += str(data["json"])
        elif data.get("type") == "value":
            self.structured_value = data.get("value")


def _without_seq(data: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in data.items() if name != "seq"}
