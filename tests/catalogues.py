"""The texts that catalogues have to translate, and bringing the catalogues up to date with them.

`python -m tests.catalogues` adds what is new, without a translation, and removes what is gone: run it after changing a
text, then translate what is empty. What each text is for stands beside it.
"""

import io
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import write_po

from api import titles
from workers.messages import wordings
from workers.messages.catalogues import catalogue_file, read_catalogue
from workers.messages.kinds import MessageKind
from workers.messages.languages import DEFAULT, LANGUAGES
from workers.messages.texts import Text

TRANSLATED = tuple(language for language in LANGUAGES if language != DEFAULT)


def key_of(text: Text) -> tuple[str | tuple[str, str], str | None]:
    """What identifies a text in a catalogue: its id and its context."""
    return ((text.english, text.plural) if text.plural else text.english), text.context or None


def template() -> dict[Text, list[str]]:
    """Every text, with what it is for."""
    common = (wordings.GREETING, wordings.LINE, wordings.FOOTER)
    purposes: dict[Text, list[str]] = {text: ["every message"] for text in common}
    for kind in MessageKind:
        for wording in wordings.wordings_of(kind):
            for text in wording.texts():
                noted = purposes.setdefault(text, [])
                if kind.value not in noted:
                    noted.append(kind.value)
    for code, title in titles.TITLE_OF_CODE.items():
        purposes.setdefault(Text(title, context=titles.CONTEXT), []).append(code)
    return purposes


def up_to_date(language: str) -> str:
    """The catalogue of a language as it is to be written, with the translations that it has."""
    known = read_catalogue(language) if Path(str(catalogue_file(language))).exists() else Catalog(locale=language)
    catalogue = Catalog(locale=language, project="Holdfast", charset="utf-8", fuzzy=False)
    for text, purposes in template().items():
        key, context = key_of(text)
        old = known.get(key, context)
        catalogue.add(
            key,
            old.string if old is not None else "",
            context=context,
            flags=(old.flags - {"python-format"}) if old is not None else (),
            auto_comments=[", ".join(purposes)],
        )
    written = io.BytesIO()
    write_po(written, catalogue, width=100, omit_header=True, sort_output=False)
    header = (
        f'msgid ""\nmsgstr ""\n"Language: {language}\\n"\n"Content-Type: text/plain; charset=utf-8\\n"\n'
        f'"Content-Transfer-Encoding: 8bit\\n"\n"Plural-Forms: {catalogue.plural_forms}\\n"\n\n'
    )
    return header + written.getvalue().decode().strip("\n") + "\n"


def main() -> None:
    for language in TRANSLATED:
        path = Path(str(catalogue_file(language)))
        path.parent.mkdir(parents=True, exist_ok=True)
        text = up_to_date(language)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
