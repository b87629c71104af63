"""Templates for `compose`: a text with `{{slots}}`, what may go into each, and the form of the answer.

There is no logic in a template: a slot stands for its value, and a value is never looked at for further slots. What
callers say goes into the user's message only; the system text takes slots whose values the template itself lists.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from workers.errors import InvalidInput, InvalidTemplate
from workers.modes.parameters import Property, check_value
from workers.modes.schemas import schema_problem
from workers.providers import Message

MAX_TEXT_CHARACTERS: Final = 100_000
MAX_SLOTS: Final = 50
MAX_SLOT_CHARACTERS: Final = 100_000
NAME_PATTERN: Final = r"^[a-z0-9]([a-z0-9_-]{0,98}[a-z0-9])?$(?!\n)"

SlotType: TypeAlias = Literal["text", "integer", "number", "boolean"]
Format: TypeAlias = Literal["text", "markdown", "json"]
SlotName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$(?!\n)")]
TemplateName = Annotated[str, Meta(pattern=NAME_PATTERN)]
Words = Annotated[str, Meta(max_length=1_000)]
TemplateText = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT_CHARACTERS)]
SlotValue: TypeAlias = str | int | float | bool

_SLOT: Final = re.compile(r"\{\{\s*([a-z][a-z0-9_]{0,63})\s*\}\}", re.ASCII)

_JSON_TYPES: Final[dict[SlotType, str]] = {
    "text": "string",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
}


class Slot(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One thing a caller says to a template. One that is neither given nor has a default leaves nothing."""

    name: SlotName
    type: SlotType = "text"
    description: Words = ""
    required: bool = False
    max_length: Annotated[int, Meta(ge=1, le=MAX_SLOT_CHARACTERS)] | None = None
    """In characters; only for text."""
    enum: Annotated[tuple[SlotValue, ...], Meta(min_length=1, max_length=200)] | None = None
    default: SlotValue | None = None

    @property
    def schema(self) -> Property:
        """What JSON Schema says of its values."""
        found: Property = {"type": _JSON_TYPES[self.type]}
        if self.type == "text":
            found["maxLength"] = self.max_length or MAX_SLOT_CHARACTERS
        if self.enum is not None:
            found["enum"] = list(self.enum)
        return found

    @property
    def is_closed(self) -> bool:
        """Whether nothing but what the template lists can come of it."""
        return self.enum is not None or self.type != "text"


class TemplateDefinition(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a template is, apart from its name."""

    text: TemplateText
    """The user's message, with `{{slots}}`."""
    system: Annotated[str, Meta(max_length=MAX_TEXT_CHARACTERS)] = ""
    description: Words = ""
    slots: Annotated[tuple[Slot, ...], Meta(max_length=MAX_SLOTS)] = ()
    format: Format = "text"
    schema: dict[str, Any] | None = None
    """What the answer must satisfy; with the format `json`, and only then."""
    enabled: bool = True
    """Whether callers may use it."""

    def check(self) -> None:
        """Refuse a definition that makes no sense.

        Raises:
            InvalidTemplate: names the field.
        """
        slots = {slot.name: slot for slot in self.slots}
        if len(slots) < len(self.slots):
            raise InvalidTemplate("slots", "have each name once")
        for slot in self.slots:
            _check_slot(slot)
        for field, text in {"text": self.text, "system": self.system}.items():
            _check_text(field, text, slots)
        open_in_system = [name for name in _SLOT.findall(self.system) if not slots[name].is_closed]
        if open_in_system:
            raise InvalidTemplate("system", f"may not use {open_in_system[0]}: its values are not listed in an enum")
        if _has_nul(self):
            raise InvalidTemplate("definition", "must not contain NUL, which cannot be kept")
        if (self.format == "json") != (self.schema is not None):
            raise InvalidTemplate("schema", "belongs to the format json, and is needed there")
        if self.schema is not None and (reason := answer_schema_problem(self.schema)):
            raise InvalidTemplate("schema", reason)


class Template(Struct, frozen=True, kw_only=True):
    """One version of a template. It never changes."""

    name: str
    version: int
    definition: TemplateDefinition
    created_at_us: int
    created_by: str

    @property
    def reference(self) -> str:
        """What a caller names it by, as in `summary@3`."""
        return f"{self.name}@{self.version}"


def answer_schema_problem(schema: dict[str, Any]) -> str | None:
    """Return why a schema is not one for answers; `None` if it is."""
    if schema.get("type") != "object":
        return 'must have "type": "object": answers are objects'
    return schema_problem(schema)


def render(template: TemplateDefinition, given: Mapping[str, object]) -> tuple[Message, ...]:
    """Return the messages that a template comes to with these values.

    Raises:
        InvalidInput: a slot is unknown, missing, or its value does not fit.
    """
    slots = {slot.name: slot for slot in template.slots}
    if unknown := sorted(set(given) - set(slots)):
        raise InvalidInput(f"slots: this template has no slot {unknown[0][:100]!r}")
    values = {name: _text_of(slot, given.get(name)) for name, slot in slots.items()}
    user = Message(role="user", content=_fill(template.text, values))
    return (Message(role="system", content=_fill(template.system, values)), user) if template.system else (user,)


def _fill(text: str, values: Mapping[str, str]) -> str:
    # One pass over the template: what is put in is not read again.
    return _SLOT.sub(lambda found: values[found[1]], text)


def _text_of(slot: Slot, given: object) -> str:
    if given is None:
        if slot.required and slot.default is None:
            raise InvalidInput(f"slots.{slot.name} is needed")
        given = "" if slot.default is None else slot.default
    else:
        given = check_value(f"slots.{slot.name}", given, slot.schema)
    return given if isinstance(given, str) else msgspec.json.encode(given).decode()


def _has_nul(definition: TemplateDefinition) -> bool:
    # Kept as `jsonb`. An even number of backslashes before it are backslashes of the text.
    return re.search(rb"(?<!\\)(?:\\\\)*\\u0000", msgspec.json.encode(definition)) is not None


def _check_slot(slot: Slot) -> None:
    field = f"slots.{slot.name}"
    if slot.max_length is not None and slot.type != "text":
        raise InvalidTemplate(field, "max_length is for text")
    for listed in slot.enum or ():
        _check_listed(field, listed, slot)
    if slot.default is not None:
        _check_listed(field, slot.default, slot)


def _check_listed(field: str, value: SlotValue, slot: Slot) -> None:
    try:
        check_value(field, value, slot.schema)
    except InvalidInput as invalid:
        raise InvalidTemplate(field, f"{value!r} is not one of its values: {invalid.reason}") from None


def _check_text(field: str, text: str, slots: Mapping[str, Slot]) -> None:
    for name in _SLOT.findall(text):
        if name not in slots:
            raise InvalidTemplate(field, f"uses {name}, which is no slot")
    if "{{" in _SLOT.sub("", text):
        raise InvalidTemplate(field, "`{{` begins a slot, as in {{topic}}, and means nothing else")
