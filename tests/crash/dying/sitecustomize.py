"""Put on PYTHONPATH, this kills the process that reaches the step named in `die_at`, once.

The steps are `sys.audit` events of the code under test. The mark is opened, and the step read, before a process
confines itself, so that one that may read and write nothing can still die and its successor lives. A process
that is not confined reads the step anew each time: it can be told while it runs.
"""

import contextlib
import os
import signal
import sys
from pathlib import Path

HERE = Path(__file__).parent


def step() -> str:
    return (HERE / "die_at").read_text().strip()


def die(event: str, arguments: object) -> None:
    if not event.startswith("sluice.") or os.fstat(MARK).st_size:
        return
    wanted = STEP
    with contextlib.suppress(OSError):
        wanted = step()
    if event == wanted:
        os.write(MARK, event.encode())
        os.kill(os.getpid(), signal.SIGKILL)


with contextlib.suppress(FileNotFoundError):
    STEP = step()
    MARK = os.open(HERE / "died", os.O_RDWR | os.O_APPEND)
    sys.addaudithook(die)
