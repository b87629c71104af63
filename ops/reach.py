"""Looks whether Postgres and Redis can be reached and are of a version we know, before anything depends on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
import redis.asyncio
import redis.exceptions
from psycopg import conninfo
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ops.errors import CannotReach
from ops.services.binaries import OLDEST_REDIS

OLDEST_POSTGRES = 15
NEWEST_POSTGRES = 18
TIMEOUT_S = 5


async def postgres_version(url: str) -> int:
    """Return the major version of the server at `url`.

    Raises:
        CannotReach: it does not answer, does not let us in, or is older or newer than what we support.
    """
    try:
        where = _postgres_place(url)
        async with await psycopg.AsyncConnection.connect(url, connect_timeout=TIMEOUT_S) as connection:
            major = connection.info.server_version // 10_000
    except psycopg.Error as error:
        raise CannotReach(f"cannot reach Postgres ({_first_line(error)}): check DATABASE_URL") from None
    if not OLDEST_POSTGRES <= major <= NEWEST_POSTGRES:
        raise CannotReach(f"Postgres {major} at {where} is not supported: {OLDEST_POSTGRES} to {NEWEST_POSTGRES} are")
    return major


async def redis_version(url: str) -> tuple[int, int]:
    """Return the version of the server at `url`; for Valkey, the version of Redis it says it equals.

    Raises:
        CannotReach: it does not answer, does not let us in, or is too old.
    """
    about = await redis_facts(url)
    major, minor = (int(part) for part in str(about["redis_version"]).split(".")[:2])
    if (major, minor) < OLDEST_REDIS:
        raise CannotReach(f"Redis {major}.{minor} is not supported: {'.'.join(map(str, OLDEST_REDIS))} or newer is")
    return major, minor


async def redis_facts(url: str) -> Mapping[str, Any]:
    """Return what the server at `url` says of itself, as INFO does.

    Raises:
        CannotReach: it does not answer, or does not let us in.
    """
    try:
        client = redis.asyncio.Redis.from_url(  # pyright: ignore[reportUnknownMemberType] - its options are not typed
            url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), 0)
        )
        async with client:
            return await client.info()  # pyright: ignore[reportUnknownMemberType] - its options are not typed
    except (redis.exceptions.RedisError, OSError, ValueError) as error:
        raise CannotReach(f"cannot reach Redis ({_first_line(error)}): check REDIS_URL") from None


def _postgres_place(url: str) -> str:
    parts = conninfo.conninfo_to_dict(url)
    return str(parts.get("host") or parts.get("hostaddr") or "the default socket")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
