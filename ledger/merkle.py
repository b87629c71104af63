"""Merkle trees as in RFC 9162 §2.1: hashes, roots, what a proof consists of, and checking it.

Pure, and on `hashlib` alone: whoever checks a proof needs nothing of ours but this file. Leaves are counted from 0; an
event's leaf has index `seq - 1`. A range of leaves `start:end` is half open.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final, TypeAlias

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()

LEAF: Final = b"\x00"
NODE: Final = b"\x01"

Range: TypeAlias = tuple[int, int]


class InvalidProof(Exception):
    """The proof does not show what it is meant to show."""


def leaf_hash(entry: bytes) -> bytes:
    """Hash one entry. An event's entry is its hash in the chain of its account."""
    return sha256(LEAF + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two neighbours into the node above them."""
    return sha256(NODE + left + right).digest()


def root_of(nodes: bytes) -> bytes:
    """Return the root over neighbouring nodes of one height, given as their hashes one after the other.

    All stand over the same number of leaves, but for the last, which may stand over fewer.
    """
    if not nodes:
        return EMPTY_ROOT
    while len(nodes) > HASH_BYTES:
        # A node without a neighbour goes up as it is.
        alone = nodes[-HASH_BYTES:] if len(nodes) // HASH_BYTES % 2 else b""
        pairs = range(0, len(nodes) - len(alone), 2 * HASH_BYTES)
        nodes = b"".join([sha256(NODE + nodes[start : start + 2 * HASH_BYTES]).digest() for start in pairs]) + alone
    return nodes


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """Return the ranges whose roots prove a leaf in a tree of `size`, its neighbour's first (RFC 9162 §2.1.3.1)."""
    assert 0 <= index < size, "only a leaf of the tree can be proven"
    ranges: list[Range] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return ranges[::-1]


def consistency_ranges(old_size: int, size: int) -> list[Range]:
    """Return the ranges whose roots prove that a tree only grew (RFC 9162 §2.1.4.1)."""
    assert 0 < old_size <= size, "an empty tree is consistent with every other, and no tree with a smaller one"
    ranges: list[Range] = []
    start, end = 0, size
    while end != old_size:
        middle = start + _split(end - start)
        if old_size <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    if start > 0:
        ranges.append((start, end))
    return ranges[::-1]


def check_inclusion(*, index: int, size: int, leaf: bytes, path: Sequence[bytes], root: bytes) -> None:
    """Check that a tree of `size` leaves with this root has this leaf at this index.

    Raises:
        InvalidProof: it does not follow from the path.
    """
    if not 0 <= index < size or len(leaf) != HASH_BYTES:
        raise InvalidProof(f"there is no such leaf {index} in a tree of {size}")
    known = _paired(inclusion_ranges(index, size), path)
    known[index, index + 1] = leaf
    if _root((0, size), known) != root:
        raise InvalidProof(f"leaf {index} does not lead to the root of the tree of {size}")


def check_consistency(*, old_size: int, old_root: bytes, size: int, root: bytes, path: Sequence[bytes]) -> None:
    """Check that a tree grew from an older one and kept all its leaves in place.

    Raises:
        InvalidProof: it does not follow from the path.
    """
    if not 0 < old_size <= size:
        raise InvalidProof(f"nothing shows that a tree of {size} grew from one of {old_size}")
    known = _paired(consistency_ranges(old_size, size), path)
    if not any(end == old_size for _, end in known):
        # The older tree is a complete subtree of the newer one: its root is known, so the path leaves it out.
        known[0, old_size] = old_root
    if _root((0, old_size), known) != old_root:
        raise InvalidProof(f"the tree of {size} does not begin with the {old_size} leaves of the older one")
    if _root((0, size), known) != root:
        raise InvalidProof(f"the path does not lead to the root of the tree of {size}")


def _paired(ranges: Sequence[Range], path: Sequence[bytes]) -> dict[Range, bytes]:
    if any(len(node) != HASH_BYTES for node in path):
        raise InvalidProof(f"the path holds something else than hashes of {HASH_BYTES} bytes")
    if len(path) != len(ranges):
        raise InvalidProof(f"the path has {len(path)} hashes where {len(ranges)} are needed")
    return dict(zip(ranges, path, strict=True))


def _root(whole: Range, known: Mapping[Range, bytes]) -> bytes:
    """Return the root over a range, put together from the roots that are known."""
    if whole in known:
        return known[whole]
    start, end = whole
    middle = start + _split(end - start)
    return node_hash(_root((start, middle), known), _root((middle, end), known))


def _split(leaves: int) -> int:
    """Return the largest power of two below a number of leaves: where RFC 9162 splits a tree."""
    return 1 << ((leaves - 1).bit_length() - 1)
