"""Writers wait in a queue.

SQLite has no queue for its write lock: who finds it taken sleeps and tries again, ever longer, so under load
some wait for seconds while others pass. Here a transaction first takes a lock of the operating system on a
file beside the database, which wakes whoever waits. It is for fairness only; SQLite's own lock still decides.
"""

import fcntl
from typing import IO, Any

from django.db.backends.sqlite3 import base


class DatabaseWrapper(base.DatabaseWrapper):
    """Every transaction here is to write (BEGIN IMMEDIATE); single statements go past the queue."""

    _queue: IO[bytes] | None = None

    def _start_transaction_under_autocommit(self) -> None:
        if self._queue is None and not self.is_in_memory_db():
            self._queue = open(f"{self.settings_dict['NAME']}-queue", "ab")  # noqa: SIM115, PTH123
        if self._queue is not None:
            fcntl.flock(self._queue, fcntl.LOCK_EX)
        try:
            super()._start_transaction_under_autocommit()
        except BaseException:
            self._leave()
            raise

    def _commit(self) -> Any:
        super()._commit()
        self._leave()  # where it fails, Django rolls back

    def _rollback(self) -> Any:
        try:
            super()._rollback()
        finally:
            self._leave()

    def _close(self) -> None:
        try:
            super()._close()
        finally:
            if self._queue is not None:
                self._queue.close()
                self._queue = None

    def _leave(self) -> None:
        if self._queue is not None:
            fcntl.flock(self._queue, fcntl.LOCK_UN)
