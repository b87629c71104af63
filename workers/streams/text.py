"""Text arrives from providers in pieces cut anywhere, even between the halves of a surrogate pair."""

from typing import Final

_REPLACEMENT: Final = "\ufffd"


class TextJoiner:
    """Makes every piece of text valid Unicode without losing a character.

    A piece that ends with the first half of a surrogate pair gives that half to the next piece, where the two become one
    character again. A half that never meets its other half becomes U+FFFD, because UTF-8 cannot carry it.
    """

    def __init__(self) -> None:
        self._carried = ""

    def push(self, piece: str) -> str:
        """The text that is certain so far; may be empty."""
        if not self._carried and piece.isascii():
            return piece
        piece = self._carried + piece
        self._carried = ""
        if piece and "\ud800" <= piece[-1] <= "\udbff":
            self._carried = piece[-1]
            piece = piece[:-1]
        return _without_lone_surrogates(piece)

    def finish(self) -> str:
        """What is left when no more text comes."""
        left = _REPLACEMENT if self._carried else ""
        self._carried = ""
        return left


def _without_lone_surrogates(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
