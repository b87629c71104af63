"""How messages reach the broker: in one write on the event loop's own connection to Redis, else by a thread."""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

import dramatiq
from dramatiq import Broker
from redis.exceptions import NoScriptError, ResponseError

from workers.doorbell import DoorbellBroker
from workers.streams.link import LOST, Command, RedisLink, Reply

TIMEOUT_S: Final = 2.0


class Sender(Protocol):
    """Sends messages to a broker; one caller at a time."""

    async def send(self, messages: "Sequence[dramatiq.Message[None]]") -> None:
        """Send them in their order.

        Raises:
            BrokerError, RedisError, OSError: the broker is away; any of them may have been sent.
        """
        ...

    async def close(self) -> None:
        """Let go of the broker."""
        ...


def sender_for(broker: Broker) -> Sender:
    """Return the quickest way to send to a broker."""
    return LinkSender(broker) if isinstance(broker, DoorbellBroker) else ThreadSender(broker)


class LinkSender:
    """Sends to Redis, without any thread."""

    def __init__(self, broker: DoorbellBroker) -> None:
        self._broker = broker
        self._link = RedisLink(broker.url, timeout_s=TIMEOUT_S)

    async def send(self, messages: "Sequence[dramatiq.Message[None]]") -> None:
        """See `Sender.send`."""
        commands = [command for message in messages for command in self._broker.enqueueing(message)]
        replies = await self._execute(commands)
        if any(isinstance(reply, NoScriptError) for reply in replies):
            # Redis is new, or has restarted. Should some have been enqueued all the same, twice does no harm.
            replies = (await self._execute([self._broker.loading(), *commands]))[1:]
        for reply in replies:
            if isinstance(reply, ResponseError):
                raise reply

    async def close(self) -> None:
        """See `Sender.close`."""
        await self._link.close()

    async def _execute(self, commands: Sequence[Command]) -> list[Reply]:
        is_new = await self._link.connect()
        try:
            return await self._link.execute(commands)
        except LOST:
            if is_new:
                raise
        # It was left over from before Redis restarted. What arrived all the same arrives twice, which does no harm.
        await self._link.connect()
        return await self._link.execute(commands)


class ThreadSender:
    """Sends to any broker, from a thread, so that a slow one never holds up the event loop."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def send(self, messages: "Sequence[dramatiq.Message[None]]") -> None:
        """See `Sender.send`."""
        await asyncio.to_thread(self._enqueue, messages)

    async def close(self) -> None:
        """See `Sender.close`."""

    def _enqueue(self, messages: "Sequence[dramatiq.Message[None]]") -> None:
        for message in messages:
            self._broker.enqueue(message)  # pyright: ignore[reportUnknownMemberType]  # untyped there
