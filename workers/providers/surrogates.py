"""Whole characters out of text that may arrive in halves."""

import re

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_SURROGATE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
REPLACEMENT_CHARACTER = "\ufffd"


class SurrogateJoiner:
    r"""Joins surrogate pairs that were split between two deltas; a half that stays alone becomes U+FFFD.

    Providers send UTF-8, but gateways written in JavaScript cut text by UTF-16 unit, so that one emoji arrives as
    `"\ud83d"` and `"\ude00"`. Half a character cannot be encoded: it would break the stream and the stored output.
    """

    def __init__(self) -> None:
        self._held = ""

    def push(self, text: str) -> str:
        """Return what can be delivered now that `text` arrived; it may be empty."""
        text = self._held + text
        self._held = ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            self._held = text[-1]
            text = text[:-1]
        return _whole(text)

    def flush(self) -> str:
        """Return what is left at the end of the text."""
        held, self._held = self._held, ""
        return _whole(held)


def _whole(text: str) -> str:
    if text.isascii():
        return text
    joined = _SURROGATE_PAIR.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)
    return _LONE_SURROGATE.sub(REPLACEMENT_CHARACTER, joined)
