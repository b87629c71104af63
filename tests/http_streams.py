"""Reading token streams over HTTP as a browser does: cut anywhere, resumed by what was understood last."""

from typing import Literal

import httpx

from workers.streams.client import TextClient
from workers.streams.sse import SseEvent, SseParser

ResumeBy = Literal["header", "cursor"]


async def start(user: httpx.AsyncClient, prompt: str, *, delay_ms: int = 0) -> str:
    """Start an echo generation and return its id."""
    body = {"model": "echo", "input": {"prompt": prompt, "delay_ms": delay_ms}}
    answer = await user.post("/v1/generations", json=body)
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


async def read(
    user: httpx.AsyncClient,
    generation_id: str,
    client: TextClient | None = None,
    *,
    resume_by: ResumeBy = "header",
    cut_after_bytes: int | None = None,
    cut_after_events: int | None = None,
) -> TextClient:
    """Read one connection: to its end, or until it is cut."""
    client = client or TextClient()
    client.reconnect = None
    headers = {"Last-Event-ID": client.cursor} if client.cursor and resume_by == "header" else {}
    parameters = {"cursor": client.cursor} if client.cursor and resume_by == "cursor" else {}
    parser, left, taken = SseParser(), cut_after_bytes, 0
    async with user.stream(
        "GET", f"/v1/generations/{generation_id}/events", headers=headers, params=parameters
    ) as answer:
        if answer.status_code == 204:
            return client
        assert answer.status_code == 200, await answer.aread()
        async for data in answer.aiter_raw():
            for event in parser.feed(data if left is None else data[:left]):
                client.take(event)
                taken += 1
                if taken == cut_after_events:
                    return client
            if left is not None and (left := left - len(data)) <= 0:
                return client
    return client


async def read_to_end(user: httpx.AsyncClient, generation_id: str, client: TextClient | None = None) -> TextClient:
    """Read, reconnecting as often as the server closes, until the stream has ended."""
    client = client or TextClient()
    while client.end is None:
        client = await read(user, generation_id, client)
    return client


async def events_of(user: httpx.AsyncClient, generation_id: str) -> list[SseEvent]:
    """All events of a generation, read in one go from the start."""
    parser, events = SseParser(), list[SseEvent]()
    async with user.stream("GET", f"/v1/generations/{generation_id}/events") as answer:
        async for data in answer.aiter_raw():
            events += parser.feed(data)
    return events
