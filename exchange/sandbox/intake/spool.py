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


def write(path: Path, batches: Iterable[pa.RecordBatch]) -> int:
    """Spool batches of one schema, at least one; how many rows they have. Raises OSError."""
    rows, writer = 0, None
    with pa.OSFile(str(path), "wb") as file:
        try:
            for batch in batches:
                options = pa.ipc.IpcWriteOptions(compression="lz4")
                writer = writer or pa.ipc.new_stream(file, batch.schema, options=options)
                writer.write_batch(batch)
                rows += batch.num_rows
        finally:
            if writer:
                writer.close()
    return rows


@contextmanager
def read(path: Path) -> Iterator[pa.RecordBatchReader]:
    with pa.OSFile(str(path), "rb") as file, pa.ipc.open_stream(file) as reader:
        yield reader
