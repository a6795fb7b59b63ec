"""The node's journal: every order it took, what it spent, and the release it gave. Append-only SQLite.

An order id stands here once and for ever. An entry without a release was debited and never answered; it may
run again, free, for nothing has left the vault. Every method is on disk before it returns.

A journal that was restored from a backup has forgotten orders, and what they spent. It is told by a release of this
node's that comes back with an order and whose entry is not here: that is kept as lost, and its population answers
nothing until `adopt` has entered what it says.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
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
CREATE TABLE IF NOT EXISTS lost (
    order_id TEXT PRIMARY KEY,
    digest TEXT NOT NULL,
    exchange TEXT NOT NULL,
    number INTEGER NOT NULL,
    population TEXT NOT NULL,
    spent INTEGER NOT NULL,
    at INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    code TEXT NOT NULL,
    token TEXT NOT NULL
);
"""
_TABLES = ("entry", "release", "blocked", "lost")
_MISSING = "SELECT * FROM lost WHERE order_id NOT IN (SELECT order_id FROM entry) ORDER BY spent DESC"
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
class Lost:
    """A release of this node's whose entry is not in the journal; `at` is when it left, in Unix seconds."""

    order_id: str
    digest: str
    exchange: str
    number: int
    population: str
    spent: int
    at: int
    outcome: str
    code: str
    token: str


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
        guards = [_GUARD.format(table=t, verb=v) for t in _TABLES for v in ("UPDATE", "DELETE")]
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

    def recall(self, release: Lost) -> None:
        """Keep a release of this node's, proven by its signature, if the journal does not know its order."""
        known = self._read("SELECT 1 FROM entry WHERE order_id = ?", release.order_id)
        if not known:
            with self._write():
                self._db.execute("INSERT OR IGNORE INTO lost VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", astuple(release))

    def missing(self) -> list[Lost]:
        """The lost releases that are not adopted, those with the largest totals first."""
        return [Lost(*row) for row in self._read(_MISSING)]

    def adopt(self) -> list[Entry]:
        """Enter what is missing: each order, so that it never runs again, and the largest total of each population.

        What was debited after such a release left, which the journal then has and the release's total not, is
        added to that total.
        """
        adopted: dict[str, Entry] = {}
        with self._write():
            missing = [Lost(*row) for row in self._db.execute(_MISSING)]
            for lost in missing:
                if lost.population in adopted:
                    self._adopt(lost, 0)
                else:
                    adopted[lost.population] = self._adopt(lost, self._lacking(lost))
        return list(adopted.values())

    def _lacking(self, lost: Lost) -> int:
        later = self._last("SELECT sum(cost) FROM entry WHERE population = ? AND at >= ?", lost.population, lost.at)
        spent = self._last("SELECT max(spent) FROM entry WHERE population = ?", lost.population)
        return max(0, lost.spent + later - spent)

    def _adopt(self, lost: Lost, cost: int) -> Entry:
        spent = self._last("SELECT max(spent) FROM entry WHERE population = ?", lost.population) + cost if cost else 0
        entry = self._enter(
            lost.order_id, lost.digest, lost.exchange, lost.population, cost, spent, lost.at, lost.number
        )  # fmt: skip
        self._release(entry.number, Answer(lost.outcome, lost.code, lost.token))
        return entry

    def _enter(
        self, order_id: str, digest: str, exchange: str, population: str, cost: int, spent: int, at: int,
        least: int = 0,
    ) -> Entry:  # fmt: skip
        number = max(self._last("SELECT max(number) FROM entry") + 1, least)
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
