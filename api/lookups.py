"""One connection for the small reads that nearly every request needs.

A pooled connection costs a check, a BEGIN and a COMMIT around each read. These reads are single statements, so they
share one connection in autocommit mode that is opened again when it is lost.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, LiteralString, Self

import psycopg
from psycopg import AsyncConnection

from ledger import database

TIMEOUT_S: Final = 5.0
ATTEMPTS: Final = 2


class LookupConnection:
    """A connection that reconnects by itself; concurrent reads queue for it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = asyncio.Lock()
        self._connection: AsyncConnection[Any] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._disconnect()

    async def fetch(self, statement: LiteralString, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
        """Run one reading statement and return its rows.

        Raises:
            psycopg.OperationalError: the database cannot be reached, also not after reconnecting.
            TimeoutError: it did not answer within `TIMEOUT_S`.
        """
        async with self._lock, asyncio.timeout(TIMEOUT_S):
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    return await self._fetch(statement, parameters)
                except (psycopg.OperationalError, psycopg.InterfaceError):
                    await self._disconnect()
                    if attempt == ATTEMPTS:
                        raise
                except BaseException:
                    await self._disconnect()
                    raise
            raise AssertionError("unreachable")

    async def _fetch(self, statement: LiteralString, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
        if self._connection is None:
            self._connection = await database.connect(
                self._url, name="holdfast look-ups", autocommit=True, settings=database.ROWS_BY_KEY
            )
        cursor = await self._connection.execute(statement, parameters, binary=True)
        return await cursor.fetchall()

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
