"""The tree of all sealed events in Postgres: full tiles in a table, the right edge from `sealed` and from their roots.

Appending and proving read a bounded number of rows per level, so both are logarithmic in the size of the tree. All
functions take a connection of the application's role.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final

from psycopg import AsyncConnection

from ledger import statements
from ledger.arrays import ByteaArray, Int8Array
from ledger.merkle import HASH_BYTES, Range, consistency_ranges, inclusion_ranges, leaf_hash
from ledger.tiles import WIDTH, Edge, Tile, TileId, nodes_on_edge, root_of_range, tiles_for

sql: Final = statements.load("ledger")

REBUILD_LEAVES: Final = 65_536
"""How many leaves one step of a rebuild takes."""


async def load_edge(connection: AsyncConnection[Any], size: int) -> Edge:
    """Take up the tree as it was, or is, at `size` leaves.

    Raises:
        EdgeError: tiles or sealed events are missing.
    """
    return Edge.restore(size, await _edge_nodes(connection, size))


async def read_entries(connection: AsyncConnection[Any], leaves: Range) -> bytes:
    """Read what a range of leaves is made from: the hashes of these events, one after the other."""
    first, beyond = leaves
    cursor = await connection.execute(sql.READ_ENTRIES, {"first": first, "beyond": beyond}, binary=True)
    row = await cursor.fetchone()
    assert row is not None, "an aggregate has one row"
    return row[0]


async def read_positions(connection: AsyncConnection[Any], leaves: Range) -> tuple[int | None, int | None]:
    """Read between which positions the events of a range of leaves are, both included; nothing if none is sealed."""
    first, beyond = leaves
    row = await (await connection.execute(sql.READ_POSITIONS, {"first": first, "beyond": beyond})).fetchone()
    assert row is not None, "an aggregate has one row"
    return row[0], row[1]


async def save_tiles(connection: AsyncConnection[Any], tiles: Sequence[Tile]) -> None:
    """Keep tiles that became full.

    Raises:
        psycopg.errors.UniqueViolation: one is there already.
    """
    if not tiles:
        return
    columns = {
        "levels": Int8Array.of([tile.level for tile in tiles]),
        "indexes": Int8Array.of([tile.index for tile in tiles]),
        "roots": ByteaArray.of([tile.root for tile in tiles]),
        "nodes": ByteaArray.of([tile.nodes for tile in tiles]),
    }
    await connection.execute(sql.INSERT_TILES, columns)


async def rebuild_edge(connection: AsyncConnection[Any], size: int) -> Edge:
    """Make the tiles that a tree of `size` leaves lacks, from the events, and return its right edge.

    Only a database that sealed before there was a tree lacks any.
    """
    row = await (await connection.execute(sql.COUNT_TILES)).fetchone()
    assert row is not None, "an aggregate has one row"
    edge = await load_edge(connection, row[0] * WIDTH)
    while edge.size < size:
        leaves = (edge.size, min(size, edge.size + REBUILD_LEAVES))
        await save_tiles(connection, edge.extend(await read_entries(connection, leaves)))
    return edge


async def prove_inclusion(connection: AsyncConnection[Any], index: int, *, size: int) -> list[bytes]:
    """Return the path from a leaf to the root that the tree has, or had, at `size` leaves.

    Raises:
        EdgeError: the tree has fewer leaves, or tiles are missing.
    """
    return await _roots_of(connection, inclusion_ranges(index, size))


async def prove_consistency(connection: AsyncConnection[Any], old_size: int, *, size: int) -> list[bytes]:
    """Return the path that shows that the tree of `size` leaves grew from that of `old_size`.

    Raises:
        EdgeError: the tree has fewer leaves, or tiles are missing.
    """
    return await _roots_of(connection, consistency_ranges(old_size, size))


async def root_at(connection: AsyncConnection[Any], size: int) -> bytes:
    """Return the root that the tree has, or had, at `size` leaves.

    Raises:
        EdgeError: the tree has fewer leaves, or tiles are missing.
    """
    return (await load_edge(connection, size)).root()


async def _roots_of(connection: AsyncConnection[Any], ranges: Sequence[Range]) -> list[bytes]:
    nodes = await _read_nodes(connection, tiles_for(ranges))
    return [root_of_range(whole, nodes) for whole in ranges]


async def _read_nodes(connection: AsyncConnection[Any], wanted: Collection[TileId]) -> dict[TileId, bytes]:
    columns = {
        "levels": Int8Array.of([tile.level for tile in wanted]),
        "indexes": Int8Array.of([tile.index for tile in wanted]),
    }
    cursor = await connection.execute(sql.READ_TILES, columns, binary=True)
    found = {TileId(level, index): nodes async for level, index, nodes in cursor}
    # What is in no full tile is in the unfinished one of its level.
    for tile in wanted:
        if tile not in found:
            found[tile] = await _read_unfinished(connection, tile)
    return found


async def _read_unfinished(connection: AsyncConnection[Any], tile: TileId) -> bytes:
    nodes = (tile.index * WIDTH, (tile.index + 1) * WIDTH)
    if tile.level == 0:
        return _leaves(await read_entries(connection, nodes))
    (roots,) = await _read_roots(connection, {tile.level - 1: nodes})
    return roots


async def _edge_nodes(connection: AsyncConnection[Any], size: int) -> list[bytes]:
    on_edge = nodes_on_edge(size)
    if not on_edge:
        return []
    leaves = _leaves(await read_entries(connection, on_edge[0]))
    if len(on_edge) == 1:
        return [leaves]
    return [leaves, *await _read_roots(connection, dict(enumerate(on_edge[1:])))]


async def _read_roots(connection: AsyncConnection[Any], ranges: dict[int, Range]) -> list[bytes]:
    """Read the roots of tiles, for ranges of their indexes by level."""
    columns = {
        "levels": Int8Array.of(list(ranges)),
        "firsts": Int8Array.of([first for first, _ in ranges.values()]),
        "beyonds": Int8Array.of([beyond for _, beyond in ranges.values()]),
    }
    cursor = await connection.execute(sql.READ_EDGE, columns, binary=True)
    return [row[0] for row in await cursor.fetchall()]


def _leaves(entries: bytes) -> bytes:
    starts = range(0, len(entries), HASH_BYTES)
    return b"".join([leaf_hash(entries[start : start + HASH_BYTES]) for start in starts])
