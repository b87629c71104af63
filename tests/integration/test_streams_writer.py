import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from tests.stream_clients import a_terminal, entries_of, forget_everything, redis_client
from tests.waiting import eventually
from workers.streams import outgoing
from workers.streams import writer as writer_module
from workers.streams.content import Content
from workers.streams.cursor import Cursor
from workers.streams.errors import StreamFenced
from workers.streams.recovery import Recovered, announce_end, recover_text
from workers.streams.wire import stream_key
from workers.streams.writer import StreamWriter


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with redis_client(redis_url) as client:
        yield client


@pytest.fixture
async def stream_writer(redis_url: str) -> AsyncIterator[StreamWriter]:
    async with StreamWriter(redis_url) as writer:
        yield writer


@pytest.fixture
def generation_id() -> str:
    return str(uuid4())


async def kinds(redis: Redis, generation_id: str) -> list[str]:
    return [kind for _, kind, _ in await entries_of(redis, generation_id)]


async def test_the_first_text_is_appended_at_once_and_what_follows_is_coalesced(
    redis: Redis, stream_writer: StreamWriter, generation_id: str
) -> None:
    stream = stream_writer.open(generation_id, epoch=1, model="echo")
    await eventually(lambda: stream.outgoing.is_drained)

    for piece in ("a", "b", "c"):
        stream.text(piece)
    assert await stream.finish_flush()

    assert await kinds(redis, generation_id) == ["start", "t"]
    assert stream.next_seq == 3
    assert stream.output_text == "abc"


async def test_the_first_text_does_not_wait_for_its_turn_although_the_start_has_just_been_sent(
    redis: Redis, redis_url: str, generation_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Else what comes after a moment of silence, such as a slow machine makes, does not wait for its turn either.
    monkeypatch.setattr(writer_module, "PROMPT_AFTER_S", 3_600.0)
    async with StreamWriter(redis_url, coalesce_s=3_600) as writer:
        stream = writer.open(generation_id, epoch=1, model="echo")
        await eventually(lambda: stream.outgoing.is_drained)

        stream.text("a")
        await eventually(lambda: stream.outgoing.is_drained)
        stream.text("b")

        assert [payload for _, kind, payload in await entries_of(redis, generation_id) if kind == "t"] == ["a"]
        assert not stream.outgoing.is_drained


async def test_a_stream_ends_with_the_terminal_state_and_is_let_go(
    redis: Redis, stream_writer: StreamWriter, generation_id: str
) -> None:
    stream = stream_writer.open(generation_id, epoch=1, model="echo")
    stream.text("all")
    await stream.finish_flush()

    assert await stream.end(a_terminal("all", end_seq=stream.next_seq))

    assert await kinds(redis, generation_id) == ["start", "t", "end"]
    assert stream_writer.streams_open == 0
    assert 0 < await redis.ttl(stream_key(generation_id)) <= 24 * 3600


async def test_events_keep_their_place_between_texts_and_only_the_last_progress_in_a_row_is_sent(
    redis: Redis, redis_url: str, generation_id: str
) -> None:
    async with StreamWriter(redis_url) as writer:
        stream = writer.open(generation_id, epoch=1, model="echo")
        stream.text("a")
        stream.event("progress", {"percent": 1, "message": "one"})
        stream.event("progress", {"percent": 2, "message": "two"})
        stream.text("b")
        await stream.finish_flush()

    assert (await entries_of(redis, generation_id))[1:] == [
        ("1-4", "t", "a"),
        ("1-6", "progress", '{"seq":3,"percent":2,"message":"two"}'),
        ("1-8", "t", "b"),
    ]


async def test_a_pair_of_halves_cut_by_the_provider_is_one_character(
    stream_writer: StreamWriter, generation_id: str, redis: Redis
) -> None:
    stream = stream_writer.open(generation_id, epoch=1, model="echo")

    for piece in ("x\ud83d", "\ude00y", "\ude00", "z\ud83d"):
        stream.text(piece)
    await stream.finish_flush()

    assert stream.output_text == "x\U0001f600y\ufffdz\ufffd"
    recovered = await recover_text(redis, generation_id)
    assert recovered is not None
    assert recovered.text == stream.output_text


async def test_a_later_attempt_fences_an_earlier_one(
    redis: Redis, redis_url: str, stream_writer: StreamWriter, generation_id: str
) -> None:
    zombie = stream_writer.open(generation_id, epoch=1, model="echo")
    zombie.text("old")
    await eventually(lambda: zombie.outgoing.is_drained)
    async with StreamWriter(redis_url) as other:
        successor = other.open(generation_id, epoch=2, model="echo")
        successor.text("new")
        await successor.finish_flush()

        zombie.text("never seen")
        with pytest.raises(StreamFenced):
            await zombie.finish_flush()

    with pytest.raises(StreamFenced):
        zombie.text("nor this")
    assert await recover_text(redis, generation_id) == Recovered(Cursor(epoch=2, seq=2), Content("new"))
    assert stream_writer.streams_open == 0


async def test_an_attempt_that_starts_after_its_successor_appends_nothing(
    redis: Redis, stream_writer: StreamWriter, generation_id: str
) -> None:
    successor = stream_writer.open(generation_id, epoch=2, model="echo")
    await successor.finish_flush()

    zombie = stream_writer.open(generation_id, epoch=1, model="echo")
    with pytest.raises(StreamFenced):
        await zombie.finish_flush()

    assert await redis.xlen(stream_key(generation_id)) == 1


async def test_a_new_attempt_removes_what_the_earlier_one_streamed(
    redis: Redis, stream_writer: StreamWriter, generation_id: str
) -> None:
    first = stream_writer.open(generation_id, epoch=1, model="echo")
    first.text("old")
    await first.finish_flush()

    second = stream_writer.open(generation_id, epoch=2, model="echo")
    await second.finish_flush()

    assert [entry_id for entry_id, _, _ in await entries_of(redis, generation_id)] == ["2-2"]


async def test_nothing_is_appended_while_the_lease_is_not_certain(
    redis: Redis, stream_writer: StreamWriter, generation_id: str
) -> None:
    holds = False
    stream = stream_writer.open(generation_id, epoch=1, model="echo", may_append=lambda: holds)
    stream.text("a")

    assert not await stream.finish_flush(timeout_s=0.2)
    assert await redis.exists(stream_key(generation_id)) == 0

    holds = True
    assert await stream.finish_flush()
    assert await kinds(redis, generation_id) == ["start", "t"]


async def test_a_stream_that_redis_forgot_begins_again_with_all_of_its_text(
    redis: Redis, stream_writer: StreamWriter, generation_id: str
) -> None:
    stream = stream_writer.open(generation_id, epoch=1, model="echo")
    stream.text("before ")
    await eventually(lambda: stream.outgoing.is_drained)
    await forget_everything(redis)

    stream.text("after")
    await stream.finish_flush()

    assert await kinds(redis, generation_id) == ["snapshot", "t"]
    assert await recover_text(redis, generation_id) == Recovered(Cursor(epoch=1, seq=3), Content("before after"))


async def test_an_append_whose_answer_was_lost_is_not_repeated(
    redis: Redis, redis_url: str, stream_writer: StreamWriter, generation_id: str
) -> None:
    stream = stream_writer.open(generation_id, epoch=1, model="echo")
    await eventually(lambda: stream.outgoing.is_drained)
    await redis.xadd(stream_key(generation_id), {"delta": '{"seq":2,"off":0,"text":"once"}'}, id="1-4")

    stream.text("once")
    await stream.finish_flush()

    recovered = await recover_text(redis, generation_id)
    assert recovered == Recovered(Cursor(epoch=1, seq=2), Content("once"))


async def test_a_long_stream_is_cut_to_a_snapshot_and_what_follows(
    redis: Redis, stream_writer: StreamWriter, generation_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "SNAPSHOT_EVERY_ENTRIES", 20)
    stream = stream_writer.open(generation_id, epoch=1, model="echo")
    for index in range(50):
        stream.event("structured", {"index": index})
        stream.text(f"{index} ")
    await eventually(lambda: stream.outgoing.is_drained)
    stream.text("more")
    await stream.finish_flush()

    entries = [entry_id for entry_id, kind, _ in await entries_of(redis, generation_id) if kind != "snapshot"]
    # What came last stays, for readers that lag a little: the trim took the rest.
    assert entries[-1] == "1-204"
    assert entries == [f"1-{2 * seq}" for seq in range(int(entries[0][2:]) // 2, 103)]
    assert 20 < len(entries) < 60
    assert "snapshot" in await kinds(redis, generation_id)
    recovered = await recover_text(redis, generation_id)
    assert recovered == Recovered(Cursor(epoch=1, seq=102), Content(stream.output_text))


async def test_a_very_long_text_goes_out_in_frames_of_bounded_size(
    redis: Redis, stream_writer: StreamWriter, generation_id: str
) -> None:
    stream = stream_writer.open(generation_id, epoch=1, model="echo")
    stream.text("\U0001f600" * 100_000)
    await stream.finish_flush()

    assert max(len(payload) for _, _, payload in await entries_of(redis, generation_id)) < 256 * 1024
    recovered = await recover_text(redis, generation_id)
    assert recovered is not None
    assert recovered.text == stream.output_text


async def test_many_generations_share_the_writer_and_keep_their_texts_apart(
    redis: Redis, stream_writer: StreamWriter
) -> None:
    async def generate(name: str) -> None:
        stream = stream_writer.open(name, epoch=1, model="echo")
        for index in range(50):
            stream.text(f"{name}:{index} ")
            await asyncio.sleep(0)
        assert await stream.finish_flush()
        assert await stream.end(a_terminal(stream.output_text, end_seq=stream.next_seq))

    names = [f"g{index}" for index in range(100)]
    await asyncio.gather(*map(generate, names))

    for name in names:
        recovered = await recover_text(redis, name)
        assert recovered is not None
        assert recovered.text == "".join(f"{name}:{index} " for index in range(50))


async def test_an_announced_end_covers_what_the_lost_attempt_left_and_may_be_announced_twice(
    redis: Redis, stream_writer: StreamWriter, generation_id: str
) -> None:
    lost = stream_writer.open(generation_id, epoch=1, model="echo")
    lost.text("partial")
    await lost.finish_flush()
    lost.abandon()
    recovered = await recover_text(redis, generation_id)
    assert recovered is not None

    for _ in range(2):
        await announce_end(redis, generation_id, a_terminal(recovered.text, epoch=2, end_seq=2, status="failed"))

    assert (await kinds(redis, generation_id))[-2:] == ["snapshot", "end"]
    assert await recover_text(redis, generation_id) == Recovered(Cursor(epoch=2, seq=2), Content("partial"))


async def test_nothing_is_recovered_of_a_generation_that_never_streamed(redis: Redis, generation_id: str) -> None:
    assert await recover_text(redis, generation_id) is None
