"""Put on a node's PYTHONPATH: makes a process misbehave after a step, as if it were taken over.

`orders.json` beside this file: {"sluice.vault.ran": "sleep"}; it is read at every step. "wait" is until it says
something else.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
GARBAGE = {
    "garbage": b"\xff" * 64,
    "a pickle": b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.".ljust(64, b"."),
    "half a frame": b"CULS\0\0\0\0",
}


def told(event: str) -> str | None:
    found: str | None = json.loads((HERE / "orders.json").read_text()).get(event)
    return found


def misbehave(event: str, arguments: tuple[object, ...]) -> None:
    if not event.startswith("sluice."):
        return
    while (what := told(event)) == "wait":
        time.sleep(0.02)
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "sleep":
        time.sleep(600)
    elif what == "spin":
        while True:
            pass
    elif what == "bomb":
        held = []
        while True:
            held.append(bytearray(1 << 24))
    elif what in GARBAGE:
        os.write(int(sys.argv[2]), GARBAGE[what])
        time.sleep(600)


sys.addaudithook(misbehave)
