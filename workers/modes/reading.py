"""Reading the input of a generation: one reader for every mode, led by the configuration of the mode and the model."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, cast
from uuid import UUID

import msgspec
from msgspec import Struct

from workers.errors import InvalidInput
from workers.modes.modes import MODES, Gives, Mode, Variant, mode_named
from workers.modes.parameters import RESERVED, Property, check_value, media_of
from workers.modes.templating import Template, answer_schema_problem, render
from workers.providers import InputFile, MediaKind, Message

MAX_MESSAGES: Final = 1_000
MAX_ATTACHMENTS: Final = 100
EVERY_KIND: Final[tuple[MediaKind, ...]] = ("image", "audio", "video")


class FileReference(Struct, frozen=True):
    """Where the input names a media object, and of which kinds that may be."""

    field: str
    media_id: str
    kinds: tuple[MediaKind, ...]


class ModeInput(Struct, frozen=True, kw_only=True):
    """What a caller wants, checked."""

    mode: str
    runs_as: str
    """What the provider is asked for: `structured` where a template of `compose` answers in JSON, else the mode."""
    gives: Gives
    messages: tuple[Message, ...]
    """The conversation; in other modes the prompt, if there is one, as the user's message."""
    options: dict[str, object]
    """The parameters, with their defaults, without the prompt."""
    files: tuple[FileReference, ...] = ()
    output_schema: dict[str, object] | None = None
    template: str | None = None
    """Which version of which template was rendered, as in `summary@3`."""
    parameters: Mapping[str, Property] = {}
    """What this model takes in this mode."""

    @property
    def file_ids(self) -> tuple[str, ...]:
        """The media objects that go into it, each once."""
        return tuple(dict.fromkeys(file.media_id for file in self.files))


def requested_template(mode: str, given: Mapping[str, object]) -> tuple[str, int | None] | None:
    """Return the name, and the version if one is asked for, of the template that an input names; `None` if none.

    Raises:
        InvalidInput: it is not a name.
    """
    known = mode_named(mode)
    named = given.get("template")
    if known is None or "template" not in known.reads or named is None:
        return None
    name, at, version = named.partition("@") if isinstance(named, str) else ("", "", "")
    if not name or (at and not (version.isascii() and version.isdecimal() and len(version) <= 9)):
        raise InvalidInput("template must be a name such as summary, or summary@3 for one version")
    return name, int(version) if at else None


def read_input(
    mode: str,
    model_parameters: Mapping[str, Property],
    given: Mapping[str, object],
    *,
    template: Template | None = None,
    attachments: Collection[MediaKind] = EVERY_KIND,
) -> ModeInput:
    """Read the input of a generation.

    `model_parameters` replace those of the mode; `template` is what `requested_template` named; `attachments` are the
    kinds of files that the model can take with a message.

    Raises:
        InvalidInput: names the field and the bound it does not keep.
    """
    known = mode_named(mode)
    if known is None:
        raise InvalidInput(f"mode must be one of {', '.join(MODES)}")
    parameters = {**known.parameters, **model_parameters}
    said = {name: value for name, value in given.items() if value is not None}
    _refuse_unknown(known, parameters, said)
    values = _read_parameters(parameters, said)
    messages = _read_text(known, said, template)
    schema = _read_schema(known, said, template)
    _check_needs(known, values)
    kinds: tuple[MediaKind, ...] = tuple(kind for kind in known.attachments if kind in attachments)
    values.pop("prompt", None)
    return ModeInput(
        mode=known.name,
        runs_as=known.name if schema is None else "structured",
        gives=known.gives if schema is None else "json",
        messages=messages,
        options=values,
        files=(*_attached(messages, kinds), *_file_parameters(parameters, values)),
        output_schema=schema,
        template=None if template is None else template.reference,
        parameters=parameters,
    )


def check_files(given: ModeInput, files: Mapping[str, InputFile]) -> None:
    """Refuse files that are not of the kind that goes there, or play longer than the mode allows.

    Raises:
        InvalidInput: names the field.
    """
    for reference in given.files:
        kind = files[reference.media_id].kind
        if kind not in reference.kinds:
            raise InvalidInput(f"{reference.field} must be of kind {' or '.join(reference.kinds)}; this is {kind}")
    bound = MODES[given.mode].bounds.duration
    media_id = given.options.get(bound.file) if bound is not None and bound.file is not None else None
    if bound is not None and isinstance(media_id, str):
        duration_ms = files[media_id].duration_ms
        if duration_ms is not None and duration_ms > bound.at_most_s * 1_000:
            raise InvalidInput(f"{bound.file} must play at most {bound.at_most_s} s")


def _refuse_unknown(mode: Mode, parameters: Mapping[str, Property], said: Mapping[str, object]) -> None:
    reads = {*mode.reads, *(("slots",) if "template" in mode.reads else ())}
    for name in said:
        if name not in parameters and name not in reads:
            offered = ", ".join(sorted({*parameters, *reads}))
            raise InvalidInput(f"{name[:100]}: {mode.name} has no such parameter with this model; it takes {offered}")


def _read_parameters(parameters: Mapping[str, Property], said: Mapping[str, object]) -> dict[str, object]:
    values: dict[str, object] = {}
    for name, given in parameters.items():
        if name in said:
            values[name] = _plain_ids(name, check_value(name, said[name], given), given)
        elif "default" in given:
            values[name] = given["default"]
    return values


def _plain_ids(name: str, value: object, given: Property) -> object:
    """Return the ids of files as they are stored, whatever form of a UUID the caller wrote."""
    if media_of(given) is None:
        return value
    try:
        if isinstance(value, list | tuple):
            return [str(UUID(str(media_id))) for media_id in cast("Sequence[object]", value)]
        return str(UUID(str(value)))
    except ValueError:
        raise InvalidInput(f"{name} must be the id of a media object") from None


def _read_text(mode: Mode, said: Mapping[str, object], template: Template | None) -> tuple[Message, ...]:
    sources = [name for name in ("prompt", "messages", "template") if name in mode.reads]
    present = [name for name in sources if name in said]
    if len(present) > 1 or (not present and len(sources) > 1):
        raise InvalidInput(f"input must have either {' or '.join(sources)}")
    if "slots" in said and "template" not in said:
        raise InvalidInput("slots belong to a template")
    if "template" in present:
        assert template is not None, "the caller finds the template first"
        return render(template.definition, _object_of("slots", said.get("slots", {})))
    if "messages" in present:
        return _read_messages(said["messages"])
    if not present:
        return ()
    if not isinstance(said["prompt"], str):
        raise InvalidInput("prompt must be a string")
    return (Message(role="user", content=said["prompt"]),)


def _read_messages(messages: object) -> tuple[Message, ...]:
    try:
        read = msgspec.convert(messages, tuple[Message, ...])
    except msgspec.ValidationError as error:
        raise InvalidInput(f"messages: {error}") from error
    if len(read) > MAX_MESSAGES:
        raise InvalidInput(f"messages: at most {MAX_MESSAGES}")
    return read


def _read_schema(mode: Mode, said: Mapping[str, object], template: Template | None) -> dict[str, object] | None:
    of_template = None if template is None else template.definition.schema
    if "schema" not in said:
        if of_template is None and mode.gives == "json":
            raise InvalidInput("schema is needed: the JSON Schema of the answer")
        return of_template
    if of_template is not None:
        raise InvalidInput("schema: the template has one")
    schema = _object_of("schema", said["schema"])
    if reason := answer_schema_problem(schema):
        raise InvalidInput(f"schema {reason}")
    return schema


def _check_needs(mode: Mode, values: Mapping[str, object]) -> None:
    for name in mode.needs:
        if name not in values:
            raise InvalidInput(f"{name} is needed for {mode.name}")
    chosen = mode.variants.get(str(values.get("variant")))
    if chosen is not None:
        _check_variant(chosen, values, where=f"{mode.name} of variant {values['variant']}")


def _check_variant(variant: Variant, values: Mapping[str, object], *, where: str) -> None:
    for name in variant.needs:
        if name not in values:
            raise InvalidInput(f"{name} is needed for {where}")
    if variant.needs_one_of and not any(name in values for name in variant.needs_one_of):
        raise InvalidInput(f"one of {', '.join(variant.needs_one_of)} is needed for {where}")
    for name in variant.refuses:
        if name in values:
            raise InvalidInput(f"{name} is not for {where}")


def _attached(messages: Sequence[Message], kinds: tuple[MediaKind, ...]) -> Iterator[FileReference]:
    count = 0
    for number, message in enumerate(messages):
        for place, attachment in enumerate(message.attachments):
            field = f"messages[{number}].attachments[{place}]"
            count += 1
            if not kinds:
                raise InvalidInput(f"{field}: this model takes no attachments in this mode")
            if message.role != "user":
                raise InvalidInput(f"{field}: only the user's messages can have attachments")
            if count > MAX_ATTACHMENTS:
                raise InvalidInput(f"messages: at most {MAX_ATTACHMENTS} attachments")
            if not _is_id(attachment.media_id):
                raise InvalidInput(f"{field}.media_id must be the id of a media object")
            yield FileReference(field, attachment.media_id, kinds)


def _file_parameters(parameters: Mapping[str, Property], values: Mapping[str, object]) -> Iterator[FileReference]:
    for name, value in values.items():
        kinds = media_of(parameters[name])
        if kinds is None:
            continue
        if isinstance(value, list):
            for place, media_id in enumerate(cast("list[str]", value)):
                yield FileReference(f"{name}[{place}]", media_id, kinds)
        else:
            yield FileReference(name, cast("str", value), kinds)


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _object_of(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput(f"{name} must be an object")
    assert name in RESERVED, "a parameter is checked by its schema"
    return cast("dict[str, Any]", value)
