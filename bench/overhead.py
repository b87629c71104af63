"""What we add to a provider: the same local provider asked directly, through a peer gateway and through Holdfast."""

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable
from typing import ClassVar, Final

from msgspec import Struct
from uuid_utils.compat import uuid7

from bench.figures import Figure, percentile
from bench.peer import ABSENT, KEY, peer
from bench.platform import Platform, running
from bench.provider import PACED, UNPACED, WORD, ProviderServer, chat_body
from bench.stream_load import allow_files, child_of, cpu_s, top_up
from bench.wire import Connection, Stream, request

PROVIDER: Final = "local-provider"
TURNS: Final = 40
WARM_UP_TURNS: Final = 8
FIRST_TOKENS: Final = 6
IDLE_S: Final = (0.1, 0.4)
TURN_TIMEOUT_S: Final = 30
OFFERED_TIMEOUT_S: Final = 10
P50_BAR_MS: Final = 10.0
P95_BAR_MS: Final = 25.0
AT_ONCE: Final = 64
MANY_TOKENS: Final = 1_000
FLOOD_TIMEOUT_S: Final = 120
STARTERS: Final = 8

Ask = Callable[[str, int], Awaitable[Stream]]
"""Ask for that many tokens of a model; the answer has begun to be read when this returns."""


class _Completion(Stream):
    """An answer as OpenAI streams it."""

    first_sign: ClassVar[bytes] = b'"content":'


class _Way(Struct, frozen=True):
    """One way to the provider, and what was measured on it."""

    ask: Ask
    first_tokens_s: list[float]


class _Speed(Struct, frozen=True):
    """How fast many unpaced answers came."""

    per_s: float
    per_worker_s: float
    """Of processor time of the worker."""


async def run() -> list[Figure]:
    """Measure all ways in turn, so that whatever else the machine does befalls each of them alike."""
    if missing := allow_files(AT_ONCE * 8):
        raise RuntimeError(missing)
    with ProviderServer() as provider:
        settings = {"HOLDFAST_COMPATIBLE_PROVIDERS": PROVIDER, "LOCAL_PROVIDER_BASE_URL": provider.base_url}
        async with peer(provider.base_url) as peer_port, running(**settings) as platform:
            await top_up(platform)
            await _add_models(platform)
            wire = await Connection.open(platform.host, platform.port)
            direct = _Way(_completions(provider.port), [])
            ours = _Way(_generations(platform, wire), [])
            theirs = None if peer_port is None else _Way(_completions(peer_port), [])
            ways = [way for way in (direct, ours, theirs) if way is not None]
            await _take_turns(ways, WARM_UP_TURNS)
            for way in ways:
                way.first_tokens_s.clear()
            await _take_turns(ways, TURNS)
            speed = await _our_speed(platform)
            peer_per_s = None if theirs is None else await _speed(theirs.ask)
            wire.close()
    return [*_first_token_figures(direct, ours, theirs), _speed_figure(speed, peer_per_s)]


def _first_token_figures(direct: _Way, ours: _Way, theirs: _Way | None) -> list[Figure]:
    return [
        Figure(
            suite="overhead",
            name=f"added to the provider's first token, p{fraction * 100:.0f}",
            value=_added_ms(ours, direct, fraction),
            unit="ms",
            bar=bar,
            at_most=True,
            yardstick=ABSENT if theirs is None else "LiteLLM's proxy, ms",
            yardstick_value=None if theirs is None else _added_ms(theirs, direct, fraction),
        )
        for fraction, bar in ((0.50, P50_BAR_MS), (0.95, P95_BAR_MS))
    ] + [
        Figure(
            suite="overhead",
            name="the provider's first token, asked directly, p50",
            value=percentile(direct.first_tokens_s, 0.50) * 1_000,
            unit="ms",
            yardstick="the same, p95, ms",
            yardstick_value=percentile(direct.first_tokens_s, 0.95) * 1_000,
        )
    ]


def _speed_figure(speed: "_Speed", peer_per_s: float | None) -> Figure:
    return Figure(
        suite="overhead",
        name=f"{AT_ONCE} unpaced answers through one worker ({speed.per_worker_s:,.0f} a second of its processor)",
        value=speed.per_s,
        unit="tokens/s",
        yardstick=ABSENT if peer_per_s is None else "LiteLLM's proxy, one process, tokens/s",
        yardstick_value=peer_per_s,
    )


def _added_ms(way: _Way, direct: _Way, fraction: float) -> float:
    """Return the percentile of what each turn took longer than the direct call of the same turn."""
    pairs = zip(way.first_tokens_s, direct.first_tokens_s, strict=True)
    return percentile([there - here for there, here in pairs], fraction) * 1_000


async def _take_turns(ways: list[_Way], times: int) -> None:
    for _ in range(times):
        for way in random.sample(ways, len(ways)):
            await asyncio.sleep(random.uniform(*IDLE_S))
            began_s = time.monotonic()
            async with asyncio.timeout(TURN_TIMEOUT_S):
                stream = await way.ask(PACED, FIRST_TOKENS)
                way.first_tokens_s.append(await stream.saw_delta - began_s)
                await stream.closed.wait()


def _completions(port: int) -> Ask:
    async def ask(model: str, tokens: int) -> Stream:
        body = chat_body(model, tokens=tokens)
        return await _Completion.open("127.0.0.1", port, request("POST", "/v1/chat/completions", key=KEY, body=body))

    return ask


def _generations(platform: Platform, wire: Connection) -> Ask:
    async def ask(model: str, tokens: int) -> Stream:
        said = {"model": model, "input": {"prompt": "Say it."}, "max_output_tokens": tokens}
        headers = f"Idempotency-Key: {uuid7()}\r\n"
        body = json.dumps(said).encode()
        status, answer = await wire.ask(
            request("POST", "/v1/generations", key=platform.demo_key, body=body, headers=headers)
        )
        assert status == 202, answer
        events = request("GET", json.loads(answer)["events_url"], key=platform.demo_key)
        return await Stream.open(platform.host, platform.port, events)

    return ask


async def _our_speed(platform: Platform) -> _Speed:
    worker = child_of(platform.process_id, "workers.main")
    wires = [await Connection.open(platform.host, platform.port) for _ in range(STARTERS)]
    used_s = cpu_s(worker)
    per_s = await _speed(*[_generations(platform, wire) for wire in wires])
    used_s = cpu_s(worker) - used_s
    for wire in wires:
        wire.close()
    return _Speed(per_s, AT_ONCE * MANY_TOKENS / used_s)


async def _speed(*asks: Ask) -> float:
    """Return how many tokens per second come through, from the first request to the last end."""

    async def some(ask: Ask, times: int) -> list[Stream]:
        return [await ask(UNPACED, MANY_TOKENS) for _ in range(times)]

    began_s = time.monotonic()
    async with asyncio.timeout(FLOOD_TIMEOUT_S):
        begun = await asyncio.gather(*[some(ask, AT_ONCE // len(asks)) for ask in asks])
        streams = [stream for some_streams in begun for stream in some_streams]
        await asyncio.gather(*[stream.closed.wait() for stream in streams])
    took_s = time.monotonic() - began_s
    for stream in streams:
        words = b"".join(data for _, data in stream.chunks).count(WORD.encode())
        assert words >= MANY_TOKENS, f"an answer ended after {words} of {MANY_TOKENS} tokens"
    return AT_ONCE * MANY_TOKENS / took_s


async def _add_models(platform: Platform) -> None:
    """Put the provider's models into the catalogue, and wait until they are offered."""
    models = (PACED, UNPACED)
    async with platform.client() as client:
        for name in models:
            definition = {"provider": PROVIDER, "upstream_name": name, "context_tokens": 100_000}
            definition |= {"default_output_tokens": FIRST_TOKENS, "max_output_tokens": MANY_TOKENS}
            (await client.put(f"/v1/models/{name}", json=definition)).raise_for_status()
            prices = {"prices": {"input_per_mtok": "1", "output_per_mtok": "1"}}
            headers = {"Idempotency-Key": f"price-{name}"}
            (await client.post(f"/v1/models/{name}/prices", json=prices, headers=headers)).raise_for_status()
        ends_s = time.monotonic() + OFFERED_TIMEOUT_S
        while not {item["name"] for item in (await client.get("/v1/models")).json()["items"]}.issuperset(models):
            assert time.monotonic() < ends_s, "the models are not offered"
            await asyncio.sleep(0.1)
