"""Finding fenced code blocks in text while it streams, by the rules of CommonMark.

A block begins with a line of at least three backticks or tildes, indented by at most three spaces, and ends with a line
of at least as many of the same, or with the text. Blocks inside quotes and deeply indented lists are left to whoever
renders the text.
"""

import re
from typing import Final

import msgspec
from msgspec import Struct

MAX_BLOCK_BYTES: Final = 60 * 1024
"""As JSON in UTF-8."""

MAX_LANGUAGE_CHARACTERS: Final = 64
MAX_INDENT: Final = 3
MIN_FENCE: Final = 3

_LINE: Final = re.compile(r"[^\r\n]*(?:\r\n|[\r\n])|[^\r\n]+")
"""Markdown knows fewer line ends than Python."""

_ESCAPED_BYTES: Final = 6
"""The most that one code point takes inside JSON."""

_TICK: Final = "`"
_MARKS: Final = frozenset("`~")

CODE_KIND: Final = "code"
"""The kind of the artifacts that are code blocks."""


class CodeBlock(Struct, frozen=True, kw_only=True):
    """One block. `off` and `length` say where its content lies in the text, in code points."""

    language: str
    """The first word after the fence; empty if there is none."""
    off: int
    length: int
    text: str
    """The content, less what each line is indented by because the fence is."""
    truncated: bool
    """There is more, which the text has."""

    def data(self) -> dict[str, object]:
        """What the `artifact` event says of it."""
        truncated: dict[str, object] = {"truncated": True} if self.truncated else {}
        return {
            "kind": CODE_KIND,
            "language": self.language,
            "off": self.off,
            "len": self.length,
            "text": self.text,
            **truncated,
        }


class _Fence:
    """An opening line."""

    def __init__(self, *, mark: str, length: int, indent: int, language: str) -> None:
        self.mark = mark
        self.length = length
        self.indent = indent
        self.language = language

    def is_closed_by(self, line: str) -> bool:
        indent, mark, length, rest = _take_apart(line)
        return indent <= MAX_INDENT and mark == self.mark and length >= self.length and not rest.strip(" \t")


class _OpenBlock:
    """A block whose end has not come yet."""

    def __init__(self, fence: _Fence, *, off: int, limit_bytes: int) -> None:
        self.fence = fence
        self._off = off
        self._left_bytes = limit_bytes
        self._lines: list[str] = []
        self._truncated = False

    def add(self, line: str) -> None:
        indent = min(self.fence.indent, len(line) - len(line.lstrip(" ")))
        if self._truncated or not (line := line[indent:]):
            return
        size_bytes = len(msgspec.json.encode(line)) - 2
        if size_bytes > self._left_bytes:
            self._truncated = True
            line = line[: self._left_bytes // _ESCAPED_BYTES]
        self._left_bytes -= size_bytes
        self._lines.append(line)

    def close(self, end: int) -> CodeBlock:
        return CodeBlock(
            language=self.fence.language,
            off=self._off,
            length=end - self._off,
            text="".join(self._lines),
            truncated=self._truncated,
        )


class CodeBlocks:
    """Give it the text in any pieces; it gives back each block once its end has come. Linear in the text."""

    def __init__(self, *, limit_bytes: int = MAX_BLOCK_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._line_off = 0
        """Where the line that is being read begins."""
        self._line: list[str] = []
        self._ends_in_return = False
        self._open: _OpenBlock | None = None

    def feed(self, piece: str) -> list[CodeBlock]:
        """Take a piece; return the blocks it closes."""
        if self._ends_in_return and piece:
            # Only now is it known whether a line feed belongs to the carriage return.
            self._ends_in_return = False
            piece = "\r" + piece
        if piece.endswith("\r"):
            self._ends_in_return = True
            piece = piece[:-1]
        found: list[CodeBlock] = []
        for part in _LINE.findall(piece):
            self._line.append(part)
            if part[-1] in "\r\n":
                self._take_line("".join(self._line), found)
                self._line.clear()
        return found

    def finish(self) -> list[CodeBlock]:
        """Take the end of the text; return the block it closes, if one is open."""
        found: list[CodeBlock] = []
        line = "".join(self._line) + ("\r" if self._ends_in_return else "")
        if line:
            self._take_line(line, found)
        if self._open is not None:
            found.append(self._open.close(self._line_off))
            self._open = None
        return found

    def _take_line(self, line: str, found: list[CodeBlock]) -> None:
        bare = line.rstrip("\r\n")
        if self._open is None:
            fence = _opening(bare)
            if fence is not None:
                self._open = _OpenBlock(fence, off=self._line_off + len(line), limit_bytes=self._limit_bytes)
        elif self._open.fence.is_closed_by(bare):
            found.append(self._open.close(self._line_off))
            self._open = None
        else:
            self._open.add(line)
        self._line_off += len(line)


def _opening(line: str) -> _Fence | None:
    indent, mark, length, rest = _take_apart(line)
    if indent > MAX_INDENT or length < MIN_FENCE or (mark == _TICK and _TICK in rest):
        return None
    words = rest.split(maxsplit=1)
    language = words[0][:MAX_LANGUAGE_CHARACTERS] if words else ""
    return _Fence(mark=mark, length=length, indent=indent, language=language)


def _take_apart(line: str) -> tuple[int, str, int, str]:
    """Indentation, mark, how many of it, and the rest of a line; no mark and none of it where it is no fence."""
    stripped = line.lstrip(" ")
    mark = stripped[:1]
    if mark not in _MARKS:
        return len(line) - len(stripped), "", 0, stripped
    rest = stripped.lstrip(mark)
    return len(line) - len(stripped), mark, len(stripped) - len(rest), rest
