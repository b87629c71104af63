"""From POST to the first token, and three hundred streams at once, with the echo provider."""

import asyncio
import json
import random
import re
import time
from typing import Final

from uuid_utils.compat import uuid7

from bench.figures import Figure, percentile
from bench.observer import Observer
from bench.platform import Platform, running
from bench.wire import Connection, Stream, request
from workers.streams.terminal import text_sha256
from workers.streams.wire import stream_key

FIRST_TOKENS: Final = 40
IDLE_S: Final = (1.0, 3.0)
P50_BAR_MS: Final = 15.0
P95_BAR_MS: Final = 40.0
AT_ONCE: Final = 300
TOKENS_PER_S: Final = 50
STREAM_S: Final = 20
OBSERVED: Final = 30
STREAMS_TIMEOUT_S: Final = 120
APPEND_TO_SOCKET_BAR_MS: Final = 50.0

_ID: Final = re.compile(rb"^id: (\d+)\.(\d+)$", re.MULTILINE)
_DATA: Final = re.compile(rb"^data: (.*)$", re.MULTILINE)


async def run() -> list[Figure]:
    """Measure on a platform of its own."""
    async with running() as platform:
        await _top_up(platform)
        await _first_token_s(platform, idle_s=(0.1, 0.2), times=5)
        round_trips_s = await _round_trips_s(platform)
        first_tokens_s = await _first_token_s(platform, idle_s=IDLE_S, times=FIRST_TOKENS)
        completed, delays_s = await _streams_at_once(platform)
    yardstick = "GET /health/live after the same gaps, ms"
    return [
        *(
            Figure(
                suite="generations",
                name=f"POST to first token, p{fraction * 100:.0f}",
                value=percentile(first_tokens_s, fraction) * 1_000,
                unit="ms",
                bar=bar,
                at_most=True,
                yardstick=yardstick,
                yardstick_value=percentile(round_trips_s, fraction) * 1_000,
            )
            for fraction, bar in ((0.50, P50_BAR_MS), (0.95, P95_BAR_MS))
        ),
        Figure(
            suite="generations",
            name=f"{AT_ONCE} at once, {TOKENS_PER_S} tokens/s, complete with the right text",
            value=completed,
            unit="streams",
            bar=AT_ONCE,
        ),
        Figure(
            suite="generations",
            name=f"{AT_ONCE} at once, stream append to socket, p95",
            value=percentile(delays_s, 0.95) * 1_000,
            unit="ms",
            bar=APPEND_TO_SOCKET_BAR_MS,
            at_most=True,
            yardstick="the same, p50, ms",
            yardstick_value=percentile(delays_s, 0.50) * 1_000,
        ),
    ]


async def _top_up(platform: Platform) -> None:
    async with platform.client() as client:
        path = f"/v1/accounts/{platform.demo_account_id}/top-ups"
        # Paid for, so that all threads are there for it.
        body = {"amount": "1000000", "paid": {"amount": "1000", "currency": "EUR"}}
        answer = await client.post(path, json=body, headers={"Idempotency-Key": "bench"})
        answer.raise_for_status()


def _generation(platform: Platform, prompt: str, delay_ms: int) -> bytes:
    body = json.dumps({"model": "echo", "input": {"prompt": prompt, "delay_ms": delay_ms}}).encode()
    headers = f"Idempotency-Key: {uuid7()}\r\n"
    return request("POST", "/v1/generations", key=platform.demo_key, body=body, headers=headers)


async def _round_trips_s(platform: Platform) -> list[float]:
    took: list[float] = []
    for _ in range(10):
        await asyncio.sleep(random.uniform(*IDLE_S))
        wire = await Connection.open(platform.host, platform.port)
        started = time.monotonic()
        await wire.ask(request("GET", "/health/live", key=platform.demo_key))
        took.append(time.monotonic() - started)
        wire.close()
    return took


async def _first_token_s(platform: Platform, *, idle_s: tuple[float, float], times: int) -> list[float]:
    took: list[float] = []
    wire = await Connection.open(platform.host, platform.port)
    for _ in range(times):
        await asyncio.sleep(random.uniform(*idle_s))
        started = time.monotonic()
        status, body = await wire.ask(_generation(platform, "one two three four five", 0))
        assert status == 202, body
        stream = await Stream.open(
            platform.host, platform.port, request("GET", json.loads(body)["events_url"], key=platform.demo_key)
        )
        async with asyncio.timeout(30):
            took.append(await stream.saw_delta - started)
            await stream.closed.wait()
    wire.close()
    return took


async def _streams_at_once(platform: Platform) -> tuple[int, list[float]]:
    """Return how many streams ended with the text that their `end` names, and the delays of the observed ones."""
    prompts = [f"stream {number} " + "word " * (TOKENS_PER_S * STREAM_S - 2) for number in range(AT_ONCE)]
    wire = await Connection.open(platform.host, platform.port)
    ids: list[str] = []
    streams: list[Stream] = []
    for prompt in prompts:
        status, body = await wire.ask(_generation(platform, prompt, 1_000 // TOKENS_PER_S))
        assert status == 202, body
        answer = json.loads(body)
        ids.append(answer["id"])
        events = request("GET", answer["events_url"], key=platform.demo_key)
        streams.append(await Stream.open(platform.host, platform.port, events))
    observed = random.sample(range(AT_ONCE), OBSERVED)
    observer = Observer(platform.redis_url, [stream_key(ids[number]) for number in observed])
    async with asyncio.timeout(STREAMS_TIMEOUT_S):
        await asyncio.gather(*[stream.closed.wait() for stream in streams])
    seen = observer.stop()
    completed = sum(_is_complete(stream, prompt) for stream, prompt in zip(streams, prompts, strict=True))
    delays = [
        arrived - seen[key, entry]
        for number in observed
        for key, entry, arrived in _entries(ids[number], streams[number])
        if (key, entry) in seen
    ]
    return completed, delays


def _is_complete(stream: Stream, prompt: str) -> bool:
    text = ""
    for _, frame in stream.events():
        data = _DATA.search(frame)
        if data is None:
            continue
        fields = json.loads(data[1])
        if frame.find(b"event: snapshot") >= 0:
            text = fields["text"]
        elif frame.find(b"event: delta") >= 0:
            text += fields["text"]
        elif frame.find(b"event: end") >= 0:
            return text == prompt and fields["text_sha256"] == text_sha256(text)
    return False


def _entries(generation_id: str, stream: Stream) -> list[tuple[str, str, float]]:
    found: list[tuple[str, str, float]] = []
    for moment, frame in stream.events():
        event_id = _ID.search(frame)
        if event_id is not None and b"event: delta" in frame:
            epoch, seq = int(event_id[1]), int(event_id[2])
            found.append((stream_key(generation_id), f"{epoch}-{2 * seq}", moment))
    return found
