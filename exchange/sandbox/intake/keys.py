"""Ranks and keys of rows, by a keyed function from an entity's own rows. Pure: no Django, no I/O.

Nothing is drawn from a shared stream: leaving one entity out changes no other row (ATTACKS: unstable
truncation), and the same row of the same entity has the same key in every snapshot.

An entity is hashed by HMAC-SHA256, once for each distinct id in a batch. What is drawn for each row comes from
SipHash-2-4 under keys of 128 bits, which HMAC-SHA256 derives from the node's row secret, one per purpose: a
pseudorandom function made for short inputs, which numpy computes for many rows at once. That is as good as an
HMAC per row here: a key and a rank have only to look random to somebody without the secret, nobody outside
intake chooses which function values he sees, no value leaves the node, and 64 bits are all that was ever kept.
Two rows of one entity whose words collide (2**-64 for a pair) are treated as repeats of each other, which is
still a function of that entity's rows alone.
"""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from exchange.sandbox.intake import siphash
from exchange.sandbox.intake.siphash import Words

Integers = npt.NDArray[np.int64]
PADS = (0x36, 0x5C)  # of HMAC
HASH = np.dtype([("head", ">u8"), ("tail", ">u4")])  # the 96 bits by which intake knows an entity


@dataclass(frozen=True)
class Keys:
    """The functions of one row secret."""

    secret: bytes

    def entities(self, names: Iterable[bytes]) -> npt.NDArray[np.void]:
        """96 bits for each original id, as HASH. 2**27 entities collide with probability 2**-43.

        HMAC-SHA256 (RFC 2104) with both pads hashed beforehand, which takes less than half of hmac.digest's time.
        """
        inner, outer = (hashlib.sha256(bytes(byte ^ pad for byte in self._entity.ljust(64, b"\0"))) for pad in PADS)
        found = []
        for name in names:
            first, second = inner.copy(), outer.copy()
            first.update(name)
            second.update(first.digest())
            found.append(second.digest()[:12])
        return np.frombuffer(b"".join(found), HASH)

    def texts(self, values: pa.Array) -> Words:
        """64 bits for each text of a string array; for null anything."""
        return siphash.of_texts(self._text, *texts(values))

    def rows(self, entity: Sequence[Words], content: Sequence[Words]) -> Words:
        """A word for each row from its entity's hash and its row key, as words."""
        return siphash.of_words(self._row, [*entity, *content])

    def ties(self, content: Sequence[Words]) -> Words:
        """A word for each row from its whole content: it orders rows that share entity and row key."""
        return siphash.of_words(self._tie, content)

    def draws(self, words: Words, repeats: Integers) -> Words:
        """What a row's rank is ordered by: its word, drawn anew for repeats, which then lie anywhere."""
        found = words.copy()
        again = np.flatnonzero(repeats)
        found[again] = siphash.of_words(self._rank, [words[again], repeats[again].astype(np.uint64)])
        return found

    def row_keys(self, words: Words, repeats: Integers) -> npt.NDArray[np.uint32]:
        """The 32-bit keys of rows from their words and the numbers (from 0) of their repeats."""
        return (siphash.of_words(self._key, [words, repeats.astype(np.uint64)]) >> np.uint64(32)).astype(np.uint32)

    def matches(self, population: str, heads: Words, tails: Words) -> tuple[Words, Words]:
        """128 bits for each entity, from its hash: the same in all snapshots of a population, and in no other's."""
        keys = (self._derived(f"match {half} {population}") for half in ("head", "tail"))
        first, second = (siphash.of_words(key, [heads, tails]) for key in keys)
        return first, second

    def matches_mark(self, population: str) -> str:
        """Tells whether two snapshots have the same words for the same entities, and nothing else."""
        return self._derived(f"match mark {population}").hex()

    @property
    def mark(self) -> str:
        """Tells whether two sets of keys are the same, and nothing else."""
        return self._derived("mark").hex()

    @cached_property
    def _entity(self) -> bytes:
        return hmac.digest(self.secret, b"sluice intake entity", "sha256")

    @cached_property
    def _text(self) -> bytes:
        return self._derived("text")

    @cached_property
    def _row(self) -> bytes:
        return self._derived("row")

    @cached_property
    def _tie(self) -> bytes:
        return self._derived("tie")

    @cached_property
    def _rank(self) -> bytes:
        return self._derived("rank")

    @cached_property
    def _key(self) -> bytes:
        return self._derived("key")

    def _derived(self, purpose: str) -> bytes:
        return hmac.digest(self.secret, f"sluice intake {purpose}".encode(), "sha256")[:16]


def texts(values: pa.Array) -> tuple[npt.NDArray[np.uint8], Integers]:
    """The bytes of a string array's texts, one behind the other; where each starts, and where the last one ends."""
    wide = np.int64 if pa.types.is_large_string(values.type) else np.int32
    offsets = np.frombuffer(values.buffers()[1], wide)[values.offset : values.offset + len(values) + 1]
    places = offsets.astype(np.int64) - offsets[0]
    return np.frombuffer(values.buffers()[2] or b"", np.uint8)[offsets[0] : offsets[-1]], places


def occurrence(runs: npt.NDArray[np.bool_]) -> Integers:
    """How many rows of its run stand before each one; `runs` is true where a run starts, and at 0."""
    starts = np.flatnonzero(runs)
    return np.arange(len(runs)) - np.repeat(starts, np.diff(np.append(starts, len(runs))))
