"""The catalogues of translations, a file for each language but English: `locale/<language>/holdfast.po`.

They are read as translators write them, so nothing has to be compiled. `python -m tests.catalogues` brings them up to
date with the texts in the code; a text without a translation fails a test, and is English until somebody translates it.
"""

import functools
import io
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files
from importlib.resources.abc import Traversable

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from workers.messages.languages import DEFAULT
from workers.messages.texts import Text


def translated(text: Text, language: str, *, count: int | None = None) -> str:
    """Return a text in a language, for a number of things if it tells of one; its places are not filled yet."""
    translations = _translations(language)
    if not text.plural:
        return translations.pgettext(text.context, text.english) if text.context else translations.gettext(text.english)
    assert count is not None, "a text with a plural tells of a number"
    if text.context:
        return translations.npgettext(text.context, text.english, text.plural, count)
    return translations.ngettext(text.english, text.plural, count)


def catalogue_file(language: str) -> Traversable:
    """Return the catalogue of a language, which must not be English."""
    return files("workers.messages") / "locale" / language / "holdfast.po"


def read_catalogue(language: str) -> Catalog:
    """Read the catalogue of a language as it is written."""
    return read_po(io.BytesIO(catalogue_file(language).read_bytes()), locale=language, abort_invalid=True)


@functools.cache
def _translations(language: str) -> NullTranslations:
    if language == DEFAULT:
        return NullTranslations()
    compiled = io.BytesIO()
    # Leaves out what is marked as fuzzy: a translation that nobody has confirmed.
    write_mo(compiled, read_catalogue(language))
    compiled.seek(0)
    return GNUTranslations(compiled)
