"""The balance channel and the headers of streams, over a real connection."""

import httpx
import pytest

from workers.streams.sse import SseEvent, SseParser


async def test_a_balance_channel_begins_with_now_and_never_goes_back(
    admin: httpx.AsyncClient, user: httpx.AsyncClient
) -> None:
    account_id = (await user.get("/v1/me")).json()["account_id"]
    parser, events = SseParser(), list[SseEvent]()

    async with user.stream("GET", "/v1/me/balance/events") as stream:
        async for data in stream.aiter_raw():
            events += parser.feed(data)
            if not events:
                continue
            if len(events) == 5:
                break
            await admin.post(
                f"/v1/accounts/{account_id}/top-ups",
                json={"amount": "1"},
                headers={"Idempotency-Key": f"more {len(events)}"},
            )

    assert {event.event for event in events} == {"balance"}
    assert events[0].data == '{"available":"1000","frozen":"0","version":2}'
    versions = [int(event.last_id) for event in events]
    assert versions == sorted(set(versions))
    assert events[-1].data == '{"available":"1004","frozen":"0","version":6}'


@pytest.mark.parametrize("which", ["balance", "generation"])
async def test_a_stream_cannot_be_buffered_cached_or_compressed(user: httpx.AsyncClient, which: str) -> None:
    path = "/v1/me/balance/events"
    if which == "generation":
        body = {"model": "echo", "input": {"prompt": "hello"}}
        path = (await user.post("/v1/generations", json=body)).json()["events_url"]

    async with user.stream("GET", path, headers={"Accept-Encoding": "gzip, br, zstd"}) as stream:
        first = await anext(stream.aiter_raw())

    assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert stream.headers["cache-control"] == "no-store, no-transform"
    assert stream.headers["x-accel-buffering"] == "no"
    assert not {"connection", "content-encoding"} & set(stream.headers)
    assert stream.headers["x-request-id"]
    assert first.startswith(b"retry: 1000\n:")
    assert b"\r" not in first


async def test_a_malformed_cursor_is_refused_before_the_stream_begins(user: httpx.AsyncClient) -> None:
    body = {"model": "echo", "input": {"prompt": "hello"}}
    path = (await user.post("/v1/generations", json=body)).json()["events_url"]

    for cursor in ("1", "0001.1", "0001.00000000000x", "\u0661" * 17):
        refused = await user.get(path, params={"cursor": cursor})
        assert (refused.status_code, refused.json()["code"]) == (400, "malformed_cursor")
    winner = await user.get(path, params={"cursor": "0001.000000000001"}, headers={"Last-Event-ID": "x"})
    assert winner.status_code == 400
