"""Streams when the server stops, and when a reader does not read."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Generator
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.http_streams import read, read_to_end, start
from tests.running_instance import RunningInstance, running_instance
from tests.waiting import eventually
from workers.streams.client import TextClient

EXIT_WITHIN_S = 5
STALLED_READERS = 8
MOST_KIB_PER_STALLED_READER = 1024


def _has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def _resident_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError(f"{pid} has no memory")


async def test_a_stopping_server_tells_its_readers_to_reconnect_and_exits_within_five_seconds(tmp_path: Path) -> None:
    prompt = "word " * 300
    async with (
        running_instance(tmp_path / "data") as instance,
        httpx.AsyncClient(base_url=instance.url, headers=instance.headers, timeout=30, trust_env=False) as user,
    ):
        generation_id = await start(user, prompt, delay_ms=20)
        clients = [TextClient() for _ in range(5)]
        readers = [asyncio.create_task(read(user, generation_id, client)) for client in clients]
        seen = await read(user, generation_id, cut_after_events=3)
        await eventually(lambda: all(client.text for client in clients))
        web = instance.pid_of(" web ")

        began = time.monotonic()
        os.kill(web, signal.SIGTERM)
        cut = await asyncio.gather(*readers)
        await eventually(lambda: _has_ended(web), within_s=EXIT_WITHIN_S)
        assert time.monotonic() - began < EXIT_WITHIN_S

        assert seen.text
        assert {client.reconnect for client in cut} == {"drain"}
        assert all(client.end is None for client in cut)

        async def answers_again() -> bool:
            with contextlib.suppress(httpx.TransportError):
                return (await user.get("/health/live")).status_code == 200
            return False

        await eventually(answers_again, within_s=20)
        for client in cut:
            assert (await read_to_end(user, generation_id, client)).text == prompt


async def test_a_reader_that_stops_reading_costs_little_and_disturbs_nobody(
    instance: RunningInstance, user: httpx.AsyncClient
) -> None:
    prompt = ("x" * 60 + " ") * 8_000
    generation_id = await start(user, prompt, delay_ms=0)
    whole = await read_to_end(user, generation_id)
    web = instance.pid_of(" web ")
    before_kib = _resident_kib(web)
    address = urlsplit(instance.url)

    with contextlib.ExitStack() as stalled:
        for _ in range(STALLED_READERS):
            stalled.enter_context(_asked_and_not_read(address.port or 0, user, generation_id))
        others = await asyncio.gather(*[read_to_end(user, generation_id) for _ in range(3)])
        grown_kib = _resident_kib(web) - before_kib

    assert {other.text for other in others} == {whole.text}
    assert whole.text == prompt
    assert grown_kib < STALLED_READERS * MOST_KIB_PER_STALLED_READER


@contextlib.contextmanager
def _asked_and_not_read(port: int, user: httpx.AsyncClient, generation_id: str) -> Generator[None]:
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", port))
        reader.sendall(
            f"GET /v1/generations/{generation_id}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: {user.headers['Authorization']}\r\n\r\n".encode()
        )
        yield
