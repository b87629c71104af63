"""Texts that are there in every language. The English text in the code is what a catalogue has translations of."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

_PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)\}")


class Text(msgspec.Struct, frozen=True):
    """An English text, with places such as `{product}` that values are put into."""

    english: str
    plural: str = ""
    """What it is for other numbers than one, where it tells of a number."""
    context: str = ""
    """Keeps apart what is the same in English and may not be elsewhere."""

    @property
    def placeholders(self) -> frozenset[str]:
        """The names of the values that it needs."""
        return placeholders(self.english) | placeholders(self.plural)


def placeholders(text: str) -> frozenset[str]:
    """Return the names of the places in a text."""
    return frozenset(_PLACEHOLDER.findall(text))


def fill(text: str, values: Mapping[str, str]) -> str:
    """Put values into their places. What is in a value is never looked at, whatever it contains.

    Raises:
        KeyError: there is no value for a place.
    """
    return _PLACEHOLDER.sub(lambda place: values[place[1]], text)
