"""Where a generation stands in its queue, and how long that will probably take."""

import asyncio
import math
import time
from collections import Counter
from types import TracebackType
from typing import Final, Self
from uuid import UUID

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ledger.database import Database
from workers.generations import sql
from workers.tiers import Tier

MOST: Final = 1_000
"""Positions are counted up to here; further back the number says no more than "far"."""

LONGEST_WAIT_S: Final = 86_400
EMPTY_FOR_S: Final = 0.25
EMPTY_FOR: Final = 8
"""A queue that was empty is taken for empty for this long, or until so many more were admitted."""

LOOK_S: Final = 0.8 * EMPTY_FOR_S
LOOK_ON_S: Final = 10.0
"""Queues are looked at in the background for this long after somebody asked."""

BUCKET_S: Final = 10
BUCKETS: Final = 7
"""How fast a tier goes is measured over the last minute and the current bucket."""

KEEP_S: Final = 2 * BUCKET_S * BUCKETS
NOTE_S: Final = 1.0
FRESH_S: Final = 1.0
TIMEOUT_S: Final = 0.25

_log = structlog.stdlib.get_logger(__name__)


class Place(msgspec.Struct, frozen=True):
    """A place in a queue: how many are before it, and roughly how long that takes; `None` if nobody knows."""

    position: int
    wait_s: int | None


NEXT: Final = Place(0, 0)


class Pace:
    """How many generations of each tier all workers took up lately. An async context manager for who takes them up.

    Redis adds up what the workers did. What it loses only makes estimates worse for a minute.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._taken: Counter[Tier] = Counter()
        self._known: dict[Tier, tuple[float, float | None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._tell_forever(), name="pace")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])

    def note(self, tier: Tier) -> None:
        """Count a generation that was taken up here."""
        self._taken[tier] += 1

    async def per_second(self, tier: Tier) -> float | None:
        """Return how many of this tier were taken up per second lately; `None` if none were, or Redis is away."""
        read_at_s, pace = self._known.get(tier, (float("-inf"), None))
        if time.monotonic() - read_at_s >= FRESH_S:
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    pace = await self._read(tier)
            except (RedisError, OSError, TimeoutError) as error:
                _log.info("pace_unknown", error=repr(error))
                pace = None
            self._known[tier] = (time.monotonic(), pace)
        return pace

    async def tell(self) -> None:
        """Tell Redis what was counted since the last time.

        Raises:
            RedisError, OSError: it cannot be told; what was counted is forgotten.
        """
        taken, self._taken = self._taken, Counter()
        bucket = int(time.time()) // BUCKET_S
        async with self._redis.pipeline(transaction=False) as pipeline:
            for tier, count in taken.items():
                pipeline.incrby(_key(tier, bucket), count)
                pipeline.expire(_key(tier, bucket), KEEP_S)
            if taken:
                await pipeline.execute()

    async def _read(self, tier: Tier) -> float | None:
        now_s = time.time()
        newest = int(now_s) // BUCKET_S
        buckets = range(newest - BUCKETS + 1, newest + 1)
        counts = [int(count or 0) for count in await self._redis.mget([_key(tier, bucket) for bucket in buckets])]
        begun = next((bucket for bucket, count in zip(buckets, counts, strict=True) if count), None)
        return None if begun is None else sum(counts) / max(1.0, now_s - begun * BUCKET_S)

    async def _tell_forever(self) -> None:
        while True:
            await asyncio.sleep(NOTE_S)
            try:
                async with asyncio.timeout(NOTE_S):
                    await self.tell()
            except (RedisError, OSError, TimeoutError) as error:
                _log.info("pace_not_told", error=repr(error))


class Places:
    """Places in the queues, as callers are told of them."""

    def __init__(self, database: Database, redis: Redis) -> None:
        self._database = database
        self._pace = Pace(redis)
        self._asked: Counter[Tier] = Counter()
        self._empty: dict[Tier, tuple[float, int]] = {}
        """When a queue was last seen empty, and how often we had been asked about it by then."""
        self._asked_at_s = float("-inf")

    async def keep_fresh(self) -> None:
        """Look in time whether queues are empty, as long as anybody asks: where they are, nobody waits to be told."""
        while True:
            if time.monotonic() - self._asked_at_s < LOOK_ON_S:
                try:
                    await self._look()
                except Exception as error:  # noqa: BLE001 - whoever asks looks then, and hears of it
                    _log.warning("queues_not_looked_at", error=repr(error))
            await asyncio.sleep(LOOK_S)

    async def of_next(self, account_id: UUID, *, tier: Tier, provider: str) -> Place:
        """Return the place that the next generation of this account will have."""
        began_s, asked = time.monotonic(), self._asked[tier]
        self._asked_at_s = began_s
        self._asked[tier] += 1
        empty_at_s, asked_then = self._empty.get(tier, (float("-inf"), 0))
        if began_s - empty_at_s < EMPTY_FOR_S and asked - asked_then < EMPTY_FOR:
            return NEXT
        parameters = {"account_id": account_id, "tier": tier, "provider": provider, "most": MOST}
        async with self._database.autocommit() as connection:
            row = await (await connection.execute(sql.COUNT_AHEAD_OF_NEXT, parameters)).fetchone()
        assert row is not None, "an aggregate has a row"
        if row[0] == 0:
            self._empty[tier] = (began_s, asked)
        return await self._place(tier, row[0])

    async def of(self, generation_id: UUID, *, account_id: UUID) -> Place | None:
        """Return the place of a generation; `None` if it does not wait."""
        parameters = {"generation_id": generation_id, "account_id": account_id, "most": MOST}
        async with self._database.autocommit() as connection:
            row = await (await connection.execute(sql.COUNT_AHEAD, parameters)).fetchone()
        return None if row is None else await self._place(Tier(row[0]), row[1])

    async def _look(self) -> None:
        began_s, asked = time.monotonic(), Counter(self._asked)
        async with self._database.autocommit() as connection:
            rows = await (await connection.execute(sql.READ_WAITING_TIERS)).fetchall()
        waiting = {row[0] for row in rows}
        for tier in Tier:
            if tier not in waiting:
                self._empty[tier] = (began_s, asked[tier])

    async def _place(self, tier: Tier, position: int) -> Place:
        if position == 0:
            return NEXT
        pace = await self._pace.per_second(tier)
        wait_s = None if not pace else min(LONGEST_WAIT_S, math.ceil((position + 1) / pace))
        return Place(position, wait_s)


def _key(tier: Tier, bucket: int) -> str:
    return f"holdfast:taken:{tier.name}:{bucket}"
