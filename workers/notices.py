"""Telling workers at once that a generation is to be cancelled, or that a provider sent a webhook.

A notice may be lost: the heartbeat sees a cancel too, and a job is asked for now and then in any case.
"""

import asyncio
from collections.abc import Callable
from typing import Final, cast
from uuid import UUID

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from workers.streams.link import LOST, RedisLink

CHANNEL: Final = "holdfast:cancels"
WEBHOOK_CHANNEL: Final = "holdfast:webhooks"
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

    def take(data: bytes) -> None:
        if len(data) == 16:
            cancel(UUID(bytes=data))

    await _hear(redis_url, CHANNEL, take)


async def publish_webhook(redis: Redis, token: str) -> None:
    """Tell all workers that a webhook with this token was kept; says nothing if Redis is away."""
    try:
        await redis.publish(  # pyright: ignore[reportUnknownMemberType]  # its keyword arguments are untyped
            WEBHOOK_CHANNEL, token.encode()
        )
    except (RedisError, OSError) as error:
        _log.info("webhook_notice_lost", error=repr(error))


async def hear_webhooks(redis_url: str, ring: Callable[[str], None]) -> None:
    """Call `ring` with the token of every webhook, until cancelled and over any loss of Redis."""
    await _hear(redis_url, WEBHOOK_CHANNEL, lambda data: ring(data.decode("ascii", "replace")))


async def _hear(redis_url: str, channel: str, take: Callable[[bytes], None]) -> None:
    link = RedisLink(redis_url, timeout_s=2.0)
    try:
        while True:
            try:
                await link.execute([("SUBSCRIBE", channel)])
                while True:
                    _take(await link.receive(PING_EVERY_S), take)
            except LOST as lost:
                _log.info("notices_lost", channel=channel, error=repr(lost))
                await asyncio.sleep(RETRY_S)
    finally:
        await link.close()


def _take(message: object, take: Callable[[bytes], None]) -> None:
    kind, *_, data = cast("list[bytes]", message)
    if kind == b"message":
        take(data)
