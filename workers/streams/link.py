"""One connection to Redis that knows when it is a new one.

redis-py's client and pool reconnect in silence, but whoever writes or follows a stream must know: behind a new
connection Redis may have restarted and forgotten the last second. So this uses redis-py's connection directly, which
also spares the per-command work of its pipelines: commands go out in one write, raw replies come back in order.
"""

import asyncio
import contextlib
import math
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias, cast

import hiredis
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

Command: TypeAlias = tuple[str | bytes | int, ...]
Reply: TypeAlias = object

LOST: Final = (RedisError, OSError, asyncio.TimeoutError)
"""What a call on a link raises when the connection is gone; what it was doing may or may not have happened."""

# It takes a seventh of the time of redis-py's packer, which decides how many streams one worker can write. Its types
# know only tuples of one element.
_pack_one: Final = cast("Callable[[Command], bytes]", hiredis.pack_command)  # pyright: ignore[reportUnknownMemberType]


class RedisLink:
    """A single connection, opened when it is first needed and again after it was lost. One caller at a time."""

    def __init__(self, redis_url: str, *, timeout_s: float = 5.0) -> None:
        pool = ConnectionPool.from_url(  # pyright: ignore[reportUnknownMemberType] - its options are not typed
            redis_url, protocol=2, retry=Retry(NoBackoff(), 0), socket_timeout=None, socket_connect_timeout=timeout_s
        )
        self._connection: AbstractConnection = pool.make_connection()
        self._timeout_s = timeout_s

    async def connect(self) -> bool:
        """Make sure there is a connection; true if it is a new one.

        Raises:
            RedisError, OSError, TimeoutError: see `LOST`.
        """
        if self._connection.is_connected:
            return False
        async with asyncio.timeout(self._timeout_s):
            await self._connection.connect()
        return True

    async def execute(self, commands: Sequence[Command], *, timeout_s: float | None = None) -> list[Reply]:
        """Send the commands in one write; one reply each, a refused command's reply being its `ResponseError`.

        Raises:
            RedisError, OSError, TimeoutError: the connection is lost; any of the commands may have been carried out.
        """
        try:
            async with asyncio.timeout(timeout_s or self._timeout_s):
                await self._connection.send_packed_command(_pack(commands), check_health=False)
                return [await self._reply() for _ in commands]
        except BaseException:
            await self.close()
            raise

    async def receive(self, ping_every_s: float) -> Reply:
        """The next message on a connection that has subscribed; asks for a sign of life when none comes.

        Raises:
            RedisError, OSError, TimeoutError: the connection is lost, and so may be any number of messages.
        """
        message = cast("Reply", await self._connection.read_response(timeout=ping_every_s))
        if message is None:
            await self._connection.send_packed_command(_pack([("PING",)]), check_health=False)
            message = cast("Reply", await self._connection.read_response(timeout=self._timeout_s))
        if message is None:
            await self.close()
            raise TimeoutError
        return message

    async def close(self) -> None:
        """Close the connection; the next call opens another."""
        with contextlib.suppress(*LOST):
            await self._connection.disconnect(nowait=True)

    async def _reply(self) -> Reply:
        try:
            return cast("Reply", await self._connection.read_response(timeout=math.inf))
        except ResponseError as refused:
            return refused


def _pack(commands: Sequence[Command]) -> bytes:
    return b"".join(map(_pack_one, commands))
