"""Batches of a source as batches of integers for the spool."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from exchange.sandbox.intake.encode import BadValue, Dimension, Encoded, Entities, Measure, content
from exchange.sandbox.intake.keys import Keys
from exchange.sandbox.intake.refused import IntakeRefused
from exchange.sandbox.intake.siphash import Words
from exchange.sandbox.schema import Column, Role, Schema, Value

Mask = npt.NDArray[np.bool_]


def stored(schema: Schema) -> tuple[Column, ...]:
    """The columns that a source has and a snapshot stores: the one place that says which."""
    return schema.stored.columns


class Rows:
    """Encodes batches. `known` are the values of collected domains that have their codes already.

    A spooled batch has the stored columns under their names and, where there is an entity, `_head` and `_tail`
    (its hash), `_word` (of entity and row key) and `_tie` (of the whole content, where a row key is declared).
    """

    def __init__(self, schema: Schema, keys: Keys, known: Mapping[str, tuple[Value, ...]]) -> None:
        self.schema, self.keys = schema, keys
        self.encoders = {column.name: _encoder(column, keys, known) for column in stored(schema)}
        self.read = self.dropped = 0

    @property
    def sources(self) -> list[str]:
        """The source columns that are read."""
        keyed = self.schema.row_key if self.schema.entity else ()
        return list(dict.fromkeys([*(column.name for column in stored(self.schema)), *keyed]))

    @property
    def few(self) -> frozenset[str]:
        """Of these, the columns that likely repeat their values."""
        return frozenset(name for name, each in self.encoders.items() if isinstance(each, Dimension))

    def encode(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch for the spool. Raises BadColumn with the first row that does not fit, IntakeRefused."""
        encoded: dict[str, Encoded] = {}
        bad: list[BadColumn] = []
        for name, encoder in self.encoders.items():
            try:
                encoded[name] = encoder.encode(batch.column(name))
            except BadValue as value:
                bad.append(BadColumn(value.row, name, value.reason))
            except IntakeRefused as refused:
                raise IntakeRefused(refused.reason, column=name) from None
        if bad:
            raise min(bad, key=lambda each: each.row)
        self.read += batch.num_rows
        columns = {name: self._column(name, found) for name, found in encoded.items() if not self._is_entity(name)}
        if self.schema.entity is not None:
            columns |= self._drawn(batch, encoded)
        return self._kept(pa.record_batch(columns), encoded)

    def domains(self) -> dict[str, tuple[Value, ...]]:
        """Each dimension's domain, declared or collected."""
        return {name: each.domain for name, each in self.encoders.items() if isinstance(each, Dimension)}

    def settle(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch with the final codes of collected domains."""
        for name, each in self.encoders.items():
            if isinstance(each, Dimension) and not each.column.domain:
                place = batch.schema.get_field_index(name)
                codes = each.order()[batch.column(place).to_numpy()]
                batch = batch.set_column(place, name, pa.array(codes))
        return batch

    def _is_entity(self, name: str) -> bool:
        return isinstance(self.encoders[name], Entities)

    def _column(self, name: str, found: Encoded) -> pa.Array:
        return pa.array(found.stored, mask=found.missing if isinstance(self.encoders[name], Measure) else None)

    def _drawn(self, batch: pa.RecordBatch, encoded: dict[str, Encoded]) -> dict[str, pa.Array]:
        """Who a row is about, and what stands for the row."""
        hashes: Any = next(found.stored for name, found in encoded.items() if self._is_entity(name))
        head, tail = hashes["head"].astype(np.uint64), hashes["tail"].astype(np.uint32)
        whole = [(found.words, found.missing) for name, found in encoded.items() if not self._is_entity(name)]
        keyed = [self._content(batch, name, encoded) for name in self.schema.row_key] or whole
        columns = {"_head": head, "_tail": tail}
        columns["_word"] = self.keys.rows([head, tail.astype(np.uint64)], _message(keyed, len(head)))
        if self.schema.row_key:
            columns["_tie"] = self.keys.ties(_message(whole, len(head)))
        return {name: pa.array(values) for name, values in columns.items()}

    def _content(self, batch: pa.RecordBatch, name: str, encoded: dict[str, Encoded]) -> tuple[Words, Mask]:
        if name in encoded and not self._is_entity(name):
            return encoded[name].words, encoded[name].missing
        return content(batch.column(name), self.keys)

    def _kept(self, batch: pa.RecordBatch, encoded: dict[str, Encoded]) -> pa.RecordBatch:
        """The rows with an entity, where one is protected, and with a value in every required dimension."""
        lost = [found.missing for name, found in encoded.items() if self._is_entity(name)]
        lost += [encoded[column.name].stored == 0 for column in stored(self.schema) if column.required]
        if not lost:
            return batch
        kept = ~np.logical_or.reduce(lost)
        dropped = batch.num_rows - int(kept.sum())
        self.dropped += dropped
        return batch.filter(pa.array(kept)) if dropped else batch


class BadColumn(Exception):
    """A value that does not fit: its row in the batch, its column, why."""

    def __init__(self, row: int, column: str, reason: str) -> None:
        super().__init__(reason)
        self.row, self.column, self.reason = row, column, reason


def _encoder(column: Column, keys: Keys, known: Mapping[str, tuple[Value, ...]]) -> Measure | Dimension | Entities:
    match column.role:
        case Role.MEASURE:
            return Measure(column, keys)
        case Role.DIMENSION:
            return Dimension(column, keys, known.get(column.name, ()))
        case Role.ENTITY:
            return Entities(column, keys)


def _message(columns: list[tuple[Words, Mask]], rows: int) -> list[Words]:
    """Words to be hashed: each column's, zero where it is null, and bits that tell null from zero."""
    message = []
    for first in range(0, len(columns), 64):
        nulls = np.zeros(rows, np.uint64)
        for bit, (words, missing) in enumerate(columns[first : first + 64]):
            nulls |= missing.astype(np.uint64) << np.uint64(bit)
            message.append(np.where(missing, np.uint64(0), words))
        message.append(nulls)
    return message or [np.zeros(rows, np.uint64)]
