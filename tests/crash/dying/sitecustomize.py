"""Put on PYTHONPATH, this kills the process that reaches the step named in `die_at`, once.

The steps are `sys.audit` events of the code under test. The mark is opened before a process confines itself,
so that one that may write nothing can still leave it, and its successor lives.
"""

import contextlib
import os
import signal
import sys
from pathlib import Path

HERE = Path(__file__).parent
with contextlib.suppress(FileNotFoundError):
    STEP = (HERE / "die_at").read_text().strip()
    MARK = os.open(HERE / "died", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    os.set_inheritable(MARK, False)
    if STEP and not os.fstat(MARK).st_size:

        def die(event: str, arguments: object) -> None:
            if event == STEP and not os.fstat(MARK).st_size:
                os.write(MARK, event.encode())
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(die)
