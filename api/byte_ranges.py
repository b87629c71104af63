"""The one range of bytes that a `Range` header asks for (RFC 9110, section 14)."""

import re
from typing import Final

from workers.media.errors import RangeNotSatisfiable

_RANGE: Final = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})", re.ASCII)


def parse_range(header: str | None, *, size_bytes: int) -> range | None:
    """Return the positions that were asked for; None for all, also where the header is one that we need not obey.

    Raises:
        RangeNotSatisfiable: it begins after the end.
    """
    found = _RANGE.fullmatch(header.strip()) if header else None
    if found is None or found[0] == "bytes=-":
        return None
    first, last = found.groups()
    if not first:
        if int(last) == 0 or size_bytes == 0:
            raise RangeNotSatisfiable(size_bytes)
        return range(max(0, size_bytes - int(last)), size_bytes)
    if last and int(last) < int(first):
        return None
    if int(first) >= size_bytes:
        raise RangeNotSatisfiable(size_bytes)
    return range(int(first), min(int(last) + 1, size_bytes) if last else size_bytes)
