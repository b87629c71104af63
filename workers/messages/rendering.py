"""Messages in the language of their reader: a subject, a plain text, and the same as HTML."""

from collections.abc import Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from workers.messages.catalogues import translated
from workers.messages.formats import Reader, grammatical_count, one_line, shown_values
from workers.messages.kinds import MessageKind
from workers.messages.languages import language_of, parse_locale
from workers.messages.texts import Text, fill
from workers.messages.wordings import FOOTER, GREETING, LINE, Line, Paragraph, wording_of

MAX_SUBJECT_CHARACTERS: Final = 150

_templates: Final = Environment(
    loader=PackageLoader("workers.messages"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


class Rendered(msgspec.Struct, frozen=True, kw_only=True):
    """A message as its reader gets it."""

    language: str
    subject: str
    plain: str
    html: str


class UnreadableValues(Exception):
    """A message cannot be written, because a value is not what it should be. Trying again does not help."""


def render(kind: MessageKind, values: Mapping[str, Any], *, locale: str, time_zone: str) -> Rendered:
    """Write a message for a reader.

    Raises:
        UnreadableValues: it cannot be written.
    """
    try:
        reader = Reader(parse_locale(locale), ZoneInfo(time_zone))
        return _Rendering(kind, values, reader).rendered()
    except (ValueError, TypeError, LookupError, ArithmeticError) as error:
        raise UnreadableValues(f"{type(error).__name__}: {error}") from error


class _Rendering:
    def __init__(self, kind: MessageKind, values: Mapping[str, Any], reader: Reader) -> None:
        self._wording = wording_of(kind, values)
        self._values = values
        self._shown = shown_values(kind, values, reader)
        self._reader = reader
        self._language = language_of(reader.locale)

    def rendered(self) -> Rendered:
        wording = self._wording
        action = wording.action
        parts = {
            "language": "zh-Hans" if self._language == "zh" else self._language,
            "subject": one_line(self._filled(wording.subject), at_most=MAX_SUBJECT_CHARACTERS),
            "greeting": self._filled(GREETING),
            "paragraphs": [self._paragraph(part) for part in wording.paragraphs if self._is_told(part)],
            "lines": [self._line(line) for line in wording.lines if line.value in self._shown],
            "action": "" if action is None else self._filled(action.label),
            "url": "" if action is None else self._shown.get("url", ""),
            "footer": self._filled(FOOTER),
            "on_one_line": self._on_one_line,
        }
        return Rendered(
            language=str(parts["language"]),
            subject=str(parts["subject"]),
            plain=_templates.get_template("message.txt").render(parts),
            html=_templates.get_template("message.html").render(parts),
        )

    def _is_told(self, paragraph: Paragraph) -> bool:
        if not paragraph.text.placeholders <= self._shown.keys():
            return False
        return not (paragraph.unless_none and self._count(paragraph) == 0)

    def _paragraph(self, paragraph: Paragraph) -> str:
        return self._filled(paragraph.text, count=self._count(paragraph) if paragraph.counted else None)

    def _line(self, line: Line) -> tuple[str, str]:
        return self._filled(line.label), self._shown[line.value]

    def _on_one_line(self, label: str, value: str) -> str:
        return fill(translated(LINE, self._language), {"label": label, "value": value})

    def _count(self, paragraph: Paragraph) -> int:
        return grammatical_count(self._values[paragraph.counted], self._reader.locale)

    def _filled(self, text: Text, *, count: int | None = None) -> str:
        return fill(translated(text, self._language, count=count), self._shown)
