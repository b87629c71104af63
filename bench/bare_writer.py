"""The yardstick of streams: a server that only writes, with nothing behind it.

Each connection gets the same bytes at the same pace as a reader of the platform, with the time of writing in them.
"""

import asyncio
import json
import multiprocessing
import time
from multiprocessing.connection import Connection
from typing import Final, cast

import uvloop

from bench.figures import percentile

ANSWER: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
ROUNDS: Final = 60


class _Reader(asyncio.Protocol):
    """One connection of the load: keeps how long each frame took, of a sample."""

    def __init__(self, delays_s: "list[float] | None") -> None:
        self._delays_s = delays_s

    def data_received(self, data: bytes) -> None:
        if self._delays_s is not None and data.startswith(b"data: "):
            self._delays_s.append(time.monotonic() - json.loads(data[6 : data.index(b"\n")])["at"])


class _Writer(asyncio.Protocol):
    def __init__(self, open_: "list[asyncio.Transport]") -> None:
        self._open = open_

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._open.append(cast("asyncio.Transport", transport))


def serve(pipe: "Connection[object, object]", every_s: float, frame_bytes: int) -> None:
    """Write to every connection, when told to begin, a frame of this size at this pace."""
    uvloop.run(_serve(pipe, every_s, frame_bytes))


async def _serve(pipe: "Connection[object, object]", every_s: float, frame_bytes: int) -> None:
    loop = asyncio.get_running_loop()
    open_: list[asyncio.Transport] = []
    server = await loop.create_server(lambda: _Writer(open_), "127.0.0.1", 0, backlog=4_096)
    pipe.send(server.sockets[0].getsockname()[1])
    await loop.run_in_executor(None, pipe.recv)
    for transport in open_:
        transport.write(ANSWER)
    for _ in range(ROUNDS):
        began_s = time.monotonic()
        for transport in open_:
            frame = b'data: {"at":%.6f,"text":"' % began_s
            transport.write(frame + b"x" * (frame_bytes - len(frame) - 4) + b'"}\n\n')
        await asyncio.sleep(max(0.0, every_s - (time.monotonic() - began_s)))


async def bare_delays_ms(*, sockets: int, every_s: float, frame_bytes: int, fraction: float) -> float:
    """Return how long a frame takes to this many sockets when nothing else is done, at this percentile."""
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, every_s, frame_bytes), daemon=True)
    process.start()
    loop = asyncio.get_running_loop()
    port = cast("int", await loop.run_in_executor(None, pipe.recv))
    delays_s: list[float] = []
    transports = [
        (await loop.create_connection(lambda: _Reader(delays_s), "127.0.0.1", port))[0] for _ in range(sockets)
    ]
    pipe.send("begin")
    await loop.run_in_executor(None, process.join, 60)
    for transport in transports:
        transport.close()
    return percentile(delays_s, fraction) * 1_000
