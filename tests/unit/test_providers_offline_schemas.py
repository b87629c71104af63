"""Values for schemas: every one that is given satisfies its schema, and what has none is refused in bounded time."""

import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.modes.schemas import compile_schema
from workers.providers.offline.patterns import UnreadablePattern, matching_text
from workers.providers.offline.scalars import Unsatisfiable
from workers.providers.offline.values import value_for

WORDS = ("a", "lighthouse", "at", "dusk")

SATISFIABLE: dict[str, dict[str, Any]] = {
    "anything": {},
    "a constant": {"const": {"a": [1, None]}},
    "an enumeration": {"enum": ["red", "green"], "type": "string"},
    "an enumeration cut down": {"allOf": [{"enum": [1, 2, 3]}, {"enum": [3, 4]}]},
    "an enumeration whose first value is too small": {"enum": [1, 2, 30], "minimum": 10},
    "bounds of a number": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.001},
    "bounds below zero": {"type": "integer", "maximum": -5},
    "an exclusive bound below zero": {"type": "integer", "exclusiveMaximum": -5},
    "a multiple": {"type": "number", "multipleOf": 0.1, "minimum": 0.25},
    "a multiple of a fraction that is whole": {"type": "integer", "multipleOf": 1.5, "minimum": 1},
    "a long string": {"type": "string", "minLength": 200, "maxLength": 200},
    "a short string": {"type": "string", "maxLength": 2},
    "an empty string": {"type": "string", "maxLength": 0},
    "a pattern": {"type": "string", "pattern": r"^[A-Z]{3}-\d{2,4}$"},
    "a list of a length": {"type": "array", "minItems": 5, "items": {"type": "integer"}},
    "a list of distinct numbers": {"type": "array", "minItems": 4, "items": {"type": "integer"}, "uniqueItems": True},
    "a list of distinct values": {
        "type": "array",
        "items": {"enum": ["x", "y", "z"]},
        "uniqueItems": True,
        "minItems": 3,
    },
    "a list of distinct strings": {"type": "array", "minItems": 3, "items": {"type": "string"}, "uniqueItems": True},
    "a tuple": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False},
    "a list that contains": {"type": "array", "contains": {"const": 7}, "minContains": 2, "items": {"type": "integer"}},
    "nothing in a list": {"type": "array", "maxItems": 0},
    "types": {"type": ["null", "integer"], "minimum": 3},
    "types joined": {"allOf": [{"type": "number"}, {"type": ["integer", "string"]}]},
    "required and unlisted": {"type": "object", "required": ["a"], "additionalProperties": {"type": "integer"}},
    "so many properties": {"type": "object", "minProperties": 3, "maxProperties": 3},
    "few of many properties": {"properties": {"a": {}, "b": {}, "c": {}}, "required": ["c"], "maxProperties": 2},
    "an optional property without a value": {"type": "object", "properties": {"a": False, "b": {"type": "null"}}},
    "dependent properties": {"properties": {"a": {}}, "required": ["a"], "dependentRequired": {"a": ["b"], "b": ["c"]}},
    "alternatives": {"anyOf": [False, {"type": "integer", "minimum": 4}]},
    "one alternative": {"oneOf": [{"type": "integer"}, {"type": "number", "minimum": 2}]},
    "alternatives beside others": {
        "type": "object",
        "properties": {"a": {"anyOf": [{"$ref": "#/$defs/b"}, {"type": "null"}]}},
        "$defs": {"b": {"const": 1}},
        "required": ["a"],
    },
    "a condition": {
        "properties": {"a": {"type": "string"}},
        "if": {"properties": {"a": {"const": "x"}}},
        "then": {"required": ["b"]},
        "else": {"required": ["c"]},
    },
    "a negation": {"type": "boolean", "not": {"const": True}},
    "a tree": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#"}}},
        "required": ["name", "children"],
    },
    "a list linked by alternatives": {
        "$ref": "#/$defs/node",
        "$defs": {
            "node": {
                "type": "object",
                "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
                "required": ["next"],
            }
        },
    },
    "a reference with an escaped name": {"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"const": "found"}}},
    "a reference with more": {"$ref": "#/$defs/n", "maximum": 3, "$defs": {"n": {"type": "integer", "minimum": 3}}},
}

UNSATISFIABLE: dict[str, dict[str, Any]] = {
    "nothing": {"not": {}},
    "no number between": {"type": "integer", "minimum": 3, "exclusiveMaximum": 3},
    "no common type": {"allOf": [{"type": "string"}, {"type": "null"}]},
    "no common value": {"allOf": [{"enum": [1]}, {"enum": [2]}]},
    "too few values": {"type": "array", "items": {"enum": [1]}, "minItems": 2, "uniqueItems": True},
    "a tree without leaves": {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]},
    "a circle": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
    "a string too long": {"type": "string", "minLength": 10_000_000},
    "a pattern that looks ahead": {"type": "string", "pattern": "^(?=a)a$"},
    "no schema": {"type": "colour"},
    "a reference to nowhere": {"$ref": "#/$defs/none"},
    "a reference elsewhere": {"$ref": "https://example.com/schema.json"},
    "a list too long": {"type": "array", "minItems": 1_000_000, "items": {"type": "null"}},
}

FORMATS = [
    "date", "time", "date-time", "duration", "email", "idn-email", "hostname", "idn-hostname", "ipv4", "ipv6", "uri",
    "uri-reference", "iri", "iri-reference", "uri-template", "uuid", "json-pointer", "relative-json-pointer", "regex",
]  # fmt: skip

PATTERNS = [
    r"^[A-Z]{3}-\d{2,4}$", r"^(GET|POST) /\w+$", r"^#[0-9a-fA-F]{6}$", r"^\+?[1-9]\d{1,14}$", r"^(?:a|b)*c+?$",
    r"^[^@\s]+@[^@\s]+\.[a-z]{2,}$", r"^(?P<year>\d{4})-(0[1-9]|1[0-2])$", r"^[\w.-]+$", r"^\u0041\x42\t$",
    r"^[\]a]$", r"", r"^a{0}b$", r"^.{5}$", r"^[^\x00-\x1f]{3}$",
]  # fmt: skip


@pytest.mark.parametrize("schema", SATISFIABLE.values(), ids=list(SATISFIABLE))
def test_what_is_made_for_a_schema_satisfies_it(schema: dict[str, Any]) -> None:
    value = value_for(schema, words=WORDS)

    assert compile_schema(schema).is_valid(value), value
    assert value_for(schema, words=WORDS) == value, "the same every time"


@pytest.mark.parametrize("schema", UNSATISFIABLE.values(), ids=list(UNSATISFIABLE))
def test_a_schema_for_which_nothing_is_found_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(Unsatisfiable):
        value_for(schema, words=WORDS)


@pytest.mark.parametrize("name", FORMATS)
def test_a_string_of_a_format_has_it_and_repeats_itself_in_no_list(name: str) -> None:
    schema: dict[str, Any] = {
        "type": "array",
        "items": {"type": "string", "format": name},
        "minItems": 3,
        "uniqueItems": True,
    }

    assert compile_schema(schema).is_valid(value_for(schema, words=WORDS))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_text_for_a_pattern_matches_it(pattern: str) -> None:
    text = matching_text(pattern)

    assert re.search(pattern, text), text


@pytest.mark.parametrize(
    "pattern", ["a)", "(a", "[a", "*", "(?=a)", r"\b", "(?<!a)b", "a{2000}", "\\", "(?P<x", r"\u12", "(" * 50]
)
def test_a_pattern_that_is_not_read_is_said_to_be_so(pattern: str) -> None:
    with pytest.raises(UnreadablePattern):
        matching_text(pattern)


@given(st.text(st.sampled_from("ab09[]()^$*+?{},|\\dwsx-.:<>P=!"), max_size=30))
def test_no_pattern_breaks_the_reader(pattern: str) -> None:
    try:
        matching_text(pattern)
    except UnreadablePattern:
        return


def number_between(low: int, extent: int, step: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": low, "maximum": low + extent + step, "multipleOf": step}


def string_of_length(least: int, more: int) -> dict[str, Any]:
    return {"type": "string", "minLength": least, "maxLength": least + more}


def one_of_values(values: list[object]) -> dict[str, Any]:
    return {"enum": values}


def object_of(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required}


def list_of(items: dict[str, Any], least: int, more: int) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": least, "maxItems": least + more}


def any_of(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"anyOf": parts}


PLAIN: list[dict[str, Any]] = [{"type": "boolean"}, {"type": "null"}, {}, {"const": 4}]
NAMES = st.sampled_from("abcdef")
VALUES: st.SearchStrategy[object] = st.integers() | st.text()
SCALARS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(number_between, st.integers(-1_000, 1_000), st.integers(0, 50), st.integers(1, 20)),
    st.builds(string_of_length, st.integers(0, 40), st.integers(0, 40)),
    st.builds(one_of_values, st.lists(VALUES, min_size=1)),
    st.sampled_from(PLAIN),
)


def larger(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(
        st.builds(object_of, st.dictionaries(NAMES, inner, max_size=4), st.lists(NAMES, unique=True, max_size=4)),
        st.builds(list_of, inner, st.integers(0, 3), st.integers(0, 3)),
        st.builds(any_of, st.lists(inner, min_size=1, max_size=3)),
    )


@given(st.recursive(SCALARS, larger, max_leaves=12))
def test_a_schema_built_of_satisfiable_parts_is_satisfied(schema: dict[str, Any]) -> None:
    assert compile_schema(schema).is_valid(value_for(schema, words=WORDS))


def test_a_schema_that_branches_without_end_is_given_up_quickly() -> None:
    properties = {f"p{number}": {"$ref": "#"} for number in range(50)}
    schema: dict[str, Any] = {"type": "object", "properties": properties, "required": sorted(properties)}
    began = time.process_time()

    with pytest.raises(Unsatisfiable):
        value_for(schema, words=WORDS)

    assert time.process_time() - began < 1
