"""The bytes that readers get, and what an event looks like inside Redis.

An entry in Redis has one field: its name is the kind of the event, its value the data, already rendered as ASCII JSON,
so the API only puts a frame around it. A snapshot entry holds just the text as a JSON string, because the reason for
sending it depends on the reader.
"""

import json
from json.encoder import encode_basestring_ascii
from typing import Final, Literal, TypeAlias

from workers.streams.cursor import Cursor

SnapshotReason: TypeAlias = Literal["catchup", "trimmed", "epoch_changed"]
ReconnectReason: TypeAlias = Literal["max_age", "drain", "slow"]

OPENING: Final = b"retry: 1000\n: holdfast\n\n"
COMMENT: Final = b": \n\n"
SNAPSHOT_KIND: Final = "snapshot"
END_KIND: Final = "end"
EMPTY_TEXT: Final = '""'

ENTRY_LIFETIME_S: Final = 24 * 3600
"""How long Redis keeps a stream after it was last refreshed; afterwards readers are served from Postgres."""


def stream_key(generation_id: str) -> str:
    """The Redis key of a generation's stream; the braces make it one slot in a cluster."""
    return f"holdfast:{{{generation_id}}}:events"


def ascii_text(text: str) -> str:
    """A JSON string, quotes included, with nothing in it but ASCII: no line end can break a frame."""
    return encode_basestring_ascii(text)


def ascii_json(data: object) -> str:
    """Compact JSON with nothing in it but ASCII."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False)


def delta_payload(*, seq: int, offset: int, text: str) -> str:
    """The data of a `delta`; `offset` counts the code points before it."""
    return f'{{"seq":{seq},"off":{offset},"text":{encode_basestring_ascii(text)}}}'


def event_frame(cursor: Cursor, kind: str, payload: str) -> bytes:
    """One SSE event, LF only."""
    return f"id: {cursor}\nevent: {kind}\ndata: {payload}\n\n".encode("ascii")


def snapshot_frame(cursor: Cursor, text_json: str, reason: SnapshotReason) -> bytes:
    """A `snapshot` of everything up to `cursor`, which replaces what the client has."""
    return event_frame(cursor, SNAPSHOT_KIND, f'{{"seq":{cursor.seq},"text":{text_json},"reason":"{reason}"}}')


def reconnect_frame(reason: ReconnectReason) -> bytes:
    """Asks the client to come back with its cursor; carries no id, so the client keeps the one it has."""
    return f'event: reconnect\ndata: {{"reason":"{reason}"}}\n\n'.encode("ascii")
