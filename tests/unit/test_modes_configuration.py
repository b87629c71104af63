"""The modes are configuration: what is wrong in the file is found when it is read."""

from pathlib import Path

import pytest

from workers.errors import InvalidModel
from workers.modes import MODES, mode_named
from workers.modes.documentation import page
from workers.modes.modes import WrongModes, load_modes
from workers.modes.parameters import TAKEN_AWAY, check_model_parameters

PAGE = Path(__file__).parent.parent.parent / "docs" / "modes.md"

MINIMAL = """
[mode.sketch]
title = "Sketch"
summary = "A sketch."
gives = "image"
reads = ["prompt"]
timeouts = { first_output_s = 1, gap_s = 1, total_s = 1 }
"""


def test_the_platform_has_every_mode_it_promises() -> None:
    assert set(MODES) == {
        "chat", "compose", "structured", "image", "image-edit", "video", "speech-to-video", "music", "speech",
    }  # fmt: skip
    assert set(MODES["music"].variants) == {"inspiration", "custom", "lyrics", "instrumental", "cover"}


def test_the_page_about_the_modes_is_written_from_them() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m workers.modes.documentation > docs/modes.md`"


def test_a_mode_is_known_by_the_name_it_had_before() -> None:
    assert mode_named("text") is MODES["chat"]
    assert mode_named("no such mode") is None


def test_operations_have_the_time_outs_that_were_asked_for() -> None:
    assert MODES["chat"].usual_timeouts.first_token_s == 30
    assert MODES["image"].usual_timeouts.first_token_s == 120
    assert MODES["video"].usual_timeouts.total_s == 900


def test_a_mode_takes_over_the_parameters_of_another() -> None:
    text = MINIMAL + '[mode.sketch.parameters]\nn = { type = "integer", description = "How many." }\n'
    text += MINIMAL.replace("sketch", "copy") + 'parameters_of = "sketch"\n'

    assert load_modes(text)["copy"].parameters == load_modes(text)["sketch"].parameters


@pytest.mark.parametrize(
    ("addition", "reason"),
    [
        ("mood = 1", "mood"),
        ('needs = ["style"]', "no parameter style"),
        ('parameters_of = "nothing"', "parameters_of"),
        ('parameters = { n = { type = "integer" } }', "no description"),
        ('parameters = { n = { type = "number of" } }', "not a JSON Schema"),
        ('parameters = { messages = { type = "integer", description = "x" } }', "name of a parameter"),
        ('parameters = { n = { type = "integer", maximum = 2, default = 3, description = "x" } }', "default"),
        ('parameters = { f = { type = "integer", x-media = ["image"], description = "x" } }', "a file is a string"),
        ('parameters = { f = { type = "string", x-media = ["text"], description = "x" } }', "a file is a string"),
        ('variants = { one = { summary = "x" } }', "variants"),
        ('bounds = { images = { parameter = "n", at_most = 1 } }', "no parameter n"),
        (
            """
bounds = { duration = { file = "f", at_most_s = 1 } }
parameters = { f = { type = "string", description = "x" } }
""",
            "is no file",
        ),
    ],
)
def test_configuration_that_contradicts_itself_is_refused(addition: str, reason: str) -> None:
    with pytest.raises(WrongModes, match=reason):
        load_modes(MINIMAL + addition)


def test_a_file_that_is_no_toml_is_refused() -> None:
    with pytest.raises(WrongModes):
        load_modes("[mode")


def test_what_gives_json_must_read_a_schema() -> None:
    with pytest.raises(WrongModes, match="schema"):
        load_modes(MINIMAL.replace('"image"', '"json"'))


def test_a_model_may_narrow_replace_add_and_take_away() -> None:
    check_model_parameters(
        {"n": {"type": "integer", "maximum": 2}, "lens": {"enum": ["wide", "long"]}, "seed": TAKEN_AWAY}
    )


@pytest.mark.parametrize(
    "parameters",
    [
        {"slots": {"type": "string"}},
        {"no-identifier": {"type": "string"}},
        {"n": {"type": "whole"}},
        {"n": {"$ref": "https://example.com/schema"}},
        {"n": {"minimum": 3, "default": 2}},
        {"style": {"type": "string", "pattern": "(?=behind)"}},
    ],
)
def test_parameters_of_a_model_that_make_no_sense_are_refused(parameters: dict[str, dict[str, object]]) -> None:
    with pytest.raises(InvalidModel):
        check_model_parameters(parameters)
