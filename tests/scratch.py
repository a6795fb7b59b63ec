"""Where a run writes, and what all of its workers make once and share.

Tests wait for disks more than for anything else, since what they test is durable: every commit is an fsync. So a
run writes in memory where the machine has room for it. No setting is softened for that; no test cuts the power.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM = 4 << 30  # bytes; a run takes a few hundred megabytes
_SHARED = "SLUICE_TEST_SHARED"


def choose() -> Path:
    """A new folder of this process's own. All temporary files go to memory from now on, those of processes started
    here too, unless TMPDIR says where they belong."""
    if "TMPDIR" not in os.environ and _roomy():
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)
    made = Path(tempfile.mkdtemp(prefix="sluice-tests-"))
    os.environ.setdefault(_SHARED, str(made))  # the run's workers are started with it
    return made


def once(name: str, make: Callable[[Path], None]) -> Path:
    """A folder that `make` fills, called in the first of the run's processes that asks; the others wait."""
    shared = Path(os.environ[_SHARED])
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / name).exists():
            begun = shared / f"{name}.begun"
            shutil.rmtree(begun, ignore_errors=True)
            begun.mkdir()
            make(begun)
            begun.rename(shared / name)
    return shared / name


def _roomy() -> bool:
    try:
        found = os.statvfs(MEMORY)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize >= ROOM and not found.f_flag & os.ST_NOEXEC and os.access(MEMORY, os.W_OK)
