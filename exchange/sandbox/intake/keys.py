"""Ranks and keys of rows, by HMAC from an entity's own rows. Pure: no Django, no I/O.

Nothing is drawn from a shared stream: leaving one entity out changes no other row (ATTACKS: unstable
truncation), and the same row of the same entity has the same key in every snapshot.
"""

import hmac
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]


def digests(secret: bytes, entities: Iterable[str], contents: Iterable[str]) -> Words:
    """64 bits per row from the row's entity and its row key; `entities` are length-prefixed texts."""
    return _words(secret, (f"key {entity}{content}" for entity, content in zip(entities, contents, strict=True)))


def row_keys(secret: bytes, digest: Words) -> npt.NDArray[np.uint32]:
    """The 32-bit keys of all rows: the head of the row's digest, made anew for repeats of the same row."""
    repeat = occurrence(digest)
    again = np.flatnonzero(repeat)
    keys = digest.copy()
    keys[again] = _words(secret, (f"again {digest[row]} {repeat[row]}" for row in again.tolist()))
    return (keys >> np.uint64(32)).astype(np.uint32)


def ranks(secret: bytes, entity: Integers, names: Sequence[str]) -> Integers:
    """Each row's rank (from 1) within its entity, in the order of HMAC(entity, row number within the entity)."""
    number = occurrence(entity)
    pairs = zip(entity.tolist(), number.tolist(), strict=True)
    drawn = _words(secret, (f"rank {names[each]}{row}" for each, row in pairs))
    order = np.lexsort((drawn, entity))
    found = np.empty(len(entity), np.int64)
    found[order] = occurrence(entity[order]) + 1
    return found


def occurrence(values: npt.NDArray[np.generic]) -> Integers:
    """How many equal values stand before each one."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = (
        np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))) if len(values) else np.zeros(0, np.int64)
    )
    sizes = np.diff(np.append(starts, len(values)))
    found = np.empty(len(values), np.int64)
    found[order] = np.arange(len(values)) - np.repeat(starts, sizes)
    return found


def _words(secret: bytes, texts: Iterable[str]) -> Words:
    data = b"".join(hmac.digest(secret, text.encode("utf-8", "surrogatepass"), "sha256")[:8] for text in texts)
    return np.frombuffer(data, ">u8").astype(np.uint64)
