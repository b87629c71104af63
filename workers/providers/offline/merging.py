"""Several schemas that hold at once, as one: what `allOf`, and an alternative beside other keywords, come to."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

Schema: TypeAlias = Mapping[str, Any]


def merged(first: Schema, second: Schema) -> Schema:
    """Return a schema whose values satisfy both, as far as that can be said without solving them.

    Where two keywords cannot be joined the second one stands; the value is validated against the whole in the end.
    """
    both = dict(first)
    for keyword, value in second.items():
        join = _JOINS.get(keyword)
        both[keyword] = value if join is None or keyword not in both else join(both[keyword], value)
    return both


def _united(one: list[str], other: list[str]) -> list[str]:
    return list(dict.fromkeys([*one, *other]))


def _intersected(one: list[Any], other: list[Any]) -> list[Any]:
    return [value for value in one if value in other]


def _common_types(one: str | list[str], other: str | list[str]) -> list[str]:
    ours = [one] if isinstance(one, str) else one
    theirs = [other] if isinstance(other, str) else other
    common = [name for name in ours if name in theirs]
    # Every integer is a number, so `number` on one side and `integer` on the other come to `integer`.
    is_whole = {"integer", "number"} <= {*ours, *theirs} and not {"integer", "number"} & {*common}
    return [*common, "integer"] if is_whole else common


def _by_name(one: Schema, other: Schema) -> Schema:
    return {**one, **{name: _both(one.get(name, True), schema) for name, schema in other.items()}}


def _both(one: Schema | bool, other: Schema | bool) -> Schema | bool:
    if one is True:
        return other
    return one if other is True else {"allOf": [one, other]}


_JOINS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains"), min),
    **dict.fromkeys(("items", "additionalProperties", "propertyNames", "contains"), _both),
    **dict.fromkeys(("properties", "patternProperties"), _by_name),
    "required": _united,
    "enum": _intersected,
    "type": _common_types,
}
