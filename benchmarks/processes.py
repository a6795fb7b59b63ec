"""Processor time of a server and all its processes, from /proc: it tells more than a rate on a busy machine."""

import os
from collections.abc import Iterator
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(root: int) -> float:
    """Seconds of processor time used so far by process `root` and its living descendants."""
    return sum(seconds for _, seconds in tree(root))


def tree(root: int) -> Iterator[tuple[str, float]]:
    """Each process under `root`, itself included: its command line and the seconds it used."""
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it ended while we looked
            continue
        parents[int(entry.name)] = int(fields[1])
        used[int(entry.name)] = (int(fields[11]) + int(fields[12])) / TICKS
    for pid, seconds in used.items():
        if _descends(pid, root, parents):
            yield _command(pid), seconds


def _descends(pid: int, root: int, parents: dict[int, int]) -> bool:
    while pid not in (root, 0):
        pid = parents.get(pid, 0)
    return pid == root


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    except OSError:
        return ""
