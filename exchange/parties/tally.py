"""Callers we do not know are counted by day and kind, not logged: a log of strangers is theirs to fill.

Counts are gathered in memory and written about once a second, so that a flood of bad tokens is not a flood
of commits; a crash loses at most the last second's.
"""

import threading
import time
from collections import Counter

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from exchange.parties.models import Tally

WRITE_EVERY_SECONDS = 1.0


_lock = threading.Lock()
_waiting: Counter[str] = Counter()
_written_at = 0.0


def count(kind: str) -> None:
    """One more of `kind`."""
    global _written_at
    with _lock:
        _waiting[kind] += 1
        if time.monotonic() - _written_at < WRITE_EVERY_SECONDS:
            return
        _written_at = time.monotonic()
        batch = dict(_waiting)
        _waiting.clear()
    _write(batch)


def _write(batch: dict[str, int]) -> None:
    day = timezone.localdate()
    with transaction.atomic():
        for kind, number in batch.items():
            row, _ = Tally.objects.get_or_create(day=day, kind=kind)
            Tally.objects.filter(pk=row.pk).update(number=F("number") + number)
