"""The rows of a read model in the order of accounts, beside those that the events come to.

They are read raw: ids of accounts are bytes, for as `UUID` each would be compared by code in Python, row by row.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, LiteralString, NamedTuple, TypeAlias
from uuid import UUID

from psycopg import AsyncConnection, AsyncServerCursor

from ledger.rows import read_raw

Row: TypeAlias = tuple[Any, ...]

FETCH: Final = 5_000


class Difference(NamedTuple):
    """Two rows of one key that should be equal; `None` where one lacks. The account in the key is a `UUID` again."""

    key: Row
    expected: Row | None
    kept: Row | None


class KeptRows:
    """Rows that begin with an account and a key of `key_columns` columns, in this order, read once from first to last.

    Through a cursor of the server's, so that memory stays bounded. `form` brings a row into the form to compare.
    """

    def __init__(
        self,
        connection: AsyncConnection[Any],
        name: str,
        *,
        key_columns: int,
        form: Callable[[Row], Row] | None = None,
    ) -> None:
        self._cursor = AsyncServerCursor(connection, name)
        read_raw(self._cursor)
        self._end_of_key = 1 + key_columns
        self._form = form
        self._read: list[Row] = []
        self._place = 0

    async def open(self, statement: LiteralString, parameters: Mapping[str, object]) -> None:
        """Begin to read."""
        await self._cursor.execute(statement, parameters, binary=True)

    async def close(self) -> None:
        """Read no more."""
        await self._cursor.close()

    async def differing(self, expected: Sequence[Row]) -> list[Difference]:
        """Go on behind the rows that are expected next; return those that differ, lack, or are too many, by their keys.

        Rows of earlier accounts are too many.
        """
        found = await self._next(len(expected))
        if found == expected or not expected:
            return []
        last = self._key(expected[-1])
        while (row := await self._peek()) is not None and self._key(row) <= last:
            found += await self._next(1)
        beyond = [row for row in found if self._key(row) > last]
        self._read, self._place = beyond + self._read[self._place :], 0
        mine = {self._key(row): row for row in expected}
        theirs = {self._key(row): row for row in found[: len(found) - len(beyond)]}
        return [
            Difference(_readable(key), mine.get(key), theirs.get(key))
            for key in sorted(mine.keys() | theirs.keys())
            if mine.get(key) != theirs.get(key)
        ]

    async def rest(self, account_id: UUID | None) -> list[Row]:
        """Pass all rows up to and with those of an account, or all; return their keys."""
        passed: list[Row] = []
        last = None if account_id is None else account_id.bytes
        while (row := await self._peek()) is not None and (last is None or row[0] <= last):
            passed.append(_readable(self._key(row)))
            self._place += 1
        return passed

    def _key(self, row: Row) -> Row:
        return row[: self._end_of_key]

    async def _peek(self) -> Row | None:
        await self._fill(1)
        return self._read[self._place] if self._place < len(self._read) else None

    async def _next(self, count: int) -> list[Row]:
        await self._fill(count)
        found = self._read[self._place : self._place + count]
        self._place += len(found)
        return found

    async def _fill(self, count: int) -> None:
        while len(self._read) - self._place < count:
            more = await self._cursor.fetchmany(max(FETCH, count))
            if not more:
                return
            self._read = self._read[self._place :] + (more if self._form is None else [*map(self._form, more)])
            self._place = 0


def _readable(key: Row) -> Row:
    return (UUID(bytes=key[0]), *key[1:])
