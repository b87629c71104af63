"""Trees over made-up entries, and the roots and paths that another implementation made for the same entries."""

import json
from hashlib import sha256
from pathlib import Path

from ledger.merkle import leaf_hash, root_of

GOLDEN = json.loads((Path(__file__).parent / "golden" / "merkle.json").read_text(encoding="utf-8"))


def entry(index: int) -> bytes:
    return sha256(b"event %d" % index).digest()


def leaves(size: int, start: int = 0) -> list[bytes]:
    return [leaf_hash(entry(index)) for index in range(start, size)]


def root(size: int) -> bytes:
    return root_of(b"".join(leaves(size)))
