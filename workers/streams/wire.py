"""The bytes that readers get, and what an event looks like inside Redis.

An entry in Redis has one field: its name is the kind of the event, its value the data. Text and structured output make
up nearly all of it, so their entries hold the bare text in UTF-8 and nothing else: the seq is in the entry id, and the
offset is the length of what came before. Everything else is the event's data as JSON. Readers get ASCII only, rendered
once per process.
"""

import json
import re
from json.encoder import encode_basestring_ascii
from typing import Final, Literal, TypeAlias

from workers.streams.cursor import Cursor

SnapshotReason: TypeAlias = Literal["catchup", "trimmed", "epoch_changed"]
ReconnectReason: TypeAlias = Literal["max_age", "drain", "slow"]

OPENING: Final = b"retry: 1000\n: holdfast\n\n"
COMMENT: Final = b": \n\n"

START_KIND: Final = "start"
DELTA_KIND: Final = "delta"
PROGRESS_KIND: Final = "progress"
ARTIFACT_KIND: Final = "artifact"
STRUCTURED_KIND: Final = "structured"
SNAPSHOT_KIND: Final = "snapshot"
END_KIND: Final = "end"

TEXT_ENTRY: Final = "t"
"""A `delta` in Redis, as its bare text. Earlier versions wrote whole `delta` events, which are read as well."""

JSON_ENTRY: Final = "j"
"""A piece of structured output in Redis, as the bare JSON text it is part of."""

ENTRY_LIFETIME_S: Final = 24 * 3600
"""How long Redis keeps a stream after it was last refreshed; afterwards readers are served from Postgres."""

_BEYOND_ASCII: Final = re.compile(r"[^\x00-\x7f]+")


def stream_key(generation_id: str) -> str:
    """The Redis key of a generation's stream; the braces make it one slot in a cluster."""
    return f"holdfast:{{{generation_id}}}:events"


def ascii_text(text: str) -> str:
    """A JSON string, quotes included, with nothing in it but ASCII: no line end can break a frame."""
    return encode_basestring_ascii(text)


def ascii_json(data: object) -> str:
    """Compact JSON with nothing in it but ASCII."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False)


def ascii_of(json_text: str) -> str:
    """The same JSON with nothing in it but ASCII: whatever else is in it lies within strings."""
    if json_text.isascii():
        return json_text
    return _BEYOND_ASCII.sub(lambda found: encode_basestring_ascii(found[0])[1:-1], json_text)


def delta_payload(*, seq: int, offset: int, text: str) -> str:
    """The data of a `delta`; `offset` counts the code points before it."""
    return f'{{"seq":{seq},"off":{offset},"text":{encode_basestring_ascii(text)}}}'


def structured_delta_payload(*, seq: int, piece: str) -> str:
    """The data of a `structured` event that continues the JSON text."""
    return f'{{"seq":{seq},"type":"delta","json":{encode_basestring_ascii(piece)}}}'


def event_frame(cursor: Cursor, kind: str, payload: str) -> bytes:
    """One SSE event, LF only."""
    return f"id: {cursor}\nevent: {kind}\ndata: {payload}\n\n".encode("ascii")


def snapshot_frame(cursor: Cursor, content: str, reason: SnapshotReason) -> bytes:
    """A `snapshot` of everything up to `cursor`, which replaces what the client has.

    `content` is a JSON object in ASCII that is not empty: see `content_json`.
    """
    return event_frame(cursor, SNAPSHOT_KIND, f'{{"seq":{cursor.seq},{content[1:-1]},"reason":"{reason}"}}')


def reconnect_frame(reason: ReconnectReason) -> bytes:
    """Asks the client to come back with its cursor; carries no id, so the client keeps the one it has."""
    return f'event: reconnect\ndata: {{"reason":"{reason}"}}\n\n'.encode("ascii")
