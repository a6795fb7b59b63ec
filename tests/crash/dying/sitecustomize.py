"""Put on PYTHONPATH, this kills the process that reaches the step named in `die_at`, once.

The steps are `sys.audit` events of the code under test. The mark is a FIFO, opened before a process confines
itself: one that may open and write no file can still leave it, and its successor lives. A process that may not
read `die_at` any more goes by what it said at its start; any other can be told while it runs.
"""

import contextlib
import os
import select
import signal
import sys
from pathlib import Path

HERE = Path(__file__).parent


def step() -> str:
    return (HERE / "die_at").read_text().strip()


def die(event: str, arguments: object) -> None:
    if not event.startswith("sluice.") or MARKED.poll(0):
        return
    wanted = STEP
    with contextlib.suppress(OSError):
        wanted = step()
    if event == wanted:
        os.write(MARK, b"!")
        os.kill(os.getpid(), signal.SIGKILL)


with contextlib.suppress(FileNotFoundError):
    STEP = step()
    MARK = os.open(HERE / "died", os.O_RDWR | os.O_NONBLOCK)
    MARKED = select.poll()
    MARKED.register(MARK, select.POLLIN)
    sys.addaudithook(die)
