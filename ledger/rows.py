"""Times as the ledger counts them, and events as they are stored."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg import AsyncServerCursor
from psycopg.types.numeric import Int8BinaryLoader
from psycopg.types.string import ByteaBinaryLoader

from ledger.arrays import POSTGRES_EPOCH_US
from ledger.events import Event, Kind, Portion

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_KINDS: Final[dict[int, Kind]] = {int(kind): kind for kind in Kind}
"""A tenth of the time that the enumeration takes; that is a twelfth of reading an event."""

encode_portions: Final = msgspec.json.Encoder().encode
decode_portions: Final = msgspec.json.Decoder(tuple[Portion, ...]).decode


def to_us(moment: datetime) -> int:
    """Return a time as exact microseconds since the Unix epoch."""
    return (moment - _EPOCH) // _MICROSECOND


def from_us(time_us: int) -> datetime:
    """Return microseconds since the Unix epoch as a time in UTC."""
    return _EPOCH + timedelta(microseconds=time_us)


def event_of_row(row: Sequence[Any]) -> Event:
    """Build an event from the columns that `read_earlier_commands.sql` and its like return.

    Raises:
        ValueError: there is no such kind.
    """
    account_id, version, number, amount, available, frozen, recorded_at, key, digest, body, chain = row
    kind = _KINDS.get(number) or Kind(number)
    return Event(account_id, version, kind, amount, available, frozen, to_us(recorded_at), key, digest, body, chain)


def read_raw(cursor: AsyncServerCursor[Any]) -> None:
    """Let a cursor in binary format return ids as bytes and times as integers, without making objects of them."""
    cursor.adapters.register_loader("uuid", ByteaBinaryLoader)
    cursor.adapters.register_loader("timestamptz", Int8BinaryLoader)


def event_of_raw_row(account_id: UUID, row: Sequence[Any]) -> Event:
    """Build an event of an account from a row that begins with the columns of `event_of_row`, read raw.

    Raises:
        ValueError: there is no such kind.
    """
    return Event(
        account_id,
        row[1],
        _KINDS.get(row[2]) or Kind(row[2]),
        row[3],
        row[4],
        row[5],
        row[6] + POSTGRES_EPOCH_US,
        row[7],
        row[8],
        row[9],
        row[10],
    )
