"""The hash tree against the recursive definitions of RFC 9162 2.1, and its proofs against every change of them."""

from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomgate.audit.merkle import (
    Frontier,
    consistency_ranges,
    inclusion_ranges,
    inclusion_root,
    is_consistent,
    leaf_hash,
    node_hash,
)

SIZES = range(70)
LEAVES = [leaf_hash(bytes([number])) for number in SIZES]


def split(count: int) -> int:
    power = 1
    while power * 2 < count:
        power *= 2
    return power


def mth(leaves: Sequence[bytes]) -> bytes:
    """MTH of 2.1.1, over leaf hashes."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH of 2.1.3.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: Sequence[bytes], known: bool) -> list[bytes]:
    """SUBPROOF of 2.1.4.1."""
    if m == len(leaves):
        return [] if known else [mth(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], known), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


def roots(ranges: list[tuple[int, int]]) -> list[bytes]:
    return [Frontier().extended(LEAVES[low:high]).root for low, high in ranges]


# Roots of the trees of 0 to 8 entries that implementations of RFC 6962 test themselves with.
ENTRIES = [bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")]
ENTRIES.append(bytes.fromhex("606162636465666768696a6b6c6d6e6f"))
KNOWN_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


@pytest.mark.parametrize("size", range(9))
def test_known_roots(size: int) -> None:
    assert Frontier().extended(map(leaf_hash, ENTRIES[:size])).root.hex() == KNOWN_ROOTS[size]


@pytest.mark.parametrize("size", SIZES)
def test_the_root_is_the_recursive_one(size: int) -> None:
    frontier = Frontier()
    for leaf in LEAVES[:size]:
        frontier = frontier.extended([leaf])
    assert frontier == Frontier().extended(LEAVES[:size])
    assert frontier.root == mth(LEAVES[:size])
    assert len(frontier.nodes) == size.bit_count()
    assert Frontier.from_bytes(size, frontier.to_bytes()) == frontier


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=300), st.data())
def test_it_does_not_matter_in_which_portions_leaves_come(leaves: list[bytes], data: st.DataObject) -> None:
    frontier, rest = Frontier(), leaves
    while rest:
        portion = data.draw(st.integers(1, len(rest)))
        frontier, rest = frontier.extended(rest[:portion]), rest[portion:]
    assert frontier.root == mth(leaves)


@pytest.mark.parametrize("size", [size for size in SIZES if size])
def test_inclusion_proofs_are_those_of_the_definition(size: int) -> None:
    root = mth(LEAVES[:size])
    for index in range(size):
        proof = roots(inclusion_ranges(index, size))
        assert proof == path(index, LEAVES[:size])
        assert inclusion_root(index, size, LEAVES[index], proof) == root


@pytest.mark.parametrize("new", [size for size in SIZES if size])
def test_consistency_proofs_are_those_of_the_definition(new: int) -> None:
    for old in range(1, new + 1):
        proof = roots(consistency_ranges(old, new))
        assert proof == subproof(old, LEAVES[:new], True)
        assert is_consistent(old, new, mth(LEAVES[:old]), mth(LEAVES[:new]), proof)


@given(st.integers(1, 69), st.data())
def test_a_changed_inclusion_proof_proves_nothing(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    root, proof = mth(LEAVES[:size]), path(index, LEAVES[:size])

    def proves(index: int, size: int, leaf: bytes, proof: list[bytes]) -> bool:
        return inclusion_root(index, size, leaf, proof) == root

    assert proves(index, size, LEAVES[index], proof)
    assert not proves(index, size, LEAVES[index - 1], proof) or size == 1
    assert not proves(index, size, LEAVES[index], [*proof, LEAVES[0]])
    assert not proves(-1, size, LEAVES[index], proof)
    assert not proves(size, size, LEAVES[index], proof)
    other = data.draw(st.integers(0, size - 1))
    assert proves(other, size, LEAVES[index], proof) == (other == index)
    if proof:
        place = data.draw(st.integers(0, len(proof) - 1))
        flipped = bytes([proof[place][0] ^ 1]) + proof[place][1:]
        assert not proves(index, size, LEAVES[index], [*proof[:place], flipped, *proof[place + 1 :]])
        assert not proves(index, size, LEAVES[index], proof[:-1])


@given(st.integers(2, 69), st.data())
def test_a_changed_consistency_proof_proves_nothing(new: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, new - 1))
    before, after = mth(LEAVES[:old]), mth(LEAVES[:new])
    proof = roots(consistency_ranges(old, new))
    assert not is_consistent(old, new, LEAVES[-1], after, proof)
    assert not is_consistent(old, new, before, LEAVES[-1], proof)
    assert not is_consistent(old, new, before, after, [*proof, LEAVES[0]])
    assert not is_consistent(old, new, before, after, proof[:-1])
    assert not is_consistent(new, old, after, before, proof)
    assert not is_consistent(0, new, before, after, proof)
    place = data.draw(st.integers(0, len(proof) - 1))
    flipped = bytes([proof[place][0] ^ 1]) + proof[place][1:]
    assert not is_consistent(old, new, before, after, [*proof[:place], flipped, *proof[place + 1 :]])


def test_equal_sizes_need_equal_roots_and_no_proof() -> None:
    root = mth(LEAVES[:5])
    assert is_consistent(5, 5, root, root, [])
    assert not is_consistent(5, 5, root, root, [root])
    assert not is_consistent(5, 5, root, LEAVES[0], [])


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_there_is_no_proof_of_what_is_not_in_the_tree(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="expected a leaf below"):
        inclusion_ranges(index, size)


@pytest.mark.parametrize(("old", "new"), [(0, 3), (4, 3), (-1, 0)])
def test_there_is_no_proof_from_a_size_that_never_was(old: int, new: int) -> None:
    with pytest.raises(ValueError, match="expected an earlier size"):
        consistency_ranges(old, new)


@pytest.mark.parametrize(("size", "nodes"), [(1, b""), (0, b"x" * 32), (3, b"x" * 32), (1, b"x" * 31), (-1, b"x" * 32)])
def test_a_frontier_of_another_size_is_refused(size: int, nodes: bytes) -> None:
    with pytest.raises(ValueError, match="expected"):
        Frontier.from_bytes(size, nodes)


def test_a_node_is_never_a_leaf() -> None:
    left, right = LEAVES[:2]
    assert node_hash(left, right) != leaf_hash(left + right)
