"""Telling workers at once that a generation is to be cancelled. A notice may be lost: the heartbeat sees it too."""

import asyncio
from collections.abc import Callable
from typing import Final, cast
from uuid import UUID

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from workers.streams.link import LOST, RedisLink

CHANNEL: Final = "holdfast:cancels"
RETRY_S: Final = 0.5
PING_EVERY_S: Final = 15.0

_log = structlog.stdlib.get_logger(__name__)


async def publish_cancel(redis: Redis, generation_id: UUID) -> None:
    """Tell all workers; says nothing if Redis is away."""
    try:
        await redis.publish(  # pyright: ignore[reportUnknownMemberType]  # its keyword arguments are untyped
            CHANNEL, generation_id.bytes
        )
    except (RedisError, OSError) as error:
        _log.info("cancel_notice_lost", generation_id=str(generation_id), error=repr(error))


async def hear_cancels(redis_url: str, cancel: Callable[[UUID], None]) -> None:
    """Call `cancel` with every notice, until cancelled itself and over any loss of Redis."""
    link = RedisLink(redis_url, timeout_s=2.0)
    try:
        while True:
            try:
                await link.execute([("SUBSCRIBE", CHANNEL)])
                while True:
                    _take(await link.receive(PING_EVERY_S), cancel)
            except LOST as lost:
                _log.info("cancel_notices_lost", error=repr(lost))
                await asyncio.sleep(RETRY_S)
    finally:
        await link.close()


def _take(message: object, cancel: Callable[[UUID], None]) -> None:
    kind, *_, data = cast("list[bytes]", message)
    if kind == b"message" and len(data) == 16:
        cancel(UUID(bytes=data))
