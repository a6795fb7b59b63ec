"""How far an intake is, for the holder who started it and nobody else: its numbers are exact."""

import time
from dataclasses import dataclass, field
from typing import TextIO

MOVING, SPARSE = 0.2, 10.0  # seconds between two words, on a terminal and elsewhere


@dataclass
class Progress:
    """Writes to `out`, or nowhere: a line that moves on a terminal, a few plain lines elsewhere."""

    out: TextIO | None = None
    _said: float = field(default_factory=time.monotonic)
    _moving: bool = False

    def rows(self, doing: str, number: int) -> None:
        """So many rows so far; says so when it is time."""
        if self.out is None:
            return
        moves, now = self.out.isatty(), time.monotonic()
        if now - self._said >= (MOVING if moves else SPARSE):
            self._said, self._moving = now, moves
            self._write(f"{doing}, {number:,} rows so far", "\r\x1b[K" if moves else "", "" if moves else "\n")

    def say(self, line: str) -> None:
        if self.out is not None:
            self._write(line, "\r\x1b[K" if self._moving else "", "\n")
            self._moving = False

    def _write(self, line: str, before: str, after: str) -> None:
        if self.out is not None:
            self.out.write(f"{before}sluice intake: {line}{after}")
            self.out.flush()
