import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.streams.json_fields import MAX_DEPTH, MAX_FIELD_CHARACTERS, Field, TopLevelFields


def found(*pieces: str) -> list[tuple[str, Any]]:
    fields = TopLevelFields()
    return [(field.path, field.value) for piece in pieces for field in fields.feed(piece)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=10,
)


@given(
    value=st.dictionaries(st.text(max_size=6), JSON, max_size=6),
    cuts=st.lists(st.integers(0, 200), max_size=10),
    indent=st.sampled_from([None, 1]),
    ensure_ascii=st.booleans(),
)
def test_every_top_level_field_is_found_once_in_order_however_the_text_is_cut(
    value: dict[str, Any], cuts: list[int], indent: int | None, ensure_ascii: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ensure_ascii)
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})

    pieces = [text[start:end] for start, end in pairwise(places)]

    expected = [("/" + name.replace("~", "~0").replace("/", "~1"), inner) for name, inner in value.items()]
    assert found(*pieces) == found(*text) == expected


def test_a_field_is_found_as_soon_as_it_is_whole() -> None:
    fields = TopLevelFields()

    assert fields.feed('{"title": "a, b: {c}"') == []
    assert fields.feed(', "n": 1') == [Field("/title", "a, b: {c}")]
    assert fields.feed("2}") == [Field("/n", 12)]


@pytest.mark.parametrize(
    "text", ["[1, 2]", '"text"', "12", "", "nonsense", "[" * 10_000, "}" * 100, '{"a" 1, 2}', "{,}"]
)
def test_text_that_is_no_object_has_no_fields(text: str) -> None:
    assert found(text) == []


def test_what_follows_a_field_that_is_not_json_is_left_to_the_judge_of_the_whole() -> None:
    assert found('{"a": 1, "b": nonsense, "c": 3}') == [("/a", 1)]


@pytest.mark.parametrize(("depth", "is_found"), [(MAX_DEPTH - 1, True), (MAX_DEPTH, False), (100_000, False)])
def test_depth_is_bounded(depth: int, is_found: bool) -> None:
    fields = found('{"first": 1, "deep": ' + "[" * depth + "]" * depth + ', "last": 2}')

    assert [path for path, _ in fields] == (["/first", "/deep", "/last"] if is_found else ["/first"])


def test_a_value_that_is_too_long_is_left_out_and_the_next_is_found() -> None:
    long = "x" * MAX_FIELD_CHARACTERS

    assert found('{"long": "' + long + '", "next": 1}') == [("/next", 1)]
