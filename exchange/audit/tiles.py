"""Tiles (C2SP tlog-tiles): which a log of some size has, what they are called, how they get to disk.

A published file appears whole or not at all, and is on disk before the checkpoint that promises it.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from exchange.crypto.merkle import TILE

ENTRIES = "entries"
_PATH = re.compile(r"tile/(entries|\d|[1-5]\d|6[0-3])/((?:x\d{3}/)*\d{3})(?:\.p/([1-9]\d{0,2}))?")


class Tile(NamedTuple):
    """The `number`-th tile of a level, `width` hashes (or entries) wide; 256 is full."""

    level: int
    number: int
    width: int

    @property
    def first(self) -> int:
        """The place in the level of its first hash."""
        return self.number * TILE

    @property
    def is_full(self) -> bool:
        return self.width == TILE

    def path(self, kind: str | None = None) -> str:
        """`tile/0/x001/x234/067.p/12`; for entries, `kind` stands in place of the level."""
        groups = [f"{self.number % 1000:03d}"]
        rest = self.number // 1000
        while rest:
            groups.insert(0, f"x{rest % 1000:03d}")
            rest //= 1000
        partial = "" if self.is_full else f".p/{self.width}"
        return f"tile/{kind or self.level}/{'/'.join(groups)}{partial}"


def parse(path: str) -> tuple[Tile, bool] | None:
    """The tile of a path and whether it is one of entries; None where the path names no tile."""
    found = _PATH.fullmatch(path)
    if not found:
        return None
    level, number, width = found.groups()
    tile = Tile(0 if level == ENTRIES else int(level), int(re.sub(r"[x/]", "", number)), int(width or TILE))
    kind = ENTRIES if level == ENTRIES else None
    return (tile, kind is not None) if tile.path(kind) == path else None


def grown(old: int, size: int) -> Iterator[Tile]:
    """The tiles of a log of `size` leaves that one of `old` leaves does not have, lowest level first."""
    level = 0
    while size:
        for number in range(old // TILE, (size + TILE - 1) // TILE):
            width = min(TILE, size - number * TILE)
            if number * TILE + width > old:
                yield Tile(level, number, width)
        old, size, level = old // TILE, size // TILE, level + 1


def due(old: int, sizes: Iterable[int]) -> Iterator[Tile]:
    """The tiles that checkpoints of `sizes` (ascending) need after one of `old`.

    A partial tile is left out where the last of them has it full: clients then take the full one.
    """
    sizes = list(sizes)
    for size in sizes:
        for tile in grown(old, size):
            if tile.is_full or tile.first + TILE > sizes[-1] // TILE**tile.level:
                yield tile
        old = size


def put(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees all of it or none, and so that it outlasts a power cut.

    Only one process may write a path at a time; a draft left by one that was killed is overwritten.
    """
    made = []
    for folder in path.parents:
        if folder.exists():
            break
        made.append(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    for folder in [path.parent, *(folder.parent for folder in made)]:
        _sync(folder)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
