"""Whether the process lives, whether it can do its work, and its metrics."""

import asyncio
import math
import time
from collections.abc import Awaitable
from typing import Final, TypeVar

import structlog
from litestar import get
from litestar.types import ASGIApp
from msgspec import Struct

from api import metrics
from api.answers import Answer, RawAnswer
from api.generation_metrics import platform_metrics
from api.requests import ApiRequest
from api.services import Services
from ledger import checkpoints
from ledger.sealer import lag_s
from workers.generations import read_queue_depth

CHECK_TIMEOUT_S: Final = 2.0
MAX_SEALER_LAG_S: Final = 30.0
"""Beyond this nobody seals: the clock process is gone, or far behind."""

_log: Final = structlog.get_logger("api.health")

Found = TypeVar("Found")


class Check(Struct, frozen=True, kw_only=True):
    """One thing that readiness depends on."""

    ok: bool
    value: float | None = None
    """What was measured: milliseconds of a round trip, seconds of lag, waiting generations."""
    error: str | None = None


class Readiness(Struct, frozen=True, kw_only=True):
    """Whether the process can do its work, and why not."""

    ready: bool
    checks: dict[str, Check]


class Liveness(Struct, frozen=True):
    """The process answers."""

    status: str


@get("/health/live", opt={"roles": None})
async def live() -> Answer[Liveness]:
    """Say that the process answers; it asks nobody else."""
    return Answer(Liveness("live"))


@get("/health/ready", opt={"roles": None, "also": (503,)})
async def ready(request: ApiRequest) -> Answer[Readiness]:
    """Say whether Postgres, Redis, the sealer and the queue are in order: 200, or 503 and what is not."""
    readiness = await check(request.services)
    return Answer(readiness, status=200 if readiness.ready else 503)


@get("/metrics", opt={"roles": None, "media_type": "text/plain"})
async def show_metrics(request: ApiRequest) -> ASGIApp:
    """Show the metrics of this process and of the platform in the text format of Prometheus."""
    _, platform = await asyncio.gather(check(request.services), platform_metrics(request.services))
    return RawAnswer(metrics.render(platform), status=200, content_type=metrics.CONTENT_TYPE)


async def check(services: Services) -> Readiness:
    """Measure everything at once, each within `CHECK_TIMEOUT_S`."""
    postgres, redis, lag, queue, _ = await asyncio.gather(
        _measure("postgres", _postgres_ms(services)),
        _measure("redis", _redis_ms(services)),
        _measure("sealer_lag", _sealer_lag_s(services), at_most=MAX_SEALER_LAG_S),
        _measure("queue", _queue_depth(services)),
        # A number to watch, and no reason to take the API out of service.
        _measure("checkpoint_lag", _checkpoint_lag_s(services)),
    )
    checks = {"postgres": postgres, "redis": redis, "sealer_lag": lag, "queue": queue}
    return Readiness(ready=all(found.ok for found in checks.values()), checks=checks)


async def _measure(name: str, measuring: Awaitable[float], *, at_most: float | None = None) -> Check:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            value = round(await measuring, 3)
    except Exception as error:  # noqa: BLE001 - whatever it is, it means "not ready"
        _log.warning("not_ready", check=name, error=f"{type(error).__name__}: {error}".strip())
        metrics.record_fact(f"{name}_ok", 0)
        return Check(ok=False, error="unreachable")
    is_ok = at_most is None or value <= at_most
    metrics.record_fact(name, value)
    metrics.record_fact(f"{name}_ok", is_ok)
    return Check(ok=is_ok, value=value, error=None if is_ok else f"above {at_most:g}")


async def _postgres_ms(services: Services) -> float:
    began = time.perf_counter()
    async with services.database.connection() as connection:
        await connection.execute("SELECT 1")
    return (time.perf_counter() - began) * 1000


async def _redis_ms(services: Services) -> float:
    began = time.perf_counter()
    await services.generations.redis.ping()  # pyright: ignore[reportUnknownMemberType]  # untyped in redis-py
    return (time.perf_counter() - began) * 1000


async def _sealer_lag_s(services: Services) -> float:
    async with services.database.connection() as connection:
        return await lag_s(connection)


async def _checkpoint_lag_s(services: Services) -> float:
    """Age of the oldest sealed event that no checkpoint covers; infinite while there is no checkpoint at all."""
    async with services.database.connection() as connection:
        lag = await checkpoints.lag_s(connection)
    return math.inf if lag is None else lag


async def _queue_depth(services: Services) -> float:
    return float(await read_queue_depth(services.database))
