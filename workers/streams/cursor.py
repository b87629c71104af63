"""Where a reader is in a stream: the epoch (the attempt that writes) and the seq within it.

The public form is `0001.000000000042`, fixed width. In Redis each seq has two entry ids: `1-84` for the event itself
and `1-85` for a snapshot that covers everything up to it, so a snapshot sorts after the event it covers and before the
next.
"""

import re
from typing import Final

from msgspec import Struct

from workers.streams.errors import MalformedCursor

MAX_EPOCH: Final = 9_999
MAX_SEQ: Final = 10**12 - 1

_PUBLIC: Final = re.compile(r"(\d{4})\.(\d{12})", re.ASCII)


class Cursor(Struct, frozen=True, order=True):
    """The last event a reader has seen; seq 0 is "nothing of this epoch yet"."""

    epoch: int
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch:04d}.{self.seq:012d}"


def parse_cursor(text: str) -> Cursor:
    """Read the public form.

    Raises:
        MalformedCursor: not four digits, a point and twelve digits.
    """
    match = _PUBLIC.fullmatch(text)
    if match is None:
        raise MalformedCursor(text)
    return Cursor(epoch=int(match[1]), seq=int(match[2]))


def event_entry_id(cursor: Cursor) -> str:
    """The Redis entry id of the event at `cursor`."""
    return f"{cursor.epoch}-{2 * cursor.seq}"


def snapshot_entry_id(cursor: Cursor) -> str:
    """The Redis entry id of the snapshot that covers everything up to `cursor`."""
    return f"{cursor.epoch}-{2 * cursor.seq + 1}"


def parse_entry_id(entry_id: bytes) -> tuple[Cursor, bool]:
    """The cursor a Redis entry stands for, and whether the entry is a snapshot."""
    epoch, _, number = entry_id.partition(b"-")
    seq, is_snapshot = divmod(int(number), 2)
    return Cursor(epoch=int(epoch), seq=seq), bool(is_snapshot)
