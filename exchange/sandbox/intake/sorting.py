"""Sorting more rows than memory holds: a locked DuckDB that sees Arrow batches and spills into the spool."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from exchange.sandbox.engine import EngineFailed, locked
from exchange.sandbox.intake.refused import IntakeRefused

BATCH_ROWS = 1 << 17


class Sorter:
    """Runs intake's own SQL; it opens no file but what it spills into `spool`. Raises IntakeRefused."""

    def __init__(self, spool: Path, memory_mb: int, threads: int) -> None:
        try:
            self._duckdb = locked(memory_mb, threads, str(spool))
        except EngineFailed as error:
            raise IntakeRefused(str(error)) from error

    def ordered(self, batches: pa.RecordBatchReader, by: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The batches' rows in the order of the columns `by`, nulls last."""
        order = ", ".join(f'"{name}"' for name in by)
        yield from self.run(f"SELECT * FROM incoming ORDER BY {order}", {"incoming": batches})  # noqa: S608 our names

    def run(self, sql: str, tables: Mapping[str, pa.RecordBatchReader]) -> Iterator[pa.RecordBatch]:
        """The rows of a statement over Arrow readers, as it finds them; at least one batch, maybe of no rows."""
        try:
            for name, batches in tables.items():
                self._duckdb.register(name, batches)
            found = self._duckdb.sql(sql).to_arrow_reader(BATCH_ROWS)
            yield pa.RecordBatch.from_pylist([], found.schema)
            yield from found
        except (duckdb.Error, pa.ArrowException, MemoryError):
            raise IntakeRefused("there is too little memory or disk space to sort so many rows") from None
        finally:
            for name in tables:
                self._duckdb.unregister(name)
