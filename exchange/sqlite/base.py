"""Django's SQLite backend, fitted to many short transactions. First of all, writers wait in a queue.

SQLite has no queue for its write lock: who finds it taken sleeps and tries again, ever longer, so under load
some wait for seconds while others pass. Here a transaction first takes a lock of the operating system on a
file beside the database, which wakes whoever waits. It is for fairness only; SQLite's own lock still decides.
"""

import fcntl
import os
from functools import lru_cache
from typing import Any

from django.db.backends.sqlite3 import base


@lru_cache(maxsize=1024)
def _with_question_marks(query: str) -> str:
    return base.FORMAT_QMARK_REGEX.sub("?", query).replace("%%", "%")


class Cursor(base.SQLiteCursorWrapper):
    """It turns the %s of a statement into ? once, not at every call."""

    def convert_query(self, query: str, *, param_names: list[str] | None = None) -> str:
        if param_names is None:
            return _with_question_marks(query)
        converted: str = super().convert_query(query, param_names=param_names)
        return converted


class DatabaseWrapper(base.DatabaseWrapper):
    """Every transaction here is to write (BEGIN IMMEDIATE); single statements go past the queue."""

    _queue: int | None = None  # a file descriptor

    def create_cursor(self, name: str | None = None) -> Cursor:
        cursor: Cursor = self.connection.cursor(factory=Cursor)
        return cursor

    def _start_transaction_under_autocommit(self) -> None:
        if self._queue is None and not self.is_in_memory_db():
            # For reading: another user of the database may have made the file, and a lock needs no more.
            self._queue = os.open(f"{self.settings_dict['NAME']}-queue", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
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
                os.close(self._queue)
                self._queue = None

    def _leave(self) -> None:
        if self._queue is not None:
            fcntl.flock(self._queue, fcntl.LOCK_UN)
