"""The hash tree over all records: leaves in, a root and proofs out (RFC 9162 2.1, SHA-256).

A Frontier is all that must be kept to go on: the roots of the perfect subtrees, at most one for each power of two.
Proofs are made of roots of ranges of leaves; this module says which ranges, and whoever keeps the leaves hashes them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

HASH_BYTES = 32

Range = tuple[int, int]
"""Leaves from the first index up to, and without, the second; the first leaf has index 0."""


def leaf_hash(data: bytes) -> bytes:
    """The hash of one entry: it can never be taken for that of an inner node (RFC 9162 2.1.1)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node from those of its children."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """A tree of `size` leaves, reduced to the roots of its perfect subtrees, the largest (leftmost) first."""

    size: int = 0
    nodes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.nodes) != self.size.bit_count():
            raise ValueError(f"expected one node for each bit of the size {self.size}, came {len(self.nodes)}")
        if any(len(node) != HASH_BYTES for node in self.nodes):
            raise ValueError(f"expected nodes of {HASH_BYTES} bytes")

    def extended(self, leaves: Iterable[bytes]) -> "Frontier":
        """The tree with these leaf hashes behind the others: two hashes a leaf at most, on average."""
        size, nodes = self.size, list(self.nodes)
        for leaf in leaves:
            node, full = leaf, size
            while full & 1:
                node = sha256(b"\x01" + nodes.pop() + node).digest()
                full >>= 1
            nodes.append(node)
            size += 1
        return Frontier(size, tuple(nodes))

    @property
    def root(self) -> bytes:
        """The tree's root hash; of an empty tree, the hash of nothing (RFC 9162 2.1.1)."""
        if not self.nodes:
            return sha256(b"").digest()
        *rest, root = self.nodes
        for node in reversed(rest):
            root = node_hash(node, root)
        return root

    def to_bytes(self) -> bytes:
        """The nodes, one after another; with the size they are the whole frontier."""
        return b"".join(self.nodes)

    @staticmethod
    def from_bytes(size: int, nodes: bytes) -> "Frontier":
        """What `to_bytes` made. ValueError when it does not fit the size."""
        return Frontier(size, tuple(nodes[at : at + HASH_BYTES] for at in range(0, len(nodes), HASH_BYTES)))


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """The ranges whose roots are the inclusion proof of a leaf, lowest first (PATH of RFC 9162 2.1.3.1)."""
    if not 0 <= index < size:
        raise ValueError(f"expected a leaf below {size}, came {index}")
    ranges: list[Range] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _largest_power_below(high - low)
        if index < middle:
            ranges.append((middle, high))
            high = middle
        else:
            ranges.append((low, middle))
            low = middle
    return ranges[::-1]


def consistency_ranges(old: int, new: int) -> list[Range]:
    """The ranges whose roots are the proof that the first `old` leaves still begin the tree (RFC 9162 2.1.4.1)."""
    if not 0 < old <= new:
        raise ValueError(f"expected an earlier size from 1 to {new}, came {old}")
    ranges: list[Range] = []
    low, high = 0, new
    while old != high:
        middle = low + _largest_power_below(high - low)
        if old <= middle:
            ranges.append((middle, high))
            high = middle
        else:
            ranges.append((low, middle))
            low = middle
    if low > 0:  # otherwise it is the old root itself, which the verifier has
        ranges.append((low, high))
    return ranges[::-1]


def inclusion_root(index: int, size: int, leaf: bytes, proof: Sequence[bytes]) -> bytes | None:
    """The root that a proof leads to from a leaf hash, or None when it has the wrong length (RFC 9162 2.1.3.2)."""
    if not 0 <= index < size:
        return None
    node, last, root = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return None
        if node & 1 or node == last:
            root = node_hash(sibling, root)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            root = node_hash(root, sibling)
        node, last = node >> 1, last >> 1
    return root if last == 0 else None


def is_consistent(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the tree of `new` leaves begins with that of `old` leaves (RFC 9162 2.1.4.2)."""
    if not 0 < old <= new:
        return False
    if old == new:
        return not proof and old_root == new_root
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            second = node_hash(second, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root


def _largest_power_below(count: int) -> int:
    """The largest power of two smaller than `count`, which is at least 2."""
    return 1 << (count - 1).bit_length() - 1
