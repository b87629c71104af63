"""The languages that people are written to in."""

import re
from typing import Final

from babel import Locale, UnknownLocaleError

DEFAULT: Final = "en"
"""What the texts in the code are written in, and what anybody gets whose language we do not have."""

LANGUAGES: Final = ("en", "ru", "de", "fr", "es", "ja", "zh")
"""Chinese is written in simplified characters."""

MAX_LOCALE_CHARACTERS: Final = 35

_LOCALE: Final = re.compile(r"[a-z]{2,3}(?:[-_][a-z]{4})?(?:[-_](?:[a-z]{2}|[0-9]{3}))?", re.ASCII | re.IGNORECASE)
"""Language, script, country: nothing else of a locale changes how we write."""


def parse_locale(text: str) -> Locale:
    """Read a locale such as `de`, `pt-BR` or `zh_Hant_TW`, of any language.

    Raises:
        ValueError: it is not a locale, or one that nobody knows.
    """
    if _LOCALE.fullmatch(text) is None:
        raise ValueError("not a locale")
    try:
        return Locale.parse(text.replace("-", "_"))
    except UnknownLocaleError:
        raise ValueError("not a locale") from None


def language_of(locale: Locale) -> str:
    """Return the language to write to a reader of this locale."""
    return locale.language if locale.language in LANGUAGES else DEFAULT
