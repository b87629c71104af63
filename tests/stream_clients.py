"""Reading streams in tests the way a client does: parse the frames, check every promise, remember where to resume."""

from collections.abc import Mapping, Sequence
from typing import cast

from redis.asyncio import Redis

from tests.waiting import eventually
from workers.streams.client import TextClient
from workers.streams.cursor import Cursor, parse_cursor
from workers.streams.feed import Feed
from workers.streams.generation_stream import GenerationStream
from workers.streams.hub import StreamHub
from workers.streams.sse import SseParser
from workers.streams.terminal import Failure, GenerationState, Status, Terminal, text_sha256
from workers.streams.wire import stream_key


def read_all(feed: Feed, client: TextClient, cursor: Cursor | None) -> tuple[TextClient, Cursor | None]:
    """Give the client everything the feed has for it now."""
    while chunk := feed.next_chunk(cursor):
        for event in SseParser().feed(chunk.data):
            client.take(event)
        cursor = chunk.cursor
    return client, cursor


async def follow(
    hub: StreamHub, generation_id: str, client: TextClient | None = None, *, events: int = 0
) -> TextClient:
    """One connection: from the client's cursor to the end of the response, or until it has taken `events` events."""
    client = client or TextClient()
    parser = SseParser()
    client.reconnect = None
    frames = hub.subscribe(generation_id, parse_cursor(client.cursor) if client.cursor else None)
    taken = 0
    try:
        async for data in frames:
            for event in parser.feed(data):
                client.take(event)
                taken += 1
                if taken == events:
                    return client
    finally:
        await frames.aclose()
    return client


def a_terminal(
    text: str,
    *,
    end_seq: int,
    epoch: int = 1,
    status: Status = "completed",
    usage: dict[str, int] | None = None,
    error: Failure | None = None,
) -> Terminal:
    """How a generation with this text ended."""
    return Terminal(
        epoch=epoch,
        end_seq=end_seq,
        status=status,
        text=text,
        text_length=len(text),
        text_sha256=text_sha256(text),
        usage={"input_tokens": 3, "output_tokens": 5} if usage is None else usage,
        cost_microcredits=1_250_000,
        error=error,
    )


def redis_client(redis_url: str) -> Redis:
    """A client to look into Redis behind the back of what is tested."""
    return Redis.from_url(redis_url)  # pyright: ignore[reportUnknownMemberType] - its options are not typed


async def entries_of(redis: Redis, generation_id: str) -> list[tuple[str, str, str]]:
    """What Redis holds of a stream: entry ids, kinds and payloads."""
    entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", await redis.xrange(stream_key(generation_id)))
    return [
        (entry_id.decode(), kind.decode(), payload.decode())
        for entry_id, fields in entries
        for kind, payload in fields.items()
    ]


async def forget_everything(redis: Redis) -> None:
    """Redis loses all its data and goes on running."""
    await redis.execute_command("FLUSHALL")  # pyright: ignore[reportUnknownMemberType] - not typed


class Truth:
    """Postgres, as far as streams ask it."""

    def __init__(self) -> None:
        self.states: dict[str, GenerationState] = {}
        self.asked = 0
        self.is_down = False

    async def states_of(self, generation_ids: Sequence[str]) -> Mapping[str, GenerationState]:
        self.asked += 1
        if self.is_down:
            raise ConnectionError("down")
        return {one: self.states[one] for one in generation_ids if one in self.states}

    def settle(self, generation_id: str, terminal: Terminal) -> Terminal:
        self.states[generation_id] = GenerationState(terminal.epoch, terminal)
        return terminal


async def say(stream: GenerationStream, *pieces: str) -> None:
    """Stream each piece as an event of its own."""
    for piece in pieces:
        stream.text(piece)
        await eventually(lambda: stream.outgoing.is_drained)


async def finish(stream: GenerationStream, truth: Truth) -> Terminal:
    """End a generation as a worker does: flush, commit, then `end`."""
    await stream.finish_flush()
    terminal = a_terminal(stream.output_text, end_seq=stream.next_seq, epoch=stream.epoch)
    truth.settle(stream.generation_id, terminal)
    await stream.end(terminal)
    return terminal
