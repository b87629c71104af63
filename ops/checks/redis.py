"""Redis: reachable, of a version we know, keeping what it is given."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ops.checks.finding import Finding, State, judge, unreachable
from ops.errors import CannotReach
from ops.reach import redis_facts, redis_version


async def check_redis(url: str) -> AsyncIterator[Finding]:
    """Look at the Redis that holds queues and streams."""
    try:
        version = await redis_version(url)
        facts = await redis_facts(url)
    except CannotReach as error:
        yield unreachable("redis", error)
        return
    yield Finding("redis", State.fine, f"version {'.'.join(map(str, version))}")
    yield judge(
        "redis eviction",
        fine=facts["maxmemory_policy"] == "noeviction",
        found=f"maxmemory-policy {facts['maxmemory_policy']}",
        mend="set maxmemory-policy noeviction: a queued generation must not be forgotten to make room",
    )
    yield judge(
        "redis persistence",
        fine=bool(facts["aof_enabled"]),
        found="append-only file on" if facts["aof_enabled"] else "append-only file off",
        mend="set appendonly yes: without it a restart cuts every open stream back to what Postgres has",
    )
