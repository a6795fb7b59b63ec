"""The Merkle tree of RFC 9162, as a reader computes it."""

import hashlib

from .text import need

EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A growing tree (RFC 9162 §2.1) that keeps the roots of its complete subtrees, largest first."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        self._peaks.append(leaf)
        self.size += 1
        completed = (self.size & -self.size).bit_length() - 1
        for _ in range(completed):
            right = self._peaks.pop()
            self._peaks.append(node_hash(self._peaks.pop(), right))

    def root(self) -> bytes:
        if not self._peaks:
            return EMPTY_ROOT
        found = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            found = node_hash(peak, found)
        return found


def root_by_proof(index: int, size: int, leaf: bytes, siblings: list[bytes]) -> bytes:
    """The root an inclusion proof leads to (RFC 9162 §2.1.3.2). Raises Failed for a wrong length."""
    need(index < size, f"the proof speaks of entry {index} of a log of {size}")
    begin, end, turns = 0, size, []
    while end - begin > 1:
        middle = begin + (1 << ((end - begin - 1).bit_length() - 1))
        on_left = index < middle
        turns.append(on_left)
        begin, end = (begin, middle) if on_left else (middle, end)
    need(len(turns) == len(siblings), f"the proof has {len(siblings)} hashes and needs {len(turns)}")
    found = leaf
    for on_left, sibling in zip(reversed(turns), siblings, strict=True):
        found = node_hash(found, sibling) if on_left else node_hash(sibling, found)
    return found
