"""The progress of a batch over a real connection: now, what changes, and the end."""

import json
from uuid import UUID

import httpx

from workers.streams.sse import SseEvent, SseParser

ITEMS = 20


async def read(user: httpx.AsyncClient, path: str) -> list[SseEvent]:
    """Everything one connection says until the server closes it."""
    parser, events = SseParser(), list[SseEvent]()
    async with user.stream("GET", path) as stream:
        assert stream.status_code == 200, await stream.aread()
        async for data in stream.aiter_raw():
            events += parser.feed(data)
    return events


async def test_a_batch_is_followed_from_now_to_its_end(user: httpx.AsyncClient) -> None:
    item = {"model": "echo", "input": {"prompt": "one two three", "delay_ms": 50}}
    answer = await user.post("/v1/generation-batches", json={"items": [item] * ITEMS})
    assert answer.status_code == 202, answer.text
    path = answer.json()["events_url"]

    events = await read(user, path)

    states = [json.loads(event.data) for event in events[:-1]]
    assert {event.event for event in events[:-1]} == {"batch"}
    assert all(state["id"] == answer.json()["id"] and state["total"] == ITEMS for state in states)
    done = [state["completed"] for state in states]
    assert done == sorted(done)
    assert states[-1] == {**states[-1], "queued": 0, "running": 0, "completed": ITEMS, "failed": 0}
    assert (events[-1].event, events[-1].last_id) == ("end", "end")

    again = await read(user, path)
    assert [event.event for event in again] == ["batch", "end"]
    at_the_end = await user.get(path, headers={"Last-Event-ID": "end"})
    assert at_the_end.status_code == 204


async def test_the_progress_of_a_batch_that_is_not_there_does_not_exist(user: httpx.AsyncClient) -> None:
    answer = await user.get(f"/v1/generation-batches/{UUID(int=0)}/events")

    assert (answer.status_code, answer.json()["code"]) == (404, "batch_not_found")
