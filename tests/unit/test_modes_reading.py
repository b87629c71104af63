"""One reader for every mode: what it takes, what it refuses, and that it says which field and which bound."""

from typing import Any
from uuid import uuid4

import pytest

from workers.errors import InvalidInput
from workers.modes import (
    MODES,
    ModeInput,
    Template,
    TemplateDefinition,
    check_files,
    read_input,
    requested_template,
)
from workers.modes.parameters import TAKEN_AWAY
from workers.modes.templating import Slot
from workers.providers import InputFile, MediaKind, Message
from workers.providers.interface import Attachment

MEDIA_ID = str(uuid4())
OTHER_ID = str(uuid4())

SCHEMA = {"type": "object", "properties": {"title": {"type": "string"}}}

ENOUGH: dict[str, dict[str, object]] = {
    "chat": {"prompt": "x"},
    "compose": {"prompt": "x"},
    "structured": {"prompt": "x", "schema": SCHEMA},
    "image": {"prompt": "x"},
    "image-edit": {"prompt": "x", "image": MEDIA_ID},
    "video": {"prompt": "x"},
    "speech-to-video": {"audio": MEDIA_ID},
    "music": {"prompt": "x"},
    "speech": {"prompt": "x"},
}


def read(mode: str, *, parameters: dict[str, Any] | None = None, **given: object) -> ModeInput:
    return read_input(mode, parameters or {}, given)


def a_template(**fields: Any) -> Template:
    definition = TemplateDefinition(text="About {{topic}}", slots=(Slot(name="topic", required=True),), **fields)
    return Template(name="about", version=3, definition=definition, created_at_us=0, created_by="test")


def a_file(kind: MediaKind, *, media_id: str = MEDIA_ID, duration_ms: int | None = None) -> dict[str, InputFile]:
    file = InputFile(media_id=media_id, kind=kind, media_type=f"{kind}/x", size_bytes=1, duration_ms=duration_ms)
    return {media_id: file}


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_takes_what_it_needs_and_no_more(mode: str) -> None:
    taken = read_input(mode, {}, ENOUGH[mode])

    assert (taken.mode, taken.runs_as, taken.gives) == (mode, mode, MODES[mode].gives)


@pytest.mark.parametrize("mode", MODES)
def test_no_mode_takes_nothing_at_all(mode: str) -> None:
    with pytest.raises(InvalidInput, match=r"need|either"):
        read_input(mode, {}, {})


@pytest.mark.parametrize("mode", MODES)
def test_a_parameter_that_nobody_knows_is_refused_by_name(mode: str) -> None:
    with pytest.raises(InvalidInput, match="temperature"):
        read_input(mode, {}, {**ENOUGH[mode], "temperature": 1})


def test_a_mode_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InvalidInput, match="mode must be one of chat"):
        read("telepathy", prompt="x")


def test_a_prompt_is_the_message_of_the_user() -> None:
    assert read("chat", prompt="hello").messages == (Message("user", "hello"),)
    assert read("image", prompt="a fox").messages == (Message("user", "a fox"),)
    assert "prompt" not in read("image", prompt="a fox").options


def test_null_counts_as_not_said() -> None:
    taken = read("chat", prompt=None, messages=[{"role": "user", "content": "x"}], effort=None)

    assert (taken.messages, taken.options) == ((Message("user", "x"),), {})


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "either prompt or messages"),
        ({"prompt": "x", "messages": []}, "either prompt or messages"),
        ({"prompt": 7}, "prompt must be a string"),
        ({"messages": "x"}, "messages"),
        ({"messages": [{"role": "oracle", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": "x"}] * 1_001}, "at most 1000"),
        ({"prompt": "x", "stop_sequences": ["a"] * 5}, "stop_sequences must have at most 4 items"),
        ({"prompt": "x", "stop_sequences": [""]}, r"stop_sequences\[0\] must have at least 1 character"),
        ({"prompt": "x", "stop_sequences": "END"}, "stop_sequences must be of type array"),
        ({"prompt": "x", "effort": "enormous"}, "effort must be one of low, medium"),
        ({"prompt": "x", "delay_ms": -1}, "delay_ms must be at least 0"),
        ({"prompt": "x", "delay_ms": 10_001}, "delay_ms must be at most 10000"),
        ({"prompt": "x", "delay_ms": True}, "delay_ms must be of type integer"),
        ({"prompt": "x", "slots": {}}, "slots"),
        ({"prompt": "x", "schema": SCHEMA}, "schema"),
    ],
)
def test_what_a_conversation_cannot_be_is_refused_with_the_field_and_its_bound(
    given: dict[str, object], reason: str
) -> None:
    with pytest.raises(InvalidInput, match=reason):
        read_input("chat", {}, given)


def test_options_of_conversations_are_passed_on_as_they_were_given() -> None:
    taken = read("chat", prompt="x", stop_sequences=["END"], effort="low", delay_ms=5)

    assert taken.options == {"stop_sequences": ["END"], "effort": "low", "delay_ms": 5}


def test_defaults_are_filled_in() -> None:
    assert read("image", prompt="x").options == {"n": 1}
    assert read("music", prompt="x").options == {"variant": "inspiration"}


def test_a_whole_number_is_passed_on_as_one() -> None:
    n = read("image", prompt="x", n=2.0).options["n"]

    assert (n, type(n)) == (2, int)
    with pytest.raises(InvalidInput, match="n must be of type integer"):
        read("image", prompt="x", n=2.5)


def test_a_model_narrows_replaces_adds_and_takes_away() -> None:
    of_model = {
        "n": {"type": "integer", "maximum": 2, "default": 2},
        "lens": {"enum": ["wide", "long"]},
        "seed": TAKEN_AWAY,
    }

    assert read("image", parameters=of_model, prompt="x", lens="wide").options == {"n": 2, "lens": "wide"}
    for given, reason in [({"n": 3}, "n must be at most 2"), ({"lens": "round"}, "lens"), ({"seed": 1}, "seed is not")]:
        with pytest.raises(InvalidInput, match=reason):
            read("image", parameters=of_model, prompt="x", **given)


def test_a_model_may_bound_the_prompt() -> None:
    of_model = {"prompt": {"type": "string", "maxLength": 3}}

    for mode in ("image", "chat"):
        assert read(mode, parameters=of_model, prompt="abc").messages[0].content == "abc"
        with pytest.raises(InvalidInput, match="prompt must have at most 3 characters"):
            read(mode, parameters=of_model, prompt="abcd")


@pytest.mark.parametrize(
    ("variant", "given", "reason"),
    [
        ("inspiration", {}, "prompt is needed"),
        ("inspiration", {"prompt": "x", "lyrics": "la"}, "lyrics is not for music of variant inspiration"),
        ("custom", {}, "one of prompt, style, lyrics is needed"),
        ("lyrics", {"prompt": "x"}, "lyrics is needed for music of variant lyrics"),
        ("instrumental", {"prompt": "x", "lyrics": "la"}, "lyrics is not for"),
        ("cover", {"prompt": "x"}, "audio is needed"),
        ("opera", {"prompt": "x"}, "variant must be one of"),
    ],
)
def test_each_kind_of_music_needs_its_own_things(variant: str, given: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        read("music", variant=variant, **given)


@pytest.mark.parametrize(
    ("variant", "given"),
    [
        ("inspiration", {"prompt": "x"}),
        ("custom", {"style": "jazz", "title": "Blue", "lyrics": "la"}),
        ("lyrics", {"lyrics": "la"}),
        ("instrumental", {"prompt": "x", "duration_s": 30}),
        ("cover", {"audio": MEDIA_ID, "style": "jazz"}),
    ],
)
def test_each_kind_of_music_can_be_asked_for(variant: str, given: dict[str, Any]) -> None:
    assert read("music", variant=variant, **given).options["variant"] == variant


def test_files_are_referred_to_by_their_ids_in_one_form() -> None:
    shouted = MEDIA_ID.upper()

    taken = read("image-edit", prompt="x", image=shouted, references=[OTHER_ID, MEDIA_ID])

    assert (taken.options["image"], taken.options["references"]) == (MEDIA_ID, [OTHER_ID, MEDIA_ID])
    assert [file.field for file in taken.files] == ["image", "references[0]", "references[1]"]
    assert taken.file_ids == (MEDIA_ID, OTHER_ID)


def test_an_id_of_a_file_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidInput, match="image must be of the format uuid"):
        read("image-edit", prompt="x", image="https://example.com/fox.png")


def test_messages_may_have_attachments_that_the_model_can_take() -> None:
    messages = [{"role": "user", "content": "What is this?", "attachments": [{"media_id": MEDIA_ID}]}]

    taken = read_input("chat", {}, {"messages": messages}, attachments=("image",))

    assert taken.messages == (Message("user", "What is this?", (Attachment(media_id=MEDIA_ID),)),)
    assert [(file.field, file.kinds) for file in taken.files] == [("messages[0].attachments[0]", ("image",))]
    check_files(taken, a_file("image"))
    with pytest.raises(InvalidInput, match="must be of kind image; this is audio"):
        check_files(taken, a_file("audio"))
    with pytest.raises(InvalidInput, match="takes no attachments"):
        read_input("chat", {}, {"messages": messages}, attachments=())


@pytest.mark.parametrize(
    ("role", "attachments", "reason"),
    [
        ("assistant", [{"media_id": MEDIA_ID}], "only the user's messages"),
        ("user", [{"media_id": "fox.png"}], "must be the id of a media object"),
        ("user", [{"media_id": MEDIA_ID}] * 101, "at most 100 attachments"),
        ("user", [{"media_id": MEDIA_ID, "url": "https://example.com"}], "unknown field"),
    ],
)
def test_an_attachment_that_cannot_be_one_is_refused(role: str, attachments: list[Any], reason: str) -> None:
    message = {"role": role, "content": "x", "attachments": attachments}

    with pytest.raises(InvalidInput, match=reason):
        read("chat", messages=[message])


def test_a_file_of_the_wrong_kind_or_length_is_refused() -> None:
    taken = read("speech-to-video", audio=MEDIA_ID)

    check_files(taken, a_file("audio", duration_ms=600_000))
    with pytest.raises(InvalidInput, match="audio must be of kind audio; this is image"):
        check_files(taken, a_file("image"))
    with pytest.raises(InvalidInput, match="audio must play at most 600 s"):
        check_files(taken, a_file("audio", duration_ms=600_001))


def test_structured_output_needs_a_schema_of_an_object() -> None:
    assert read("structured", prompt="x", schema=SCHEMA).output_schema == SCHEMA
    refused: list[tuple[dict[str, Any], str]] = [
        ({}, "schema is needed"),
        ({"schema": "object"}, "schema must be an object"),
        ({"schema": {"type": "array"}}, "answers are objects"),
        ({"schema": {"type": "object", "$ref": "https://example.com/x"}}, r"\$ref must lead"),
    ]
    for given, reason in refused:
        with pytest.raises(InvalidInput, match=reason):
            read("structured", prompt="x", **given)


def test_a_template_is_rendered_and_remembered() -> None:
    given = {"template": "about", "slots": {"topic": "foxes"}}

    taken = read_input("compose", {}, given, template=a_template())

    assert taken.messages == (Message("user", "About foxes"),)
    assert (taken.runs_as, taken.gives, taken.template) == ("compose", "text", "about@3")


def test_a_template_that_answers_in_json_runs_as_structured_output() -> None:
    given = {"template": "about", "slots": {"topic": "foxes"}}

    taken = read_input("compose", {}, given, template=a_template(format="json", schema=SCHEMA))

    assert (taken.mode, taken.runs_as, taken.gives) == ("compose", "structured", "json")
    assert taken.output_schema == SCHEMA
    with pytest.raises(InvalidInput, match="the template has one"):
        read_input("structured", {}, {**given, "schema": SCHEMA}, template=a_template(format="json", schema=SCHEMA))


def test_a_template_and_a_prompt_exclude_each_other() -> None:
    with pytest.raises(InvalidInput, match="either prompt or template"):
        read_input("compose", {}, {"template": "about", "prompt": "x"}, template=a_template())
    with pytest.raises(InvalidInput, match="slots must be an object"):
        read_input("compose", {}, {"template": "about", "slots": ["x"]}, template=a_template())


@pytest.mark.parametrize(("named", "found"), [("about", ("about", None)), ("about@3", ("about", 3)), (None, None)])
def test_an_input_names_a_template_and_maybe_its_version(named: object, found: object) -> None:
    assert requested_template("compose", {"template": named}) == found


@pytest.mark.parametrize("named", [7, "", "@3", "about@", "about@x", "about@-1", "about@" + "1" * 10, ["about"]])
def test_what_cannot_name_a_template_is_refused(named: object) -> None:
    with pytest.raises(InvalidInput, match="template must be a name"):
        requested_template("compose", {"template": named})


def test_only_some_modes_have_templates() -> None:
    assert requested_template("chat", {"template": "about"}) is None
    with pytest.raises(InvalidInput, match="template"):
        read("chat", template="about")
