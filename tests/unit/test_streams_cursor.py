import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.streams.cursor import (
    MAX_EPOCH,
    MAX_SEQ,
    Cursor,
    event_entry_id,
    parse_cursor,
    parse_entry_id,
    snapshot_entry_id,
)
from workers.streams.errors import MalformedCursor

cursors = st.builds(Cursor, epoch=st.integers(0, MAX_EPOCH), seq=st.integers(0, MAX_SEQ))


@given(cursors)
def test_a_cursor_reads_back_as_it_was_written(cursor: Cursor) -> None:
    assert parse_cursor(str(cursor)) == cursor


@given(cursors, cursors)
def test_cursors_sort_the_same_written_out_as_in_numbers(one: Cursor, other: Cursor) -> None:
    assert (str(one) < str(other)) == (one < other)


@given(st.text())
def test_any_text_is_either_a_cursor_in_its_one_form_or_malformed(text: str) -> None:
    try:
        cursor = parse_cursor(text)
    except MalformedCursor:
        return

    assert str(cursor) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "1.1",
        "0001.00000000004",
        "0001.0000000000042",
        "0001-000000000042",
        " 0001.000000000042",
        "0001.000000000042\n",
        "-001.000000000042",
        "\u0660\u0660\u0660\u0661.000000000042",
    ],
)
def test_a_cursor_of_another_form_is_malformed(text: str) -> None:
    with pytest.raises(MalformedCursor):
        parse_cursor(text)


@given(cursors)
def test_an_entry_id_stands_for_its_cursor(cursor: Cursor) -> None:
    assert parse_entry_id(event_entry_id(cursor).encode()) == (cursor, False)
    assert parse_entry_id(snapshot_entry_id(cursor).encode()) == (cursor, True)


@given(cursors)
def test_a_snapshot_lies_between_the_event_it_covers_and_the_next(cursor: Cursor) -> None:
    def order(entry_id: str) -> tuple[int, int]:
        epoch, number = entry_id.split("-")
        return int(epoch), int(number)

    following = Cursor(epoch=cursor.epoch, seq=cursor.seq + 1)

    assert order(event_entry_id(cursor)) < order(snapshot_entry_id(cursor)) < order(event_entry_id(following))
