"""Columns of a batch as PostgreSQL arrays in binary format, packed whole instead of item by item.

psycopg adapts a list one Python object at a time, which would cost more than the ledger's own work. The layout is that
of `array_recv` in PostgreSQL's src/backend/utils/adt/arrayfuncs.c: dimensions, null flag, element type, then length and
lower bound, then each element with its length before it.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final
from uuid import UUID

from psycopg import AsyncConnection, Connection
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

_HEADER: Final = struct.Struct("!iiIii")
_LENGTH: Final = struct.Struct("!i")
_NULL: Final = b"\xff\xff\xff\xff"
_INT8: Final = struct.Struct("!iq")

POSTGRES_EPOCH_US: Final = 946_684_800_000_000
"""2000-01-01 UTC in microseconds since the Unix epoch: PostgreSQL counts timestamps from there."""


class PackedArray:
    """One column of a batch, ready to send."""

    __slots__ = ("data",)

    ELEMENT_OID: ClassVar[int]
    ARRAY_OID: ClassVar[int]

    def __init__(self, elements: bytes, count: int) -> None:
        self.data = _HEADER.pack(1, 1, self.ELEMENT_OID, count, 1) + elements


class Int8Array(PackedArray):
    """A `bigint[]`."""

    __slots__ = ()
    ELEMENT_OID = 20
    ARRAY_OID = 1016

    @classmethod
    def of(cls, values: Sequence[int]) -> "Int8Array":
        """Pack integers."""
        return cls(_pack_int8(values), len(values))


class TimestampArray(PackedArray):
    """A `timestamptz[]`."""

    __slots__ = ()
    ELEMENT_OID = 1184
    ARRAY_OID = 1185

    @classmethod
    def of(cls, times_us: Sequence[int | None]) -> "TimestampArray":
        """Pack microseconds since the Unix epoch, or `None`."""
        elements = [_NULL if us is None else _INT8.pack(8, us - POSTGRES_EPOCH_US) for us in times_us]
        return cls(b"".join(elements), len(elements))


class UuidArray(PackedArray):
    """A `uuid[]`."""

    __slots__ = ()
    ELEMENT_OID = 2950
    ARRAY_OID = 2951

    @classmethod
    def of(cls, values: Sequence[UUID]) -> "UuidArray":
        """Pack UUIDs."""
        length = _LENGTH.pack(16)
        return cls(b"".join([length + value.bytes for value in values]), len(values))


class ByteaArray(PackedArray):
    """A `bytea[]`."""

    __slots__ = ()
    ELEMENT_OID = 17
    ARRAY_OID = 1001

    @classmethod
    def of(cls, values: Iterable[bytes]) -> "ByteaArray":
        """Pack byte strings."""
        elements = [_LENGTH.pack(len(value)) + value for value in values]
        return cls(b"".join(elements), len(elements))


class TextArray(PackedArray):
    """A `text[]`."""

    __slots__ = ()
    ELEMENT_OID = 25
    ARRAY_OID = 1009

    @classmethod
    def of(cls, values: Iterable[str]) -> "TextArray":
        """Pack strings, as UTF-8."""
        elements = [_LENGTH.pack(len(value)) + value for value in map(str.encode, values)]
        return cls(b"".join(elements), len(elements))


def _pack_int8(values: Sequence[int]) -> bytes:
    flat = [8] * (2 * len(values))
    flat[1::2] = values
    return struct.pack("!" + "iq" * len(values), *flat)


class _PackedArrayDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: PackedArray) -> Buffer:
        return obj.data


def register(connection: "Connection[Any] | AsyncConnection[Any]") -> None:
    """Let this connection send packed arrays."""
    for array in (Int8Array, TimestampArray, UuidArray, ByteaArray, TextArray):
        dumper = type(f"{array.__name__}Dumper", (_PackedArrayDumper,), {"oid": array.ARRAY_OID})
        connection.adapters.register_dumper(array, dumper)
