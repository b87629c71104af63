"""What a stream carries besides text, from the worker through Redis to a reader, whatever is lost on the way."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, cast
from uuid import uuid4

import pytest
from msgspec import structs
from redis.asyncio import Redis

from tests.stream_clients import Truth, a_terminal, entries_of, follow, forget_everything, redis_client
from tests.waiting import eventually
from workers.streams import happenings, outgoing
from workers.streams.client import TextClient
from workers.streams.errors import EventRefused
from workers.streams.generation_stream import GenerationStream
from workers.streams.hub import StreamHub
from workers.streams.recovery import announce_end, recover_text
from workers.streams.terminal import UNWRITTEN_END_SEQ
from workers.streams.wire import ENTRY_LIFETIME_S, ascii_text, stream_key
from workers.streams.writer import StreamWriter

CODE = "Look:\n```py\nprint('привет')\n```\nand\n~~~\nhalf"
BLOCKS = [
    {"index": 0, "kind": "code", "language": "py", "off": 12, "len": 16, "text": "print('привет')\n"},
    {"index": 1, "kind": "code", "language": "", "off": 40, "len": 4, "text": "half"},
]


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with redis_client(redis_url) as client:
        yield client


@pytest.fixture
async def stream_writer(redis_url: str) -> AsyncIterator[StreamWriter]:
    async with StreamWriter(redis_url) as writer:
        yield writer


@pytest.fixture
def truth() -> Truth:
    return Truth()


@pytest.fixture
async def hub(redis_url: str, truth: Truth) -> AsyncIterator[StreamHub]:
    async with StreamHub(redis_url, truth.states_of) as hub:
        yield hub


@pytest.fixture
def generation_id() -> str:
    return str(uuid4())


async def finish(stream: GenerationStream, truth: Truth) -> None:
    await stream.finish_flush()
    terminal = structs.replace(
        a_terminal(stream.output_text, end_seq=stream.next_seq),
        artifacts=stream.output_artifacts,
        structured=stream.output_structured,
    )
    truth.settle(stream.generation_id, terminal)
    await stream.end(terminal)


async def written(stream: GenerationStream) -> None:
    await eventually(lambda: stream.outgoing.is_drained)


async def test_code_blocks_are_artifacts_as_soon_as_they_are_whole(
    stream_writer: StreamWriter, hub: StreamHub, truth: Truth, generation_id: str
) -> None:
    stream = stream_writer.open(generation_id, epoch=1, model="echo", code_blocks=True)
    for piece in CODE:
        stream.text(piece)
    assert stream.output_artifacts == BLOCKS[:1]

    await finish(stream, truth)

    client = await follow(hub, generation_id)
    assert (client.text, client.artifacts, client.snapshots) == (CODE, BLOCKS, [])
    assert stream.output_artifacts == BLOCKS


async def test_without_code_blocks_text_is_only_text(stream_writer: StreamWriter, generation_id: str) -> None:
    stream = stream_writer.open(generation_id, epoch=1, model="echo")
    stream.text(CODE)
    await stream.finish_flush()

    assert stream.output_artifacts == []


async def test_more_code_blocks_than_there_is_room_for_do_not_fail_the_generation(
    stream_writer: StreamWriter, generation_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(happenings, "MAX_ARTIFACTS", 3)
    stream = stream_writer.open(generation_id, epoch=1, model="echo", code_blocks=True)

    stream.text("```\na\n```\n" * 5)
    await stream.finish_flush()

    assert [artifact["index"] for artifact in stream.output_artifacts] == [0, 1, 2]


async def test_structured_output_streams_as_text_fields_and_value(
    stream_writer: StreamWriter, hub: StreamHub, truth: Truth, redis: Redis, generation_id: str
) -> None:
    value = {"title": "Ёж", "tags": ["a", "b"]}
    text = json.dumps(value, ensure_ascii=False)
    stream = stream_writer.open(generation_id, epoch=1, model="echo")
    for piece in text:
        stream.json(piece)
    stream.structured_value(value)
    await finish(stream, truth)

    client = await follow(hub, generation_id)
    found = [json.loads(entry) for _, kind, entry in await entries_of(redis, generation_id) if kind == "structured"]

    assert (client.structured_json, client.structured_value, client.text) == (text, value, "")
    assert [{name: part for name, part in event.items() if name != "seq"} for event in found] == [
        {"type": "field", "path": "/title", "value": "Ёж"},
        {"type": "field", "path": "/tags", "value": ["a", "b"]},
        {"type": "value", "value": value},
    ]
    assert stream.output_structured == {"json": text, "value": value}


async def test_a_value_too_large_to_repeat_is_left_out_and_kept_for_the_end(
    stream_writer: StreamWriter, hub: StreamHub, truth: Truth, generation_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(happenings, "MAX_VALUE_BYTES", 50)
    value = {"a": "x" * 60}
    stream = stream_writer.open(generation_id, epoch=1, model="echo")
    stream.json(json.dumps(value))
    stream.structured_value(value)
    await finish(stream, truth)

    client = await follow(hub, generation_id)

    assert json.loads(client.structured_json) == value
    assert client.structured_value is None
    assert stream.output_structured == {"json": json.dumps(value), "value": value}


def everything(client: TextClient) -> tuple[Any, ...]:
    return client.text, client.artifacts, client.structured_json, client.structured_value


async def test_a_snapshot_of_a_trimmed_stream_holds_all_of_it_for_readers_and_for_recovery(
    redis: Redis,
    stream_writer: StreamWriter,
    hub: StreamHub,
    truth: Truth,
    generation_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outgoing, "SNAPSHOT_EVERY_ENTRIES", 3)
    monkeypatch.setattr(outgoing, "LATEST_BYTES", 0)
    stream = stream_writer.open(generation_id, epoch=1, model="echo", code_blocks=True)
    for step in (
        lambda: stream.text("```\nжщ\n```\n"),
        lambda: stream.json('{"a": 1'),
        lambda: stream.event("progress", {"percent": 10, "message": "да"}),
        lambda: stream.event("artifact", {"kind": "image", "url": "/1"}),
        lambda: stream.json("}"),
        lambda: stream.structured_value({"a": 1}),
        lambda: stream.text("after"),
        lambda: stream.text(" that"),
    ):
        step()
        await written(stream)
    await stream.finish_flush()

    recovered = await recover_text(redis, generation_id)
    reader = asyncio.create_task(follow(hub, generation_id))
    await finish(stream, truth)
    client = await reader

    assert client.snapshots == ["catchup"]
    artifacts = [
        {"index": 0, "kind": "code", "language": "", "off": 4, "len": 3, "text": "жщ\n"},
        {"kind": "image", "url": "/1"},
    ]
    assert everything(client) == ("```\nжщ\n```\nafter that", artifacts, '{"a": 1}', {"a": 1})
    assert client.progress == {"percent": 10, "message": "да"}
    assert recovered is not None
    assert (recovered.text, recovered.artifacts) == (client.text, artifacts)
    assert recovered.structured == {"json": '{"a": 1}', "value": {"a": 1}}


async def test_what_redis_forgot_is_written_again_with_artifacts_and_structured_output(
    redis: Redis, stream_writer: StreamWriter, generation_id: str
) -> None:
    stream = stream_writer.open(generation_id, epoch=1, model="echo", code_blocks=True)
    stream.text(CODE)
    stream.json('{"a":')
    await written(stream)
    await forget_everything(redis)

    stream.outgoing.doubt()
    stream.json("1}")
    await stream.finish_flush()

    recovered = await recover_text(redis, generation_id)
    assert recovered is not None
    assert (recovered.text, recovered.artifacts) == (CODE, BLOCKS)
    assert recovered.structured == {"json": '{"a":1}'}


async def test_an_end_that_no_worker_wrote_shows_what_the_lost_one_had_streamed(
    redis: Redis, stream_writer: StreamWriter, hub: StreamHub, generation_id: str
) -> None:
    stream = stream_writer.open(generation_id, epoch=1, model="echo", code_blocks=True)
    stream.text(CODE + "\n~~~\n")
    await stream.finish_flush()
    recovered = await recover_text(redis, generation_id)
    assert recovered is not None

    terminal = a_terminal(recovered.text, end_seq=UNWRITTEN_END_SEQ, epoch=2, status="failed")
    await announce_end(redis, generation_id, structs.replace(terminal, artifacts=recovered.artifacts))

    client = await follow(hub, generation_id)
    assert client.artifacts == [BLOCKS[0], {**BLOCKS[1], "len": 5, "text": "half\n"}]


async def test_a_snapshot_of_an_earlier_version_is_still_read(redis: Redis, hub: StreamHub, generation_id: str) -> None:
    key = stream_key(generation_id)
    await redis.xadd(key, {"snapshot": ascii_text("früher")}, id="1-9")
    await redis.xadd(key, {"delta": '{"seq":5,"off":6,"text":" und später"}'}, id="1-10")

    recovered = await recover_text(redis, generation_id)
    client = await follow(hub, generation_id, events=2)

    assert recovered is not None
    assert client.text == recovered.text == "früher und später"


async def test_an_artifact_above_the_limit_is_refused_and_leaves_no_gap(
    redis: Redis, stream_writer: StreamWriter, generation_id: str
) -> None:
    stream = stream_writer.open(generation_id, epoch=1, model="echo")
    largest = "x" * (happenings.MAX_EVENT_BYTES - len('{"data":""}'))

    stream.event("artifact", {"data": largest})
    with pytest.raises(EventRefused):
        stream.event("artifact", {"data": largest + "x"})
    stream.event("artifact", {"data": "next"})
    await stream.finish_flush()

    assert [entry_id for entry_id, _, _ in await entries_of(redis, generation_id)] == ["1-2", "1-4", "1-6"]


async def test_progress_that_says_nothing_new_or_comes_too_often_is_left_out(
    redis: Redis, stream_writer: StreamWriter, generation_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(happenings, "MAX_PROGRESS", 3)
    stream = stream_writer.open(generation_id, epoch=1, model="echo")

    for percent in (1, 1, 2, 3, 4, 5):
        stream.event("progress", {"percent": percent, "message": ""})
        await written(stream)
    await stream.finish_flush()

    progress = [json.loads(data) for _, kind, data in await entries_of(redis, generation_id) if kind == "progress"]
    assert [(event["seq"], event["percent"]) for event in progress] == [(2, 1), (3, 2), (4, 3)]


async def test_half_a_character_in_an_event_is_shown_as_one_that_is_missing(
    redis: Redis, stream_writer: StreamWriter, generation_id: str
) -> None:
    stream = stream_writer.open(generation_id, epoch=1, model="echo")

    stream.event("artifact", {"text": "a\ud83d"})
    await stream.finish_flush()

    recovered = await recover_text(redis, generation_id)
    assert recovered is not None
    assert recovered.artifacts == stream.output_artifacts == [{"text": "a?"}]


async def test_a_stream_that_is_written_outlives_its_first_day_and_then_its_end_by_one(
    redis: Redis, stream_writer: StreamWriter, truth: Truth, generation_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "REFRESH_S", 0.0)
    stream = stream_writer.open(generation_id, epoch=1, model="echo")
    await written(stream)

    for last_thing in (lambda: stream.text("on it goes"), lambda: stream.event("progress", {"percent": 1})):
        await redis.expire(stream_key(generation_id), 60)
        last_thing()
        await written(stream)
        assert await redis.ttl(stream_key(generation_id)) > ENTRY_LIFETIME_S - 60

    await redis.expire(stream_key(generation_id), 60)
    await finish(stream, truth)
    assert ENTRY_LIFETIME_S - 60 < await redis.ttl(stream_key(generation_id)) <= ENTRY_LIFETIME_S


@pytest.mark.parametrize(
    ("word", "words", "per_flush"),
    [("word ", 6_000, 1), ("слово ", 6_000, 1), ("\U0001f600", 6_000, 1), ("token ", 3_000, 2), ('"\n', 40_000, 40)],
)
async def test_redis_holds_at_most_three_times_the_content(
    redis: Redis, stream_writer: StreamWriter, truth: Truth, generation_id: str, word: str, words: int, per_flush: int
) -> None:
    """Every flush an entry of its own, as at thirty tokens a second."""
    stream = stream_writer.open(generation_id, epoch=1, model="echo")
    largest = 0.0
    for number in range(0, words, per_flush):
        stream.text(word * per_flush)
        stream.outgoing.seal_all()
        if number % 20 == 0:
            await stream_writer.drain(stream, 5)
        if number % 1_000 == 0 and number >= 2_000:
            held = await held_bytes(redis, generation_id, "SAMPLES", 0)
            largest = max(largest, held / len(stream.output_text.encode()))
    await finish(stream, truth)

    at_the_end = await held_bytes(redis, generation_id, "SAMPLES", 0) / len(stream.output_text.encode())
    assert max(largest, at_the_end) <= 3.0


async def held_bytes(redis: Redis, generation_id: str, *options: str | int) -> int:
    answer = cast(
        "object",
        await redis.execute_command(  # pyright: ignore[reportUnknownMemberType] - not typed
            "MEMORY USAGE", stream_key(generation_id), *options
        ),
    )
    assert isinstance(answer, int)
    return answer
