"""One small table twice: as the buyer would see it if it were open to them, and as intake stores it."""

import json
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa

from exchange.sandbox import answer, disclosure, plan, query, sql
from exchange.sandbox.query import Profile
from exchange.sandbox.schema import Column, Kind, Manifest, Role, Schema, codes
from exchange.sandbox.shown import shown
from exchange.sandbox.terms import Terms

SCHEMA = Schema(
    (
        Column("s", Kind.STRING, Role.DIMENSION, ("b", "a", "ba", "Z", "é")),
        Column("t", Kind.STRING, Role.DIMENSION, ("x", "y")),
        Column("m", Kind.DECIMAL, Role.MEASURE, low=-15, high=150, scale=1),
        Column("far", Kind.INTEGER, Role.MEASURE, low=30_000, high=32_000),
    )
)
ROWS = [
    (s, t, m, far)
    for s, t, m, far in zip(
        [None, "a", "b", "ba", "é", "a", "b", "a", "ba"] * 9,
        [None, "x", "y", "x"] * 21,
        [None, -15, 0, 7, 150, 3, 88] * 12,
        [31_000, None, 30_000, 32_000, 31_999] * 17,
        strict=False,
    )
]
MANIFEST = Manifest("p", "s", SCHEMA, rows=len(ROWS))
OPEN = Terms("open")


def connect() -> duckdb.DuckDBPyConnection:
    """A database with `p`, the original values, and `snapshot`, what intake would store of them."""
    s, t = ({None: 0} | dict(codes(column)) for column in SCHEMA.columns[:2])
    connection = duckdb.connect()
    m = [None if row[2] is None else Decimal(row[2]).scaleb(-1) for row in ROWS]
    far = pa.array([row[3] for row in ROWS], pa.int16())
    raw = pa.table({"s": [r[0] for r in ROWS], "t": [r[1] for r in ROWS],
                    "m": pa.array(m, pa.decimal128(9, 1)), "far": far})  # fmt: skip
    coded = pa.table({"s": pa.array([s[row[0]] for row in ROWS], pa.uint8()),
                      "t": pa.array([t[row[1]] for row in ROWS], pa.uint8()),
                      "m": pa.array([row[2] for row in ROWS], pa.int16()), "far": far})  # fmt: skip
    for name, table in (("p", raw), ("snapshot", coded)):
        connection.register("incoming", table)
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM incoming")
        connection.unregister("incoming")
    return connection


def ours(database: duckdb.DuckDBPyConnection, text: str) -> list[tuple[Any, ...]]:
    """The answer to `text` by the way of every query: parsed, bound, compiled, disclosed, shown."""
    bound = query.bind(sql.parse(text), SCHEMA, Profile.OPEN)
    asked = query.from_json(query.to_json(bound.query), SCHEMA, OPEN)
    compiled = plan.compile(asked, MANIFEST, OPEN)
    found = [database.execute(statement).fetchnumpy() for statement in (level.sql for level in compiled.levels)]
    cells = disclosure.open_cells(found, compiled)
    table = answer.table(cells, asked, MANIFEST, OPEN)
    table = shown(table, *query.shown_from_json(json.loads(json.dumps(query.shown_json(bound)))))
    columns = [column.to_pylist() for column in table.columns[:-1]]
    return [tuple(map(plain, row)) for row in zip(*columns, strict=True)]


def theirs(database: duckdb.DuckDBPyConnection, text: str) -> list[tuple[Any, ...]]:
    """What DuckDB answers to the buyer's own words over the original values."""
    return [tuple(map(plain, row)) for row in database.execute(text).fetchall()]


def plain(value: Any) -> Any:
    """`value` as the other engine may give it too: floats to nine digits, decimals as numbers."""
    if isinstance(value, Decimal):
        value = float(value)
    return float(f"{value:.9g}") if isinstance(value, float) else value


def in_any_order(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return sorted(rows, key=repr)
