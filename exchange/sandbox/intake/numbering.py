"""Dense entities, ranks and keys for rows that come sorted by their entities' hashes."""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from exchange.sandbox.intake.keys import Keys, occurrence

HASHES = ("_head", "_tail", "_word")
NEW = 0xFFFFFFFF  # `_repeat` of a row that has none yet; such rows sort after those that have
KNOWN = pa.schema(
    [
        ("_entity", pa.uint32()),
        ("_rank", pa.int32()),
        ("_head", pa.uint64()),
        ("_tail", pa.uint32()),
        ("_word", pa.uint64()),
        ("_repeat", pa.uint32()),
    ]
)  # what intake keeps of each row for itself, in the order of entities


class Numbering:
    """Numbers rows sorted by `order`; an entity's rows are in memory together, the table is not.

    Afterwards `entities` is how many there are, `most_rows` the largest number of rows of one, and `touched`
    how many have a row without a `_repeat`, or, where no row has that column, all of them.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self.entities = self.most_rows = self.touched = 0

    def order(self, columns: Iterable[str]) -> list[str]:
        """What rows are to be sorted by, of the columns there are."""
        return [name for name in (*HASHES, "_repeat", "_tie") if name in set(columns)]

    def run(self, batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
        """(rows with numbers instead of hashes, what is KNOWN of the same rows).

        `_entity`; `_rank` within it; `_rows`, how many it has; `_key`.
        """
        for batch in _whole_entities(batches):
            yield self._number(batch)

    def _number(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, pa.RecordBatch]:
        head, tail, word = (batch.column(name).to_numpy() for name in HASHES)
        starts = _changes(head) | _changes(tail)
        within = np.cumsum(starts) - 1
        entity = (self.entities + 1 + within).astype(np.uint32)
        repeat = occurrence(starts | _changes(word))
        place = occurrence(starts) + 1
        rank = place
        if repeat.any():
            order = np.lexsort((self._keys.draws(word, repeat), within))
            rank = np.empty(len(word), np.int64)
            rank[order] = place
        self.entities += int(starts.sum())
        self.most_rows = max(self.most_rows, int(rank.max(initial=0)))
        self.touched += self._new(batch, starts)
        added = {"_entity": entity, "_rank": rank.astype(np.int32)}
        known = added | {"_head": head, "_tail": tail, "_word": word, "_repeat": repeat.astype(np.uint32)}
        rows_of = np.bincount(within)[within].astype(np.int32)
        added |= {"_rows": rows_of, "_key": self._keys.row_keys(word, repeat)}
        rows = {name: batch.column(name) for name in batch.schema.names if not name.startswith("_")}
        rows |= {name: pa.array(values) for name, values in added.items()}
        return pa.record_batch(rows), pa.record_batch([pa.array(known[name]) for name in KNOWN.names], schema=KNOWN)

    def _new(self, batch: pa.RecordBatch, starts: npt.NDArray[np.bool_]) -> int:
        if "_repeat" not in batch.schema.names:
            return int(starts.sum())
        new = batch.column("_repeat").to_numpy() == NEW
        return int(np.logical_or.reduceat(new, np.flatnonzero(starts)).sum()) if len(new) else 0


def _whole_entities(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows in batches that do not split an entity, the first one empty."""
    waiting: list[pa.RecordBatch] = []
    for number, batch in enumerate(batches):
        if not number:
            yield batch.slice(0, 0)
        if not batch.num_rows:
            continue
        last = _last_start(waiting[-1] if waiting else None, batch)
        if last is None:
            waiting.append(batch)
            continue
        if whole := [*waiting, batch.slice(0, last)]:
            yield from _joined(whole)
        waiting = [batch.slice(last)]
    yield from _joined(waiting)


def _last_start(before: pa.RecordBatch | None, batch: pa.RecordBatch) -> int | None:
    """Where the last entity of `batch` starts; None where it is the one that `before` ends with."""
    head, tail = (batch.column(name).to_numpy() for name in HASHES[:2])
    starts = np.flatnonzero(_changes(head) | _changes(tail))
    if len(starts) == 1 and before is not None:
        ended = [before.column(name)[-1].as_py() for name in HASHES[:2]]
        if ended == [int(head[0]), int(tail[0])]:
            return None
    return int(starts[-1])


def _joined(batches: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    table = pa.Table.from_batches(batches) if batches else None
    return list(table.combine_chunks().to_batches()) if table is not None and table.num_rows else []


def _changes(values: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    """True at 0 and wherever a value differs from the one before it."""
    return np.concatenate(([True], values[1:] != values[:-1]))[: len(values)]
