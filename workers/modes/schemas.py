"""JSON Schemas that others write: bounded, without references to anywhere else, and cheap to check against.

The validator works in linear time with its regular expressions, and remembers recursion. What it does not bound is a
schema that refers to the same parts again and again (a few hundred bytes can come to 2^20 checks), and how deep it goes
itself: too deep a value ends the process. Both are refused here.
"""

from collections.abc import Iterator
from typing import Any, Final, cast

import jsonschema_rs
import msgspec

MAX_SCHEMA_BYTES: Final = 64 * 1024
MAX_DEPTH: Final = 32
MAX_EXPANDED: Final = 50_000
"""How many checks a schema may come to once every reference in it is written out."""

MAX_FOLLOWED: Final = 150
"""How deep the references of a schema may lead, each level of nesting on the way counted."""

MAX_PATTERN_BYTES: Final = 256 * 1024
"""How large a compiled regular expression may get."""

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_PLAIN: Final = frozenset({"const", "enum", "default", "examples"})
"""Keywords whose values are values, not schemas."""

_MAPS: Final = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""Keywords whose values are schemas by name."""

_BASES: Final = frozenset({"$id", "$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveRef"})
"""Keywords that would change what a reference means."""


def compile_schema(schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """Return the validator of a schema.

    Raises:
        jsonschema_rs.ValidationError: it is not a schema.
    """
    return jsonschema_rs.Draft202012Validator(
        schema,
        validate_formats=True,
        offline=True,
        pattern_options=jsonschema_rs.RegexOptions(size_limit=MAX_PATTERN_BYTES),
    )


def schema_problem(schema: dict[str, Any]) -> str | None:
    """Return why a schema is not one to check values against; `None` if it is."""
    try:
        _check_size(schema)
        _Expansion(schema).check()
        compile_schema(schema)
    except UnfitSchema as unfit:
        return str(unfit)
    except UnicodeEncodeError:
        return "half of a surrogate pair is not text"
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        return f"is not a JSON Schema: {getattr(error, 'message', str(error))[:200]}"
    return None


def depth_of(value: object) -> int:
    """Return how deeply arrays and objects are nested in a JSON value; 0 for a plain value. Not recursive."""
    deepest = 0
    waiting: list[tuple[object, int]] = [(value, 0)]
    while waiting:
        part, depth = waiting.pop()
        if isinstance(part, dict):
            parts = list(cast("dict[str, object]", part).values())
        elif isinstance(part, list | tuple):
            parts = list(cast("list[object]", part))
        else:
            continue
        deepest = max(deepest, depth + 1)
        waiting.extend((inner, depth + 1) for inner in parts)
    return deepest


class UnfitSchema(Exception):
    """A schema is too large, refers to elsewhere, or comes to too much."""


def _check_size(schema: dict[str, Any]) -> None:
    if depth_of(schema) > MAX_DEPTH:
        raise UnfitSchema(f"must not be nested deeper than {MAX_DEPTH} levels")
    if len(msgspec.json.encode(schema)) > MAX_SCHEMA_BYTES:
        raise UnfitSchema(f"must have at most {MAX_SCHEMA_BYTES} bytes")
    if str(schema.get("$schema", DIALECT)).rstrip("#") != DIALECT:
        raise UnfitSchema(f"$schema must be {DIALECT}, or be left out")


class _Expansion:
    """Counts what a schema comes to with its references written out; one that leads back into itself counts once."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._counts: dict[str, int] = {}
        self._open: set[str] = set()
        self._depth = 0

    def check(self) -> None:
        if self._count(self._root) > MAX_EXPANDED:
            raise UnfitSchema("refers to the same parts too often")

    def _count(self, schema: object) -> int:
        if not isinstance(schema, dict):
            return 1
        if self._depth > MAX_FOLLOWED:
            raise UnfitSchema("its references lead too deep")
        self._depth += 1
        total = 1
        for keyword, value in cast("dict[str, Any]", schema).items():
            if keyword in _BASES:
                raise UnfitSchema(f"must not use {keyword}")
            if keyword == "$ref":
                total += self._count_reference(value)
            else:
                total += sum(self._count(part) for part in _schemas_in(keyword, value))
        self._depth -= 1
        return min(total, MAX_EXPANDED + 1)

    def _count_reference(self, reference: object) -> int:
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            raise UnfitSchema("$ref must lead to a part of the schema itself, as in #/$defs/name")
        if reference in self._open or reference == "#":
            return 1
        if reference not in self._counts:
            self._open.add(reference)
            self._counts[reference] = self._count(self._resolve(reference))
            self._open.remove(reference)
        return self._counts[reference]

    def _resolve(self, reference: str) -> object:
        found: Any = self._root
        for step in reference.removeprefix("#/").split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and name in found:
                found = cast("dict[str, Any]", found)[name]
            elif isinstance(found, list) and name.isdecimal() and int(name) < len(cast("list[Any]", found)):
                found = cast("list[Any]", found)[int(name)]
            else:
                raise UnfitSchema(f"$ref leads nowhere: {reference[:100]}")
        return found


def _schemas_in(keyword: str, value: object) -> Iterator[object]:
    if keyword in _PLAIN:
        return
    if isinstance(value, dict):
        parts = cast("dict[str, object]", value)
        if keyword in _MAPS:
            yield from parts.values()
        else:
            yield parts
    elif isinstance(value, list):
        yield from cast("list[object]", value)
