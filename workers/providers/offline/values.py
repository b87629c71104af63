"""A value for any JSON Schema: what the offline provider answers in mode `structured`.

One walk makes one value, with a fixed choice wherever the schema leaves one. What comes out is validated, and the walk
is repeated with other choices a few times before the schema is given up. All of it is bounded by what it may cost,
because it runs while a customer's request is being admitted.
"""

from collections.abc import Callable
from typing import Any, Final, TypeAlias, cast

import msgspec

from workers.modes.schemas import compile_schema, schema_problem
from workers.providers.offline.merging import Schema, merged
from workers.providers.offline.scalars import Unsatisfiable, count_of, number_for, text_for

Json: TypeAlias = Any
Part: TypeAlias = Schema | bool

MAX_TRIES: Final = 12
MAX_DEPTH: Final = 48
MAX_NODES: Final = 6_000
"""Of all tries together: some tens of milliseconds."""

DEPTH_OF_OPTIONALS: Final = 4
"""Deeper down only what is required is written, which ends every recursion that can be ended."""

ITEMS_UNASKED: Final = 2
"""How many items a list has that may have any number of them."""

_TYPE_OF_KEYWORD: Final = {
    **dict.fromkeys(("properties", "required", "minProperties", "patternProperties", "additionalProperties"), "object"),
    **dict.fromkeys(("items", "prefixItems", "contains", "minItems"), "array"),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), "number"),
}

_NESTING: Final = ("$ref", "properties", "items", "allOf", "anyOf", "oneOf")


def value_for(schema: dict[str, object], *, words: tuple[str, ...]) -> Json:
    """Return a value that the schema accepts; the same schema and words give the same value.

    Raises:
        Unsatisfiable: none was found, or the schema is not one.
    """
    if (problem := schema_problem(schema)) is not None:
        raise Unsatisfiable(f"it {problem}")
    validator = compile_schema(schema)
    walk = _Walk(schema, words)
    problem = "none of its values was found"
    for number in range(MAX_TRIES):
        try:
            value = walk.begin(number)
        except Unsatisfiable as unsatisfiable:
            problem = str(unsatisfiable)
            continue
        if validator.is_valid(value):
            return value
    raise Unsatisfiable(problem)


class _Walk:
    """Walks over one schema, in each try with other choices.

    Its methods take a part of the schema, how deep it is, and the number that tells the items of a list apart.
    """

    def __init__(self, root: Schema, words: tuple[str, ...]) -> None:
        self._root = root
        self._words = words or ("offline",)
        self._nodes = 0
        self._try = 0
        self._texts = 0
        self._makers: dict[str, Callable[[Schema, int, int], Json]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "number": lambda schema, _, number: number_for(schema, is_integer=False, number=number),
            "integer": lambda schema, _, number: number_for(schema, is_integer=True, number=number),
            "boolean": lambda _schema, _depth, number: (self._try + number) % 2 == 0,
            "null": lambda _schema, _depth, _number: None,
        }

    def begin(self, number: int) -> Json:
        """Make the value of one try."""
        self._try, self._texts = number, 0
        return self._value(self._root, 0, 0)

    def _value(self, part: Part, depth: int, number: int) -> Json:
        schema = self._resolved(part, depth)
        if "const" in schema:
            return schema["const"]
        if (values := schema.get("enum")) is not None:
            if not values:
                raise Unsatisfiable("nothing is left of an enumeration")
            return values[(self._try + number) % len(values)]
        return self._makers[self._type_of(schema)](schema, depth, number)

    def _resolved(self, part: Part, depth: int) -> Schema:
        """Replace references and alternatives by what they stand for, chosen by the number of the try."""
        self._nodes += 1
        if self._nodes > MAX_NODES or depth > MAX_DEPTH:
            raise Unsatisfiable("it is too large or too deep")
        if part is False:
            raise Unsatisfiable("a part of it allows nothing")
        schema = {} if part is True else dict(part)
        others: list[Part] = []
        if "$ref" in schema:
            others.append(self._referred(schema.pop("$ref")))
        others += schema.pop("allOf", [])
        others += [self._alternative(schema.pop(each), depth) for each in ("oneOf", "anyOf") if each in schema]
        if "if" in schema:
            condition, then, otherwise = (schema.pop(each, True) for each in ("if", "then", "else"))
            others += [otherwise] if self._try % 2 else [condition, then]
        for other in others:
            schema = dict(merged(schema, self._resolved(other, depth + 1)))
        return schema

    def _alternative(self, alternatives: list[Part], depth: int) -> Part:
        """Choose an alternative; deep down one that does not go deeper, if there is any."""
        if depth > DEPTH_OF_OPTIONALS:
            alternatives = [each for each in alternatives if not _is_nested(each)] or alternatives
        return alternatives[self._try % len(alternatives)]

    def _referred(self, reference: str) -> Part:
        """Return what a reference within the document points to."""
        pointer = reference.removeprefix("#")
        if pointer == reference or (pointer and not pointer.startswith("/")):
            raise Unsatisfiable(f"the reference {reference:.100} leads out of it or to a name")
        target: Any = self._root
        for name in pointer.split("/")[1:]:
            key = name.replace("~1", "/").replace("~0", "~")
            try:
                target = cast("list[Any]", target)[int(key)] if isinstance(target, list) else target[key]
            except (KeyError, IndexError, ValueError, TypeError) as error:
                raise Unsatisfiable(f"the reference {reference:.100} leads nowhere") from error
        if not isinstance(target, dict | bool):
            raise Unsatisfiable(f"the reference {reference:.100} leads to no schema")
        return cast("Part", target)

    def _type_of(self, schema: Schema) -> str:
        named: str | list[str] | None = schema.get("type")
        if named is None:
            return next((kind for keyword, kind in _TYPE_OF_KEYWORD.items() if keyword in schema), "string")
        if isinstance(named, str):
            return named
        if not named:
            raise Unsatisfiable("two of its types exclude each other")
        return sorted(named, key=lambda name: name == "null")[self._try % len(named)]

    def _string(self, schema: Schema, _depth: int, _number: int) -> str:
        self._texts += 1
        return text_for(schema, words=self._words, number=self._texts - 1)

    def _object(self, schema: Schema, depth: int, _number: int) -> dict[str, Json]:
        properties: dict[str, Part] = schema.get("properties", {})
        further: Part = schema.get("additionalProperties", True)
        least, most = count_of(schema, "minProperties", 0), count_of(schema, "maxProperties", MAX_NODES)
        made: dict[str, Json] = {}
        for name in _required(schema):
            made[name] = self._value(properties.get(name, further), depth + 1, 0)
        for name, part in properties.items():
            is_wanted = depth < DEPTH_OF_OPTIONALS or len(made) < least
            if name not in made and len(made) < most and is_wanted:
                self._add_optional(made, name, part, depth)
        for number in range(1, least - len(made) + 1):
            made[f"property{number}"] = self._value(further, depth + 1, number)
        # As the schema lists them: that is the order in which a reader expects them.
        return {name: made[name] for name in dict.fromkeys((*properties, *made)) if name in made}

    def _add_optional(self, made: dict[str, Json], name: str, part: Part, depth: int) -> None:
        """Add a property that may as well be missing, if there is a value for it."""
        try:
            made[name] = self._value(part, depth + 1, 0)
        except Unsatisfiable:
            if self._nodes > MAX_NODES:
                raise

    def _array(self, schema: Schema, depth: int, _number: int) -> list[Json]:
        prefix: list[Part] = schema.get("prefixItems", [])
        items: Part = schema.get("items", True)
        least, most = count_of(schema, "minItems", 0), count_of(schema, "maxItems", MAX_NODES)
        made = [self._value(part, depth + 1, 0) for part in prefix[:most]]
        if (contained := schema.get("contains")) is not None:
            wanted = range(count_of(schema, "minContains", 1))
            made.extend(self._value(contained, depth + 1, number) for number in wanted)
        unasked = len(prefix) + ITEMS_UNASKED if depth < DEPTH_OF_OPTIONALS else 0
        for number in range(len(made), max(least, min(most, unasked))):
            try:
                made.append(self._value(items, depth + 1, number))
            except Unsatisfiable:
                if len(made) < least or self._nodes > MAX_NODES:
                    raise
                break
        return _distinct(made) if schema.get("uniqueItems") else made


def _required(schema: Schema) -> list[str]:
    """Return the names of all properties that must be there, also those that others bring with them."""
    required: list[str] = list(schema.get("required", []))
    dependent: dict[str, list[str]] = schema.get("dependentRequired", {})
    for name in required:
        # The list grows while it is walked over: what a property brings with it may bring more.
        required.extend(other for other in dependent.get(name, []) if other not in required)
    return required


def _distinct(values: list[Json]) -> list[Json]:
    """Return each value once, where it first is."""
    return list({msgspec.json.encode(value, order="sorted"): value for value in reversed(values)}.values())[::-1]


def _is_nested(part: Part) -> bool:
    return not isinstance(part, bool) and any(keyword in part for keyword in _NESTING)
