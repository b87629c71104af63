"""Parameters of modes: what JSON Schema says of each, and sentences about values that do not fit.

A parameter with `x-media` is a file: a string, or an array of them, that names media objects by their ids.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, TypeAlias, cast

import jsonschema_rs
import msgspec

from workers.errors import InvalidInput, InvalidModel
from workers.modes.schemas import compile_schema, schema_problem
from workers.providers import MediaKind

Property: TypeAlias = dict[str, Any]

RESERVED: Final = frozenset({"messages", "template", "slots", "schema"})
"""What `input` has beside parameters."""

TAKEN_AWAY: Final[Property] = {"not": {}}
"""What a model's entry says of a parameter that it does not take."""

MAX_NAME_CHARACTERS: Final = 64
COMPILED_LIMIT: Final = 2_048
MEDIA: Final = frozenset({"image", "audio", "video"})


def check_model_parameters(parameters: Mapping[str, Property]) -> None:
    """Refuse parameters in a model's entry that make no sense.

    Raises:
        InvalidModel: names the parameter.
    """
    for name, given in parameters.items():
        if reason := check_property(name, given):
            raise InvalidModel(f"parameters.{name}", reason)


def check_property(name: str, given: Property) -> str | None:
    """Return what is wrong with a parameter, if anything is."""
    if name in RESERVED or not (name.isidentifier() and name.isascii() and len(name) <= MAX_NAME_CHARACTERS):
        return "this cannot be the name of a parameter"
    if reason := schema_problem(given):
        return reason
    if "x-media" in given and not _is_file(given):
        return "a file is a string or an array of strings, and x-media says of which kinds"
    if "default" in given and next(_validator(given).iter_errors(given["default"]), None) is not None:
        return "its default is not one of its values"
    return None


def media_of(given: Property) -> tuple[MediaKind, ...] | None:
    """Return the kinds of files that a parameter takes; `None` if it is none."""
    kinds = given.get("x-media")
    return None if kinds is None else cast("tuple[MediaKind, ...]", tuple(kinds))


def check_value(name: str, value: object, given: Property) -> object:
    """Return the value of a parameter as providers take it.

    Raises:
        InvalidInput: says which bound it does not keep.
    """
    try:
        error = next(_validator(given).iter_errors(value), None)
    except ValueError as unreadable:
        raise InvalidInput(f"{name}: {unreadable}") from None
    if error is not None:
        raise InvalidInput(_sentence(name, error))
    # To JSON Schema 3.0 is an integer; to a provider that is asked for 3.0 pictures it is not.
    return int(value) if isinstance(value, float) and value.is_integer() and given.get("type") == "integer" else value


def _is_file(given: Property) -> bool:
    kinds: Any = given["x-media"]
    shape: Any = given.get("items") if given.get("type") == "array" else given
    return (
        isinstance(kinds, list | tuple)
        and bool(cast("Sequence[Any]", kinds))
        and all(kind in MEDIA for kind in cast("Iterable[Any]", kinds))
        and isinstance(shape, dict)
        and cast("Property", shape).get("type") == "string"
    )


def _validator(given: Property) -> jsonschema_rs.Draft202012Validator:
    return _compiled(msgspec.json.encode(given, order="sorted"))


@lru_cache(maxsize=COMPILED_LIMIT)
def _compiled(encoded: bytes) -> jsonschema_rs.Draft202012Validator:
    return compile_schema(msgspec.json.decode(encoded))


_WORDS: Final = {
    "type": "must be of type {types}",
    "enum": "must be one of {options}",
    "const": "must be {expected_value}",
    "minimum": "must be at least {limit}",
    "maximum": "must be at most {limit}",
    "exclusiveMinimum": "must be above {limit}",
    "exclusiveMaximum": "must be below {limit}",
    "multipleOf": "must be a multiple of {multiple_of}",
    "minLength": "must have at least {limit} characters",
    "maxLength": "must have at most {limit} characters",
    "minItems": "must have at least {limit} items",
    "maxItems": "must have at most {limit} items",
    "uniqueItems": "must not have the same item twice",
    "pattern": "must match {pattern}",
    "format": "must be of the format {format}",
    "required": "needs {property}",
    "additionalProperties": "does not know {unexpected}",
    "not": "is not a parameter of this model",
    "falseSchema": "is not a parameter of this model",
}


def _sentence(name: str, error: jsonschema_rs.ValidationError) -> str:
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.instance_path)
    words = _WORDS.get(error.kind.name, "does not fit its schema ({kind})")
    details = {key: _listed(value) for key, value in error.kind.as_dict().items()}
    return f"{name}{path} {words.format_map({'kind': error.kind.name, **details})}"


def _listed(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in cast("Sequence[object]", value))
    return str(value)
