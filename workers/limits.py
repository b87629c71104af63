"""How many calls may run at a provider at once, counted across all workers.

Redis keeps the places: a sorted set of holders per provider, each with the time at which its place comes free unless it
is extended. A killed worker's places come back `PLACE_S` later. While Redis is away, and for a moment after it came
back to anyone or forgot everything, Postgres counts instead: what runs by its row, one decision at a time. What
Postgres lets through is noted in Redis too, which is believed again once everyone has told it what they hold. So
nothing ever waits for Redis, and the limit holds but for what was being committed when Postgres began to count, and
what a worker runs for whom alone Redis is away: at most the limit once more.
"""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import structlog
from psycopg import AsyncConnection
from redis.asyncio import Redis
from redis.exceptions import RedisError

from workers.generations import sql

PLACE_S: Final = 6.0
"""Slightly longer than a lease: what a killed worker ran is put back into the queue first."""

EXTEND_S: Final = 1.5
UNSURE_S: Final = 4.0
"""After Redis forgot who holds places, or missed who took some, everyone who lives has told it by then."""

TIMEOUT_S: Final = 0.5
LEAVE_ALONE_S: Final = 1.0
"""How long a Redis that did not answer is not asked again."""

_NOW: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

_KNOWN_SINCE: Final = (
    _NOW
    + """
local known_since = tonumber(redis.call('GET', KEYS[2]))
if not known_since or ARGV[1] == '1' then
    redis.call('SET', KEYS[2], now)
    known_since = now
end
"""
)

_TAKE: Final = (
    _KNOWN_SINCE
    + """
local is_sure = now - known_since >= tonumber(ARGV[5])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local has_room = redis.call('ZSCORE', KEYS[1], ARGV[2]) or redis.call('ZCARD', KEYS[1]) < tonumber(ARGV[3])
if is_sure and not has_room then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[4], ARGV[2])
return is_sure and 1 or -1
"""
)

_EXTEND: Final = (
    _KNOWN_SINCE
    + """
for place = 3, #ARGV do redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[place]) end
return 1
"""
)

_IS_FULL: Final = (
    _NOW
    + """
local known_since = redis.call('GET', KEYS[2])
if not known_since or now - known_since < tonumber(ARGV[2]) then return 0 end
if redis.call('ZCOUNT', KEYS[1], '(' .. now, '+inf') >= tonumber(ARGV[1]) then return 1 end
return 0
"""
)

_log = structlog.stdlib.get_logger(__name__)


class Holder(NamedTuple):
    """Who holds a place: one attempt at one generation."""

    provider: str
    name: str


class ProviderLimits:
    """The places this process holds, and the way to more. An async context manager, which extends what it holds."""

    def __init__(self, redis: Redis, limits: Mapping[str, int]) -> None:
        self._redis = redis
        self._limits = dict(limits)
        self._take = redis.register_script(_TAKE)
        self._extend = redis.register_script(_EXTEND)
        self._is_full = redis.register_script(_IS_FULL)
        self._held: set[Holder] = set()
        self._unreturned: set[Holder] = set()
        """Places that Redis may believe to be held, because it could not be told otherwise."""
        self._away_until_s = float("-inf")
        self._was_away: set[str] = set()
        """Providers where this process let Postgres count and Redis knows nothing of it; it has yet to be told so."""
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._limits:
            self._task = asyncio.create_task(self._extend_forever(), name="provider places")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    @property
    def are_none(self) -> bool:
        """Whether no provider is limited."""
        return not self._limits

    def is_limited(self, provider: str) -> bool:
        """Whether calls to this provider are counted at all."""
        return provider in self._limits

    async def full_providers(self) -> list[str]:
        """Return the providers that have no room now; none where nobody can say."""
        if not self._limits or self._is_away():
            return []
        names = list(self._limits)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                answers = await asyncio.gather(
                    *(
                        self._is_full(keys=_keys(name), args=[self._limits[name], int(UNSURE_S * 1_000)])
                        for name in names
                    )
                )
        except (RedisError, OSError, TimeoutError) as error:
            self._leave_alone(error)
            return []
        return [name for name, is_full in zip(names, answers, strict=True) if is_full]

    async def take(self, holder: Holder, connection: AsyncConnection[Any]) -> bool:
        """Take a place for a generation that was claimed on this connection and is not committed yet; false if full."""
        limit = self._limits.get(holder.provider)
        if limit is None:
            return True
        answer = await self._ask_redis(holder, limit)
        if answer is not None:
            if answer:
                self._held.add(holder)
            return answer
        # Redis notes it all the same: what Postgres lets through counts there once Redis is believed.
        self._held.add(holder)
        has_room = False
        try:
            has_room = await _has_room(connection, holder.provider, limit)
        finally:
            if not has_room:
                await self.give_back(holder)
        return has_room

    async def try_take(self, holder: Holder) -> bool:
        """Take a place for one more call on behalf of a generation that runs already; false if full.

        Without Redis nobody can say, and what runs already may go on.
        """
        limit = self._limits.get(holder.provider)
        if limit is None:
            return True
        answer = await self._ask_redis(holder, limit)
        if answer is not False:
            self._held.add(holder)
        return answer is not False

    @contextlib.asynccontextmanager
    async def borrowed(self, holder: Holder, provider: str) -> AsyncGenerator[bool]:
        """Hold a place for one more call at this provider, beside the holder's own; says whether there was one.

        At the provider where the holder has its place already, that one serves.
        """
        if provider == holder.provider:
            yield True
            return
        place = Holder(provider, holder.name)
        has_room = await self.try_take(place)
        try:
            yield has_room
        finally:
            await self.give_back(place)

    async def give_back(self, holder: Holder) -> None:
        """Give a place back. A Redis that cannot be told now is told later, and in the end it comes back by itself."""
        if holder not in self._held:
            return
        self._held.discard(holder)
        self._unreturned.add(holder)
        if self._is_away():
            return
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self._redis.zrem(_keys(holder.provider)[0], holder.name)
            self._unreturned.discard(holder)
        except (RedisError, OSError, TimeoutError) as error:
            self._leave_alone(error)

    async def _ask_redis(self, holder: Holder, limit: int) -> bool | None:
        """Ask for a place; `None` where Redis does not know."""
        if self._is_away():
            return None
        was_away = holder.provider in self._was_away
        arguments = [int(was_away), holder.name, limit, int(PLACE_S * 1_000), int(UNSURE_S * 1_000)]
        try:
            async with asyncio.timeout(TIMEOUT_S):
                answer = await self._take(keys=_keys(holder.provider), args=arguments)
        except (RedisError, OSError, TimeoutError) as error:
            self._leave_alone(error)
            return None
        if was_away:
            self._was_away.discard(holder.provider)
        return None if answer == -1 else answer == 1

    async def _extend_forever(self) -> None:
        while True:
            await asyncio.sleep(EXTEND_S)
            try:
                async with asyncio.timeout(EXTEND_S):
                    await self._extend_all()
            except (RedisError, OSError, TimeoutError) as error:
                self._leave_alone(error)
            except Exception:  # noqa: BLE001 - the limits depend on this task: it outlives any one failure
                _log.exception("places_not_extended", held=len(self._held))

    async def _extend_all(self) -> None:
        names: defaultdict[str, list[str]] = defaultdict(list)
        for holder in self._held:
            names[holder.provider].append(holder.name)
        for provider in self._limits:
            was_away = provider in self._was_away
            await self._extend(keys=_keys(provider), args=[int(was_away), int(PLACE_S * 1_000), *names[provider]])
            if was_away:
                self._was_away.discard(provider)
        # What was given back meanwhile must not come to life again, and what Redis was not told of must not live on.
        told = {Holder(provider, name) for provider, held in names.items() for name in held}
        gone = (self._unreturned | told) - self._held
        for holder in gone:
            await self._redis.zrem(_keys(holder.provider)[0], holder.name)
        self._unreturned -= gone

    def _is_away(self) -> bool:
        return time.monotonic() < self._away_until_s

    def _leave_alone(self, error: BaseException) -> None:
        if not self._is_away():
            _log.warning("provider_places_unknown", error=repr(error), held=len(self._held))
        self._away_until_s = time.monotonic() + LEAVE_ALONE_S
        self._was_away.update(self._limits)


async def _has_room(connection: AsyncConnection[Any], provider: str, limit: int) -> bool:
    # Two statements: the count must see what was committed by whoever held the lock before.
    await connection.execute(sql.LOCK_PROVIDER, {"provider": provider})
    row = await (await connection.execute(sql.COUNT_RUNNING_AT_PROVIDER, {"provider": provider})).fetchone()
    assert row is not None, "count(*) has a row"
    return int(row[0]) <= limit


def _keys(provider: str) -> Sequence[str]:
    return (f"holdfast:places:{{{provider}}}", f"holdfast:places:{{{provider}}}:known_since")
