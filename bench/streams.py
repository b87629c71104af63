"""A thousand streams at once, two thousand readers of one, and what Redis holds of them."""

import asyncio
import random
import time
from typing import Final, cast

import redis.asyncio as redis
from msgspec import Struct

from bench.bare_writer import bare_delays_ms
from bench.figures import Figure, percentile
from bench.observer import Observer
from bench.platform import Platform, running
from bench.stream_load import (
    Watcher,
    allow_files,
    child_of,
    cpu_s,
    deltas,
    is_complete,
    read_all,
    resident_bytes,
    start,
    top_up,
)
from bench.wire import Connection, Stream
from workers.streams.wire import stream_key

TOKENS_PER_S: Final = 30
DELAY_MS: Final = 1_000 // TOKENS_PER_S
AT_ONCE: Final = 1_000
STREAM_S: Final = 30
OBSERVED: Final = 30
STARTERS: Final = 24
APPEND_BAR_MS: Final = 100.0
READERS: Final = 2_000
SAMPLED_READERS: Final = 50
ONE_STREAM_S: Final = 25
FAN_OUT_BAR_MS: Final = 150.0
READER_BAR_KB: Final = 30.0
CONTENT_BAR: Final = 3.0
TIMEOUT_S: Final = 120
FILES: Final = 3 * READERS
FRAME_BYTES: Final = 120


class _Load(Struct, frozen=True):
    """What came of the thousand streams."""

    completed: int
    delays_s: list[float]
    web_cores: float
    worker_cores: float
    held_per_content: float


class _FanOut(Struct, frozen=True):
    """What came of the two thousand readers."""

    completed: int
    delays_s: list[float]
    reader_kb: float
    connections: int


async def run() -> list[Figure]:
    """Measure on a platform of its own, the yardsticks before it on the same machine."""
    if missing := allow_files(FILES):
        raise RuntimeError(missing)
    bare_ms = await bare_delays_ms(sockets=AT_ONCE, every_s=0.1, frame_bytes=FRAME_BYTES, fraction=0.95)
    bare_fan_ms = await bare_delays_ms(sockets=READERS, every_s=0.1, frame_bytes=FRAME_BYTES, fraction=0.99)
    async with running(HOLDFAST_WORKER_THREADS=str(AT_ONCE + 64)) as platform:
        await top_up(platform)
        fan_out = await _fan_out(platform)
        load = await _streams_at_once(platform)
    return [*_load_figures(load, bare_ms), *_fan_out_figures(fan_out, bare_fan_ms)]


def _load_figures(load: _Load, bare_ms: float) -> list[Figure]:
    name = f"{AT_ONCE} at once, {TOKENS_PER_S} tokens/s"
    return [
        Figure(
            suite="streams",
            name=f"{name}, complete with the right text",
            value=load.completed,
            unit="streams",
            bar=AT_ONCE,
            yardstick="cores of the worker and the API together",
            yardstick_value=load.web_cores + load.worker_cores,
        ),
        Figure(
            suite="streams",
            name=f"{name}, append to socket, p95",
            value=percentile(load.delays_s, 0.95) * 1_000,
            unit="ms",
            bar=APPEND_BAR_MS,
            at_most=True,
            yardstick="a bare writer to as many sockets, p95, ms",
            yardstick_value=bare_ms,
        ),
        Figure(
            suite="streams",
            name="Redis bytes per byte of content, at the end",
            value=load.held_per_content,
            unit="bytes",
            bar=CONTENT_BAR,
            at_most=True,
        ),
    ]


def _fan_out_figures(fan_out: _FanOut, bare_ms: float) -> list[Figure]:
    name = f"{READERS} readers of one generation"
    return [
        Figure(suite="streams", name=f"{name}, who saw its end", value=fan_out.completed, unit="readers", bar=READERS),
        Figure(
            suite="streams",
            name=f"{name}, append to socket, p99",
            value=percentile(fan_out.delays_s, 0.99) * 1_000,
            unit="ms",
            bar=FAN_OUT_BAR_MS,
            at_most=True,
            yardstick="a bare writer to as many sockets, p99, ms",
            yardstick_value=bare_ms,
        ),
        Figure(
            suite="streams",
            name=f"{name}, memory of the API for each",
            value=fan_out.reader_kb,
            unit="KB",
            bar=READER_BAR_KB,
            at_most=True,
            yardstick="connections to Redis they add",
            yardstick_value=fan_out.connections,
        ),
    ]


async def _streams_at_once(platform: Platform) -> _Load:
    """Run a thousand echoes through the queue and one worker, and read them all through one API process."""
    web, worker = child_of(platform.process_id, "ops web"), child_of(platform.process_id, "workers.main")
    prompts = [f"stream {number} " + "word " * (TOKENS_PER_S * STREAM_S - 2) for number in range(AT_ONCE)]
    ids: list[str] = [""] * AT_ONCE
    streams: dict[int, Stream] = {}

    async def begin(first: int) -> None:
        wire = await Connection.open(platform.host, platform.port)
        for number in range(first, AT_ONCE, STARTERS):
            ids[number], events = await start(platform, wire, prompts[number], DELAY_MS)
            streams[number] = (await read_all(platform, [events]))[0]
        wire.close()

    await asyncio.gather(*map(begin, range(STARTERS)))
    observed = random.sample(range(AT_ONCE), OBSERVED)
    observer = Observer(platform.redis_url, [stream_key(ids[number]) for number in observed])
    # Only what happens while all of them run counts.
    all_open_s = time.monotonic()
    used_s = cpu_s(web), cpu_s(worker)
    closing = [asyncio.create_task(stream.closed.wait()) for stream in streams.values()]
    await asyncio.wait(closing, return_when=asyncio.FIRST_COMPLETED, timeout=TIMEOUT_S)
    first_end_s = time.monotonic()
    cores = [
        (now - then) / (first_end_s - all_open_s) for now, then in zip((cpu_s(web), cpu_s(worker)), used_s, strict=True)
    ]
    # Those that do not end in time count as incomplete.
    await asyncio.wait(closing, timeout=TIMEOUT_S)
    seen = observer.stop()
    delays_s = [
        arrived - seen[key, entry]
        for number in observed
        for key, entry, arrived in deltas(ids[number], streams[number])
        if (key, entry) in seen and all_open_s < arrived < first_end_s
    ]
    completed = sum(is_complete(streams[number], prompts[number]) for number in range(AT_ONCE))
    held = await _held_bytes(platform, [ids[number] for number in observed])
    content = sum(len(prompts[number].encode()) for number in observed)
    return _Load(completed, delays_s, cores[0], cores[1], held / content)


async def _fan_out(platform: Platform) -> _FanOut:
    """Run one echo through the queue and the worker, and show it to two thousand readers."""
    web = child_of(platform.process_id, "ops web")
    wire = await Connection.open(platform.host, platform.port)
    prompt = "word " * (TOKENS_PER_S * ONE_STREAM_S)
    generation_id, events = await start(platform, wire, prompt, DELAY_MS)
    first = await Stream.open(platform.host, platform.port, events)
    await first.saw_delta
    connections, memory = await _redis_connections(platform), resident_bytes(web)
    sampled = await read_all(platform, [events] * (SAMPLED_READERS // 2))
    watchers = await read_all(platform, [events] * (READERS - SAMPLED_READERS), kind=Watcher)
    sampled += await read_all(platform, [events] * (SAMPLED_READERS - SAMPLED_READERS // 2))
    await asyncio.gather(*[reader.saw_delta for reader in (*sampled, *watchers)])
    observer = Observer(platform.redis_url, [stream_key(generation_id)])
    all_open_s = time.monotonic()
    added_connections = await _redis_connections(platform) - connections - 1  # the observer's own
    reader_kb = (resident_bytes(web) - memory) / READERS / 1_024
    readers = [asyncio.create_task(reader.closed.wait()) for reader in (first, *sampled, *watchers)]
    await asyncio.wait(readers, timeout=TIMEOUT_S)
    seen = observer.stop()
    delays_s = [
        arrived - seen[key, entry]
        for reader in sampled
        for key, entry, arrived in deltas(generation_id, reader)
        if (key, entry) in seen and arrived > all_open_s
    ]
    completed = sum(is_complete(reader, prompt) for reader in sampled)
    completed += sum(cast("Watcher", reader).has_end for reader in watchers)
    return _FanOut(completed, delays_s, reader_kb, added_connections)


async def _redis_connections(platform: Platform) -> int:
    async with _redis(platform) as client:
        return len(await client.client_list()) - 1  # pyright: ignore[reportUnknownMemberType] - not typed


async def _held_bytes(platform: Platform, ids: list[str]) -> int:
    async with _redis(platform) as client:
        sizes = [
            cast("int", await client.execute_command("MEMORY USAGE", stream_key(one)))  # pyright: ignore[reportUnknownMemberType] - not typed
            for one in ids
        ]
    return sum(sizes)


def _redis(platform: Platform) -> redis.Redis:
    return redis.Redis.from_url(platform.redis_url)  # pyright: ignore[reportUnknownMemberType] - not typed
