"""Putting a snapshot on disk: in full, or not at all.

`current` is renamed last; until then the old snapshot is in service, and what a crash leaves behind is never
read and is cleared away by the next intake of the resource.
"""

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from exchange.sandbox.intake.matching import MATCHES
from exchange.sandbox.schema import Manifest

ROW_GROUP = 1 << 17
RANDOM = frozenset({"_key", "_word", *MATCHES})  # columns whose values hardly repeat


@dataclass(frozen=True, slots=True)
class Places:
    """Where one resource's files lie: what vaults read, what is public, what only intake reads."""

    snapshots: Path
    manifests: Path
    intake: Path

    def parquet(self, snapshot: str) -> Path:
        return self.snapshots / f"{snapshot}.parquet"

    def entities(self, snapshot: str) -> Path:
        """By which words its entities are known again in other snapshots of the population."""
        return self.snapshots / f"{snapshot}.entities.parquet"

    def private(self, snapshot: str) -> Path:
        return self.snapshots / f"{snapshot}.json"

    def report(self, snapshot: str) -> Path:
        return self.snapshots / f"{snapshot}.report.json"

    def public(self, snapshot: str) -> Path:
        return self.manifests / f"{snapshot}.json"

    def known(self, snapshot: str) -> Path:
        """The hashes of a snapshot's rows."""
        return self.intake / f"{snapshot}.parquet"

    @property
    def current(self) -> str:
        """The snapshot in service, or nothing."""
        with contextlib.suppress(FileNotFoundError):
            return (self.manifests / "current").read_text().strip()
        return ""

    def make(self) -> None:
        for folder in (self.snapshots, self.manifests):
            folder.mkdir(exist_ok=True)
        self.intake.mkdir(mode=0o700, exist_ok=True)

    def tidy(self) -> None:
        """Remove drafts, snapshots that were never published, and hashes of rows not in service any more."""
        for folder in (self.snapshots, self.manifests, self.intake):
            for draft in folder.glob(".*"):
                draft.unlink(missing_ok=True)
        for path in [*self.snapshots.glob("*.parquet"), *self.snapshots.glob("*.json")]:
            if not self.public(path.name.partition(".")[0]).exists():
                path.unlink(missing_ok=True)
        for path in self.intake.glob("*.parquet"):
            if path.stem != self.current:
                path.unlink(missing_ok=True)


class Table:
    """A Parquet file that is written batch by batch, and stands under its name only once it is whole.

    Afterwards `rows`, and `with_nulls`, the columns that are null somewhere. Raises OSError.
    """

    def __init__(self, path: Path, metadata: dict[str, str] | None = None) -> None:
        self.rows, self.with_nulls = 0, set[str]()
        self._path, self._metadata = path, metadata or {}
        self._file = _draft(path).open("wb")
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[pa.RecordBatch] = []

    def __enter__(self) -> "Table":
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        if kind is None:
            self._close()
        else:
            with contextlib.suppress(OSError, pa.ArrowException):
                self._file.close()
            _draft(self._path).unlink(missing_ok=True)

    def write(self, batch: pa.RecordBatch) -> None:
        self.rows += batch.num_rows
        self.with_nulls |= {name for name in batch.schema.names if batch.column(name).null_count}
        self._waiting.append(batch)
        if sum(each.num_rows for each in self._waiting) >= ROW_GROUP:
            self._flush(whole_groups=True)

    def _flush(self, whole_groups: bool) -> None:
        table = pa.Table.from_batches(self._waiting)
        if self._writer is None:
            schema = table.schema.with_metadata(self._metadata)
            few = [name for name in schema.names if name not in RANDOM]
            self._writer = pq.ParquetWriter(self._file, schema, compression="zstd", use_dictionary=few)
        full = table.num_rows // ROW_GROUP * ROW_GROUP if whole_groups else table.num_rows
        self._writer.write_table(table.slice(0, full), row_group_size=ROW_GROUP)
        self._waiting = table.slice(full).to_batches()

    def _close(self) -> None:
        if self._waiting or self._writer is None:
            self._flush(whole_groups=False)
        if self._writer:
            self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        _draft(self._path).replace(self._path)


def write_all(table: Table, batches: Iterable[pa.RecordBatch]) -> Iterator[int]:
    """Write batches; how many rows there are so far, after each."""
    for batch in batches:
        table.write(batch)
        yield table.rows


def publish(manifest: Manifest, counts: bool, report: dict[str, Any], places: Places) -> None:
    """Put the snapshot whose table is written in service: what vaults read, then what is public. Raises OSError.

    `counts` says whether the public manifest may tell numbers of the data.
    """
    snapshot = manifest.snapshot
    digests = {"sha256": _digest(places.parquet(snapshot))}
    digests |= {"entities_sha256": _digest(places.entities(snapshot))} if manifest.population else {}
    _write_json(places.private(snapshot), manifest.to_json() | digests)
    _write_json(places.report(snapshot), report)
    _write_json(places.public(snapshot), manifest.published(counts).to_json())
    for folder in (places.snapshots, places.manifests, places.intake):
        _sync(folder)
        _sync(folder.parent)
    sys.audit("sluice.intake.written", snapshot)
    _write(places.manifests / "current", snapshot.encode())
    _sync(places.manifests)
    sys.audit("sluice.intake.published", snapshot)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_json(path: Path, value: object) -> None:
    _write(path, json.dumps(value, ensure_ascii=False).encode())


def _write(path: Path, data: bytes) -> None:
    draft = _draft(path)
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _draft(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}")


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
