"""The language that a caller wants to be answered in, from `Accept-Language`."""

import functools
import re
from collections.abc import Iterable
from typing import Final

from workers.messages.languages import DEFAULT, LANGUAGES

MAX_HEADER_BYTES: Final = 1_000
MAX_RANGES: Final = 32
CACHED: Final = 256

_RANGE: Final = re.compile(
    r"\s*(\*|[a-z]{1,8}(?:-[a-z0-9]{1,8}){0,8})\s*(?:;\s*q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?", re.ASCII
)


def wanted_language(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the language to answer a request in: the best that it accepts and we have, else English."""
    given = [value for name, value in headers if name == b"accept-language"]
    if not given:
        return DEFAULT
    header = b",".join(given)
    return negotiate(header.decode("latin-1")) if len(header) <= MAX_HEADER_BYTES else DEFAULT


@functools.lru_cache(maxsize=CACHED)
def negotiate(header: str) -> str:
    """Choose a language as RFC 4647 looks one up, where `zh-Hant` finds `zh`; what cannot be read is passed over."""
    weights: dict[str, float] = {}
    for part in header.lower().split(",")[:MAX_RANGES]:
        match = _RANGE.fullmatch(part)
        if match is not None:
            language = match[1].partition("-")[0]
            weight = float(match[2] or 1)
            is_refused_variant = weight == 0 and "-" in match[1]
            if not is_refused_variant:
                weights[language] = max(weight, weights.get(language, 0.0))
    others = weights.pop("*", 0.0)
    offered = {language: weights.get(language, others) for language in LANGUAGES}
    # The order of the header decides between equals, then ours. A language that is named comes before one that is not.
    order = [language for language in weights if language in offered]
    best = max([*order, *LANGUAGES], key=lambda language: offered[language])
    return best if offered[best] > 0 else DEFAULT
