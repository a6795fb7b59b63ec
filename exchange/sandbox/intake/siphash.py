"""SipHash-2-4 of many messages at once, in numpy. Pure: no Django, no I/O.

Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012). A pseudorandom function with a key of
128 bits and 64 bits of output; the tests hold it to the authors' vectors. Integers are 64 bits, little endian.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
_AT_ONCE = 1 << 16  # messages; measured: with fewer numpy's own work counts, with more the processor's caches
_START = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)


def of_words(key: bytes, columns: Sequence[Words]) -> Words:
    """The hash of every row's message: its words, one of each column, eight bytes each."""
    found = np.empty(len(columns[0]), np.uint64)
    length = np.uint64((8 * len(columns) & 0xFF) << 56)
    for start in range(0, len(found), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        state = _State(key, len(found[part]))
        for column in columns:
            state.absorb(column[part])
        state.absorb(np.full(len(found[part]), length))
        found[part] = state.finish()
    return found


def of_texts(key: bytes, data: npt.NDArray[np.uint8], places: npt.NDArray[np.int64]) -> Words:
    """The hash of every text in `data`; the nth lies between the places n and n + 1."""
    starts, ends = places[:-1], places[1:]
    padded = np.concatenate([data, np.zeros(8, np.uint8)])
    eights = np.ndarray((len(padded) - 7,), "<u8", padded.data, strides=(1,))  # the eight bytes from each place on
    found = np.empty(len(starts), np.uint64)
    for first in range(0, len(found), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        found[part] = _texts(key, eights, starts[part], ends[part])
    return found


def _texts(key: bytes, eights: Words, starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> Words:
    lengths = ends - starts
    order = np.argsort(-(lengths // 8), kind="stable")  # the longest first: who has an nth word is a prefix
    starts, lengths = starts[order], lengths[order]
    state = _State(key, len(order))
    for word in range(int(lengths[0]) // 8 + 1 if len(order) else 0):
        active = int(np.searchsorted(-(lengths // 8), -word, side="right"))
        state.absorb(_block(eights, starts[:active], lengths[:active], word))
    found = np.empty(len(order), np.uint64)
    found[order] = state.finish()
    return found


def _block(eights: Words, starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], word: int) -> Words:
    """The texts' word number `word`; a text's last word holds what is left of it and its length."""
    left = lengths - 8 * word
    found: Words = eights[np.where(left > 0, starts + 8 * word, 0)].astype(np.uint64)
    last = left < 8
    kept = np.left_shift(np.uint64(1), (np.maximum(left[last], 0) * 8).astype(np.uint64)) - np.uint64(1)
    found[last] = (found[last] & kept) | ((lengths[last].astype(np.uint64) & np.uint64(0xFF)) << np.uint64(56))
    return found


class _State:
    """The four words of each message's state."""

    def __init__(self, key: bytes, messages: int) -> None:
        halves = [int.from_bytes(key[:8], "little"), int.from_bytes(key[8:16], "little")]
        self._v = [np.full(messages, constant ^ halves[i % 2], np.uint64) for i, constant in enumerate(_START)]
        self._spare = np.empty(messages, np.uint64)

    def absorb(self, words: Words) -> None:
        """Take in one word of each of the first len(words) messages."""
        v = [each[: len(words)] for each in self._v]
        v[3] ^= words
        self._rounds(v, 2)
        v[0] ^= words

    def finish(self) -> Words:
        v = self._v
        v[2] ^= np.uint64(0xFF)
        self._rounds(v, 4)
        return v[0] ^ v[1] ^ v[2] ^ v[3]

    def _rounds(self, v: list[Words], number: int) -> None:
        a, b, c, d = v
        for _ in range(number):
            a += b
            self._rotate(b, 13)
            b ^= a
            self._rotate(a, 32)
            c += d
            self._rotate(d, 16)
            d ^= c
            a += d
            self._rotate(d, 21)
            d ^= a
            c += b
            self._rotate(b, 17)
            b ^= c
            self._rotate(c, 32)

    def _rotate(self, words: Words, bits: int) -> None:
        spare = self._spare[: len(words)]
        np.right_shift(words, np.uint64(64 - bits), out=spare)
        np.left_shift(words, np.uint64(bits), out=words)
        np.bitwise_or(words, spare, out=words)
