"""Dense entities, ranks and keys for rows that come sorted by their entities' hashes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from exchange.sandbox.intake.keys import Integers, Keys, occurrence
from exchange.sandbox.intake.sorting import Sorter
from exchange.sandbox.intake.spool import Writer, read

HASHES = ("_head", "_tail", "_word")
NEW = 0xFFFFFFFF  # `_repeat` of a row that has none yet; such rows sort after those that have
KNOWN = ["_entity", "_rank", *HASHES, "_repeat"]  # what intake keeps of each row for itself
LARGE = 1 << 20  # rows
RANKED = """
SELECT * EXCLUDE (_draw),
  CAST(row_number() OVER (PARTITION BY _entity ORDER BY _draw, _word, _repeat) AS INTEGER) AS _rank,
  CAST(count(*) OVER (PARTITION BY _entity) AS INTEGER) AS _rows
FROM large
"""


class Numbering:
    """Numbers rows sorted by `order`. Entities are numbered batch by batch, each with all its rows; one with more
    than `large` rows is set aside in the spool, and its ranks are the sorter's work.

    Afterwards `entities` is how many there are, `most_rows` the largest number of rows of one, and `touched`
    how many have a row without a `_repeat`, or, where no row has that column, all of them.
    """

    def __init__(self, keys: Keys, folder: Path, large: int) -> None:
        self._keys, self._aside, self._large = keys, folder / "large", large
        self._last = _Last()
        self.entities = self.most_rows = self.touched = 0

    def order(self, columns: Iterable[str]) -> list[str]:
        """What rows are to be sorted by, of the columns there are."""
        return [name for name in (*HASHES, "_repeat", "_tie") if name in set(columns)]

    def run(
        self, batches: Iterable[pa.RecordBatch], sorter: Sorter
    ) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:  # fmt: skip
        """(rows with numbers instead of hashes, what is KNOWN of the same rows).

        `_entity`; `_rank` within it; `_rows`, how many it has; `_key`.
        """
        with Writer(self._aside) as aside:
            for batch, whole in _by_entity(batches, self._large):
                if whole:
                    yield _parted(self._whole(batch))
                else:
                    aside.write(self._part(batch))
        if aside.rows:
            with read(self._aside) as reader:
                yield from map(_parted, sorter.run(RANKED, {"large": reader}))

    def _whole(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """A batch that splits no entity, with everything that is to be known of its rows."""
        head, tail, word = (batch.column(name).to_numpy() for name in HASHES)
        starts = _changes(head) | _changes(tail)
        within = np.cumsum(starts) - 1
        repeat = occurrence(starts | _changes(word))
        place = occurrence(starts) + 1
        rank = place
        if repeat.any():
            order = np.lexsort((self._keys.draws(word, repeat), within))
            rank = np.empty(len(word), np.int64)
            rank[order] = place
        entity = self.entities + 1 + within
        self.entities += int(starts.sum())
        self.most_rows = max(self.most_rows, int(rank.max(initial=0)))
        if len(starts):
            self.touched += int(np.logical_or.reduceat(_new(batch), np.flatnonzero(starts)).sum())
        rows_of = np.bincount(within)[within].astype(np.int32)
        return self._with(batch, entity, repeat, _rank=rank.astype(np.int32), _rows=rows_of)

    def _part(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """A part of one large entity's rows, with what its ranks are ordered by in place of them."""
        word, last = batch.column("_word").to_numpy(), self._last
        entity = tuple(batch.column(name)[0].as_py() for name in HASHES[:2])
        if entity != last.entity:
            last = _Last(entity)
            self.entities += 1
        repeat = occurrence(_changes(word))
        if int(word[0]) == last.word:
            repeat[word == word[0]] += last.repeat + 1
        new = bool(_new(batch).any())
        self.touched += new and not last.new
        self._last = _Last(entity, int(word[-1]), int(repeat[-1]), last.rows + len(word), new or last.new)
        self.most_rows = max(self.most_rows, self._last.rows)
        return self._with(batch, np.full(len(word), self.entities), repeat, _draw=self._keys.draws(word, repeat))

    def _with(
        self, batch: pa.RecordBatch, entity: Integers, repeat: Integers, **more: npt.NDArray[np.generic]
    ) -> pa.RecordBatch:  # fmt: skip
        word = batch.column("_word").to_numpy()
        columns = {name: batch.column(name) for name in batch.schema.names if name not in ("_repeat", "_tie")}
        added = {
            "_entity": entity.astype(np.uint32), "_key": self._keys.row_keys(word, repeat),
            "_repeat": repeat.astype(np.uint32), **more,
        }  # fmt: skip
        return pa.record_batch(columns | {name: pa.array(values) for name, values in added.items()})


@dataclass(frozen=True, slots=True)
class _Last:
    """Where the last part of a large entity ended: its last word and that row's repeat; its rows so far."""

    entity: tuple[int, ...] = ()
    word: int = -1
    repeat: int = 0
    rows: int = 0
    new: bool = False


def _parted(batch: pa.RecordBatch) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Numbered rows as a snapshot has them, and what intake keeps of them."""
    rows = [name for name in batch.schema.names if not name.startswith("_")] + ["_entity", "_rank", "_rows", "_key"]
    return batch.select(rows), batch.select(KNOWN)


def _new(batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
    if "_repeat" not in batch.schema.names:
        return np.ones(batch.num_rows, bool)
    found: npt.NDArray[np.bool_] = batch.column("_repeat").to_numpy() == NEW
    return found


def _by_entity(batches: Iterable[pa.RecordBatch], large: int) -> Iterator[tuple[pa.RecordBatch, bool]]:
    """The same rows in batches that do not split an entity (True; the first one is empty), or that are a part of
    one with more than `large` rows (False)."""
    waiting: list[pa.RecordBatch] = []  # of one entity
    parted = False
    for number, batch in enumerate(batches):
        if not number:
            yield batch.slice(0, 0), True
        if not batch.num_rows:
            continue
        first, last = _ends(waiting[-1] if waiting else None, batch)
        if parted and first:
            yield batch.slice(0, first), False
        if parted and last is not None:
            batch, last, parted, waiting = batch.slice(first), last - first, False, []
        if parted:
            waiting = [batch.slice(0, 1)]
        elif last is None:
            waiting.append(batch)
        else:
            yield from ((joined, True) for joined in _joined([*waiting, batch.slice(0, last)]))
            waiting = [batch.slice(last)]
        if not parted and sum(each.num_rows for each in waiting) > large:
            yield from ((joined, False) for joined in _joined(waiting))
            parted, waiting = True, waiting[-1:]
    if not parted:
        yield from ((joined, True) for joined in _joined(waiting))


def _ends(before: pa.RecordBatch | None, batch: pa.RecordBatch) -> tuple[int, int | None]:
    """How many rows at the start of `batch` are of the entity `before` ends with, and where its last entity starts;
    None where that is the same entity."""
    head, tail = (batch.column(name).to_numpy() for name in HASHES[:2])
    starts = np.flatnonzero(_changes(head) | _changes(tail))
    if before is None or [before.column(name)[-1].as_py() for name in HASHES[:2]] != [int(head[0]), int(tail[0])]:
        return 0, int(starts[-1])
    return (len(head), None) if len(starts) == 1 else (int(starts[1]), int(starts[-1]))


def _joined(batches: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    table = pa.Table.from_batches(batches) if batches else None
    return list(table.combine_chunks().to_batches()) if table is not None and table.num_rows else []


def _changes(values: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    """True at 0 and wherever a value differs from the one before it."""
    return np.concatenate(([True], values[1:] != values[:-1]))[: len(values)]
