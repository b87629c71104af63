import asyncio
import json
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from msgspec import structs

from tests.waiting import eventually
from workers.batches import BatchCounts
from workers.streams import batch_stream
from workers.streams.announcements import BalanceAnnouncer
from workers.streams.batch_stream import BatchHub
from workers.streams.sse import SseEvent, SseParser

WITHIN_S = 30
"""Whatever a reader waits for has come by then, also where the machine stalls for a while."""


class Batches:
    """Postgres, as far as batches are asked about."""

    def __init__(self) -> None:
        self.counts: dict[UUID, BatchCounts] = {}
        self.asked = 0
        self.is_down = False

    async def counts_of(self, batch_id: UUID) -> BatchCounts:
        self.asked += 1
        if self.is_down:
            raise ConnectionError("down")
        return self.counts[batch_id]

    def open(self, total: int) -> BatchCounts:
        counts = BatchCounts(
            id=uuid4(),
            account_id=uuid4(),
            created_at_us=0,
            total=total,
            is_decided=True,
            queued=total,
            running=0,
            completed=0,
            cancelled=0,
            failed=0,
            refused=0,
        )
        self.counts[counts.id] = counts
        return counts

    def change(self, batch_id: UUID, *, queued: int, running: int = 0, completed: int = 0) -> None:
        self.counts[batch_id] = structs.replace(
            self.counts[batch_id], queued=queued, running=running, completed=completed
        )


class Reader:
    """One open progress stream."""

    def __init__(self, hub: BatchHub, counts: BatchCounts) -> None:
        self._frames = hub.subscribe(counts)
        self._parser = SseParser()
        self._events: list[SseEvent] = []

    async def next(self, within_s: float = WITHIN_S) -> SseEvent:
        async with asyncio.timeout(within_s):
            while not self._events:
                self._events += self._parser.feed(await anext(self._frames))
        return self._events.pop(0)

    async def close(self) -> None:
        await self._frames.aclose()


@pytest.fixture
def batches() -> Batches:
    return Batches()


@pytest.fixture
async def hub(redis_url: str, batches: Batches) -> AsyncIterator[BatchHub]:
    async with BatchHub(redis_url, batches.counts_of) as hub:
        yield hub


async def test_the_current_state_comes_first_and_the_end_last(hub: BatchHub, batches: Batches) -> None:
    counts = batches.open(2)
    reader = Reader(hub, counts)

    first = await reader.next()
    batches.change(counts.id, queued=0, completed=2)
    last, end = await reader.next(), await reader.next()

    assert (first.event, first.last_id) == ("batch", "")
    assert json.loads(first.data) == {
        "id": str(counts.id),
        "total": 2,
        "queued": 2,
        "running": 0,
        "completed": 0,
        "cancelled": 0,
        "failed": 0,
        "refused": 0,
    }
    assert (last.event, json.loads(last.data)["completed"]) == ("batch", 2)
    assert (end.event, end.last_id) == ("end", "end")
    assert batch_stream.POLL_S <= 1, "the promise that a machine which stalls cannot be timed by"
    with pytest.raises(StopAsyncIteration):
        await reader.next()
    assert hub.reader_count == 0


async def test_a_batch_that_is_over_is_shown_once_and_ends(hub: BatchHub, batches: Batches) -> None:
    counts = batches.open(1)
    batches.change(counts.id, queued=0, completed=1)
    reader = Reader(hub, batches.counts[counts.id])

    assert [(await reader.next()).event, (await reader.next()).event] == ["batch", "end"]


async def test_a_batch_that_is_still_being_taken_on_does_not_end(hub: BatchHub, batches: Batches) -> None:
    counts = structs.replace(batches.open(2), queued=0, is_decided=False)
    batches.counts[counts.id] = counts
    reader = Reader(hub, counts)

    assert (await reader.next()).event == "batch"
    batches.counts[counts.id] = structs.replace(counts, is_decided=True, completed=1, refused=1)
    assert [(await reader.next()).event, (await reader.next()).event] == ["batch", "end"]


async def test_a_change_of_its_account_is_shown_before_the_next_poll(
    hub: BatchHub, batches: Batches, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_stream, "POLL_S", 3_600.0)
    counts = batches.open(3)
    reader = Reader(hub, counts)
    await reader.next()
    batches.change(counts.id, queued=2, running=1)

    async with BalanceAnnouncer(redis_url) as announcer:

        async def announced() -> bool:
            announcer.note([counts.account_id])
            return reading.done()

        reading = asyncio.create_task(reader.next())
        await eventually(announced)

    assert json.loads((await reading).data)["running"] == 1
    await reader.close()


async def test_all_readers_of_a_batch_share_one_question_and_see_the_latest_only(
    hub: BatchHub, batches: Batches
) -> None:
    counts = batches.open(100)
    readers = [Reader(hub, counts) for _ in range(20)]
    for reader in readers:
        await reader.next()

    for queued in range(99, 49, -1):
        batches.change(counts.id, queued=queued, completed=100 - queued)

    assert {json.loads((await reader.next()).data)["queued"] for reader in readers} == {50}
    assert batches.asked < 10
    for reader in readers:
        await reader.close()


async def test_readers_wait_while_postgres_is_away(hub: BatchHub, batches: Batches) -> None:
    counts = batches.open(1)
    batches.is_down = True
    reader = Reader(hub, counts)
    await reader.next()
    await eventually(lambda: batches.asked > 0)

    batches.change(counts.id, queued=0, completed=1)
    batches.is_down = False

    assert json.loads((await reader.next()).data)["completed"] == 1
    await reader.close()


async def test_draining_asks_readers_of_batches_to_come_back(hub: BatchHub, batches: Batches) -> None:
    reader = Reader(hub, batches.open(1))
    await reader.next()

    draining = asyncio.create_task(hub.drain(WITHIN_S))

    assert (await reader.next()).event == "reconnect"
    await reader.close()
    assert await draining
