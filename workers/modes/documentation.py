"""`docs/modes.md`, written from the configuration so that the page cannot be wrong.

`python -m workers.modes.documentation > docs/modes.md` writes it; a test compares the two.
"""

import sys
from collections.abc import Iterator
from typing import Any, Final, cast

from workers.modes.modes import MODES, Mode
from workers.modes.parameters import Property, media_of

_INTRODUCTION: Final = """\
# Modes

<!-- Written by `python -m workers.modes.documentation` from workers/modes/modes.toml. -->

What `POST /v1/generations` can be asked for. `mode` names one of these; without it, the model's first mode is meant.
`input` has what the mode reads and its parameters. A model may narrow a parameter, replace it, add another or take one
away. A parameter that neither the mode nor the model knows is refused, and so is a value outside its bounds: 422
`invalid_input`, with the name of the field and the bound. `null` counts as not said.

A parameter of type *file* takes the id of a media object of the account (`POST /v1/uploads`, or a result).

The most that can come out, by the parameters and with a margin, is part of what is frozen; what came out is paid.
"""

_SESSIONS: Final = """\
## Sessions

`POST /v1/sessions` `{model?, title?, system?}` opens a conversation that the platform keeps; `GET /v1/sessions`, `GET
/v1/sessions/{id}`, `GET /v1/sessions/{id}/messages` and `DELETE /v1/sessions/{id}` list, show and forget it. To say
something, ask for a generation in mode `chat` with its `session_id`; the input is then one message of the user, and
`model` may be left out where the session has one.

- The message is kept if and only if its generation is taken on, the answer when that generation ends, each once. An
  answer that broke off is kept and marked `partial`; a retry answers in its place unless the conversation went on.
- While an answer is being written nothing else can be said: 409 `session_busy`. Of two messages at once one is taken.
- The model is given the system text, the newest messages that fit into its context, and the new one. Pictures of
  earlier messages go along as far as they are still there and the model takes their kind.
- Messages are made of parts: `{type: text, text}`, `{type: image | audio | video, media_id, …}`, `{type: artifact,
  …}` and `{type: structured, value}`. Their ordinals have no gaps.

## Templates

`GET /v1/templates` shows what `compose` and `structured` can be asked for by name. An administrator adds a template
or its next version with `PUT /v1/templates/{name}`; versions never change, and `GET /v1/templates/{name}/versions`
says who made each. `text` is the user's message and `system` the system text; `{{slot}}` stands for a value, and
there is no other logic. Values are data: they are never looked at for slots, and only slots whose values the template
lists, or numbers and truths, may stand in the system text. `format` is `text`, `markdown`, or `json` with a `schema`.
"""

_TEXTS: Final = {
    "prompt": "`prompt`, one text",
    "messages": "`messages`, a conversation: `[{role, content, attachments?: [{media_id}]}]`",
    "template": "`template`, a name such as `summary` or `summary@3`, with `slots`: `{name: value}`",
    "schema": "`schema`, the JSON Schema of the answer: an object, at most 64 KB and 32 levels deep",
}

_GIVES: Final = {
    "text": "text, streamed as `delta` events",
    "json": "JSON, streamed as `structured` events",
    "image": "pictures, as `artifact` events",
    "video": "a film, as an `artifact` event",
    "audio": "a recording, as an `artifact` event",
}


def page() -> str:
    """Return the page."""
    sections = [line for mode in MODES.values() for line in _section(mode)]
    return "\n".join([_INTRODUCTION, *sections, _SESSIONS])


def _section(mode: Mode) -> Iterator[str]:
    yield f"## {mode.title}: `{mode.name}`\n"
    yield f"{mode.summary}\n"
    yield f"- Reads {_reads(mode)}."
    if mode.attachments:
        yield f"- Attachments, where the model can take them: {', '.join(mode.attachments)}."
    yield f"- Gives {_GIVES[mode.gives]}{_extras(mode)}."
    if mode.needs:
        yield f"- Needs {_names(mode.needs)}."
    usual = mode.timeouts
    yield (
        f"- Time-outs: {usual.first_output_s:g} s to the first output, {usual.gap_s:g} s between two events, "
        f"{usual.total_s:g} s in all."
    )
    yield f"- Bounded by {_bounds(mode)}.\n"
    if mode.variants:
        yield "| variant | what it is | needs | refuses |"
        yield "|---|---|---|---|"
        for name, variant in mode.variants.items():
            needs = _names(variant.needs) or (f"one of {_names(variant.needs_one_of)}" if variant.needs_one_of else "")
            yield f"| `{name}` | {variant.summary} | {needs} | {_names(variant.refuses)} |"
        yield ""
    yield "| parameter | type | bounds | meaning |"
    yield "|---|---|---|---|"
    for name, given in mode.parameters.items():
        yield f"| `{name}` | {_type(given)} | {_limits(given)} | {given['description']} |"
    yield ""


def _reads(mode: Mode) -> str:
    texts = [_TEXTS[name] for name in mode.reads if name != "schema"]
    either = f"either {', or '.join(texts)}" if len(texts) > 1 else texts[0]
    return f"{either}; and {_TEXTS['schema']}, unless the template has one" if "schema" in mode.reads else either


def _extras(mode: Mode) -> str:
    extras = ["code blocks are `artifact` events too"] if mode.code_blocks else []
    extras += ["the platform can keep the conversation"] if mode.sessions else []
    extras += ["answers can be cached on request"] if mode.prompt_cache else []
    return "; " + "; ".join(extras) if extras else ""


def _bounds(mode: Mode) -> str:
    bounds, found = mode.bounds, list[str]()
    if bounds.images is not None:
        found.append(f"the number of pictures (`{bounds.images.parameter}`)")
    if bounds.pixels is not None:
        found.append(f"their size (`{bounds.pixels.size}`, else the largest, {bounds.pixels.at_most:,} pixels each)")
    if bounds.characters is not None:
        found.append(f"the characters of `{bounds.characters.parameter}`")
    if (duration := bounds.duration) is not None:
        by = [f"`{duration.parameter}`"] if duration.parameter else []
        by += [f"how long `{duration.file}` plays"] if duration.file else []
        by += [f"how long `{duration.spoken}` takes to say"] if duration.spoken else []
        found.append(f"how long it plays ({' or '.join(by)}, else {duration.at_most_s:,} s)")
    return ", ".join(found) or "tokens: the input, and `max_output_tokens`"


def _type(given: Property) -> str:
    kinds = media_of(given)
    if kinds is not None:
        return f"{'files' if given['type'] == 'array' else 'file'} ({', '.join(kinds)})"
    if given["type"] == "array":
        return f"array of {given['items']['type']}"
    return str(given["type"])


def _limits(given: Property) -> str:
    found: list[str] = []
    if "enum" in given:
        found.append(", ".join(f"`{value}`" for value in cast("list[Any]", given["enum"])))
    for unit, least, most in (("", "minimum", "maximum"), (" characters", "minLength", "maxLength")):
        found += _range(given, unit, least, most)
    found += _range(given, " items", "minItems", "maxItems")
    if "pattern" in given:
        found.append(f"`{given['pattern']}`".replace("|", "\\|"))
    if "default" in given:
        found.append(f"default `{given['default']}`")
    return "; ".join(found)


def _range(given: Property, unit: str, least: str, most: str) -> list[str]:
    if least in given and most in given:
        return [f"{given[least]:,} to {given[most]:,}{unit}"]
    return [f"at most {given[most]:,}{unit}"] if most in given else []


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    sys.stdout.write(page())
