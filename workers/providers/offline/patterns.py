"""A text that matches a regular expression, for schemas that have one.

It reads the part of the syntax that schemas use: literals, classes, groups, alternatives and repetition. Whoever
calls it validates what comes out, so a part it reads too simply costs an answer, never its correctness.
"""

import string
from typing import Final

MAX_REPEATS: Final = 1_000
MAX_GROUPS: Final = 32

_WORD: Final = string.ascii_lowercase + string.digits + "_"
_CLASSES: Final = {"d": string.digits, "w": _WORD, "s": " ", "D": "x", "W": "-", "S": "x"}
_CONTROL: Final = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}
_PRINTABLE: Final = string.ascii_letters + string.digits + " -_.,:;!?@#%&*+=/()[]{}<>'\"|~^$`\\"


class UnreadablePattern(Exception):
    """The expression uses syntax that is not read here, or none at all."""


def matching_text(pattern: str) -> str:
    """Return a text that matches, with every repetition as short as it may be.

    Raises:
        UnreadablePattern: no text could be made.
    """
    reader = _Reader(pattern)
    text = reader.alternatives()
    if not reader.at_end:
        raise UnreadablePattern(pattern)
    return text


class _Reader:
    """Reads an expression from left to right and makes a text on the way."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._depth = 0

    @property
    def at_end(self) -> bool:
        return self._at >= len(self._pattern)

    def alternatives(self) -> str:
        """Return a text for the first alternative that has one; the others are read over."""
        self._depth += 1
        if self._depth > MAX_GROUPS:
            raise UnreadablePattern(self._pattern)
        texts = [self._sequence()]
        while self._taken("|"):
            texts.append(self._sequence())
        self._depth -= 1
        return texts[0]

    def _sequence(self) -> str:
        parts: list[str] = []
        while not self.at_end and self._pattern[self._at] not in "|)":
            if self._pattern[self._at] in "^$":
                self._at += 1
                continue
            part = self._atom()
            parts.append(part * self._least_repeats())
        return "".join(parts)

    def _atom(self) -> str:
        character = self._next()
        if character == "(":
            return self._group()
        if character == "[":
            return self._class()
        if character == "\\":
            return self._escape()[0]
        if character in "*+?":
            raise UnreadablePattern(self._pattern)
        return "x" if character == "." else character

    def _group(self) -> str:
        if self._taken("?"):
            if self._taken("P") or (self._pattern[self._at : self._at + 2] not in {"<=", "<!"} and self._taken("<")):
                self._taken("<")
                while self._next() != ">":
                    pass
            elif not self._taken(":"):
                raise UnreadablePattern(self._pattern)
        text = self.alternatives()
        if not self._taken(")"):
            raise UnreadablePattern(self._pattern)
        return text

    def _class(self) -> str:
        is_negated = self._taken("^")
        members = ""
        while not members or self._pattern[self._at : self._at + 1] != "]":
            first = self._member()
            is_range = (
                self._pattern[self._at : self._at + 1] == "-" and self._pattern[self._at + 1 : self._at + 2] != "]"
            )
            if is_range and len(first) == 1:
                self._at += 1
                last = self._member()
                # Only the ends of a range are ever needed, unless it is negated and spans printable characters.
                members += first + "".join(each for each in _PRINTABLE if first < each <= last)
            else:
                members += first
        self._at += 1
        if not is_negated:
            return members[0]
        left = next((each for each in _PRINTABLE if each not in members), None)
        if left is None:
            raise UnreadablePattern(self._pattern)
        return left

    def _member(self) -> str:
        character = self._next()
        return self._escape() if character == "\\" else character

    def _escape(self) -> str:
        """Return what an escape stands for, one character of it or all."""
        character = self._next()
        if character in _CLASSES:
            return _CLASSES[character]
        if character in _CONTROL:
            return _CONTROL[character]
        if character in "ux":
            return self._code_point(4 if character == "u" else 2)
        if character.isalnum():
            raise UnreadablePattern(self._pattern)
        return character

    def _code_point(self, digits: int) -> str:
        code = self._pattern[self._at : self._at + digits]
        self._at += digits
        if len(code) != digits or not set(code) <= set(string.hexdigits):
            raise UnreadablePattern(self._pattern)
        return chr(int(code, 16))

    def _least_repeats(self) -> int:
        least = 1
        if self._taken("*") or self._taken("?"):
            least = 0
        elif self._taken("+"):
            pass
        elif self._pattern[self._at : self._at + 1] == "{" and (end := self._pattern.find("}", self._at)) > 0:
            lower, _, _ = self._pattern[self._at + 1 : end].partition(",")
            if not (lower.isascii() and lower.isdigit()) or int(lower[:5]) > MAX_REPEATS:
                raise UnreadablePattern(self._pattern)
            least = int(lower)
            self._at = end + 1
        if not self._taken("?"):
            self._taken("+")
        return least

    def _next(self) -> str:
        if self.at_end:
            raise UnreadablePattern(self._pattern)
        self._at += 1
        return self._pattern[self._at - 1]

    def _taken(self, character: str) -> bool:
        if self._pattern[self._at : self._at + 1] != character:
            return False
        self._at += 1
        return True
