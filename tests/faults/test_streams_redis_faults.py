"""Redis restarted, killed, emptied, paused or gone while generations stream: readers still end with the text."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from ops.services.redis import EmbeddedRedis
from tests.stream_clients import (
    Truth,
    a_terminal,
    entries_of,
    finish,
    follow,
    forget_everything,
    redis_client,
    say,
)
from tests.waiting import eventually
from workers.streams import writer
from workers.streams.hub import StreamHub
from workers.streams.link import RedisLink
from workers.streams.recovery import recover_text
from workers.streams.terminal import GenerationState
from workers.streams.writer import StreamWriter

GENERATION = "g"
PATIENCE_S = 0.75


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedRedis]:
    async with EmbeddedRedis(tmp_path, settings={"appendfsync": "always"}) as server:
        yield server


@pytest.fixture
def truth() -> Truth:
    truth = Truth()
    truth.states[GENERATION] = GenerationState(1)
    return truth


@pytest.fixture
async def hub(server: EmbeddedRedis, truth: Truth) -> AsyncIterator[StreamHub]:
    async with StreamHub(server.url, truth.states_of) as hub:
        yield hub


@pytest.fixture
async def stream_writer(server: EmbeddedRedis) -> AsyncIterator[StreamWriter]:
    async with StreamWriter(server.url) as writer:
        yield writer


@pytest.fixture
async def impatient_writer(server: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[StreamWriter]:
    """Its patience with a Redis that does not answer ends sooner."""
    monkeypatch.setattr(writer, "RedisLink", partial(RedisLink, timeout_s=PATIENCE_S))
    async with StreamWriter(server.url) as impatient:
        yield impatient


def lose_the_last_bytes(data_dir: Path) -> None:
    """What a power cut does to an append-only file that is synced once a second."""
    written = max((data_dir / "redis").rglob("*.aof"), key=lambda path: path.stat().st_size)
    os.truncate(written, written.stat().st_size - 500)


@pytest.mark.parametrize("is_emptied", [False, True])
async def test_a_restart_mid_stream_loses_and_repeats_nothing(
    server: EmbeddedRedis, hub: StreamHub, stream_writer: StreamWriter, truth: Truth, is_emptied: bool
) -> None:
    stream = stream_writer.open(GENERATION, epoch=1, model="echo")
    live = asyncio.create_task(follow(hub, GENERATION))
    await say(stream, "before ", "the ", "restart ")
    resumed = await follow(hub, GENERATION, events=3)

    if is_emptied:
        async with redis_client(server.url) as redis:
            await forget_everything(redis)
    await server.stop("kill")
    stream.text("while ")
    stream.text("it is away ")
    await server.start()
    await say(stream, "after")
    resuming = asyncio.create_task(follow(hub, GENERATION, resumed))
    late = asyncio.create_task(follow(hub, GENERATION))
    await finish(stream, truth)

    clients = await asyncio.wait_for(asyncio.gather(live, resuming, late), 10)
    assert {client.text for client in clients} == {"before the restart while it is away after"}
    assert all(client.end for client in clients)
    assert clients[0].snapshots == []


async def test_when_redis_lost_its_last_second_readers_are_made_whole_by_a_snapshot(
    server: EmbeddedRedis, stream_writer: StreamWriter, truth: Truth, tmp_path: Path
) -> None:
    stream = stream_writer.open(GENERATION, epoch=1, model="echo")
    async with StreamHub(server.url, truth.states_of) as hub:
        await say(stream, *[f"{index} " for index in range(20)])
        live = asyncio.create_task(follow(hub, GENERATION))
        resumed = await follow(hub, GENERATION, events=18)

        await server.stop("kill")
        lose_the_last_bytes(tmp_path)
        await server.start()
        async with redis_client(server.url) as redis:
            assert len(await entries_of(redis, GENERATION)) < 21
        await say(stream, "after ", "that")

        async with StreamHub(server.url, truth.states_of) as other:
            resuming = asyncio.create_task(follow(other, GENERATION, resumed))
            late = asyncio.create_task(follow(other, GENERATION))
            await finish(stream, truth)
            clients = await asyncio.wait_for(asyncio.gather(live, resuming, late), 10)

    assert {client.text for client in clients} == {stream.output_text}
    assert [client.snapshots for client in clients] == [[], ["trimmed"], ["catchup"]]


async def test_a_stream_that_was_quiet_while_redis_lost_its_last_second_is_made_whole_too(
    server: EmbeddedRedis, stream_writer: StreamWriter, tmp_path: Path
) -> None:
    busy = stream_writer.open("busy", epoch=1, model="echo")
    quiet = stream_writer.open(GENERATION, epoch=1, model="echo")
    await say(quiet, *[f"{index} " for index in range(20)])

    await server.stop("kill")
    lose_the_last_bytes(tmp_path)
    await server.start()
    await say(busy, "only this one notices")
    await say(quiet, "after ", "that")

    async with redis_client(server.url) as redis:
        recovered = await recover_text(redis, GENERATION)
    assert recovered is not None
    assert recovered.text == quiet.output_text


async def test_a_generation_ends_on_time_and_its_readers_with_it_while_redis_is_gone(
    server: EmbeddedRedis, hub: StreamHub, stream_writer: StreamWriter, truth: Truth
) -> None:
    stream = stream_writer.open(GENERATION, epoch=1, model="echo")
    live = asyncio.create_task(follow(hub, GENERATION))
    await say(stream, "seen ")
    await server.stop("kill")
    late = asyncio.create_task(follow(hub, GENERATION))

    began_s = time.monotonic()
    for index in range(10_000):
        stream.text(f"{index} ")
    assert not await stream.finish_flush(timeout_s=0.3)
    terminal = truth.settle(GENERATION, a_terminal(stream.output_text, end_seq=stream.next_seq))
    assert not await stream.end(terminal, timeout_s=0.3)
    assert time.monotonic() - began_s < 2

    clients = await asyncio.wait_for(asyncio.gather(live, late), 5)
    assert {client.text for client in clients} == {stream.output_text}
    assert all(client.end for client in clients)


async def test_readers_that_come_while_redis_is_away_are_served_when_it_is_back(
    server: EmbeddedRedis, hub: StreamHub, stream_writer: StreamWriter, truth: Truth
) -> None:
    stream = stream_writer.open(GENERATION, epoch=1, model="echo")
    await say(stream, "a")
    resumed = await follow(hub, GENERATION, events=2)
    await server.stop()

    reading = [asyncio.create_task(follow(hub, GENERATION, client)) for client in (None, resumed)]
    await eventually(lambda: truth.asked >= 2)
    await server.start()
    await say(stream, "b")
    await finish(stream, truth)

    clients = await asyncio.wait_for(asyncio.gather(*reading), 10)
    assert [client.text for client in clients] == ["ab", "ab"]
    assert [client.snapshots for client in clients] == [[], []]


async def test_a_paused_redis_delays_text_and_neither_loses_nor_repeats_it(
    server: EmbeddedRedis, hub: StreamHub, impatient_writer: StreamWriter, truth: Truth
) -> None:
    stream = impatient_writer.open(GENERATION, epoch=1, model="echo")
    live = asyncio.create_task(follow(hub, GENERATION))
    await say(stream, "a")

    os.kill(server.pid, signal.SIGSTOP)
    try:
        for piece in "bcdef":
            stream.text(piece)
        assert not await stream.finish_flush(timeout_s=2 * PATIENCE_S)
    finally:
        os.kill(server.pid, signal.SIGCONT)
    await finish(stream, truth)

    client = await asyncio.wait_for(live, 10)
    assert client.text == "abcdef"
    async with redis_client(server.url) as redis:
        recovered = await recover_text(redis, GENERATION)
    assert recovered is not None
    assert recovered.text == "abcdef"


async def test_cut_connections_lose_and_repeat_nothing(
    server: EmbeddedRedis, hub: StreamHub, stream_writer: StreamWriter, truth: Truth
) -> None:
    stream = stream_writer.open(GENERATION, epoch=1, model="echo")
    live = asyncio.create_task(follow(hub, GENERATION))
    async with redis_client(server.url) as redis:
        for index in range(20):
            await say(stream, f"{index} ")
            stream.text(". ")
            await redis.execute_command("CLIENT KILL TYPE normal SKIPME yes")  # pyright: ignore[reportUnknownMemberType]
    await finish(stream, truth)

    client = await asyncio.wait_for(live, 10)
    assert client.text == "".join(f"{index} . " for index in range(20))
    assert client.snapshots == []


async def test_a_worker_paused_past_its_lease_while_redis_was_emptied_appends_nothing(
    server: EmbeddedRedis, stream_writer: StreamWriter
) -> None:
    holds = True
    zombie = stream_writer.open(GENERATION, epoch=1, model="echo", may_append=lambda: holds)
    await say(zombie, "old")
    async with redis_client(server.url) as redis, StreamWriter(server.url) as other:
        await forget_everything(redis)
        holds = False
        zombie.text("from the dead")
        successor = other.open(GENERATION, epoch=2, model="echo")
        await say(successor, "new")

        assert not await zombie.finish_flush(timeout_s=0.2)
        recovered = await recover_text(redis, GENERATION)

    assert recovered is not None
    assert (recovered.cursor.epoch, recovered.text) == (2, "new")
