"""The tree in tiles of 256 nodes, as https://c2sp.org/tlog-tiles cuts it, and its right edge, which still grows.

A tile of level 0 has the hashes of 256 leaves, a tile of a higher level the roots of 256 tiles below. A full tile never
changes again. Growing needs the edge alone, and any node of the tree is found in one tile.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final

import msgspec

from ledger.merkle import EMPTY_ROOT, HASH_BYTES, LEAF, Range, node_hash, root_of

WIDTH_BITS: Final = 8
WIDTH: Final = 1 << WIDTH_BITS
TILE_BYTES: Final = WIDTH * HASH_BYTES
MAX_LEVELS: Final = 8
"""Tiles on eight levels hold 2^64 leaves."""


class TileId(msgspec.Struct, frozen=True):
    """Where a tile is in the tree."""

    level: int
    index: int


class Tile(msgspec.Struct, frozen=True):
    """A full tile: where it is, the root over it, and its nodes one after the other."""

    level: int
    index: int
    root: bytes
    nodes: bytes


class EdgeError(Exception):
    """What is kept of a tree does not make up its right edge."""


def nodes_on_edge(size: int) -> list[Range]:
    """Return, per level, which nodes of a tree of `size` leaves are in no full tile: from the first to the end."""
    counts = [size >> level * WIDTH_BITS for level in range(MAX_LEVELS)]
    return [(count - count % WIDTH, count) for count in counts if count]


class _Level:
    """The nodes of one unfinished tile, and the roots of the complete subtrees they make up, largest first."""

    def __init__(self) -> None:
        self.nodes = bytearray()
        self.subtrees: list[bytes] = []

    def push(self, node: bytes) -> None:
        before = len(self.nodes) // HASH_BYTES
        self.nodes += node
        while before & 1:
            node = node_hash(self.subtrees.pop(), node)
            before >>= 1
        self.subtrees.append(node)


class Edge:
    """The right edge of a tree: enough to append leaves and to know the root."""

    def __init__(self) -> None:
        self.size = 0
        self._levels: list[_Level] = []

    @classmethod
    def restore(cls, size: int, nodes: Sequence[bytes]) -> "Edge":
        """Take up a tree at `size` leaves, given the nodes of `nodes_on_edge(size)`, level by level.

        Raises:
            EdgeError: there are more or fewer nodes than a tree of that size has.
        """
        ranges = nodes_on_edge(size)
        if [len(given) for given in nodes] != [(end - start) * HASH_BYTES for start, end in ranges]:
            raise EdgeError(f"nodes are missing from the right edge of the tree of {size}")
        edge = cls()
        edge.size = size
        for given in nodes:
            level = _Level()
            for start in range(0, len(given), HASH_BYTES):
                level.push(given[start : start + HASH_BYTES])
            edge._levels.append(level)
        return edge

    def extend(self, entries: bytes) -> list[Tile]:
        """Append entries (event hashes, one after the other) as leaves; return the tiles that became full."""
        tiles: list[Tile] = []
        # Whole tiles at once where possible: twice as fast as leaf by leaf.
        leaves = [
            sha256(LEAF + entries[start : start + HASH_BYTES]).digest() for start in range(0, len(entries), HASH_BYTES)
        ]
        done = 0
        while done < len(leaves):
            in_tile = self.size % WIDTH
            taken = min(WIDTH - in_tile, len(leaves) - done)
            if taken == WIDTH:
                nodes = b"".join(leaves[done : done + WIDTH])
                self.size += WIDTH
                self._close(0, root_of(nodes), nodes, tiles)
            else:
                self._append(leaves[done : done + taken], tiles)
            done += taken
        return tiles

    def root(self) -> bytes:
        """Return the root over all leaves."""
        root: bytes | None = None
        for level in self._levels:
            for subtree in reversed(level.subtrees):
                root = subtree if root is None else node_hash(subtree, root)
        return EMPTY_ROOT if root is None else root

    def _append(self, leaves: Sequence[bytes], tiles: list[Tile]) -> None:
        level = self._level(0)
        for leaf in leaves:
            level.push(leaf)
        self.size += len(leaves)
        if len(level.nodes) == TILE_BYTES:
            self._close(0, level.subtrees[0], bytes(level.nodes), tiles)

    def _close(self, number: int, root: bytes, nodes: bytes, tiles: list[Tile]) -> None:
        """Note a full tile and hand its root up."""
        index = (self.size >> (number + 1) * WIDTH_BITS) - 1
        tiles.append(Tile(number, index, root, nodes))
        if number < len(self._levels):
            self._levels[number] = _Level()
        above = self._level(number + 1)
        above.push(root)
        if len(above.nodes) == TILE_BYTES:
            self._close(number + 1, above.subtrees[0], bytes(above.nodes), tiles)

    def _level(self, number: int) -> _Level:
        while len(self._levels) <= number:
            self._levels.append(_Level())
        return self._levels[number]


def subtrees_of(whole: Range) -> list[tuple[int, int]]:
    """Split a range that a proof asks for into complete subtrees, left to right, as (height, index at that height)."""
    start, end = whole
    found: list[tuple[int, int]] = []
    while start < end:
        height = min((end - start).bit_length() - 1, (start & -start).bit_length() - 1 if start else 64)
        found.append((height, start >> height))
        start += 1 << height
    return found


def tile_of(height: int, index: int) -> TileId:
    """Return the tile in which the nodes under a complete subtree are."""
    level, above = divmod(height, WIDTH_BITS)
    return TileId(level, index << above >> WIDTH_BITS)


def tiles_for(ranges: Sequence[Range]) -> set[TileId]:
    """Return the tiles in which the roots of these ranges are found."""
    return {tile_of(*subtree) for whole in ranges for subtree in subtrees_of(whole)}


def root_of_range(whole: Range, tiles: Mapping[TileId, bytes]) -> bytes:
    """Return the root over a range of leaves, given the nodes of the tiles it needs.

    Raises:
        EdgeError: a node is missing.
    """
    root: bytes | None = None
    for height, index in reversed(subtrees_of(whole)):
        subtree = _root_of_subtree(height, index, tiles)
        root = subtree if root is None else node_hash(subtree, root)
    assert root is not None, "no proof asks for an empty range"
    return root


def _root_of_subtree(height: int, index: int, tiles: Mapping[TileId, bytes]) -> bytes:
    above = height % WIDTH_BITS
    start = (index << above) % WIDTH * HASH_BYTES
    end = start + (HASH_BYTES << above)
    tile = tile_of(height, index)
    nodes = tiles.get(tile, b"")[start:end]
    if len(nodes) != end - start:
        raise EdgeError(f"tile {tile.index} of level {tile.level} lacks nodes")
    return root_of(nodes)
