"""The compiler: SQL without a word of the buyer's, and the rows a three-valued WHERE would give."""

import re
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.errors import Problem
from exchange.sandbox import plan, query, sql
from exchange.sandbox.plan import words
from exchange.sandbox.query import AggregateQuery, Function, Measure, Profile
from exchange.sandbox.query.model import Op
from exchange.sandbox.query.normal import normalize
from exchange.sandbox.query.question import Among, Condition, Every, Item, Missing, Not, Question, Some
from exchange.sandbox.query.question import Test as Comparison
from exchange.sandbox.schema import Column, Kind, Manifest, Role, Schema
from exchange.sandbox.terms import Terms
from tests import samples

SNAPSHOTS = Path(__file__).parent / "sql"
FLIGHTS = Manifest("flights", "s", samples.flights()[1], rows=4000, entities=168)
AIR = Manifest(
    "air",
    "s",
    Schema(
        (
            Column("station", Kind.STRING, Role.DIMENSION, ("东四", "万柳", "定陵")),
            Column("day", Kind.DATE, Role.DIMENSION, ("2026-01-01", "2026-01-02", "2026-01-03")),
            Column("pm25", Kind.DECIMAL, Role.MEASURE, low=0, high=10_000, scale=1),
        )
    ),
    rows=720,
)
GUARDED, OPEN, PRIVATE = Terms("guarded", threshold=10), Terms("open"), Terms("private", rows=3, rho=1000)

ASKED = {
    "open_one_cell": "SELECT COUNT(*) FROM air",
    "open_groups": "SELECT station, COUNT(*), SUM(pm25), AVG(pm25) FROM air GROUP BY station",
    "open_distinct": "SELECT station, COUNT(DISTINCT day), COUNT(DISTINCT pm25), COUNT(day) FROM air GROUP BY station",
    "open_filters": "SELECT day, COUNT(*) FROM air"
    " WHERE (pm25 > 3.05 OR pm25 IS NULL) AND day <> '2026-01-01' GROUP BY day",
    "open_nothing": "SELECT COUNT(*) FROM air WHERE pm25 > 1 AND pm25 < 1",
    "guarded_one_cell": "SELECT COUNT(*), COUNT(DISTINCT tailnum) FROM flights",
    "guarded_groups": "SELECT carrier, month, COUNT(*), AVG(dep_delay), SUM(distance) FROM flights"
    " GROUP BY carrier, month",
    "open_filtered": "SELECT station, COUNT(*) FILTER (WHERE pm25 > 3), AVG(pm25) FILTER (WHERE day > '2026-01-01'),"
    " COUNT(DISTINCT day) FILTER (WHERE pm25 IS NULL), VARIANCE(pm25) FROM air GROUP BY station",
    "open_rollup": "SELECT day, COUNT(*) FROM air WHERE day <= '2026-01-02' GROUP BY station, ROLLUP(day)",
    "guarded_filtered": "SELECT month, SUM(distance) FILTER (WHERE carrier = 'AA'),"
    " COUNT(DISTINCT tailnum) FILTER (WHERE carrier = 'AA') FROM flights GROUP BY month",
    "guarded_filters": "SELECT carrier, COUNT(*) FROM flights"
    " WHERE month BETWEEN 2 AND 3 AND NOT origin IN ('EWR') GROUP BY carrier",
    "private_quantiles": "SELECT carrier, COUNT(*), MEDIAN(dep_delay), QUANTILE_CONT(distance, 0.9)"
    " FILTER (WHERE month = 1) FROM trips WHERE origin = 'EWR' GROUP BY carrier",
}


def compiled(text: str) -> plan.Plan:
    known = {"air": (AIR, OPEN), "flights": (FLIGHTS, GUARDED), "trips": (FLIGHTS, PRIVATE)}
    manifest, terms = known[sql.parse(text).product]
    bound = query.bind(sql.parse(text), manifest.schema, Profile(terms.profile))
    return plan.compile(bound.query, manifest, terms)


@pytest.mark.parametrize("name", sorted(ASKED))
def test_the_generated_sql_is_the_reviewed_one(name: str) -> None:
    """To accept a change, delete the file and run again; the new one is written and the test fails once."""
    path = SNAPSHOTS / f"{name}.sql"
    text = f"-- {ASKED[name]}\n"
    for level in compiled(ASKED[name]).levels:
        text += f"{level.sql};\n"
        if level.again:
            cells = [(code,) * len(level.grid) for code in (1, 2)] if level.grid else None
            text += f"-- again, of the cells (1, …) and (2, …)\n{level.again(cells)};\n"
        text += "".join(f"-- by bins\n{counts};\n" for counts in level.binned)
    if not path.exists():
        path.write_text(text)
        pytest.fail(f"{path.name} was not there; review and commit it")
    assert path.read_text() == text


# --- No word of the buyer's

WORDS = {
    *("SELECT", "FROM", "WHERE", "GROUP", "BY", "AS", "AND", "OR", "NOT", "IN", "IS", "NULL", "BETWEEN", "FILTER"),
    *("DISTINCT", "BIGINT", "INTEGER", "TRUE", "FALSE", "count", "sum", "max", "abs", "coalesce", "bit_count"),
    *("nullif", "CASE", "WHEN", "THEN", "END"),
    *("bitstring_agg", "snapshot", "entities", "_entity", "_key"),
}
COLUMNS = {f'"{column.name}"' for manifest in (AIR, FLIGHTS) for column in manifest.schema.columns}
TOKEN = re.compile(r'"[a-z0-9_]+"|[A-Za-z_][A-Za-z0-9_]*|-?[0-9]+|<>|<=|>=|::|[(),=<>*\[\]-]|\s+')


def foreign(text: str) -> list[str]:
    """What of generated SQL is neither a fixed word, nor a declared column, nor an integer."""
    tokens = TOKEN.findall(text)
    assert "".join(tokens) == text
    kinds = (token for token in tokens if re.match(r'["A-Za-z_]', token))
    return [token for token in kinds if token not in WORDS | COLUMNS and not re.fullmatch(r"[a-z][0-9]+", token)]


texts = st.text(max_size=20) | st.sampled_from(["'; DROP TABLE x; --", '" OR 1=1', "东四", "EWR", "read_csv"])
numbers = st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-2000, max_value=2000)


def leaves(strings: list[str], measures: list[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Condition]:
    string, measure = st.sampled_from(strings), st.sampled_from(measures)
    ops = st.sampled_from(list(Op))
    some = st.lists(values, min_size=1, max_size=4).map(tuple)
    found = [
        st.builds(Comparison, string, ops, values),
        st.builds(Among, string, some),
        st.builds(Missing, string | measure),
    ]
    found += [
        st.builds(Comparison, measure, ops, numbers),
        st.builds(Among, measure, st.lists(numbers, min_size=1, max_size=3).map(tuple)),
    ]
    return st.one_of(found)


def conditions(leaf: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    def deeper(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
        several = st.lists(inner, min_size=1, max_size=3).map(tuple)
        return st.builds(Not, inner) | st.builds(Every, several) | st.builds(Some, several)

    return st.recursive(leaf, deeper, max_leaves=8)


@given(conditions(leaves(["station"], ["pm25"], texts)), texts)
def test_no_text_of_the_buyer_is_in_the_sql(where: Condition, label: str) -> None:
    items = (
        Item(Function.AVG, "pm25", label),
        Item(Function.COUNT_DISTINCT, "station"),
        Item(column="day", label="day"),
    )
    try:
        bound = query.bind(Question("air", items, ("day",), where), AIR.schema, Profile.OPEN)
    except Problem as problem:
        assert problem.code in ("sql_unsupported", "value_invalid")
        return
    assert [foreign(level.sql) for level in plan.compile(bound.query, AIR, OPEN).levels] == [[]]


# --- The same rows as the buyer's own words over the original values

ROWS = Schema(
    (
        Column("s", Kind.STRING, Role.DIMENSION, ("a", "b", "ba", "Z", "é")),
        Column("t", Kind.STRING, Role.DIMENSION, ("x", "y")),
        Column("m", Kind.DECIMAL, Role.MEASURE, low=-15, high=15, scale=1),
    )
)
DATA = [
    (s, t, m) for s in (None, "a", "b", "ba", "Z", "é") for t in (None, "x", "y") for m in (None, -15, -1, 0, 7, 15)
]
VALUES = st.sampled_from(["a", "b", "ba", "Z", "é", "x", "y", "", "bb", "'"])


def as_sql(condition: Condition) -> str:
    """The condition in the buyer's words, for DuckDB."""
    match condition:
        case Comparison(column, op, value):
            return f"{column} {op.value} {literal(value)}"
        case Among(column, values):
            return f"{column} IN ({', '.join(map(literal, values))})"
        case Missing(column):
            return f"{column} IS NULL"
        case Not(part):
            return f"NOT ({as_sql(part)})"
        case Every(parts):
            return "(" + " AND ".join(map(as_sql, parts)) + ")"
        case Some(parts):
            return "(" + " OR ".join(map(as_sql, parts)) + ")"


def literal(value: object) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else f"({value:f})"


@pytest.fixture(scope="module")
def database() -> duckdb.DuckDBPyConnection:
    """`raw` with the original values, `snapshot` with what intake would store."""
    codes = [{None: 0} | {value: code for code, value in enumerate(ROWS.columns[i].domain, 1)} for i in (0, 1)]
    connection = duckdb.connect()
    raw = pa.table({"n": range(len(DATA)), "s": [r[0] for r in DATA], "t": [r[1] for r in DATA],
                    "m": [None if r[2] is None else r[2] / 10 for r in DATA]})  # fmt: skip
    coded = pa.table({"s": pa.array([codes[0][r[0]] for r in DATA], pa.uint8()),
                      "t": pa.array([codes[1][r[1]] for r in DATA], pa.uint8()),
                      "m": pa.array([r[2] for r in DATA], pa.int16()), "n": range(len(DATA))})  # fmt: skip
    connection.register("r", raw)
    connection.register("c", coded)
    connection.execute("CREATE TABLE raw AS SELECT n, s, t, m::DECIMAL(9, 1) AS m FROM r")
    connection.execute("CREATE TABLE snapshot AS SELECT * FROM c")
    return connection


def bound(where: Condition) -> AggregateQuery:
    return query.bind(Question("p", (Item(Function.COUNT),), (), where), ROWS, Profile.OPEN).query


@settings(deadline=None)
@given(where=conditions(leaves(["s", "t"], ["m"], VALUES)))
def test_a_plan_selects_the_rows_that_sql_selects(database: duckdb.DuckDBPyConnection, where: Condition) -> None:
    due = database.execute(f"SELECT n FROM raw WHERE {as_sql(where)} ORDER BY n").fetchall()
    test = words.where(bound(where), ROWS)
    assert database.execute(f"SELECT n FROM snapshot {test} ORDER BY n").fetchall() == due


@given(where=conditions(leaves(["s", "t"], ["m"], VALUES)))
def test_normalization_is_idempotent_and_survives_the_wire(where: Condition) -> None:
    asked = bound(where)
    assert normalize(asked.where, ROWS) == asked.where
    assert query.from_json(query.to_json(asked), ROWS, OPEN) == asked


# --- What is public about an answer

GRIDS = [
    ("SELECT COUNT(*) FROM flights", 1),
    ("SELECT carrier, COUNT(*) FROM flights GROUP BY carrier", 6),
    ("SELECT carrier, COUNT(*) FROM flights WHERE carrier IS NOT NULL GROUP BY carrier", 5),
    ("SELECT carrier, month, COUNT(*) FROM flights WHERE month < 3 AND carrier = 'AA' GROUP BY carrier, month", 2),
    ("SELECT carrier, COUNT(*) FROM flights WHERE month = 1 GROUP BY carrier", 6),
    ("SELECT carrier, COUNT(*) FROM flights WHERE carrier = 'AA' OR month = 1 GROUP BY carrier", 6),
    ("SELECT carrier, COUNT(*) FROM flights GROUP BY ROLLUP(carrier)", 6 + 1),
    ("SELECT month, COUNT(*) FROM flights WHERE month < 3 GROUP BY carrier, ROLLUP(month)", 2 * 6 + 6),
]


@pytest.mark.parametrize(("text", "size"), GRIDS)
def test_the_grid_is_narrowed_by_public_filters_alone(text: str, size: int) -> None:
    shape = compiled(text).shape
    assert (shape.cells, shape.complete) == (size, True)
    asked = query.bind(sql.parse(text), FLIGHTS.schema, Profile.GUARDED).query
    assert plan.most_cells(asked, FLIGHTS, GUARDED) == size


def test_open_is_charged_for_no_more_cells_than_there_are_rows() -> None:
    asked = query.bind(
        sql.parse("SELECT pm25_day, COUNT(*) FROM air GROUP BY pm25_day".replace("pm25_day", "day")),
        AIR.schema,
        Profile.OPEN,
    ).query
    few = Manifest("air", "s", AIR.schema, rows=2)
    assert plan.most_cells(asked, few, OPEN) == 2


def test_the_total_of_a_rollup_is_a_cell_even_of_nothing() -> None:
    asked = query.bind(sql.parse("SELECT COUNT(*) FROM air GROUP BY ROLLUP(station)"), AIR.schema, Profile.OPEN).query
    assert plan.most_cells(asked, Manifest("air", "s", AIR.schema, rows=0), OPEN) == 1
    assert plan.most_cells(asked, Manifest("air", "s", AIR.schema, rows=2), OPEN) == 2 + 1


def test_a_filtered_total_counts_for_two() -> None:
    texts = ("COUNT(*), SUM(distance)", "SUM(distance) FILTER (WHERE month = 1)")
    asked = [query.bind(sql.parse(f"SELECT {text} FROM flights"), FLIGHTS.schema, Profile.GUARDED) for text in texts]
    one, two = (plan.deadline(bound.query, FLIGHTS, GUARDED, 1_000_000, 0) for bound in asked)
    assert one == two


def test_each_level_of_a_rollup_has_its_time() -> None:
    plain, rolled = AggregateQuery((Measure(Function.COUNT),), ("carrier",)), ("carrier",)
    both = [AggregateQuery(plain.measures, plain.dimensions, rollup=each) for each in ((), rolled)]
    one, two = (plan.deadline(asked, FLIGHTS, GUARDED, 1_000_000, 0) for asked in both)
    assert two > one + FLIGHTS.rows * 2 / 1_000_000


def test_a_deadline_depends_on_public_figures_alone() -> None:
    asked = AggregateQuery((Measure(Function.COUNT),), ("carrier",))
    seconds = plan.deadline(asked, FLIGHTS, GUARDED, 1_000_000, 100)
    assert seconds == plan.deadline(
        asked, Manifest("flights", "s", FLIGHTS.schema, 4000, 1, most_rows=9), GUARDED, 1_000_000, 100
    )
    assert seconds > plan.deadline(asked, FLIGHTS, GUARDED, 2_000_000, 100) > 0.1
    assert plan.deadline(asked, AIR, OPEN, 1_000_000, 100) == 0


def test_an_average_is_a_sum_and_a_count() -> None:
    asked = AggregateQuery((Measure(Function.AVG, "pm25"), Measure(Function.SUM, "pm25")))
    assert [part.name for part in plan.parts(asked, AIR.schema, OPEN)] == ["count_pm25", "sum_pm25"]


def test_sixteen_averages_fit_a_frame() -> None:
    names = [f"m{i}" for i in range(16)]
    schema = Schema(tuple(Column(name, Kind.INTEGER, Role.MEASURE, low=0, high=1) for name in names))
    asked = AggregateQuery(tuple(Measure(Function.AVG, name) for name in names))
    assert len(plan.shape(asked, Manifest("r", "s", schema, 1), OPEN).lows) == 32
