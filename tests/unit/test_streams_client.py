import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.streams.client import BrokenStream, TextClient
from workers.streams.sse import SseEvent, SseParser
from workers.streams.terminal import text_sha256

STREAM = (
    ": hello\nretry: 1000\n\n"
    'id: 0001.000000000001\nevent: start\ndata: {"epoch":1}\n\n'
    'id: 0001.000000000002\nevent: delta\ndata: {"seq":2,"off":0,"text":"é\U0001f600"}\n\n'
    "data: two\ndata:lines\n\n"
    ": \n\n"
).encode()
EVENTS = [
    SseEvent("start", '{"epoch":1}', "0001.000000000001"),
    SseEvent("delta", '{"seq":2,"off":0,"text":"é\U0001f600"}', "0001.000000000002"),
    SseEvent("message", "two\nlines", "0001.000000000002"),
]


def delta(seq: int, offset: int, text: str, *, epoch: int = 1) -> SseEvent:
    return SseEvent("delta", f'{{"seq":{seq},"off":{offset},"text":"{text}"}}', f"{epoch:04d}.{seq:012d}")


def snapshot(seq: int, text: str, *, epoch: int = 1) -> SseEvent:
    return SseEvent("snapshot", f'{{"seq":{seq},"text":"{text}","reason":"trimmed"}}', f"{epoch:04d}.{seq:012d}")


@given(st.lists(st.integers(0, len(STREAM)), max_size=12), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_the_parser_finds_the_same_events_wherever_the_bytes_are_cut(cuts: list[int], line_end: bytes) -> None:
    parser = SseParser()
    stream = STREAM.replace(b"\n", line_end) + b":"
    edges = [0, *sorted(cuts), len(stream)]

    events = [event for a, b in itertools.pairwise(edges) for event in parser.feed(stream[a:b])]

    assert events == EVENTS
    assert parser.retry_ms == 1000


def test_the_parser_drops_an_event_that_was_cut_off() -> None:
    parser = SseParser()

    events = parser.feed(b"id: 1\ndata: whole\n\nid: 2\ndata: half\n")

    assert [event.data for event in events] == ["whole"]
    assert parser.last_id == "1"


def test_the_parser_ignores_an_id_with_nul_and_a_retry_that_is_no_number() -> None:
    parser = SseParser()

    parser.feed(b"\xef\xbb\xbfid: 5\nretry: 1s\ndata: x\n\nid: a\0b\ndata: y\n\n")

    assert parser.last_id == "5"
    assert parser.retry_ms is None


def test_a_client_joins_deltas_and_checks_the_end() -> None:
    client = TextClient()

    client.take(delta(1, 0, "ab"))
    client.take(delta(2, 2, "c"))
    end = f'{{"seq":3,"text_len":3,"text_sha256":"{text_sha256("abc")}"}}'
    client.take(SseEvent("end", end, "0001.000000000003"))

    assert client.text == "abc"
    assert client.end is not None
    assert client.cursor == "0001.000000000003"


def test_a_client_replaces_what_it_has_by_a_snapshot() -> None:
    client = TextClient()
    client.take(delta(1, 0, "old"))

    client.take(snapshot(6, "new", epoch=2))
    client.take(delta(7, 3, "er", epoch=2))

    assert client.text == "newer"


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(delta(3, 2, "x"), id="a seq is missing"),
        pytest.param(delta(1, 2, "x"), id="a seq comes twice"),
        pytest.param(delta(2, 1, "x"), id="the text overlaps"),
        pytest.param(delta(2, 2, "x", epoch=2), id="another attempt without a snapshot"),
        pytest.param(SseEvent("end", '{"text_len":2,"text_sha256":"0"}', "0001.000000000002"), id="another text"),
    ],
)
def test_a_client_notices_a_broken_promise(event: SseEvent) -> None:
    client = TextClient()
    client.take(delta(1, 0, "ab"))

    with pytest.raises(BrokenStream):
        client.take(event)
