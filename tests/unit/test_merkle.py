"""The tree against the definitions of RFC 9162, its example, and roots and paths made by another implementation."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.merkle import (
    EMPTY_ROOT,
    InvalidProof,
    check_consistency,
    check_inclusion,
    consistency_ranges,
    inclusion_ranges,
    leaf_hash,
    root_of,
)
from tests.trees import GOLDEN, entry, leaves, root

SIZES = st.integers(min_value=1, max_value=200)


def mth(entries: list[bytes]) -> bytes:
    """The Merkle tree head, word for word from RFC 9162 §2.1.1."""
    if not entries:
        return sha256().digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    k = largest_power_of_two_below(len(entries))
    return sha256(b"\x01" + mth(entries[:k]) + mth(entries[k:])).digest()


def path(m: int, entries: list[bytes]) -> list[bytes]:
    """The inclusion proof, word for word from §2.1.3.1."""
    if len(entries) == 1:
        return []
    k = largest_power_of_two_below(len(entries))
    if m < k:
        return [*path(m, entries[:k]), mth(entries[k:])]
    return [*path(m - k, entries[k:]), mth(entries[:k])]


def subproof(m: int, entries: list[bytes], known: bool) -> list[bytes]:
    """The consistency proof, word for word from §2.1.4.1."""
    if m == len(entries):
        return [] if known else [mth(entries)]
    k = largest_power_of_two_below(len(entries))
    if m <= k:
        return [*subproof(m, entries[:k], known), mth(entries[k:])]
    return [*subproof(m - k, entries[k:], False), mth(entries[:k])]


def largest_power_of_two_below(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def inclusion_path(index: int, size: int) -> list[bytes]:
    return [root_of(b"".join(leaves(end, start))) for start, end in inclusion_ranges(index, size)]


def consistency_path(old_size: int, size: int) -> list[bytes]:
    return [root_of(b"".join(leaves(end, start))) for start, end in consistency_ranges(old_size, size)]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 31, 32, 33])
def test_the_root_is_the_merkle_tree_head_of_the_rfc(size: int) -> None:
    assert root(size) == mth([entry(index) for index in range(size)])


def test_an_empty_tree_has_the_hash_of_nothing_as_its_root() -> None:
    assert root(0) == EMPTY_ROOT == bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")


def test_paths_are_those_of_the_example_in_the_rfc() -> None:
    """§2.1.5: a tree of seven leaves a..f, j, with g = (0, 2), h = (2, 4), i = (4, 6), k = (0, 4), l = (4, 7)."""
    b, c, d, g, h, i, k = (1, 2), (2, 3), (3, 4), (0, 2), (2, 4), (4, 6), (0, 4)
    f, j, seventh_and_before = (5, 6), (6, 7), (4, 7)

    assert inclusion_ranges(0, 7) == [b, h, seventh_and_before]
    assert inclusion_ranges(3, 7) == [c, g, seventh_and_before]
    assert inclusion_ranges(4, 7) == [f, j, k]
    assert inclusion_ranges(6, 7) == [i, k]
    assert consistency_ranges(3, 7) == [c, d, g, seventh_and_before]
    assert consistency_ranges(4, 7) == [seventh_and_before]
    assert consistency_ranges(6, 7) == [i, j, k]


@given(SIZES, st.data())
def test_every_path_is_the_one_the_rfc_defines(size: int, data: st.DataObject) -> None:
    entries = [entry(index) for index in range(size)]
    index = data.draw(st.integers(0, size - 1))
    old_size = data.draw(st.integers(1, size))

    assert inclusion_path(index, size) == path(index, entries)
    assert consistency_path(old_size, size) == subproof(old_size, entries, True)


@pytest.mark.parametrize("size", [int(size) for size in GOLDEN["roots"]])
def test_roots_are_those_of_another_implementation(size: int) -> None:
    assert root(size).hex() == GOLDEN["roots"][str(size)]


@pytest.mark.parametrize("proof", GOLDEN["inclusion"], ids=lambda proof: f"{proof['index']} of {proof['size']}")
def test_inclusion_paths_of_another_implementation_are_ours_and_are_accepted(proof: dict[str, object]) -> None:
    index, size = int(str(proof["index"])), int(str(proof["size"]))
    given_path = [bytes.fromhex(node) for node in GOLDEN["inclusion"][GOLDEN["inclusion"].index(proof)]["path"]]

    assert inclusion_path(index, size) == given_path
    check_inclusion(
        index=index,
        size=size,
        leaf=leaf_hash(entry(index)),
        path=given_path,
        root=bytes.fromhex(GOLDEN["roots"][str(size)]),
    )


@given(SIZES, st.data())
def test_a_proof_shows_its_leaf_and_no_other(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_path(index, size)
    leaf = leaf_hash(entry(index))

    check_inclusion(index=index, size=size, leaf=leaf, path=proof, root=root(size))

    with pytest.raises(InvalidProof):
        check_inclusion(index=index, size=size, leaf=leaf_hash(b"other"), path=proof, root=root(size))
    with pytest.raises(InvalidProof):
        check_inclusion(index=index, size=size, leaf=leaf, path=proof, root=root(size + 1))
    with pytest.raises(InvalidProof):
        check_inclusion(index=index, size=size, leaf=leaf, path=[*proof, leaf], root=root(size))
    for other in range(size):
        if other != index:
            with pytest.raises(InvalidProof):
                check_inclusion(index=other, size=size, leaf=leaf, path=proof, root=root(size))


@given(SIZES, st.data())
def test_a_tree_that_grew_is_consistent_with_what_it_was_and_with_nothing_else(size: int, data: st.DataObject) -> None:
    old_size = data.draw(st.integers(1, size))
    proof = consistency_path(old_size, size)
    sizes = {"old_size": old_size, "size": size}

    check_consistency(**sizes, old_root=root(old_size), root=root(size), path=proof)

    with pytest.raises(InvalidProof):
        check_consistency(**sizes, old_root=leaf_hash(b"other"), root=root(size), path=proof)
    with pytest.raises(InvalidProof):
        check_consistency(**sizes, old_root=root(old_size), root=leaf_hash(b"other"), path=proof)
    with pytest.raises(InvalidProof):
        check_consistency(**sizes, old_root=root(old_size), root=root(size), path=[*proof, leaf_hash(b"more")])
    for place in range(len(proof)):
        changed = [*proof[:place], leaf_hash(b"other"), *proof[place + 1 :]]
        with pytest.raises(InvalidProof):
            check_consistency(**sizes, old_root=root(old_size), root=root(size), path=changed)


@pytest.mark.parametrize(
    ("old_size", "size"), [(0, 0), (0, 1), (2, 1), (-1, 1)], ids=["both empty", "from nothing", "shrunk", "negative"]
)
def test_nothing_proves_growth_from_nothing_or_into_less(old_size: int, size: int) -> None:
    with pytest.raises(InvalidProof):
        check_consistency(old_size=old_size, old_root=EMPTY_ROOT, size=size, root=EMPTY_ROOT, path=[])


@pytest.mark.parametrize(("index", "size"), [(-1, 1), (1, 1), (0, 0), (2**64, 2**64)])
def test_a_leaf_outside_the_tree_is_refused(index: int, size: int) -> None:
    with pytest.raises(InvalidProof):
        check_inclusion(index=index, size=size, leaf=leaf_hash(b""), path=[], root=leaf_hash(b""))


def test_what_is_no_hash_is_refused() -> None:
    with pytest.raises(InvalidProof):
        check_inclusion(index=0, size=1, leaf=b"", path=[], root=b"")
    with pytest.raises(InvalidProof):
        check_inclusion(index=0, size=2, leaf=leaf_hash(b""), path=[b"short"], root=root(2))
