import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from tests.stream_clients import Truth, a_terminal, finish, follow, forget_everything, redis_client, say
from tests.waiting import eventually
from workers.streams import hub as hub_module
from workers.streams.client import TextClient
from workers.streams.cursor import Cursor, parse_cursor
from workers.streams.hub import StreamHub
from workers.streams.sse import SseParser
from workers.streams.terminal import GenerationState
from workers.streams.wire import OPENING, stream_key
from workers.streams.writer import StreamWriter

NASTY = [
    "CR\r",
    "\nLF",
    "\r",
    "\n",
    "NUL\0",
    "\u2028\u2029",
    "e",
    "\u0301",
    "\U0001f468\u200d",
    "\U0001f469",
    "data: x\n\n",
]


WITHIN_S = 30
"""Whatever a reader waits for has come by then, also where the machine stalls for a while."""


@pytest.fixture
def truth() -> Truth:
    return Truth()


@pytest.fixture
async def hub(redis_url: str, truth: Truth) -> AsyncIterator[StreamHub]:
    async with StreamHub(redis_url, truth.states_of) as hub:
        yield hub


@pytest.fixture
async def other_hub(redis_url: str, truth: Truth) -> AsyncIterator[StreamHub]:
    """The hub of a second API process."""
    async with StreamHub(redis_url, truth.states_of) as hub:
        yield hub


@pytest.fixture
async def stream_writer(redis_url: str) -> AsyncIterator[StreamWriter]:
    async with StreamWriter(redis_url) as writer:
        yield writer


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with redis_client(redis_url) as client:
        yield client


@pytest.fixture
def generation_id(truth: Truth) -> str:
    generation_id = str(uuid4())
    truth.states[generation_id] = GenerationState(1)
    return generation_id


async def test_a_reader_sees_a_generation_from_its_start_to_its_end(
    hub: StreamHub, stream_writer: StreamWriter, truth: Truth, generation_id: str
) -> None:
    reading = asyncio.create_task(follow(hub, generation_id))
    stream = stream_writer.open(generation_id, epoch=1, model="echo")
    await say(stream, *NASTY)
    await finish(stream, truth)

    client = await asyncio.wait_for(reading, WITHIN_S)

    assert client.text == "".join(NASTY)
    assert client.end is not None
    assert client.end["cost"] == "1.25"
    assert client.snapshots == []
    assert (hub.reader_count, hub.stream_count) == (0, 0)


async def test_the_response_opens_before_anything_is_known(hub: StreamHub, generation_id: str) -> None:
    frames = hub.subscribe(generation_id, None)

    assert await anext(frames) == OPENING

    await frames.aclose()


async def test_a_reader_cut_after_every_event_ends_with_the_same_text(
    hub: StreamHub, stream_writer: StreamWriter, truth: Truth, generation_id: str
) -> None:
    stream = stream_writer.open(generation_id, epoch=1, model="echo")
    client = TextClient()

    async def read_one_event_per_connection() -> None:
        while client.end is None:
            await follow(hub, generation_id, client, events=1)

    reading = asyncio.create_task(read_one_event_per_connection())
    await say(stream, *NASTY)
    await finish(stream, truth)
    await asyncio.wait_for(reading, WITHIN_S)

    assert client.text == "".join(NASTY)
    assert client.snapshots == []


async def test_ten_readers_joining_anywhere_end_with_the_same_text(
    hub: StreamHub, stream_writer: StreamWriter, truth: Truth, generation_id: str
) -> None:
    stream = stream_writer.open(generation_id, epoch=1, model="echo")
    reading: list[asyncio.Task[TextClient]] = []
    for piece in NASTY[:10]:
        reading.append(asyncio.create_task(follow(hub, generation_id)))
        await say(stream, piece)
    await finish(stream, truth)

    clients = await asyncio.wait_for(asyncio.gather(*reading), WITHIN_S)

    assert {client.text for client in clients} == {"".join(NASTY[:10])}
    assert all(client.end for client in clients)


async def test_readers_of_one_process_and_of_another_see_the_same(
    hub: StreamHub, other_hub: StreamHub, stream_writer: StreamWriter, truth: Truth, generation_id: str
) -> None:
    client = TextClient()
    stream = stream_writer.open(generation_id, epoch=1, model="echo")
    reading = asyncio.create_task(follow(other_hub, generation_id))
    for index, piece in enumerate(NASTY):
        await say(stream, piece)
        await follow((hub, other_hub)[index % 2], generation_id, client, events=1)
    await finish(stream, truth)
    await follow(hub, generation_id, client)

    assert client.text == (await asyncio.wait_for(reading, WITHIN_S)).text == "".join(NASTY)
    assert client.snapshots == []


async def test_a_reader_of_a_lost_attempt_is_moved_to_the_next(
    hub: StreamHub, stream_writer: StreamWriter, truth: Truth, generation_id: str
) -> None:
    first = stream_writer.open(generation_id, epoch=1, model="echo")
    reading = asyncio.create_task(follow(hub, generation_id))
    await say(first, "wrong ", "start")
    resumed = await follow(hub, generation_id, events=2)
    first.abandon()

    second = stream_writer.open(generation_id, epoch=2, model="echo")
    await say(second, "right")
    await finish(second, truth)
    await follow(hub, generation_id, resumed)
    client = await asyncio.wait_for(reading, WITHIN_S)

    for reader in (client, resumed):
        assert reader.text == "right"
        assert reader.snapshots == ["epoch_changed"]
        assert reader.end is not None


async def test_a_worker_that_died_between_commit_and_end_leaves_no_silence(
    hub: StreamHub, stream_writer: StreamWriter, truth: Truth, generation_id: str
) -> None:
    stream = stream_writer.open(generation_id, epoch=1, model="echo")
    reading = asyncio.create_task(follow(hub, generation_id))
    await say(stream, "all ", "of it")
    await stream.finish_flush()
    truth.settle(generation_id, a_terminal("all of it", end_seq=stream.next_seq))
    stream.abandon()

    client = await asyncio.wait_for(reading, WITHIN_S)

    assert client.text == "all of it"
    assert hub_module.SILENCE_S <= 1, "the promise that a machine which stalls cannot be timed by"
    assert client.snapshots == []


@pytest.mark.parametrize(
    "cursor", [None, "0001.000000000000", "0001.000000000001", "0001.000000000999", "0007.000000000003"]
)
async def test_a_finished_generation_is_served_from_postgres_for_ever(
    hub: StreamHub, truth: Truth, generation_id: str, cursor: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # At once: by its silence alone nobody would ever find out.
    monkeypatch.setattr(hub_module, "SILENCE_S", 3_600.0)
    truth.settle(generation_id, a_terminal("all of it", end_seq=8))
    client = TextClient()
    client.cursor = cursor

    await asyncio.wait_for(follow(hub, generation_id, client), WITHIN_S)

    assert client.text == "all of it"
    assert len(client.snapshots) == 1
    assert client.end is not None


async def test_a_reader_at_the_end_is_told_so(hub: StreamHub, truth: Truth, generation_id: str) -> None:
    assert not await hub.is_at_end(generation_id, Cursor(epoch=1, seq=8))

    truth.settle(generation_id, a_terminal("all of it", end_seq=8))

    assert await hub.is_at_end(generation_id, Cursor(epoch=1, seq=8))
    assert not await hub.is_at_end(generation_id, Cursor(epoch=1, seq=7))
    assert not await hub.is_at_end(generation_id, Cursor(epoch=2, seq=8))
    assert not await hub.is_at_end(generation_id, None)
    assert not await hub.is_at_end("unknown", Cursor(epoch=1, seq=8))


@pytest.mark.parametrize(
    ("cursor", "reason"), [("0001.000000000050", "catchup"), ("0003.000000000001", "epoch_changed")]
)
async def test_a_cursor_from_the_future_gets_a_snapshot_at_once_also_before_the_first_event(
    hub: StreamHub,
    stream_writer: StreamWriter,
    generation_id: str,
    cursor: str,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # At once: by its silence alone nobody would ever find out.
    monkeypatch.setattr(hub_module, "SILENCE_S", 3_600.0)
    queued, running = TextClient(), TextClient()
    queued.cursor = running.cursor = cursor

    await asyncio.wait_for(follow(hub, generation_id, queued, events=1), WITHIN_S)
    stream = stream_writer.open(generation_id, epoch=1, model="echo")
    await say(stream, "a", "b")
    await asyncio.wait_for(follow(hub, generation_id, running, events=4), WITHIN_S)

    assert queued.snapshots == [reason]
    assert running.snapshots == [reason]
    assert running.text == "ab"


async def test_after_redis_forgot_the_stream_readers_old_and_new_end_with_the_text(
    hub: StreamHub, other_hub: StreamHub, stream_writer: StreamWriter, truth: Truth, redis: Redis
) -> None:
    truth.states["g"] = GenerationState(1)
    stream = stream_writer.open("g", epoch=1, model="echo")
    live = asyncio.create_task(follow(hub, "g"))
    await say(stream, "a", "b")
    resumed = await follow(hub, "g", events=2)

    await forget_everything(redis)
    await say(stream, "c", "d")
    late = asyncio.create_task(follow(other_hub, "g"))
    resuming = asyncio.create_task(follow(other_hub, "g", resumed))
    await say(stream, "e")
    await finish(stream, truth)
    clients = await asyncio.wait_for(asyncio.gather(live, late, resuming), WITHIN_S)

    assert [client.text for client in clients] == ["abcde"] * 3
    assert [client.snapshots for client in clients] == [[], ["catchup"], ["trimmed"]]


async def test_draining_asks_all_readers_also_later_ones_to_come_back(
    hub: StreamHub, stream_writer: StreamWriter, generation_id: str
) -> None:
    stream = stream_writer.open(generation_id, epoch=1, model="echo")
    await say(stream, "a")
    reading = [asyncio.create_task(follow(hub, generation_id)) for _ in range(5)]
    await eventually(lambda: hub.reader_count == 5)

    assert await hub.drain(WITHIN_S)

    clients = await asyncio.gather(*reading)
    late = await follow(hub, generation_id)
    assert {client.reconnect for client in (*clients, late)} == {"drain"}


async def test_a_response_that_is_old_enough_asks_its_reader_to_come_back(
    redis_url: str, truth: Truth, generation_id: str
) -> None:
    async with StreamHub(redis_url, truth.states_of, max_age_s=0.1) as hub:
        client = await asyncio.wait_for(follow(hub, generation_id), WITHIN_S)

    assert client.reconnect == "max_age"


async def test_a_quiet_stream_sends_comments(
    hub: StreamHub, generation_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.streams.connections.COMMENT_EVERY_S", 0.1)
    parser = SseParser()
    frames = hub.subscribe(generation_id, None)

    while parser.comments < 3:
        assert parser.feed(await asyncio.wait_for(anext(frames), WITHIN_S)) == []

    await frames.aclose()


async def test_a_reader_that_stops_reading_is_sent_away_and_disturbs_nobody(
    hub: StreamHub, stream_writer: StreamWriter, truth: Truth, generation_id: str
) -> None:
    stream = stream_writer.open(generation_id, epoch=1, model="echo")
    await say(stream, "a")
    slow = hub.subscribe(generation_id, None)
    await anext(slow)
    parser = SseParser()
    events = parser.feed(await asyncio.wait_for(anext(slow), WITHIN_S))
    quick = asyncio.create_task(follow(hub, generation_id))

    for _ in range(100):
        await say(stream, "x" * 16_000)
    await finish(stream, truth)
    assert (await asyncio.wait_for(quick, WITHIN_S)).end is not None
    async for data in slow:
        events += parser.feed(data)

    assert events[-1].event == "reconnect"
    assert events[-1].data == '{"reason":"slow"}'
    client = TextClient()
    for event in events:
        client.take(event)
    resumed = await asyncio.wait_for(follow(hub, generation_id, client), WITHIN_S)
    assert resumed.text == stream.output_text


async def test_leaving_a_stream_forgets_it(hub: StreamHub, stream_writer: StreamWriter, generation_id: str) -> None:
    stream = stream_writer.open(generation_id, epoch=1, model="echo")
    await say(stream, "a")

    await follow(hub, generation_id, events=2)

    assert (hub.reader_count, hub.stream_count) == (0, 0)


async def test_readers_wait_while_postgres_is_away(hub: StreamHub, truth: Truth, generation_id: str) -> None:
    truth.is_down = True
    reading = asyncio.create_task(follow(hub, generation_id))
    await eventually(lambda: truth.asked >= 2)
    truth.settle(generation_id, a_terminal("done", end_seq=3))
    truth.is_down = False

    assert (await asyncio.wait_for(reading, WITHIN_S)).text == "done"


async def test_an_entry_that_nobody_can_read_disturbs_no_stream(
    hub: StreamHub, stream_writer: StreamWriter, truth: Truth, generation_id: str, redis: Redis
) -> None:
    stream = stream_writer.open(generation_id, epoch=1, model="echo")
    live = asyncio.create_task(follow(hub, generation_id))
    await say(stream, "a")
    await redis.xadd(stream_key(generation_id), {"delta": b"\xff", "more": "fields"}, id="1-5")
    await redis.xadd(stream_key("other"), {"nonsense": b"\xff"}, id="1-2")
    other = asyncio.create_task(follow(hub, "other"))
    await eventually(lambda: hub.reader_count == 2)
    await say(stream, "b")
    await finish(stream, truth)
    truth.settle("other", a_terminal("fine", end_seq=3))

    assert (await asyncio.wait_for(live, WITHIN_S)).text == "ab"
    assert (await asyncio.wait_for(other, WITHIN_S)).text == "fine"


async def test_silent_streams_are_asked_about_in_one_question(hub: StreamHub, truth: Truth) -> None:
    ids = [str(uuid4()) for _ in range(100)]
    truth.states = {one: GenerationState(1) for one in ids}
    reading = [asyncio.create_task(follow(hub, one)) for one in ids]
    await eventually(lambda: hub.stream_count == 100)
    await eventually(lambda: truth.asked > 0)
    asked = truth.asked

    for one in ids:
        truth.settle(one, a_terminal(one, end_seq=2))
    clients = await asyncio.wait_for(asyncio.gather(*reading), WITHIN_S)

    assert [client.text for client in clients] == ids
    assert truth.asked - asked <= 6


async def test_two_thousand_readers_share_one_generation(
    hub: StreamHub, stream_writer: StreamWriter, truth: Truth, generation_id: str
) -> None:
    stream = stream_writer.open(generation_id, epoch=1, model="echo")
    reading = [asyncio.create_task(follow(hub, generation_id)) for _ in range(2_000)]
    await eventually(lambda: hub.reader_count == 2_000)

    await say(stream, *NASTY)
    await finish(stream, truth)

    clients = await asyncio.wait_for(asyncio.gather(*reading), WITHIN_S)
    assert {client.text for client in clients} == {"".join(NASTY)}


async def test_many_streams_at_once_all_arrive(hub: StreamHub, stream_writer: StreamWriter, truth: Truth) -> None:
    async def generate(name: str) -> None:
        truth.states[name] = GenerationState(1)
        stream = stream_writer.open(name, epoch=1, model="echo")
        for index in range(40):
            stream.text(f"{name}:{index} ")
            await asyncio.sleep(0.005)
        await finish(stream, truth)

    names = [f"g{index}" for index in range(100)]
    reading = [asyncio.create_task(follow(hub, name)) for name in names]
    await asyncio.gather(*map(generate, names))
    clients = await asyncio.wait_for(asyncio.gather(*reading), WITHIN_S)

    for name, client in zip(names, clients, strict=True):
        assert client.text == "".join(f"{name}:{index} " for index in range(40))
        assert client.snapshots == []


async def test_a_stream_longer_than_one_page_is_read_back_whole(
    hub: StreamHub, stream_writer: StreamWriter, truth: Truth, generation_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "MAX_REFRESH_ENTRIES", 7)
    stream = stream_writer.open(generation_id, epoch=1, model="echo")
    for index in range(50):
        stream.event("structured", {"index": index})
        stream.text(f"{index} ")
    await finish(stream, truth)

    client = await asyncio.wait_for(follow(hub, generation_id), WITHIN_S)

    assert client.text == stream.output_text
    assert client.snapshots == []
    assert parse_cursor(client.cursor or "").seq == stream.next_seq - 1
