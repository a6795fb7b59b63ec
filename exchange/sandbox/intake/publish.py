"""Putting a snapshot on disk: in full, or not at all.

`current` is renamed last; until then the old snapshot is in service, and what a crash leaves behind is never
read.
"""

import hashlib
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from exchange.sandbox.schema import Manifest

ROW_GROUP = 1 << 17


def publish(table: pa.Table, manifest: Manifest, snapshots: Path, manifests: Path) -> None:
    """Write the snapshot for the vault, then its public manifest, then put it in service. Raises OSError."""
    private, public = snapshots / manifest.resource, manifests / manifest.resource
    for folder in (private, public):
        folder.mkdir(exist_ok=True)
    digest = _write_parquet(private / f"{manifest.snapshot}.parquet", table)
    _write_json(private / f"{manifest.snapshot}.json", manifest.to_json() | {"sha256": digest})
    _write_json(public / f"{manifest.snapshot}.json", replace(manifest, most_rows=0).to_json())
    for folder in (snapshots, private, manifests, public):
        _sync(folder)
    sys.audit("sluice.intake.written", manifest.snapshot)
    _write(public / "current", manifest.snapshot.encode())
    _sync(public)
    sys.audit("sluice.intake.published", manifest.snapshot)


def _write_parquet(path: Path, table: pa.Table) -> str:
    """SHA-256 of the file's bytes."""
    draft = _draft(path)
    with draft.open("wb") as file:
        pq.write_table(table, file, row_group_size=ROW_GROUP, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    with draft.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    draft.replace(path)
    return digest


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
