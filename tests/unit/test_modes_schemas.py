"""Schemas and values that strangers write: bounded before anything costs much, and checked exactly."""

import json
import re
import time
from typing import Any

import pytest

from workers.modes import StructuredInvalid, validate_structured
from workers.modes.schemas import MAX_DEPTH, MAX_SCHEMA_BYTES, depth_of, schema_problem
from workers.providers import ProviderError


def nested(depth: int) -> dict[str, Any]:
    """A schema with so many objects, one in the other."""
    found: dict[str, Any] = {}
    for place in range(depth - 1):
        found = {"not": found} if place % 2 else {"properties": found}
    return found


def fans_out(levels: int, through: str) -> dict[str, Any]:
    """A schema of a few hundred bytes in which every level refers twice to the next."""
    parts: dict[str, Any] = {f"a{levels}": {"type": "object"}}
    for level in range(levels):
        following = {"$ref": f"#/$defs/a{level + 1}"}
        if through == "properties":
            following = {"properties": {"x": following}}
        parts[f"a{level}"] = {"allOf": [following, following]}
    return {"type": "object", "$ref": "#/$defs/a0", "$defs": parts}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "additionalProperties": False},
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"},
        {"type": "object", "properties": {"$ref": {"type": "string"}, "$id": {"type": "string"}}},
        {"type": "object", "default": {"$ref": "https://example.com"}, "examples": [{"$id": "x"}]},
        {"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "object"}}},
        {"$ref": "#/anyOf/0", "anyOf": [{"type": "object"}]},
        {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#"}}}},
        nested(MAX_DEPTH),
    ],
)
def test_a_schema_may_be_anything_that_stays_within_itself(schema: dict[str, Any]) -> None:
    assert schema_problem(schema) is None


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "thing"}, "not a JSON Schema"),
        ({"pattern": "(?<=look)behind"}, "not a JSON Schema"),
        ({"pattern": r"(\w{1000}){1000}"}, "not a JSON Schema"),
        ({"$ref": "https://example.com/schema"}, r"\$ref must lead"),
        ({"$ref": "file:///etc/passwd"}, r"\$ref must lead"),
        ({"$ref": "other.json"}, r"\$ref must lead"),
        ({"items": {"$ref": 7}}, r"\$ref must lead"),
        ({"$ref": "#/$defs/missing"}, "leads nowhere"),
        ({"$id": "https://example.com/", "$ref": "#"}, r"must not use \$id"),
        ({"$dynamicRef": "https://example.com/"}, r"must not use \$dynamicRef"),
        ({"$schema": "http://json-schema.org/draft-04/schema#"}, r"\$schema must be"),
        ({"$schema": 7}, r"\$schema must be"),
        ({"description": "x" * MAX_SCHEMA_BYTES}, "at most 65536 bytes"),
        (nested(MAX_DEPTH + 1), "nested deeper"),
        (nested(50_000), "nested deeper"),
    ],
)
def test_a_schema_that_cannot_be_checked_against_is_refused(schema: dict[str, Any], reason: str) -> None:
    problem = schema_problem(schema)

    assert problem is not None
    assert re.search(reason, problem), problem


@pytest.mark.parametrize("through", ["allOf", "properties"])
def test_a_small_schema_that_comes_to_millions_of_checks_is_refused_at_once(through: str) -> None:
    began_s = time.process_time()

    assert schema_problem(fans_out(8, through)) is None
    assert schema_problem(fans_out(40, through)) == "refers to the same parts too often"

    assert time.process_time() - began_s < 1


def test_a_long_chain_of_references_is_refused_before_it_is_followed() -> None:
    chain: dict[str, Any] = {f"a{place}": {"$ref": f"#/$defs/a{place + 1}"} for place in range(1_000)}
    schema: dict[str, Any] = {"$ref": "#/$defs/a0", "$defs": {**chain, "a1000": {}}}

    assert schema_problem(schema) == "its references lead too deep"


def test_references_that_lead_back_are_fine() -> None:
    tree: dict[str, Any] = {
        "type": "object",
        "$ref": "#/$defs/a",
        "$defs": {
            "a": {"properties": {"b": {"$ref": "#/$defs/b"}}},
            "b": {"properties": {"a": {"$ref": "#/$defs/a"}}},
        },
    }

    assert schema_problem(tree) is None
    assert validate_structured(tree, '{"b": {"a": {}}}') == {"b": {"a": {}}}


def test_depth_is_counted_in_arrays_and_objects() -> None:
    assert [depth_of(value) for value in (1, "x", None, [], {}, [[1]], {"a": [{"b": 2}]})] == [0, 0, 0, 1, 1, 2, 3]


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "year": {"type": "integer", "minimum": 1900}},
    "required": ["title"],
    "additionalProperties": False,
}


def test_a_value_that_satisfies_its_schema_is_returned() -> None:
    assert validate_structured(SCHEMA, '{"title": "Metropolis", "year": 1927}') == {
        "title": "Metropolis",
        "year": 1927,
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ('{"title": "Metropolis"', "not JSON"),
        ('{"title": "Metropolis"} and more', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"title": NaN}', "not JSON"),
        ('"half \\ud800"', "not JSON"),
        ("[]", "/: "),
        ("{}", '"title" is a required property'),
        ('{"title": "x", "year": 1899}', "/year: 1899 is less than"),
        ('{"title": "x", "director": "y"}', "director"),
        ('{"title": ' + "[" * 70 + "]" * 70 + "}", "nested too deeply"),
    ],
)
def test_a_value_that_does_not_is_an_error_of_the_model_that_may_be_tried_again(text: str, reason: str) -> None:
    with pytest.raises(StructuredInvalid) as invalid:
        validate_structured(SCHEMA, text, provider="test")

    assert reason in invalid.value.provider_message
    assert isinstance(invalid.value, ProviderError)
    assert (invalid.value.code, invalid.value.retryable, invalid.value.provider) == ("invalid_output", True, "test")


def test_the_reason_is_short_however_long_the_value_is() -> None:
    with pytest.raises(StructuredInvalid) as invalid:
        validate_structured(SCHEMA, json.dumps({"title": ["x" * 10_000]}))

    assert len(invalid.value.provider_message) <= 500
