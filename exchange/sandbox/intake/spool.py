"""Files that only intake reads: the spool of one run, and the hashes by which it knows rows again.

They lie in a folder of the home that no other process of the node may open, one folder for each resource.
"""

import fcntl
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from exchange.sandbox.intake.refused import IntakeRefused


@contextmanager
def opened(folder: Path) -> Iterator[Path]:
    """An empty spool folder in `folder`, for this process alone until the block ends; what a crash left is gone.

    Raises IntakeRefused where another intake of the resource runs, OSError.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise IntakeRefused("another intake of this resource is running") from None
        spool = folder / "spool"
        shutil.rmtree(spool, ignore_errors=True)
        spool.mkdir(mode=0o700)
        try:
            yield spool
        finally:
            shutil.rmtree(spool, ignore_errors=True)


class Writer:
    """A spooled file of batches of one schema. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self.rows = 0
        self._file = pa.OSFile(str(path), "wb")
        self._writer: pa.RecordBatchWriter | None = None

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._writer:
                self._writer.close()
        finally:
            self._file.close()

    def write(self, batch: pa.RecordBatch) -> None:
        if self._writer is None:
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            self._writer = pa.ipc.new_stream(self._file, batch.schema, options=options)
        self._writer.write_batch(batch)
        self.rows += batch.num_rows


def write(path: Path, batches: Iterable[pa.RecordBatch]) -> None:
    """Spool batches of one schema, at least one. Raises OSError."""
    with Writer(path) as file:
        for batch in batches:
            file.write(batch)


@contextmanager
def read(path: Path) -> Iterator[pa.RecordBatchReader]:
    with pa.OSFile(str(path), "rb") as file, pa.ipc.open_stream(file) as reader:
        yield reader
