"""The node's journal: every order it took, what it spent, and the release it gave. Append-only SQLite.

An order id stands here once and for ever. An entry without a release was debited and never answered; it may
run again, free, for nothing has left the vault. Every method is on disk before it returns.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (
    number INTEGER PRIMARY KEY,
    order_id TEXT NOT NULL UNIQUE,
    digest TEXT NOT NULL,
    exchange TEXT NOT NULL,
    population TEXT NOT NULL,
    cost INTEGER NOT NULL,
    spent INTEGER NOT NULL,
    at INTEGER NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS entry_spent ON entry (population, spent) WHERE spent > 0;
CREATE TABLE IF NOT EXISTS release (
    number INTEGER PRIMARY KEY REFERENCES entry,
    outcome TEXT NOT NULL,
    code TEXT NOT NULL,
    token TEXT NOT NULL,
    result BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS blocked (plan TEXT PRIMARY KEY, number INTEGER NOT NULL REFERENCES entry);
"""
_GUARD = """
CREATE TRIGGER IF NOT EXISTS {table}_{verb} BEFORE {verb} ON {table}
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
"""


DAY = 86_400  # seconds


class Exhausted(Exception):
    """The population's budget, or the day's, does not suffice."""


class AlreadyReleased(Exception):
    """The order has its release; the first one stands."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One order. `spent` is all that its population had spent with it. `population` is empty and `spent` 0
    where nothing was debited; `token` is empty until the release (a JWS) is there."""

    number: int
    order_id: str
    digest: str
    exchange: str
    population: str
    spent: int
    token: str = ""
    result: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    outcome: str
    code: str
    token: str
    result: bytes = b""


class Journal:
    """One writer, any number of threads. Raises sqlite3.Error where the disk fails: then nothing is sent."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "recursive_triggers=ON"):
            self._db.execute(f"PRAGMA {pragma}")
        guards = [_GUARD.format(table=t, verb=v) for t in ("entry", "release", "blocked") for v in ("UPDATE", "DELETE")]
        self._db.executescript(_SCHEMA + "".join(guards))

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def find(self, order_id: str) -> Entry | None:
        """What became of an order id, if it was seen before."""
        rows = self._read(
            "SELECT number, order_id, digest, exchange, population, spent, coalesce(token, ''), coalesce(result, x'')"
            " FROM entry LEFT JOIN release USING (number) WHERE order_id = ?", order_id,
        )  # fmt: skip
        return Entry(*rows[0]) if rows else None

    def spent(self, population: str) -> int:
        """What the population has spent of its budget, in all."""
        return int(self._read("SELECT max(spent) FROM entry WHERE population = ? AND spent > 0", population)[0][0] or 0)

    def blocked(self) -> set[str]:
        """The digests of the plans that overran."""
        return {row[0] for row in self._read("SELECT plan FROM blocked")}

    def since(self, number: int, limit: int) -> list[dict[str, Any]]:
        """At most `limit` entries after `number`, oldest first; outcome is empty where there is no release."""
        names = ("number", "order", "exchange", "population", "cost", "spent", "at", "outcome", "code")
        rows = self._read(
            "SELECT number, order_id, exchange, population, cost, spent, at, coalesce(outcome, ''), coalesce(code, '')"
            " FROM entry LEFT JOIN release USING (number) WHERE number > ? ORDER BY number LIMIT ?", number, limit,
        )  # fmt: skip
        return [dict(zip(names, row, strict=True)) for row in rows]

    def debit(
        self, order_id: str, digest: str, exchange: str, population: str, most: int, at: int,
        cost: int = 1, most_a_day: int = 0,
    ) -> Entry:  # fmt: skip
        """Spend `cost` of the population's budget of `most`, and of `most_a_day` within the last 24 hours (0:
        without limit). Raises Exhausted."""
        sql = "SELECT max(spent) FROM entry WHERE population = ? AND spent > 0"
        with self._write():
            spent = self._last(sql, population) + cost
            today = spent - self._last(f"{sql} AND at <= ?", population, at - DAY) if most_a_day else 0
            if (most and spent > most) or today > most_a_day:
                raise Exhausted(population)
            return self._enter(order_id, digest, exchange, population, cost, spent, at)

    def refuse(
        self, order_id: str, digest: str, exchange: str, at: int, answer: Callable[[Entry], Answer]
    ) -> tuple[Entry, Answer]:
        """Bar an order id without a debit; `answer` makes the release once its number is known."""
        with self._write():
            entry = self._enter(order_id, digest, exchange, "", 0, 0, at)
            made = answer(entry)
            self._release(entry.number, made)
        return entry, made

    def release(self, number: int, answer: Answer, block: str = "") -> None:
        """Keep the release of an entry, and block a plan with it. Raises AlreadyReleased."""
        with self._write():
            try:
                self._release(number, answer)
            except sqlite3.IntegrityError:
                raise AlreadyReleased(number) from None
            if block:
                self._db.execute("INSERT OR IGNORE INTO blocked VALUES (?, ?)", (block, number))

    def _enter(
        self, order_id: str, digest: str, exchange: str, population: str, cost: int, spent: int, at: int
    ) -> Entry:
        number = self._last("SELECT max(number) FROM entry") + 1
        row = (number, order_id, digest, exchange, population, cost, spent, at)
        self._db.execute("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        return Entry(number, order_id, digest, exchange, population, spent)

    def _release(self, number: int, answer: Answer) -> None:
        row = (number, answer.outcome, answer.code, answer.token, answer.result)
        self._db.execute("INSERT INTO release VALUES (?, ?, ?, ?, ?)", row)

    def _last(self, sql: str, *values: object) -> int:
        return int(self._db.execute(sql, values).fetchone()[0] or 0)

    def _read(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    @contextmanager
    def _write(self) -> Iterator[None]:
        """One transaction, on disk at the end of the block; nothing of it where the block raises."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
