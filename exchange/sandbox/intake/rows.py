"""All rows of one snapshot as integer columns, gathered batch by batch."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from exchange.sandbox.intake import keys
from exchange.sandbox.intake.encode import BadValue, Dimension, Entities, Measure, content
from exchange.sandbox.intake.refused import IntakeRefused
from exchange.sandbox.schema import Column, Role, Schema, Value

Array = npt.NDArray[np.generic]


class Rows:
    """Encodes batches and, at the end, orders them. `line` of a bad value is the caller's to find: it is
    given as the row's number in the batch, in BadValue."""

    def __init__(self, schema: Schema, row_secret: bytes) -> None:
        self.schema, self._secret = schema, row_secret
        self.encoders = {column.name: _encoder(column) for column in schema.columns}
        self.read = self.dropped = 0
        self._chunks: list[dict[str, Array]] = []

    @property
    def sources(self) -> list[str]:
        """The source columns that are read."""
        keyed = self.schema.row_key if self.schema.entity else ()
        return list(dict.fromkeys([*(column.name for column in self.schema.columns), *keyed]))

    def add(self, batch: pa.RecordBatch) -> None:
        """Take a batch in. Raises BadColumn, IntakeRefused."""
        self.read += batch.num_rows
        chunk: dict[str, Array] = {}
        for column in self.schema.columns:
            try:
                self._encode(column, batch.column(column.name), chunk)
            except BadValue as bad:
                raise BadColumn(bad.row, column.name, bad.reason) from None
        if self.schema.entity is not None:
            chunk["_digest"] = self._digests(batch, chunk["_entity"])
        self._chunks.append(self._kept(chunk))

    def _kept(self, chunk: dict[str, Array]) -> dict[str, Array]:
        """The rows with an entity, where one is protected, and with a value in every required dimension."""
        needed = [column.name for column in self.schema.columns if column.required]
        needed += ["_entity"] if self.schema.entity else []
        if not needed:
            return chunk
        kept = np.logical_and.reduce([chunk[name] != 0 for name in needed])
        self.dropped += int((~kept).sum())
        return {name: values[kept] for name, values in chunk.items()}

    def table(self) -> pa.Table:
        """Every row kept, as integers, clustered: by the dimensions, the ones with fewest values first, then
        by entity. Groups and filters then read few places, runs compress well, and the rows of one entity in
        one cell stand together, as the inner grouping of a guarded plan likes them. Raises IntakeRefused."""
        if not self.read:
            raise IntakeRefused("the source has no rows")
        found = {name: np.concatenate([chunk[name] for chunk in self._chunks]) for name in self._chunks[0]}
        for name, domain in self.domains().items():
            encoder = self.encoders[name]
            if isinstance(encoder, Dimension):
                found[name] = encoder.order()[found[name].astype(np.int64)].astype(_integer(len(domain)))
        if "_entity" in found:
            self._identify(found)
        order = np.lexsort([found[name] for name in reversed(self._clustering())] or [np.arange(self.read)])
        return pa.table({name: self._column(name, found, order) for name in found if not name.startswith("null ")})

    def _clustering(self) -> list[str]:
        dimensions = sorted(self.domains(), key=lambda name: (len(self.domains()[name]), name))
        return dimensions + (["_entity", "_rank"] if self.schema.entity else [])

    def domains(self) -> dict[str, tuple[Value, ...]]:
        """Each dimension's domain, declared or collected."""
        return {name: each.domain for name, each in self.encoders.items() if isinstance(each, Dimension)}

    @property
    def entities(self) -> int:
        """How many entities there are; 0 where none is protected."""
        return len(self._entities().names) - 1 if self.schema.entity else 0

    def most_rows(self, table: pa.Table) -> int:
        """The largest number of rows of one entity."""
        return int(table["_rank"].to_numpy().max()) if "_rank" in table.column_names and table.num_rows else 0

    def _encode(self, column: Column, values: pa.Array, chunk: dict[str, Array]) -> None:
        encoder = self.encoders[column.name]
        if isinstance(encoder, Measure):
            units, missing = encoder.encode(values)
            chunk[column.name] = units.astype(_integer(max(abs(column.low), abs(column.high)), signed=True))
            chunk[f"null {column.name}"] = missing
        else:
            name = "_entity" if isinstance(encoder, Entities) else column.name
            chunk[name] = encoder.encode(values).astype(np.uint32)

    def _digests(self, batch: pa.RecordBatch, entity: Array) -> keys.Words:
        """The row key's digests: of the named columns, or of the row's whole declared content."""
        entities = self._entities()
        names = self.schema.row_key or [c.name for c in self.schema.columns if c.role is not Role.ENTITY]
        texts = [self._content(batch, name) for name in names]
        joined = [" ".join(row) for row in zip(*texts, strict=True)] if texts else [""] * batch.num_rows
        labels = entities.names
        return keys.digests(self._secret, (labels[each] for each in entity.tolist()), joined)

    def _content(self, batch: pa.RecordBatch, name: str) -> list[str]:
        try:
            return list(content(batch.column(name), self.schema.get(name)))
        except BadValue as bad:
            raise BadColumn(bad.row, name, bad.reason) from None

    def _entities(self) -> Entities:
        return next(each for each in self.encoders.values() if isinstance(each, Entities))

    def _identify(self, found: dict[str, Array]) -> None:
        """Replace ids in order of appearance by ids of the entities kept, and digests by keys and ranks."""
        entity = found["_entity"].astype(np.int64)
        found["_rank"] = keys.ranks(self._secret, entity, self._entities().names).astype(np.int32)
        found["_rows"] = np.bincount(entity)[entity].astype(np.int32)
        found["_key"] = keys.row_keys(self._secret, found.pop("_digest").astype(np.uint64))

    def _column(self, name: str, found: dict[str, Array], order: npt.NDArray[np.intp]) -> pa.Array:
        missing = found.get(f"null {name}")
        return pa.array(found[name][order], mask=None if missing is None else missing[order].astype(bool))


class BadColumn(Exception):
    """A value that does not fit: its row in the batch, its column, why."""

    def __init__(self, row: int, column: str, reason: str) -> None:
        super().__init__(reason)
        self.row, self.column, self.reason = row, column, reason


def _encoder(column: Column) -> Measure | Dimension | Entities:
    match column.role:
        case Role.MEASURE:
            return Measure(column)
        case Role.DIMENSION:
            return Dimension(column)
        case Role.ENTITY:
            return Entities(column)


def _integer(most: int, signed: bool = False) -> np.dtype[np.generic]:
    """The narrowest type for 0 … most, or -most … most: DuckDB groups and adds narrow integers faster."""
    bits = next((bits for bits in (8, 16, 32) if most < 1 << (bits - signed)), 64)
    return np.dtype(f"{'int' if signed else 'uint'}{max(bits, 16) if signed else bits}")
