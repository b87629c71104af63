"""Templates: values are data, and what makes no sense is found before anyone uses it."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.errors import InvalidInput, InvalidTemplate
from workers.modes.templating import Slot, TemplateDefinition, render
from workers.providers import Message
from workers.templates import read_seed

TONE = Slot(name="tone", enum=("dry", "warm"), default="dry")
TOPIC = Slot(name="topic", required=True, max_length=20)
TEMPLATE = TemplateDefinition(
    text="About {{topic}} in {{ words }} words. {{extra}}",
    system="Be {{tone}}.",
    slots=(TOPIC, TONE, Slot(name="words", type="integer", enum=(100, 200), default=100), Slot(name="extra")),
)


def text_of(**values: object) -> str:
    return render(TEMPLATE, values)[-1].content


def test_a_template_is_filled_with_values_and_defaults() -> None:
    assert render(TEMPLATE, {"topic": "foxes"}) == (
        Message("system", "Be dry."),
        Message("user", "About foxes in 100 words. "),
    )
    assert text_of(topic="foxes", words=200, extra="Please.") == "About foxes in 200 words. Please."


@given(st.text(max_size=20))
def test_a_value_goes_in_as_it_is(topic: str) -> None:
    assert text_of(topic=topic) == f"About {topic} in 100 words. "


@pytest.mark.parametrize("value", ["{{tone}}", "{{topic}}", r"\1 \g<0>", "{{", "{0}", "%s"])
def test_a_value_is_never_looked_at_for_slots(value: str) -> None:
    assert text_of(topic=value) == f"About {value} in 100 words. "


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "slots.topic is needed"),
        ({"topic": None}, "slots.topic is needed"),
        ({"topic": "x" * 21}, "slots.topic must have at most 20 characters"),
        ({"topic": 7}, "slots.topic must be of type string"),
        ({"topic": "x", "tone": "loud"}, "slots.tone must be one of dry, warm"),
        ({"topic": "x", "words": 150}, "slots.words must be one of 100, 200"),
        ({"topic": "x", "words": "100"}, "slots.words"),
        ({"topic": "x", "colour": "red"}, "has no slot 'colour'"),
    ],
)
def test_a_value_that_does_not_fit_its_slot_is_refused(values: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        render(TEMPLATE, values)


@pytest.mark.parametrize(
    ("kind", "value", "text"), [("boolean", True, "true"), ("integer", 7, "7"), ("number", 0.5, "0.5")]
)
def test_numbers_and_truths_are_written_as_json(kind: Any, value: object, text: str) -> None:
    template = TemplateDefinition(text="{{it}}", slots=(Slot(name="it", type=kind),))

    assert render(template, {"it": value}) == (Message("user", text),)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"text": "{{nobody}}"}, "text: uses nobody"),
        ({"text": "x", "system": "{{nobody}}"}, "system: uses nobody"),
        ({"text": "{{topic}} {{"}, "begins a slot"),
        ({"text": "{{#if topic}}x{{/if}}"}, "begins a slot"),
        ({"text": "x", "system": "Talk of {{topic}}"}, "system: may not use topic"),
        ({"text": "a\0b"}, "NUL"),
        ({"text": "x", "format": "json", "schema": {"type": "object", "title": "\\\0"}}, "NUL"),
        ({"text": "x", "slots": (TOPIC, TOPIC)}, "each name once"),
        ({"text": "x", "slots": (Slot(name="n", type="integer", max_length=3),)}, "max_length is for text"),
        ({"text": "x", "slots": (Slot(name="n", type="integer", default="3"),)}, "slots.n: '3' is not one"),
        ({"text": "x", "slots": (Slot(name="n", enum=("a", 1)),)}, "slots.n: 1 is not one"),
        ({"text": "x", "slots": (Slot(name="n", enum=("a",), default="b"),)}, "slots.n: 'b' is not one"),
        ({"text": "x", "slots": (Slot(name="n", enum=("abc",), max_length=2),)}, "slots.n: 'abc' is not one"),
        ({"text": "x", "format": "json"}, "schema"),
        ({"text": "x", "schema": {"type": "object"}}, "schema"),
        ({"text": "x", "format": "json", "schema": {"type": "string"}}, "answers are objects"),
        ({"text": "x", "format": "json", "schema": {"type": "object", "$ref": "http://x"}}, r"\$ref"),
    ],
)
def test_a_template_that_makes_no_sense_is_refused(fields: dict[str, Any], reason: str) -> None:
    usual: dict[str, Any] = {"slots": (TOPIC,)}
    definition = TemplateDefinition(**{**usual, **fields})

    with pytest.raises(InvalidTemplate, match=reason):
        definition.check()


WRONG_FORMS: list[dict[str, Any]] = [
    {"text": ""},
    {"text": "x", "slots": [{"name": "No"}]},
    {"text": "x", "slots": [{"name": "n\n"}]},
    {"text": "x", "slots": [{"name": "n", "type": "date"}]},
    {"text": "x", "slots": [{"name": "n", "enum": []}]},
    {"text": "x", "format": "html"},
    {"text": "x", "code": "import os"},
]


@pytest.mark.parametrize("fields", WRONG_FORMS)
def test_a_definition_of_the_wrong_form_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(fields, TemplateDefinition)


def test_callers_cannot_write_into_the_system_text() -> None:
    for name, definition in read_seed().items():
        closed = {slot.name for slot in definition.slots if slot.is_closed}
        for slot in definition.slots:
            assert slot.name in closed or "{{" + slot.name not in definition.system, name


def test_the_templates_of_a_new_installation_make_sense_and_show_every_format() -> None:
    assert {definition.format for definition in read_seed().values()} == {"text", "markdown", "json"}


def test_a_text_about_nul_is_no_nul() -> None:
    TemplateDefinition(text=r"Explain \u0000 and \\u0000.").check()
