import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from tests.stream_clients import a_terminal, read_all
from workers.streams.client import TextClient
from workers.streams.content import Content, content_entry
from workers.streams.cursor import Cursor
from workers.streams.errors import UnreadableEntry
from workers.streams.feed import KEPT_BEFORE_SNAPSHOT, MAX_CHUNK_BYTES, Feed
from workers.streams.sse import SseParser
from workers.streams.terminal import UNWRITTEN_END_SEQ, GenerationState, end_payload
from workers.streams.wire import TEXT_ENTRY, ascii_text, delta_payload


def at(seq: int, epoch: int = 1) -> Cursor:
    return Cursor(epoch=epoch, seq=seq)


def fed(*texts: str, epoch: int = 1, feed: Feed | None = None) -> Feed:
    """A feed of one delta per text."""
    feed = feed or Feed("g")
    offset = 0
    for seq, text in enumerate(texts, 1):
        feed.take_entry(at(seq, epoch), "delta", delta_payload(seq=seq, offset=offset, text=text).encode())
        offset += len(text)
    return feed


def read(feed: Feed, cursor: Cursor | None = None) -> TextClient:
    client, _ = read_all(feed, TextClient(), cursor)
    return client


def kinds(feed: Feed, cursor: Cursor | None) -> list[str]:
    chunk = feed.next_chunk(cursor)
    return [event.event for event in SseParser().feed(chunk.data)] if chunk else []


def test_a_reader_without_a_cursor_gets_everything_from_the_first_event() -> None:
    client = read(fed("a", "b", "c"))

    assert client.text == "abc"
    assert client.snapshots == []


def test_a_reader_with_a_cursor_gets_only_what_follows_it() -> None:
    feed = fed("a", "b", "c")

    assert kinds(feed, at(2)) == ["delta"]
    assert feed.next_chunk(at(3)) is None


@pytest.mark.parametrize(
    ("cursor", "reason"),
    [
        (at(4), "catchup"),
        (at(3, epoch=2), "epoch_changed"),
        (at(3, epoch=9), "epoch_changed"),
    ],
)
def test_a_cursor_that_cannot_be_followed_gets_a_snapshot_and_the_rest(cursor: Cursor, reason: str) -> None:
    feed = fed("a", "b", "c", feed=fed("old", epoch=1), epoch=3) if cursor.epoch != 1 else fed("a", "b", "c")

    client = read(feed, cursor)

    assert client.snapshots == [reason]
    assert client.text == "abc"


def test_a_later_epoch_replaces_an_earlier_one() -> None:
    feed = fed("wrong")
    reader, cursor = read_all(feed, TextClient(), None)

    fed("right", epoch=2, feed=feed)
    read_all(feed, reader, cursor)

    assert reader.snapshots == ["epoch_changed"]
    assert reader.text == "right"


def test_an_earlier_epoch_is_ignored_once_a_later_one_was_seen() -> None:
    feed = fed("right", epoch=2)

    for zombie in (at(1), at(2), at(9)):
        assert not feed.take_entry(zombie, "delta", delta_payload(seq=zombie.seq, offset=5, text="zombie").encode())
        assert not feed.take_entry(zombie, "snapshot", ascii_text("zombie").encode())

    assert read(feed).text == "right"


def test_a_reader_of_the_epoch_before_the_first_claim_sees_the_first_attempt_without_a_snapshot() -> None:
    feed = fed("a")

    assert read(feed, Cursor(epoch=0, seq=0)).snapshots == []


def test_an_event_taken_twice_is_shown_once() -> None:
    feed = fed("a", "b")

    assert not feed.take_entry(at(2), "delta", delta_payload(seq=2, offset=1, text="b").encode())
    assert read(feed).text == "ab"


def test_after_a_hole_readers_wait_for_the_snapshot_that_bridges_it() -> None:
    feed = fed("a", "b")
    reader, cursor = read_all(feed, TextClient(), None)

    assert not feed.take_entry(at(5), "delta", delta_payload(seq=5, offset=4, text="e").encode())
    assert feed.take_entry(at(5), "snapshot", ascii_text("abcde").encode())
    assert feed.take_entry(at(6), "delta", delta_payload(seq=6, offset=5, text="f").encode())
    read_all(feed, reader, cursor)

    assert reader.text == "abcdef"
    assert reader.snapshots == ["trimmed"]


def test_a_snapshot_of_what_readers_have_is_not_shown_to_them() -> None:
    feed = fed("a", "b")

    assert not feed.take_entry(at(2), "snapshot", ascii_text("ab").encode())
    assert feed.next_chunk(at(2)) is None
    assert kinds(feed, at(1)) == ["delta"]


def test_what_lies_long_before_a_snapshot_is_forgotten_and_replaced_by_it() -> None:
    texts = ["x"] * (KEPT_BEFORE_SNAPSHOT + 10)
    feed = fed(*texts)

    feed.take_entry(at(len(texts)), "snapshot", ascii_text("x" * len(texts)).encode())

    assert read(feed, at(9)).snapshots == ["trimmed"]
    assert set(kinds(feed, at(10))) == {"delta"}
    assert read(feed).snapshots == ["catchup"]
    assert read(feed).text == "x" * len(texts)


def test_a_chunk_is_bounded_and_holds_at_least_one_event() -> None:
    small, large = "s" * 1_000, "l" * (2 * MAX_CHUNK_BYTES)
    feed = fed(*[small] * 100, large, small)

    first = feed.next_chunk(None)
    second = feed.next_chunk(at(100))

    assert first is not None
    assert MAX_CHUNK_BYTES / 2 < len(first.data) <= MAX_CHUNK_BYTES
    assert second is not None
    assert second.cursor == at(101)
    assert read(feed).text == small * 100 + large + small


def test_bytes_behind_is_what_a_reader_has_yet_to_get() -> None:
    feed = fed("a", "b", "c")
    chunk = feed.next_chunk(at(1))

    assert chunk is not None
    assert feed.bytes_behind(at(1)) == len(chunk.data)
    assert feed.bytes_behind(at(3)) == 0
    assert feed.bytes_behind(None) == feed.bytes_total


def test_the_end_from_postgres_follows_the_last_event_when_nothing_is_missing() -> None:
    feed = fed("a", "b")

    assert feed.take_state(GenerationState(1, a_terminal("ab", end_seq=3)))

    assert kinds(feed, at(2)) == ["end"]
    assert feed.has_all(at(3))
    assert not feed.has_all(at(2))
    assert read(feed).end is not None


def test_the_end_is_the_same_bytes_from_redis_and_from_postgres() -> None:
    how = a_terminal("ab", end_seq=3)
    from_redis, from_postgres = fed("a", "b"), fed("a", "b")

    from_redis.take_entry(at(3), "end", end_payload(how).encode())
    from_postgres.take_state(GenerationState(1, how))

    assert from_redis.next_chunk(at(2)) == from_postgres.next_chunk(at(2))


@pytest.mark.parametrize("cursor", [None, at(0), at(1), at(6), at(99), at(3, epoch=2)])
def test_after_redis_forgot_everything_postgres_gives_a_snapshot_and_the_end(cursor: Cursor | None) -> None:
    feed = Feed("g")
    feed.take_state(GenerationState(1, a_terminal("all of it", end_seq=8)))

    client = read(feed, cursor)

    assert client.text == "all of it"
    assert client.end is not None


def test_a_reader_that_missed_only_the_end_gets_only_the_end_from_postgres() -> None:
    feed = Feed("g")
    feed.take_state(GenerationState(1, a_terminal("all of it", end_seq=8)))

    assert kinds(feed, at(7)) == ["end"]


def test_an_end_nobody_streamed_takes_its_own_epoch_and_shows_the_text_that_was_kept() -> None:
    feed = fed("par", "tial", " and zombie")
    reader, cursor = read_all(feed, TextClient(), None)

    feed.take_state(GenerationState(2))
    reader, cursor = read_all(feed, reader, cursor)
    feed.take_state(GenerationState(2, a_terminal("partial", end_seq=UNWRITTEN_END_SEQ, epoch=2)))
    read_all(feed, reader, cursor)

    assert reader.text == "partial"
    assert reader.end is not None
    assert read(feed).text == "partial"


def test_nothing_is_taken_after_the_end() -> None:
    feed = fed("a")
    feed.take_state(GenerationState(1, a_terminal("a", end_seq=2)))

    assert not feed.take_entry(at(1, epoch=2), "delta", delta_payload(seq=1, offset=0, text="late").encode())
    assert not feed.take_state(GenerationState(3))
    assert read(feed).text == "a"


@given(
    texts=st.lists(st.text(min_size=1), min_size=1, max_size=30),
    snapshots=st.sets(st.integers(1, 30)),
    lost=st.sets(st.integers(1, 30)),
    cuts=st.lists(st.integers(0, 31), max_size=8),
    earlier=st.sets(st.integers(1, 30)),
)
def test_every_reader_ends_with_the_text_whatever_redis_lost(
    texts: list[str], snapshots: set[int], lost: set[int], cuts: list[int], earlier: set[int]
) -> None:
    """Readers that stop anywhere and come back, while entries are missing, snapshots stand anywhere, and some of both
    were written by an earlier version."""
    feed = Feed("g")
    text, readers = "", [(TextClient(), None) for _ in cuts]
    for seq, piece in enumerate(texts, 1):
        if seq not in lost:
            old = delta_payload(seq=seq, offset=len(text), text=piece).encode()
            feed.take_entry(at(seq), *(("delta", old) if seq in earlier else (TEXT_ENTRY, piece.encode())))
        text += piece
        if seq in snapshots:
            old = ascii_text(text).encode()
            feed.take_entry(at(seq), "snapshot", old if seq in earlier else content_entry(Content(text)))
        readers = [read_all(feed, *reader) if seq <= cut else reader for cut, reader in zip(cuts, readers, strict=True)]
    feed.take_state(GenerationState(1, a_terminal(text, end_seq=len(texts) + 1)))

    for reader in (*readers, (TextClient(), None)):
        client, cursor = read_all(feed, *reader)
        assert client.text == text
        assert client.end is not None
        assert feed.has_all(cursor)


ARTIFACT: dict[str, object] = {"index": 0, "kind": "code", "text": "привет"}
STRUCTURED: dict[str, object] = {"json": '{"a":1}', "value": {"a": 1}}


@pytest.mark.parametrize("cursor", [None, at(2), at(99), at(1, epoch=4)])
def test_a_snapshot_from_postgres_has_all_that_was_produced(cursor: Cursor | None) -> None:
    feed = Feed("g")
    terminal = structs.replace(a_terminal("text", end_seq=8), artifacts=[ARTIFACT], structured=STRUCTURED)
    feed.take_state(GenerationState(1, terminal))

    client = read(feed, cursor)

    assert (client.text, client.artifacts) == ("text", [ARTIFACT])
    assert (client.structured_json, client.structured_value) == ('{"a":1}', {"a": 1})


def test_a_snapshot_from_redis_has_all_that_was_produced_and_goes_on_at_its_offset() -> None:
    feed = Feed("g")
    content = Content("früher", [ARTIFACT], STRUCTURED, {"percent": 7, "message": "läuft"})

    feed.take_entry(at(9), "snapshot", content_entry(content))
    feed.take_entry(at(10), TEXT_ENTRY, " später".encode())

    client = read(feed)
    assert (client.text, client.artifacts) == ("früher später", [ARTIFACT])
    assert (client.structured_value, client.progress) == ({"a": 1}, {"percent": 7, "message": "läuft"})


def test_a_snapshot_without_artifacts_has_no_fields_for_them() -> None:
    feed = Feed("g")
    feed.take_entry(at(2), "snapshot", content_entry(Content("plain")))

    chunk = feed.next_chunk(None)

    assert chunk is not None
    assert chunk.data.endswith(b'data: {"seq":2,"text":"plain","reason":"catchup"}\n\n')


def test_what_is_not_a_snapshot_is_refused_and_changes_nothing() -> None:
    feed = fed("a")

    with pytest.raises(UnreadableEntry):
        feed.take_entry(at(9), "snapshot", b"{")

    assert read(feed).text == "a"
