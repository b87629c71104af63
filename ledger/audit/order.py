"""The sealed order in two files, for as long as an audit lasts, so that no event is read twice.

Events are read account by account, and the order runs through all accounts. One file has the place in the order of
every position: it says where an event belongs that is read. The other has the hash at every place: it is filled while
accounts are read, by any number of processes, and then is what the tree is made from. Together they take 40 bytes an
event, on disk and not in memory.
"""

import contextlib
import errno
import mmap
import os
import shutil
import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from psycopg import AsyncConnection

from ledger import statements
from ledger.merkle import HASH_BYTES

sql: Final = statements.load("ledger.audit")

PAGE: Final = 262_144
"""Places read at once."""

WIDTH: Final = 8
"""Bytes of a place, a native signed integer."""

EVENT_BYTES: Final = WIDTH + HASH_BYTES
"""What both files take for each event."""

POSITION_LIMIT: Final = 2**36
"""The file of places is sparse, so what is between two positions takes no space; beyond this it takes too much memory
to address. Nobody has so many events, and one at such a position counts as not sealed, which is found."""

NO_HASH: Final = bytes(HASH_BYTES)


class OrderFiles(msgspec.Struct, frozen=True):
    """Where the files of the order are, and how many events it has."""

    directory: Path
    size: int

    @property
    def places(self) -> Path:
        """The place of every position, as far as positions have places."""
        return self.directory / "places"

    @property
    def hashes(self) -> Path:
        """The hash at every place."""
        return self.directory / "hashes"


def reserve(files: OrderFiles) -> None:
    """Make room for a hash at each place.

    Raises:
        OSError: the disk is full.
    """
    if shutil.disk_usage(files.directory).free < files.size * EVENT_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with files.hashes.open("wb") as file:
        # Written, and not left a hole: one that cannot be filled later would kill whoever writes there.
        for first in range(0, files.size, PAGE):
            file.write(NO_HASH * min(PAGE, files.size - first))


async def write_places(connection: AsyncConnection[Any], files: OrderFiles) -> None:
    """Write which place each position has.

    Raises:
        OSError: the disk is full.
    """
    beyond = 0
    with files.places.open("wb") as file:
        while True:
            given = {"first": beyond, "limit": PAGE, "beyond": POSITION_LIMIT, "size": files.size}
            row = await (await connection.execute(sql.READ_PLACES, given, binary=True)).fetchone()
            if row is None or row[0] is None:
                return
            positions, seqs = _integers(row[0]), _integers(row[1])
            beyond = positions[-1] + 1
            for first, run in _runs(*_unambiguous(positions, seqs)):
                file.seek(first * WIDTH)
                file.write(run)


def _unambiguous(positions: "array[int]", seqs: "array[int]") -> tuple["array[int]", "array[int]"]:
    """Leave out positions that have several places, which a constraint forbids: so their events are not sealed."""
    if len(set(positions)) == len(positions):
        return positions, seqs
    times = Counter(positions)
    kept = [place for place, position in enumerate(positions) if times[position] == 1]
    return array("q", [positions[place] for place in kept]), array("q", [seqs[place] for place in kept])


def _integers(big_endian: bytes) -> "array[int]":
    numbers = array("q", big_endian)
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers


def _runs(positions: "array[int]", seqs: "array[int]") -> Iterable[tuple[int, "array[int]"]]:
    """Cut places into runs whose positions follow upon each other; most often there is one."""
    start = 0
    while start < len(positions):
        end = _end_of_run(positions, start)
        yield positions[start], seqs[start:end]
        start = end


def _end_of_run(positions: "array[int]", start: int) -> int:
    """Find by bisection how far positions rise by one from here: no two are the same."""
    low, high = start, len(positions) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if positions[middle] - positions[start] == middle - start:
            low = middle
        else:
            high = middle - 1
    return low + 1


class Order:
    """The order as one process sees it. A context manager."""

    def __init__(self, files: OrderFiles) -> None:
        self._files = files
        self._stack = contextlib.ExitStack()
        self._places = memoryview(b"").cast("q")
        self._hashes: mmap.mmap | bytearray = bytearray()

    def __enter__(self) -> Self:
        # What is empty cannot be mapped, and nothing is looked up there.
        if self._files.places.stat().st_size:
            with self._files.places.open("rb") as file:
                places = self._stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            self._places = memoryview(places).cast("q")
        if self._files.size:
            with self._files.hashes.open("r+b") as file:
                self._hashes = self._stack.enter_context(mmap.mmap(file.fileno(), 0))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._places.release()
        self._stack.close()

    def places(self, positions: Sequence[int]) -> list[int]:
        """Return the `seq` of the events at these positions; 0 for one that is not sealed."""
        places, beyond = self._places, len(self._places)
        return [places[position] if 0 <= position < beyond else 0 for position in positions]

    def put(self, hashes: Iterable[tuple[int, bytes]]) -> list[int]:
        """Put the hashes of events at their `seq`; return the places where there was one already."""
        taken: list[int] = []
        kept = self._hashes
        for seq, event_hash in hashes:
            end = seq * HASH_BYTES
            start = end - HASH_BYTES
            if kept[start:end] != NO_HASH:
                taken.append(seq)
            kept[start:end] = event_hash if len(event_hash) == HASH_BYTES else NO_HASH
        return taken

    def entries(self, first: int, beyond: int) -> tuple[bytes, int | None]:
        """Return the hashes of a range of leaves, one after the other, and the first `seq` at which there is none."""
        entries = bytes(self._hashes[first * HASH_BYTES : beyond * HASH_BYTES])
        found = entries.find(NO_HASH)
        while found % HASH_BYTES and found != -1:
            found = entries.find(NO_HASH, found + 1)
        return entries, None if found == -1 else first + found // HASH_BYTES + 1
