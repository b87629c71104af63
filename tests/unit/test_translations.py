"""The catalogues have every text of the code, in every language, and put the same values into it."""

import re
from functools import cache

import pytest
from babel.messages.catalog import Catalog, Message

from api.problems import STATUS_OF_CODE
from api.titles import TITLE_OF_CODE, title_of
from tests.catalogues import TRANSLATED, key_of, template, up_to_date
from workers.messages import catalogues
from workers.messages.catalogues import catalogue_file, translated
from workers.messages.languages import LANGUAGES
from workers.messages.texts import Text, placeholders
from workers.messages.wordings import LINE

SAME_IN_ENGLISH = {("fr", "Date"), ("de", LINE.english), ("es", LINE.english), ("ru", LINE.english)}
"""What is really the same in another language."""

BRACES = re.compile(r"[{}]")
OTHER_SCRIPTS = {"ru": "а-яё", "ja": "ぁ-んァ-ン一-龯", "zh": "一-龯"}  # noqa: RUF001 - letters, not look-alikes


read_catalogue = cache(catalogues.read_catalogue)


def messages_of(catalogue: Catalog) -> list[Message]:
    return [message for message in catalogue if message.id]


def strings_of(message: Message) -> list[str]:
    return [message.string] if isinstance(message.string, str) else [str(string) for string in message.string or ()]


def test_every_language_but_english_has_a_catalogue() -> None:
    assert set(TRANSLATED) == {"ru", "de", "fr", "es", "ja", "zh"} == set(LANGUAGES) - {"en"}


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_text_of_the_code_is_translated_and_confirmed(language: str) -> None:
    catalogue = read_catalogue(language)

    for text in template():
        message = catalogue.get(*key_of(text))
        assert message is not None, f"{language} lacks {text.english!r}: run python -m tests.catalogues"
        assert all(string.strip() for string in strings_of(message)), f"{language}: {text.english!r} is not translated"
        assert not message.fuzzy, f"{language}: nobody has confirmed {text.english!r}"


@pytest.mark.parametrize("language", TRANSLATED)
def test_no_catalogue_has_what_the_code_has_no_more(language: str) -> None:
    known = {key_of(text) for text in template()}

    for message in messages_of(read_catalogue(language)):
        key = tuple(message.id) if isinstance(message.id, list | tuple) else message.id
        assert (key, message.context) in known, f"{language}: {message.id!r} is in no text"
    assert not read_catalogue(language).obsolete


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_catalogue_is_written_as_the_tool_writes_it(language: str) -> None:
    assert catalogue_file(language).read_text(encoding="utf-8") == up_to_date(language)


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_translation_has_the_places_of_its_text_and_no_others(language: str) -> None:
    for text in template():
        message = read_message(language, text)
        for string in strings_of(message):
            assert placeholders(string) == text.placeholders, f"{language}: {string!r}"
            assert not BRACES.search(re.sub(r"\{[a-z_]+\}", "", string)), f"{language}: {string!r}"


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_translation_is_in_its_language(language: str) -> None:
    for text in template():
        for string in strings_of(read_message(language, text)):
            assert string != text.english or (language, string) in SAME_IN_ENGLISH, f"{language}: {string!r}"
            if language in OTHER_SCRIPTS and text != LINE:
                assert re.search(f"[{OTHER_SCRIPTS[language]}]", string.lower()), f"{language}: {string!r}"


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_translation_ends_as_its_text_does(language: str) -> None:
    for text in template():
        for string in strings_of(read_message(language, text)):
            assert string == string.strip()
            assert "\n" not in string
            ends_a_sentence = text.english.endswith(".") and "_at}" not in text.english
            assert not ends_a_sentence or string.endswith((".", "。")), f"{language}: {string!r}"


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("en", {0: "credits have", 1: "credit has", 2: "credits have"}),
        ("ru", {1: "кредит.", 2: "кредита.", 4: "кредита.", 5: "кредитов.", 11: "кредитов.", 21: "кредит.", 0: "ов."}),
        ("fr", {0: "crédit a", 1: "crédit a", 2: "crédits ont"}),
        ("de", {0: "Credits wurden", 1: "Credit wurde", 2: "Credits wurden"}),
        ("es", {0: "créditos", 1: "crédito a", 2: "créditos"}),
        ("ja", {1: "クレジット", 2: "クレジット"}),
        ("zh", {1: "积分", 2: "积分"}),
    ],
)
def test_numbers_have_the_plurals_of_their_language(language: str, expected: dict[int, str]) -> None:
    text = Text(
        "{credits} credit has been added to your account.", "{credits} credits have been added to your account."
    )

    for count, part in expected.items():
        assert part in translated(text, language, count=count)


def test_a_text_that_no_catalogue_has_is_english() -> None:
    assert translated(Text("Never heard of it"), "ja") == "Never heard of it"
    assert translated(Text("one", "many", context="test"), "ru", count=5) == "many"


def test_every_code_has_a_title_and_every_title_a_code() -> None:
    assert set(TITLE_OF_CODE) == set(STATUS_OF_CODE)


def test_two_problems_are_never_called_the_same() -> None:
    for language in LANGUAGES:
        titles = [title_of(code, status=status, language=language) for code, status in STATUS_OF_CODE.items()]
        assert len(set(titles)) == len(titles), language


def test_a_code_without_a_title_is_called_as_its_status_is() -> None:
    assert title_of("brand_new", status=409, language="de") == "Conflict"


def read_message(language: str, text: Text) -> Message:
    message = read_catalogue(language).get(*key_of(text))
    assert message is not None
    return message
