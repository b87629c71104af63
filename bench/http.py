"""Freezes over HTTP: how many per second, and how long one takes, beside the same server's bare answer."""

import asyncio
import itertools
import time
from collections.abc import Iterator
from typing import Final

from bench.figures import Figure, percentile
from bench.platform import Platform, running
from bench.wire import Connection, request

CONNECTIONS: Final = 64
ACCOUNTS: Final = 64
RUN_S: Final = 8.0
WARM_UP_S: Final = 2.0
PACED_PER_S: Final = 100
PACED_S: Final = 15.0
RATE_BAR: Final = 3_000
P50_BAR_MS: Final = 3.0
P99_BAR_MS: Final = 8.0


async def run() -> list[Figure]:
    """Measure on a platform of its own."""
    async with running() as platform:
        accounts = await _accounts(platform)
        freezes, live = _freezes(platform, accounts), _live(platform)
        await _rate(platform, freezes, seconds=WARM_UP_S)
        bare_per_s = await _rate(platform, live, seconds=RUN_S / 2)
        per_s = await _rate(platform, freezes, seconds=RUN_S)
        bare_s = await paced(platform, live, seconds=PACED_S / 3)
        paced_s = await paced(platform, freezes, seconds=PACED_S)
    yardstick = "GET /health/live, ms"
    return [
        Figure(
            suite="http",
            name="freezes, 64 connections",
            value=per_s,
            unit="requests/s",
            bar=RATE_BAR,
            yardstick="GET /health/live per s",
            yardstick_value=bare_per_s,
        ),
        *(
            Figure(
                suite="http",
                name=f"freeze at 100/s, p{fraction * 100:.0f}",
                value=percentile(paced_s, fraction) * 1_000,
                unit="ms",
                bar=bar,
                at_most=True,
                yardstick=yardstick,
                yardstick_value=percentile(bare_s, fraction) * 1_000,
            )
            for fraction, bar in ((0.50, P50_BAR_MS), (0.99, P99_BAR_MS))
        ),
    ]


async def _accounts(platform: Platform) -> list[str]:
    async with platform.client() as client:
        ids: list[str] = []
        for number in range(ACCOUNTS):
            account = await client.post("/v1/accounts", json={"owner": f"bench-{number}"})
            account.raise_for_status()
            ids.append(account.json()["id"])
            top_up = await client.post(
                f"/v1/accounts/{ids[-1]}/top-ups",
                json={"amount": "1000000"},
                headers={"Idempotency-Key": f"top-up-{number}"},
            )
            top_up.raise_for_status()
        return ids


def _freezes(platform: Platform, accounts: list[str]) -> Iterator[bytes]:
    counter = itertools.count()
    while True:
        number = next(counter)
        path = f"/v1/accounts/{accounts[number % len(accounts)]}/freezes"
        headers = f"Idempotency-Key: freeze-{number}\r\n"
        yield request("POST", path, key=platform.admin_key, body=b'{"amount":"0.01"}', headers=headers)


def _live(platform: Platform) -> Iterator[bytes]:
    return itertools.repeat(request("GET", "/health/live", key=platform.admin_key))


async def _rate(platform: Platform, requests: Iterator[bytes], *, seconds: float) -> float:
    done = 0
    started = time.perf_counter()
    deadline = started + seconds

    async def connection() -> None:
        nonlocal done
        wire = await Connection.open(platform.host, platform.port)
        while time.perf_counter() < deadline:
            status, body = await wire.ask(next(requests))
            assert status < 300, body
            done += 1
        wire.close()

    await asyncio.gather(*[connection() for _ in range(CONNECTIONS)])
    return done / (time.perf_counter() - started)


async def paced(
    platform: Platform, requests: Iterator[bytes], *, seconds: float, per_s: int = PACED_PER_S
) -> list[float]:
    """Latencies of requests sent at a steady rate, counted from when each was due, so that a stall is not left out."""
    idle = [await Connection.open(platform.host, platform.port) for _ in range(16)]
    latencies: list[float] = []

    async def one(due: float, wire: Connection) -> None:
        status, body = await wire.ask(next(requests))
        latencies.append(time.perf_counter() - due)
        assert status < 300, body
        idle.append(wire)

    started = time.perf_counter()
    running_now: set[asyncio.Task[None]] = set()
    for number in range(int(seconds * per_s)):
        due = started + number / per_s
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        wire = idle.pop() if idle else await Connection.open(platform.host, platform.port)
        task = asyncio.create_task(one(due, wire))
        running_now.add(task)
        task.add_done_callback(running_now.discard)
    await asyncio.gather(*running_now)
    for wire in idle:
        wire.close()
    return latencies
