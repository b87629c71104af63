"""Finding the top-level fields of a JSON object while its text streams.

It only finds where a field's value ends; whether the whole is valid is for others to say. Text that is no JSON object,
or is nested too deeply, just yields no more fields.
"""

import re
from typing import Final

import msgspec
from msgspec import Struct

MAX_DEPTH: Final = 64
MAX_FIELD_CHARACTERS: Final = 32_768
"""A longer value is not repeated as a field: readers have its text."""

_TURN: Final = re.compile(r'["{}\[\],:]')
_STRING_TURN: Final = re.compile(r'["\\]')


class Field(Struct, frozen=True):
    """A field whose value is complete; `path` is a JSON pointer."""

    path: str
    value: object


class TopLevelFields:
    """Give it the text in any pieces; it gives back each field once it is whole. Linear in the text."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._is_escaped = False
        self._is_lost = False
        self._kept: list[str] = []
        self._kept_characters = 0
        self._key: str | None = None

    def feed(self, piece: str) -> list[Field]:
        """Take a piece; return the fields it completes."""
        found: list[Field] = []
        at = kept_from = 0
        while not self._is_lost and at < len(piece):
            if self._in_string:
                at = self._skip_string(piece, at)
                continue
            turn = _TURN.search(piece, at)
            if turn is None:
                break
            at = turn.end()
            mark = turn[0]
            if mark == '"':
                self._in_string = True
            elif mark in "{[":
                self._open(mark)
                kept_from = at if self._depth == 1 else kept_from
            elif self._depth == 1 and mark in ":,}":
                self._keep(piece[kept_from : turn.start()])
                kept_from = at
                self._turn(mark, found)
                self._depth -= mark == "}"
            elif mark in "}]":
                self._depth -= 1
        self._keep(piece[kept_from:])
        return found

    def _skip_string(self, piece: str, at: int) -> int:
        if self._is_escaped:
            self._is_escaped = False
            return at + 1
        turn = _STRING_TURN.search(piece, at)
        if turn is None:
            return len(piece)
        if turn[0] == '"':
            self._in_string = False
        else:
            self._is_escaped = True
        return turn.end()

    def _open(self, mark: str) -> None:
        self._depth += 1
        is_object = self._depth > 1 or mark == "{"
        self._is_lost = self._is_lost or self._depth > MAX_DEPTH or not is_object

    def _keep(self, part: str) -> None:
        if self._depth > 0 and part and not self._is_lost:
            self._kept_characters += len(part)
            if self._kept_characters <= MAX_FIELD_CHARACTERS:
                self._kept.append(part)

    def _turn(self, mark: str, found: list[Field]) -> None:
        """A colon ends a name, a comma or the last brace ends a value."""
        text, is_whole = "".join(self._kept), self._kept_characters <= MAX_FIELD_CHARACTERS
        self._kept.clear()
        self._kept_characters = 0
        try:
            if mark == ":":
                name: str = msgspec.json.decode(text, type=str) if is_whole else ""
                self._key = name if is_whole else None
            elif self._key is not None:
                if is_whole:
                    found.append(Field(_pointer(self._key), msgspec.json.decode(text)))
                self._key = None
        except (msgspec.DecodeError, RecursionError):
            self._is_lost = True
        self._is_lost = self._is_lost or mark == "}"


def _pointer(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1")
