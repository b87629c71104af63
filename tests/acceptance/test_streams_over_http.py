"""What a front end lives through: connections that break anywhere, readers that come late, and cancelling."""

import asyncio
import copy
import random

import httpx
import pytest

from tests.http_streams import ResumeBy, events_of, read, read_to_end, start
from tests.waiting import eventually
from workers.streams.client import TextClient
from workers.streams.terminal import text_sha256

AWKWARD = (
    "CR\r then CRLF\r\n then NUL\x00 then \u2028 and \u2029 \ufeff \x85 then 👩‍👩‍👧‍👦👍🏽 "
    + "\U0001f469\u200d" * 40
    + " end\n\n"
)


async def test_a_whole_stream_has_contiguous_events_and_the_text_its_end_names(user: httpx.AsyncClient) -> None:
    generation_id = await start(user, AWKWARD, delay_ms=5)

    client = await read_to_end(user, generation_id)

    assert client.text == AWKWARD
    assert client.end is not None
    assert client.end["status"] == "completed"
    assert client.end["text_sha256"] == text_sha256(AWKWARD)


@pytest.mark.parametrize("resume_by", ["header", "cursor"])
async def test_a_stream_cut_after_every_single_event_loses_and_repeats_nothing(
    user: httpx.AsyncClient, resume_by: ResumeBy
) -> None:
    generation_id = await start(user, AWKWARD, delay_ms=15)

    client = TextClient()
    while client.end is None:
        client = await read(user, generation_id, client, resume_by=resume_by, cut_after_events=1)

    assert client.text == AWKWARD
    assert client.snapshots == []


async def test_a_finished_stream_can_be_resumed_after_each_of_its_events(user: httpx.AsyncClient) -> None:
    generation_id = await start(user, AWKWARD, delay_ms=2)
    await read_to_end(user, generation_id)
    events = await events_of(user, generation_id)

    for position in range(1, len(events)):
        client = TextClient()
        for event in copy.deepcopy(events[:position]):
            client.take(event)
        client = await read(user, generation_id, client)
        assert client.text == AWKWARD
        assert client.end is not None


@pytest.mark.parametrize("resume_by", ["header", "cursor"])
async def test_a_stream_cut_at_random_bytes_loses_and_repeats_nothing(
    user: httpx.AsyncClient, resume_by: ResumeBy
) -> None:
    prompt = " ".join(f"{AWKWARD}{number}" for number in range(6))
    generation_id = await start(user, prompt, delay_ms=4)
    cuts = random.Random(20261120)

    client = TextClient()
    while client.end is None:
        client = await read(user, generation_id, client, resume_by=resume_by, cut_after_bytes=cuts.randint(60, 2_500))

    assert client.text == prompt
    assert client.end["text_sha256"] == text_sha256(prompt)


async def test_ten_readers_who_join_anywhere_all_end_with_the_same_text(user: httpx.AsyncClient) -> None:
    prompt = AWKWARD * 8
    generation_id = await start(user, prompt, delay_ms=10)
    leader = TextClient()

    async def join(after_characters: int) -> TextClient:
        await eventually(lambda: len(leader.text) >= after_characters or leader.end is not None, within_s=30)
        return await read_to_end(user, generation_id)

    async def lead() -> TextClient:
        return await read(user, generation_id, leader)

    readers = await asyncio.gather(lead(), *[join(len(prompt) * tenth // 10) for tenth in range(10)])

    assert {reader.text for reader in readers} == {prompt}
    assert all(reader.end is not None for reader in readers)


async def test_a_reader_at_the_end_is_told_there_is_no_more(user: httpx.AsyncClient) -> None:
    generation_id = await start(user, "over")
    client = await read_to_end(user, generation_id)
    assert client.cursor is not None

    again = await user.get(f"/v1/generations/{generation_id}/events", headers={"Last-Event-ID": client.cursor})

    assert again.status_code == 204


@pytest.mark.parametrize("cursor", ["9999.000000000001", "0001.999999999999"])
async def test_a_cursor_that_means_nothing_here_gets_a_snapshot_and_never_silence(
    user: httpx.AsyncClient, cursor: str
) -> None:
    generation_id = await start(user, "what there is")
    await read_to_end(user, generation_id)

    lost = TextClient()
    lost.cursor = cursor
    lost = await read(user, generation_id, lost)

    assert lost.text == "what there is"
    assert lost.snapshots
    assert lost.end is not None


async def test_cancelling_keeps_and_charges_what_was_delivered_once(user: httpx.AsyncClient) -> None:
    before = (await user.get("/v1/me/balance")).json()
    generation_id = await start(user, "word " * 400, delay_ms=20)
    watcher = asyncio.create_task(read_to_end(user, generation_id))
    partial = await read(user, generation_id, cut_after_events=5)

    answers = await asyncio.gather(*[user.post(f"/v1/generations/{generation_id}/cancel") for _ in range(5)])
    client = await watcher
    late = await user.post(f"/v1/generations/{generation_id}/cancel")

    assert {answer.status_code for answer in answers} <= {200, 202}
    assert late.status_code == 200
    assert client.end is not None
    assert client.end["status"] == "cancelled"
    assert client.text.startswith(partial.text)
    assert 0 < len(client.text) < len("word " * 400)
    generation = (await user.get(f"/v1/generations/{generation_id}")).json()
    assert (generation["status"], generation["partial"], generation["output"]) == ("cancelled", True, client.text)
    after = (await user.get("/v1/me/balance")).json()
    assert float(generation["cost"]) > 0
    assert float(before["available"]) - float(after["available"]) == pytest.approx(float(generation["cost"]))
    assert after["frozen"] == before["frozen"]
    assert [event.event for event in await events_of(user, generation_id)].count("end") == 1


async def test_closing_every_connection_cancels_nothing(user: httpx.AsyncClient) -> None:
    prompt = "word " * 60
    generation_id = await start(user, prompt, delay_ms=10)

    for _ in range(3):
        await read(user, generation_id, cut_after_events=2)

    async def has_completed() -> bool:
        return (await user.get(f"/v1/generations/{generation_id}")).json()["status"] == "completed"

    await eventually(has_completed, within_s=20)
    assert (await read_to_end(user, generation_id)).text == prompt
