import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.stream_clients import a_terminal
from workers.streams.cursor import Cursor
from workers.streams.sse import SseEvent, SseParser
from workers.streams.terminal import Failure, end_payload, text_sha256
from workers.streams.wire import COMMENT, OPENING, ascii_text, delta_payload, event_frame, reconnect_frame

NASTY = 'CR \r LF \n NUL \0 LS \u2028 PS \u2029 family \U0001f468\u200d\U0001f469 quote " slash \\ é 漢'


@given(st.text())
def test_a_delta_is_ascii_without_line_ends_and_reads_back_as_it_was(text: str) -> None:
    payload = delta_payload(seq=7, offset=3, text=text)

    assert payload.isascii()
    assert not set(payload) & set("\r\n\0")
    assert json.loads(payload) == {"seq": 7, "off": 3, "text": text}


def test_a_frame_has_an_id_a_kind_and_data_and_only_line_feeds() -> None:
    frame = event_frame(Cursor(epoch=2, seq=9), "delta", delta_payload(seq=9, offset=0, text=NASTY))

    assert frame.startswith(b"id: 0002.000000000009\nevent: delta\ndata: {")
    assert frame.endswith(b"}\n\n")
    assert b"\r" not in frame


def test_reconnect_has_no_id_so_that_a_client_keeps_its_own() -> None:
    (event,) = SseParser().feed(reconnect_frame("drain"))

    assert event == SseEvent("reconnect", '{"reason":"drain"}', "")


def test_a_stream_opens_with_a_retry_time_and_a_comment() -> None:
    parser = SseParser()

    events = parser.feed(OPENING + COMMENT)

    assert events == []
    assert parser.retry_ms == 1000
    assert parser.comments == 2


def test_the_end_names_the_text_the_usage_and_the_cost() -> None:
    assert json.loads(end_payload(a_terminal(NASTY, end_seq=4))) == {
        "seq": 4,
        "status": "completed",
        "text_len": len(NASTY),
        "text_sha256": text_sha256(NASTY),
        "usage": {"input_tokens": 3, "output_tokens": 5},
        "cost": "1.25",
    }


def test_the_end_of_a_failure_says_why() -> None:
    end = json.loads(
        end_payload(a_terminal("", end_seq=1, status="failed", error=Failure("timed_out", "It took too long.")))
    )

    assert end["error"] == {"code": "timed_out", "message": "It took too long."}


def test_the_end_is_the_same_bytes_whatever_the_order_usage_was_kept_in() -> None:
    one = end_payload(a_terminal("x", end_seq=2, usage={"a": 1, "b": 2}))

    assert one == end_payload(a_terminal("x", end_seq=2, usage={"b": 2, "a": 1}))


def test_a_text_cannot_end_before_anything_could_carry_it() -> None:
    with pytest.raises(AssertionError):
        a_terminal("lost", end_seq=1)


def test_ascii_text_writes_characters_beyond_the_first_plane_as_pairs() -> None:
    assert ascii_text("\U0001f600") == '"\\ud83d\\ude00"'
