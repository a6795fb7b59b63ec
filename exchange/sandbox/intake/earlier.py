"""The snapshot in service as the start of the next one: its rows, and what intake knows them by."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from exchange.sandbox.intake.keys import Keys
from exchange.sandbox.intake.numbering import HASHES
from exchange.sandbox.intake.publish import Places
from exchange.sandbox.intake.refused import IntakeRefused
from exchange.sandbox.intake.rows import stored
from exchange.sandbox.intake.sorting import BATCH_ROWS, Sorter
from exchange.sandbox.schema import Column, Manifest, Schema, SchemaError, Value, manifest_from_json

MARK = "sluice.keys"  # in a file of hashes: which keys made them


@dataclass(frozen=True, slots=True)
class Earlier:
    """A snapshot that a file is added to."""

    manifest: Manifest
    places: Places

    @property
    def domains(self) -> dict[str, tuple[Value, ...]]:
        return {column.name: column.domain for column in self.manifest.schema.columns}

    def rows(self, sorter: Sorter, spooled: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Its rows as the spool has them, under the columns and types of `spooled`; `_tie` they need none.

        Raises IntakeRefused.
        """
        snapshot = self.manifest.snapshot
        columns = [name for name in spooled.names if not name.startswith("_")]
        try:
            with pq.ParquetFile(self.places.parquet(snapshot)) as table:
                if self.manifest.schema.entity is None:
                    found = table.iter_batches(BATCH_ROWS, columns=columns, use_threads=False)
                    yield from (_cast(batch, spooled) for batch in found)
                    return
                with pq.ParquetFile(self.places.known(snapshot)) as known:
                    readers = {"rows": _reader(table), "known": _reader(known)}
                    named = ", ".join([f'rows."{name}"' for name in columns]
                                      + [f"known.{name}" for name in (*HASHES, "_repeat")])  # fmt: skip
                    sql = f"SELECT {named} FROM rows JOIN known USING (_entity, _rank)"  # noqa: S608 declared names
                    yield from (_cast(batch, spooled) for batch in sorter.run(sql, readers))
        except (OSError, pa.ArrowException):
            raise IntakeRefused("the snapshot in service is damaged; take the whole data in again") from None


def find(places: Places, schema: Schema, keys: Keys) -> Earlier:
    """The snapshot in service, that rows of `schema` may be added to. Raises IntakeRefused."""
    current = places.current
    if not current:
        raise IntakeRefused("there is no snapshot in service to add to")
    try:
        value = json.loads(places.private(current).read_bytes())
        manifest = manifest_from_json(value)
        with places.parquet(current).open("rb") as file:
            whole = hashlib.file_digest(file, "sha256").hexdigest() == value["sha256"]
    except (OSError, ValueError, KeyError, SchemaError):
        whole = False
    if not whole:
        raise IntakeRefused("the snapshot in service is damaged; take the whole data in again")
    if not _same(manifest.schema, schema):
        raise IntakeRefused("the schema differs from that of the snapshot in service; take the whole data in again")
    if schema.entity is not None and _mark(places.known(current)) != keys.mark:
        raise IntakeRefused("of the snapshot in service no hashes are kept here; take the whole data in again")
    return Earlier(manifest, places)


def _same(before: Schema, now: Schema) -> bool:
    """Whether the columns store the same things; labels, and domains that are collected, may differ."""
    declared = {column.name: bool(column.domain) for column in stored(now)}
    return before.row_key == now.row_key and (
        [_meaning(column, declared.get(column.name, True)) for column in stored(before)]
        == [_meaning(column, declared[column.name]) for column in stored(now)]
    )


def _meaning(column: Column, declared: bool) -> Column:
    return replace(column, label_zh="", label_en="", domain=column.domain if declared else ())


def _mark(path: Path) -> str:
    try:
        metadata = pq.read_schema(path).metadata or {}
        return str(metadata.get(MARK.encode(), b""), "ascii")
    except (OSError, pa.ArrowException):
        return ""


def _reader(file: pq.ParquetFile) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches(BATCH_ROWS, use_threads=False))


def _cast(batch: pa.RecordBatch, spooled: pa.Schema) -> pa.RecordBatch:
    names = set(batch.schema.names)
    columns = [
        batch.column(field.name).cast(field.type) if field.name in names
        else pa.array([0] * batch.num_rows, field.type)
        for field in spooled
    ]  # fmt: skip
    return pa.record_batch(columns, schema=spooled)
