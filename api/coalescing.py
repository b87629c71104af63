"""Look-ups that arrive together share one query.

The same natural batching as the ledger's writer: while one query is under way further callers queue, and the next query
asks for all of them. Nobody is answered from a query that began before they asked, so nothing is ever stale.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Generic, TypeVar

Key = TypeVar("Key")
Found = TypeVar("Found")

BATCH_LIMIT: Final = 512


class Coalescer(Generic[Key, Found]):
    """Turns single look-ups into batched ones."""

    def __init__(self, fetch: Callable[[set[Key]], Awaitable[Mapping[Key, Found]]]) -> None:
        self._fetch = fetch
        self._waiting: list[tuple[Key, asyncio.Future[Found | None]]] = []
        self._runner: asyncio.Task[None] | None = None

    async def get(self, key: Key) -> Found | None:
        """Return what is found under the key now, or nothing.

        Raises:
            Exception: whatever `fetch` raised for the batch.
        """
        future: asyncio.Future[Found | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, future))
        if self._runner is None:
            self._runner = asyncio.create_task(self._run(), name="look-ups")
        return await future

    async def _run(self) -> None:
        while self._waiting:
            batch = self._waiting[:BATCH_LIMIT]
            del self._waiting[:BATCH_LIMIT]
            try:
                found = await self._fetch({key for key, _ in batch})
            except Exception as error:  # noqa: BLE001 - every waiting caller gets it
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
            else:
                for key, future in batch:
                    if not future.done():
                        future.set_result(found.get(key))
        self._runner = None
