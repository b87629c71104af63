"""API keys as they were a moment ago, so that who asks often does not wait for the database each time.

What was read is relied on for `RELY_S` and no longer, and whoever revokes a key waits until that is over before saying
so. From then on no request that arrives lets its holder in. Keys in use are read again before their time is over.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple
from uuid import UUID

import structlog

from api.coalescing import BATCH_LIMIT, Coalescer
from api.keys import RELY_S, StoredKey

LOOK_S: Final = RELY_S / 3
"""How often keys in use are read again: a read may take as long before anybody waits for one."""

LOOK_ON_S: Final = 10.0
"""How long after it was last asked for a key is in use."""

_log: Final = structlog.get_logger("api.known_keys")


class _Known(NamedTuple):
    key: StoredKey
    read_at_s: float
    """From before the database was asked."""


class KnownKeys:
    """Reads keys through `read`, and knows for a moment what it read. Look-ups that arrive together share one query."""

    def __init__(
        self,
        read: Callable[[set[UUID]], Awaitable[Mapping[UUID, StoredKey]]],
        *,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._clock_s = clock_s
        self._reading = Coalescer(self._read_again)
        self._known: dict[UUID, _Known] = {}
        self._asked_at_s: dict[UUID, float] = {}

    async def get(self, key_id: UUID) -> StoredKey | None:
        """Return a key as it was less than `RELY_S` before it was asked for, or later; None if there is none.

        Raises:
            psycopg.OperationalError, TimeoutError: it had to be read, and the database is away.
        """
        asked_at_s = self._clock_s()
        known = self._known.get(key_id)
        if known is None or asked_at_s - known.read_at_s >= RELY_S:
            key = await self._reading.get(key_id)
        else:
            key = known.key
        if key is not None:
            self._asked_at_s[key_id] = asked_at_s
        return key

    async def keep_fresh(self) -> None:
        """Read the keys in use again in time, for ever; no more of them than one query takes."""
        while True:
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - whoever asks reads then, and hears of it
                _log.warning("keys_not_read", error=repr(error))
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Read the keys in use again, and forget the others."""
        since_s = self._clock_s() - LOOK_ON_S
        self._asked_at_s = {
            key_id: asked_at_s for key_id, asked_at_s in self._asked_at_s.items() if asked_at_s >= since_s
        }
        self._known = {key_id: known for key_id, known in self._known.items() if key_id in self._asked_at_s}
        in_use = set(sorted(self._asked_at_s, key=self._asked_at_s.__getitem__, reverse=True)[:BATCH_LIMIT])
        if in_use:
            await self._read_again(in_use)

    async def _read_again(self, key_ids: set[UUID]) -> Mapping[UUID, StoredKey]:
        read_at_s = self._clock_s()
        found = await self._read(key_ids)
        for key_id, key in found.items():
            self._known[key_id] = _Known(key, read_at_s)
        return found
