"""The Merkle tree of RFC 9162 §2.1: hashes, roots, proofs, and the right edge on which it grows.

Pure: no Django, no I/O. A *node* is named by its height above the leaves and its place from the left at
that height; only nodes over complete subtrees are ever asked for. A *tile* is 256 hashes in a row at a
height that is a multiple of eight (its level times eight).
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

EMPTY = hashlib.sha256(b"").digest()
TILE = 256

NodeReader = Callable[[int, int], bytes]  # (height, place) -> hash
RunReader = Callable[[int, int, int], Sequence[bytes]]  # (level, first, count) -> hashes of tiles


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(hashes: Iterable[bytes]) -> bytes:
    """The root over subtrees of one size, the last of which may be smaller; EMPTY for none."""
    layer = list(hashes)
    if not layer:
        return EMPTY
    while len(layer) > 1:
        last = layer[-1:] if len(layer) % 2 else []
        layer = [node_hash(*pair) for pair in zip(layer[::2], layer[1::2], strict=False)] + last
    return layer[0]


class Full(NamedTuple):
    """A tile that became full: its hash stands at `place` in the level above, which is `level`."""

    level: int
    place: int
    hash: bytes


class Edge:
    """The right edge of a growing tree: per level the hashes that no full tile covers yet.

    It holds at most 255 hashes per level, so a leaf costs the same however large the tree is.
    """

    def __init__(self, size: int = 0, read: RunReader | None = None) -> None:
        """The edge of a tree of `size` leaves, its hashes from `read` (not needed for an empty tree)."""
        self.size = size
        self._tails: list[list[bytes]] = []
        rest, level = size, 0
        while rest and read is not None:
            width = rest % TILE
            self._tails.append(list(read(level, rest - width, width)) if width else [])
            rest, level = rest // TILE, level + 1

    def append(self, leaf: bytes) -> list[Full]:
        """Add a leaf hash; the tiles that became full with it, lowest first."""
        filled: list[Full] = []
        place, level, carried = self.size, 0, leaf
        self.size += 1
        while True:
            if level == len(self._tails):
                self._tails.append([])
            tail = self._tails[level]
            tail.append(carried)
            if len(tail) < TILE:
                return filled
            carried, self._tails[level] = root(tail), []
            place, level = place // TILE, level + 1
            filled.append(Full(level, place, carried))

    def root(self) -> bytes:
        rest: list[bytes] = []
        for tail in self._tails:
            if tail or rest:
                rest = [root(tail + rest)]
        return rest[0] if rest else EMPTY


def node_reader(read: RunReader) -> NodeReader:
    """Nodes of any height from the hashes of tiles: at most 128 of one tile are hashed for a node."""

    def node(height: int, place: int) -> bytes:
        level, within = divmod(height, 8)
        return root(read(level, place << within, 1 << within))

    return node


def inclusion_proof(index: int, size: int, node: NodeReader) -> list[bytes]:
    """The hashes from the sibling of leaf `index` up to the child of the root of `size` leaves (§2.1.3.1).

    Raises ValueError where the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} has no leaf {index}")
    path, begin, end = [], 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            path.append(_subtree(middle, end, node))
            end = middle
        else:
            path.append(_subtree(begin, middle, node))
            begin = middle
    return path[::-1]


def root_of_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes]) -> bytes:
    """The root that `proof` leads to from a leaf hash (§2.1.3.2). Raises ValueError for a wrong length."""
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} has no leaf {index}")
    place, last, found, rest = index, size - 1, leaf, list(proof)
    while last:
        if place % 2 or place < last:
            if not rest:
                raise ValueError("the proof is too short")
            sibling = rest.pop(0)
            found = node_hash(sibling, found) if place % 2 else node_hash(found, sibling)
        place, last = place // 2, last // 2
    if rest:
        raise ValueError("the proof is too long")
    return found


def consistency_proof(old: int, size: int, node: NodeReader) -> list[bytes]:
    """Shows that the tree of `old` leaves is the beginning of that of `size` (§2.1.4.1).

    Empty where they are equal or `old` is 0. Raises ValueError unless 0 <= old <= size.
    """
    if not 0 <= old <= size:
        raise ValueError(f"a tree of {size} has no beginning of {old}")
    if old in (0, size):
        return []
    path, begin, end = [], 0, size
    while old != end:
        middle = begin + _split(end - begin)
        if old <= middle:
            path.append(_subtree(middle, end, node))
            end = middle
        else:
            path.append(_subtree(begin, middle, node))
            begin = middle
    # A beginning that is one whole left subtree is known to who asks; any other is given.
    return ([_subtree(begin, end, node)] if begin else []) + path[::-1]


def is_consistent(old: int, size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether `proof` shows the old tree to be the beginning of the new one (§2.1.4.2)."""
    if not 0 <= old <= size:
        return False
    if old in (0, size):
        return not proof and old_root == (new_root if old else EMPTY)
    rest = list(proof) if old & (old - 1) else [old_root, *proof]
    if not rest:
        return False
    place, last = old - 1, size - 1
    while place % 2:
        place, last = place // 2, last // 2
    older = newer = rest.pop(0)
    while last:
        if place % 2 or place < last:
            if not rest:
                return False
            sibling = rest.pop(0)
            if place % 2:
                older, newer = node_hash(sibling, older), node_hash(sibling, newer)
            else:
                newer = node_hash(newer, sibling)
        place, last = place // 2, last // 2
    return not rest and (older, newer) == (old_root, new_root)


def _split(width: int) -> int:
    """The largest power of two smaller than `width`."""
    return 1 << ((width - 1).bit_length() - 1)


def _subtree(begin: int, end: int, node: NodeReader) -> bytes:
    """The root over leaves [begin, end), where begin is a multiple of a power of two not below the width."""
    width = end - begin
    if width & (width - 1) == 0:
        return node(width.bit_length() - 1, begin // width)
    middle = begin + _split(width)
    return node_hash(_subtree(begin, middle, node), _subtree(middle, end, node))
