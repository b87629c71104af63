"""Times as the ledger counts them, and events as they are stored."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

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
