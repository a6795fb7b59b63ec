"""A token bucket per key, in this process's memory: enough to blunt a flood, not a quota."""

import threading
import time
from dataclasses import dataclass, field


@dataclass
class Rate:
    """`per_minute` refills a bucket of `burst`; at most `keys` buckets are kept."""

    per_minute: float
    burst: int
    keys: int = 10_000
    _buckets: dict[str, tuple[float, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def allow(self, key: str) -> bool:
        """Whether one more is allowed for `key` now; counts it if so."""
        now = time.monotonic()
        with self._lock:
            left, at = self._buckets.pop(key, (float(self.burst), now))
            left = min(self.burst, left + (now - at) * self.per_minute / 60)
            if len(self._buckets) >= self.keys:  # the oldest goes
                del self._buckets[next(iter(self._buckets))]
            self._buckets[key] = (left - 1 if left >= 1 else left, now)
            return left >= 1

    def forget(self) -> None:
        """Start again with full buckets."""
        with self._lock:
            self._buckets.clear()
