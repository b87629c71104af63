"""The tree in tiles: growing it by any steps, taking it up again, and finding every node for a proof."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.merkle import (
    HASH_BYTES,
    check_consistency,
    check_inclusion,
    consistency_ranges,
    inclusion_ranges,
    leaf_hash,
    root_of,
)
from ledger.tiles import WIDTH, Edge, EdgeError, Tile, TileId, nodes_on_edge, root_of_range, tiles_for
from tests.trees import GOLDEN, entry, leaves, root


def entries(start: int, end: int) -> bytes:
    return b"".join(entry(index) for index in range(start, end))


def grown(size: int) -> tuple[Edge, list[Tile]]:
    edge = Edge()
    return edge, edge.extend(entries(0, size))


def edge_nodes(tiles: list[Tile], size: int) -> list[bytes]:
    """What the database would be asked for: leaves of the unfinished tile, and roots of tiles."""
    ranges = nodes_on_edge(size)
    nodes = [b"".join(leaves(end, start)) for start, end in ranges[:1]]
    for level, (start, end) in enumerate(ranges[1:]):
        roots = {tile.index: tile.root for tile in tiles if tile.level == level}
        nodes.append(b"".join(roots[index] for index in range(start, end)))
    return nodes


def nodes_of(tiles: list[Tile], size: int) -> dict[TileId, bytes]:
    """All tiles of a tree, those on the right edge included."""
    found = {TileId(tile.level, tile.index): tile.nodes for tile in tiles}
    for level, (nodes, (start, _)) in enumerate(zip(edge_nodes(tiles, size), nodes_on_edge(size), strict=True)):
        found[TileId(level, start // WIDTH)] = nodes
    return found


@given(st.lists(st.integers(1, 600), max_size=8))
def test_the_tree_is_the_same_whatever_the_steps_in_which_it_grows(steps: list[int]) -> None:
    edge, tiles, size = Edge(), list[Tile](), 0
    for step in steps:
        tiles += edge.extend(entries(size, size + step))
        size += step

        assert edge.size == size
        assert edge.root() == root(size)

    assert sorted(tiles, key=lambda tile: (tile.level, tile.index)) == sorted(
        grown(size)[1], key=lambda tile: (tile.level, tile.index)
    )


@pytest.mark.parametrize("size", [int(size) for size in GOLDEN["roots"]])
def test_a_tree_has_the_root_that_another_implementation_gives_it(size: int) -> None:
    assert grown(size)[0].root().hex() == GOLDEN["roots"][str(size)]


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 511, 512, 65_535, 65_536, 65_793])
def test_a_tree_is_taken_up_from_its_right_edge_and_goes_on(size: int) -> None:
    edge, tiles = grown(size)

    taken_up = Edge.restore(size, edge_nodes(tiles, size))

    assert taken_up.root() == edge.root()
    assert taken_up.extend(entries(size, size + 300)) == edge.extend(entries(size, size + 300))
    assert taken_up.root() == edge.root()


@pytest.mark.parametrize("lacking", [0, 1])
def test_an_edge_that_lacks_a_node_is_refused(lacking: int) -> None:
    size = 2 * WIDTH + 3
    nodes = edge_nodes(grown(size)[1], size)
    nodes[lacking] = nodes[lacking][:-HASH_BYTES]

    with pytest.raises(EdgeError):
        Edge.restore(size, nodes)


def test_a_full_tile_holds_its_nodes_and_their_root() -> None:
    _, tiles = grown(WIDTH * WIDTH)

    first, top = tiles[0], tiles[-1]
    assert (first.level, first.index) == (0, 0)
    assert first.nodes == b"".join(leaves(WIDTH))
    assert first.root == root_of(first.nodes)
    assert (top.level, top.index) == (1, 0)
    assert top.nodes == b"".join(tile.root for tile in tiles[:-1])
    assert top.root == root(WIDTH * WIDTH)


BIG = 65_793
BIG_TILES = nodes_of(grown(BIG)[1], BIG)


@given(st.integers(1, BIG), st.data())
def test_proofs_from_tiles_hold_at_every_size_the_tree_had(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    old_size = data.draw(st.integers(1, size))
    inclusion, consistency = inclusion_ranges(index, size), consistency_ranges(old_size, size)
    needed = {tile: BIG_TILES[tile] for tile in tiles_for([*inclusion, *consistency, (0, size), (0, old_size)])}

    def root_at(whole: tuple[int, int]) -> bytes:
        return root_of_range(whole, needed)

    check_inclusion(
        index=index,
        size=size,
        leaf=leaf_hash(entry(index)),
        path=[root_at(whole) for whole in inclusion],
        root=root_at((0, size)),
    )
    check_consistency(
        old_size=old_size,
        old_root=root_at((0, old_size)),
        size=size,
        root=root_at((0, size)),
        path=[root_at(whole) for whole in consistency],
    )


def test_a_proof_that_needs_a_tile_that_is_not_there_is_refused() -> None:
    needed = {tile: BIG_TILES[tile] for tile in tiles_for(inclusion_ranges(5, BIG)) if tile != TileId(0, 0)}

    with pytest.raises(EdgeError):
        root_of_range((4, 5), needed)
