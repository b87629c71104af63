"""Filling a new build by several connections at once, where its batches may be taken in any order.

What is read and what is written is the server's work, so it takes a core for each connection. Until all is in, the mark
of the build says up to where there is no gap; beyond it there may be more. That harms nobody: only the rebuild that
fills a build goes on with it, and the next one empties it first.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from ledger.database import Database
from projections.projection import Projection, read_batch, sql

LANES: Final = 2
"""How many connections fill: as many as the smallest machine has cores, and few beside those the pool is for."""


async def fill(
    database: Database, projection: Projection, *, build: int, size: int, progress: Callable[[int], None]
) -> None:
    """Take the first `size` events into an empty build that nobody reads.

    Whatever it raises, the build is of no use afterwards.

    Raises:
        Exception: an event cannot be taken, or the database could not do it now; of several reasons, the first.
    """
    filling = _Filling(database, projection, build, size, progress)
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(LANES):
                group.create_task(filling.lane())
    except ExceptionGroup as reasons:
        raise reasons.exceptions[0] from None


class _Filling:
    def __init__(
        self, database: Database, projection: Projection, build: int, size: int, progress: Callable[[int], None]
    ) -> None:
        self._database = database
        self._projection = projection
        self._build = build
        self._size = size
        self._progress = progress
        self._waiting = iter(range(0, size, projection.batch_limit))
        self._taken: set[int] = set()
        self._without_gap = 0
        self._marking = asyncio.Lock()

    async def lane(self) -> None:
        """Take one batch after the other, until none is left."""
        for after_seq in self._waiting:
            async with self._database.connection() as connection:
                upto_seq = self._beyond(after_seq)
                batch = await read_batch(connection, build=self._build, after_seq=after_seq, upto_seq=upto_seq)
                await self._projection.apply(connection, batch)
            await self._mark(after_seq)

    async def _mark(self, after_seq: int) -> None:
        async with self._marking:
            self._taken.add(after_seq)
            while self._without_gap in self._taken:
                self._taken.remove(self._without_gap)
                self._without_gap = self._beyond(self._without_gap)
            mark = {"name": self._projection.name, "build": self._build, "seq": self._without_gap}
            async with self._database.connection() as connection:
                await connection.execute(sql.ADVANCE_BUILD, mark)
            self._progress(self._without_gap)

    def _beyond(self, after_seq: int) -> int:
        return min(self._size, after_seq + self._projection.batch_limit)
