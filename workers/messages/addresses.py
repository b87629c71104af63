"""E-mail addresses that we write to: the ordinary kind, in ASCII, so that one can never be more than an address."""

import re
from typing import Final

MAX_ADDRESS_CHARACTERS: Final = 254
MAX_LOCAL_CHARACTERS: Final = 64

_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_TOP: Final = r"(?:[A-Za-z]{2,63}|xn--[A-Za-z0-9-]{1,59})"
_ADDRESS: Final = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@(?:{_LABEL}\.)+{_TOP}", re.ASCII)


def is_address(text: str) -> bool:
    """Tell whether a text is an address that we can write to.

    Quoted local parts, bare host names, addresses of machines and letters outside of ASCII are not; a domain that has
    such letters is written in its ASCII form, `xn--`.
    """
    if len(text) > MAX_ADDRESS_CHARACTERS:
        return False
    match = _ADDRESS.fullmatch(text)
    return match is not None and len(match[1]) <= MAX_LOCAL_CHARACTERS
