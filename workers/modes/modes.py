"""The modes of `modes.toml`, read and checked when the process starts."""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from workers.modes.parameters import Property, check_property, media_of
from workers.providers import MediaKind, Timeouts

Gives: TypeAlias = Literal["text", "json", "image", "video", "audio"]
Reads: TypeAlias = Literal["prompt", "messages", "template", "schema"]

ALIASES: Final = {"text": "chat"}
"""Names that a mode had before."""


class ModeTimeouts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long a mode may take, in seconds, where the model does not say otherwise."""

    first_output_s: float
    gap_s: float
    total_s: float


class ImageBound(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many pictures can come out: what a parameter says."""

    parameter: str
    at_most: int


class PixelBound(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How large each picture can be: what a parameter such as `1024x1024` says, else the most that there is."""

    size: str
    at_most: int


class DurationBound(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long the result can play: as a parameter says, as the input file plays, or as its text takes to be spoken."""

    at_most_s: int
    parameter: str | None = None
    file: str | None = None
    spoken: str | None = None
    speed: str | None = None


class CharacterBound(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many characters are spoken: those of a parameter."""

    parameter: str


class Bounds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The most that can come out of a mode, beside tokens."""

    images: ImageBound | None = None
    pixels: PixelBound | None = None
    duration: DurationBound | None = None
    characters: CharacterBound | None = None


class Variant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of the ways to use a mode, chosen by its parameter `variant`."""

    summary: str
    needs: tuple[str, ...] = ()
    needs_one_of: tuple[str, ...] = ()
    refuses: tuple[str, ...] = ()


class Mode(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing the platform can be asked for."""

    name: str
    title: str
    summary: str
    gives: Gives
    reads: tuple[Reads, ...]
    timeouts: ModeTimeouts
    needs: tuple[str, ...] = ()
    attachments: tuple[MediaKind, ...] = ()
    """What a message may carry, where the model can take it."""
    sessions: bool = False
    """Whether the platform can keep the conversation."""
    code_blocks: bool = False
    """Whether code blocks in the text are artifacts too."""
    prompt_cache: bool = False
    """Whether an answer can stand for the next one to the same request."""
    variants: dict[str, Variant] = {}
    bounds: Bounds = Bounds()
    parameters_of: str | None = None
    """A mode whose parameters this one has too."""
    parameters: dict[str, Property] = {}

    @property
    def usual_timeouts(self) -> Timeouts:
        """The time-outs of a call, where the model has none of its own."""
        usual = self.timeouts
        return Timeouts(first_token_s=usual.first_output_s, gap_s=usual.gap_s, total_s=usual.total_s)


class WrongModes(Exception):
    """`modes.toml` contradicts itself; nothing may start with it."""


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    mode: dict[str, dict[str, Any]]


def load_modes(text: str) -> dict[str, Mode]:
    """Read the modes from TOML.

    Raises:
        WrongModes: names the mode and what is wrong with it.
    """
    try:
        tables = msgspec.convert(tomllib.loads(text), _File).mode
        read = {name: msgspec.convert({"name": name, **fields}, Mode) for name, fields in tables.items()}
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise WrongModes(str(error)) from error
    whole = {name: _with_inherited(mode, read) for name, mode in read.items()}
    for mode in whole.values():
        _check(mode)
    return whole


def mode_named(name: str) -> Mode | None:
    """Return a mode by its name, or by one that it had before; `None` if there is none."""
    return MODES.get(ALIASES.get(name, name))


def _with_inherited(mode: Mode, read: Mapping[str, Mode]) -> Mode:
    if mode.parameters_of is None:
        return mode
    parent = read.get(mode.parameters_of)
    if parent is None or parent.parameters_of is not None:
        raise WrongModes(f"{mode.name}: parameters_of must be a mode with parameters of its own")
    return msgspec.structs.replace(mode, parameters={**parent.parameters, **mode.parameters})


def _check(mode: Mode) -> None:
    for name, given in mode.parameters.items():
        if reason := check_property(name, given):
            raise WrongModes(f"{mode.name}.parameters.{name}: {reason}")
        if "description" not in given:
            raise WrongModes(f"{mode.name}.parameters.{name}: has no description")
    if (mode.gives == "json") != ("schema" in mode.reads):
        raise WrongModes(f"{mode.name}: what gives json reads a schema, and nothing else does")
    for what, names in _names_in(mode).items():
        if unknown := [name for name in names if name not in mode.parameters]:
            raise WrongModes(f"{mode.name}.{what}: there is no parameter {unknown[0]}")
    chosen = mode.parameters.get("variant", {})
    if sorted(mode.variants) != sorted(chosen.get("enum", ())) or (mode.variants and "default" not in chosen):
        raise WrongModes(f"{mode.name}.variants: must be those of the parameter `variant`, one of them its default")
    file = mode.bounds.duration and mode.bounds.duration.file
    if file is not None and media_of(mode.parameters[file]) is None:
        raise WrongModes(f"{mode.name}.bounds.duration: {file} is no file")


def _names_in(mode: Mode) -> dict[str, list[str]]:
    """Return the parameters that the configuration refers to, by where it does."""
    found = {"needs": list(mode.needs)}
    for name, variant in mode.variants.items():
        found[f"variants.{name}"] = [*variant.needs, *variant.needs_one_of, *variant.refuses]
    for name, bound in msgspec.structs.asdict(mode.bounds).items():
        if bound is not None:
            fields = msgspec.structs.asdict(bound)
            found[f"bounds.{name}"] = [value for value in fields.values() if isinstance(value, str)]
    return found


MODES: Final[Mapping[str, Mode]] = load_modes((files("workers.modes") / "modes.toml").read_text(encoding="utf-8"))
"""Every mode, in the order in which people are told of them."""
