"""For whoever finds a generation without its worker: what its stream still holds, and how to end it for readers."""

import json
from typing import cast

from msgspec import Struct
from redis.asyncio import Redis

from workers.streams.cursor import Cursor, event_entry_id, parse_entry_id, snapshot_entry_id
from workers.streams.outgoing import DELTA_KIND
from workers.streams.terminal import Terminal, end_payload
from workers.streams.wire import END_KIND, ENTRY_LIFETIME_S, SNAPSHOT_KIND, ascii_text, stream_key


class Recovered(Struct, frozen=True):
    """The text of the latest attempt, as far as Redis holds it without a gap."""

    cursor: Cursor
    text: str


async def recover_text(redis: Redis, generation_id: str) -> Recovered | None:
    """Read back what a lost worker had streamed; None if Redis has nothing of it."""
    entries = await redis.xrange(stream_key(generation_id))
    recovered: Recovered | None = None
    for entry_id, fields in cast("list[tuple[bytes, dict[bytes, bytes]]]", entries):
        cursor, _ = parse_entry_id(entry_id)
        ((kind, payload),) = fields.items()
        recovered = _fold(recovered, cursor, kind.decode(), payload)
    return recovered


def _fold(so_far: Recovered | None, cursor: Cursor, kind: str, payload: bytes) -> Recovered | None:
    if kind == SNAPSHOT_KIND:
        return Recovered(cursor, cast("str", json.loads(payload)))
    if so_far is None or so_far.cursor.epoch != cursor.epoch:
        so_far = Recovered(Cursor(epoch=cursor.epoch, seq=0), "")
    if cursor.seq != so_far.cursor.seq + 1:
        return so_far
    return Recovered(cursor, so_far.text + (json.loads(payload)["text"] if kind == DELTA_KIND else ""))


async def announce_end(redis: Redis, generation_id: str, terminal: Terminal) -> None:
    """Append the `end` of a generation that its own worker did not end, after its terminal state has committed.

    Best effort and safe to repeat: readers would get the same from Postgres a second later.
    """
    key = stream_key(generation_id)
    covered = Cursor(epoch=terminal.epoch, seq=terminal.end_seq - 1)
    async with redis.pipeline(transaction=False) as pipeline:
        if covered.seq > 0:
            pipeline.xadd(key, {SNAPSHOT_KIND: ascii_text(terminal.text)}, id=snapshot_entry_id(covered))
        pipeline.xadd(key, {END_KIND: end_payload(terminal)}, id=event_entry_id(terminal.end))
        pipeline.expire(key, ENTRY_LIFETIME_S)
        await pipeline.execute(raise_on_error=False)
