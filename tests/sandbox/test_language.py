"""The wider language: each answer is the one DuckDB gives to the same words over the original values."""

import math
from decimal import Decimal
from fractions import Fraction

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.errors import Problem
from exchange.sandbox import answer, plan, query, sql
from exchange.sandbox.query import Function, Measure, Profile
from exchange.sandbox.query.model import AggregateQuery
from exchange.sandbox.schema import Column, Kind, Manifest, Role, Schema
from exchange.sandbox.shown import shown
from exchange.sandbox.terms import Terms
from tests.sandbox.asked import OPEN, ROWS, SCHEMA, connect, in_any_order, ours, theirs

GUARDED = Terms("guarded", threshold=10)


@pytest.fixture(scope="module")
def database() -> duckdb.DuckDBPyConnection:
    return connect()


def refusal(text: str, profile: Profile = Profile.OPEN, schema: Schema = SCHEMA) -> Problem:
    with pytest.raises(Problem) as caught:
        query.bind(sql.parse(text), schema, profile)
    return caught.value


# --- Variance

SPREADS = ["VARIANCE(m)", "VAR_SAMP(far)", "STDDEV(m)", "STDDEV_SAMP(far)", "AVG(m)", "COUNT(m)", "SUM(far)"]
FILTERS = ["TRUE", "m > 0.5", "m IS NULL", "s = 'a' OR t = 'y'", "s = 'é' AND t = 'x'", "far = 30000"]


@settings(deadline=None)
@given(items=st.lists(st.sampled_from(SPREADS), min_size=1, unique=True), where=st.sampled_from(FILTERS[1:]))
def test_a_spread_is_what_duckdb_gives(database: duckdb.DuckDBPyConnection, items: list[str], where: str) -> None:
    for text in (
        f"SELECT {', '.join(items)} FROM p WHERE {where}",
        f"SELECT s, {', '.join(items)} FROM p WHERE {where} GROUP BY s",
    ):
        assert in_any_order(ours(database, text)) == in_any_order(theirs(database, text))


@given(st.integers(0, 2**130), st.integers(1, 2**130))
def test_a_root_is_the_float_nearest_to_the_exact_one(numerator: int, denominator: int) -> None:
    root, exact = answer._root(numerator, denominator), Fraction(numerator, denominator)
    below, above = math.nextafter(root, 0), math.nextafter(root, math.inf)
    if numerator == 0:
        assert root == 0
        return
    half_below = (Fraction(below) + Fraction(root)) / 2
    half_above = (Fraction(above) + Fraction(root)) / 2
    assert half_below**2 <= exact <= half_above**2


def test_a_variance_shares_its_sum_and_count_with_the_average() -> None:
    asked = AggregateQuery((Measure(Function.AVG, "m"), Measure(Function.STDDEV, "m"), Measure(Function.VARIANCE, "m")))
    assert [part.name for part in plan.parts(asked, SCHEMA, Terms("open"))] == ["count_m", "squares_m", "sum_m"]


@pytest.mark.parametrize(("low", "high", "due"), [(-60, 1440, 0), (30_000, 32_000, 30_000), (-9, -4, -4)])
def test_squares_are_about_the_value_nearest_to_zero(low: int, high: int, due: int) -> None:
    assert plan.centre(Column("m", Kind.INTEGER, Role.MEASURE, low=low, high=high)) == due


def test_a_variance_that_could_overflow_is_refused_by_public_figures_alone() -> None:
    schema = Schema((Column("m", Kind.INTEGER, Role.MEASURE, low=0, high=2**31),))
    asked = AggregateQuery((Measure(Function.VARIANCE, "m"),))
    assert plan.shape(asked, Manifest("r", "s", schema, rows=1), OPEN).highs[1] == 2**62
    for rows, terms in ((2, OPEN), (1, GUARDED)):
        with pytest.raises(Problem) as caught:
            plan.compile(asked, Manifest("r", "s", schema, rows=rows), terms)
        assert caught.value.code == "column_not_measure"


def test_the_largest_squares_that_are_accepted_do_not_overflow(database: duckdb.DuckDBPyConnection) -> None:
    top = 2**31 - 1
    schema = Schema((Column("m", Kind.INTEGER, Role.MEASURE, low=-top, high=top),))
    sql_text = (
        plan.compile(
            AggregateQuery((Measure(Function.VARIANCE, "m"),)), Manifest("r", "s", schema, rows=2), OPEN, "wide"
        )
        .levels[0]
        .sql
    )
    database.execute(f"CREATE OR REPLACE TABLE wide AS SELECT unnest([{top}, {-top}])::INTEGER AS m")
    assert database.execute(sql_text).fetchall() == [(2, 2 * top * top, 0)]


def test_more_totals_than_a_frame_can_tell_the_nulls_of_are_refused() -> None:
    names = [f"m{i}" for i in range(11)]
    schema = Schema(tuple(Column(name, Kind.INTEGER, Role.MEASURE, low=0, high=1) for name in names))
    text = "SELECT " + ", ".join(f"STDDEV({name})" for name in names) + " FROM p"
    assert refusal(text, schema=schema).code == "query_too_large"


def test_a_variance_with_noise_is_never_below_zero() -> None:
    assert answer._spread(0, 1, 10, 100, 3) == (0, 600)
    assert answer._spread(0, 1, 10, 100, 1) is None


# --- Filters of aggregates

AGGREGATES = ["COUNT(*)", "COUNT(m)", "COUNT(s)", "COUNT(DISTINCT t)", "COUNT(DISTINCT m)", "SUM(m)", "AVG(m)",
              "STDDEV(far)"]  # fmt: skip


@settings(deadline=None)
@given(
    items=st.lists(st.tuples(st.sampled_from(AGGREGATES), st.sampled_from(FILTERS)), min_size=1, max_size=6),
    where=st.sampled_from(FILTERS),
)
def test_a_filtered_aggregate_is_what_duckdb_gives(
    database: duckdb.DuckDBPyConnection, items: list[tuple[str, str]], where: str
) -> None:
    said = where if where != "TRUE" else "m IS NULL OR m IS NOT NULL"
    shown = [
        f"{item} FILTER (WHERE {test if test != 'TRUE' else said}) AS c{i}" for i, (item, test) in enumerate(items)
    ]
    for text in (
        f"SELECT {', '.join(shown)} FROM p WHERE {said}",
        f"SELECT s, t, {', '.join(shown)} FROM p WHERE {said} GROUP BY s, t",
    ):
        assert in_any_order(ours(database, text)) == in_any_order(theirs(database, text))


CASES = [
    "SUM(CASE WHEN m > 0 THEN far END)",
    "COUNT(CASE WHEN m > 0 THEN 1 END)",
    "SUM(CASE WHEN t = 'x' THEN 1 ELSE 0 END)",
    "AVG(CASE WHEN s <> 'a' AND t = 'y' THEN m ELSE NULL END)",
    "COUNT(DISTINCT CASE WHEN t = 'x' THEN s END)",
]


@pytest.mark.parametrize("item", CASES)
def test_a_case_is_what_duckdb_gives(database: duckdb.DuckDBPyConnection, item: str) -> None:
    text = f"SELECT s, {item} AS c FROM p GROUP BY s"
    assert in_any_order(ours(database, text)) == in_any_order(theirs(database, text))


# --- Calculations, HAVING, ORDER BY, LIMIT

LEAVES = st.sampled_from(["COUNT(*)", "SUM(m)", "AVG(m)", "COUNT(m)", "SUM(far)", "2", "0", "1.5", "-3"])
FORMULAS = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(lambda a, op, b: f"({a} {op} {b})", inner, st.sampled_from("+-*"), inner)
        | st.builds(lambda a, b: f"({a} / NULLIF({b}, 0))", inner, inner)
    ),
    max_leaves=5,
)


@settings(deadline=None)
@given(formula=FORMULAS)
def test_a_calculation_is_what_duckdb_gives_in_doubles(database: duckdb.DuckDBPyConnection, formula: str) -> None:
    doubles = formula
    for leaf in ("COUNT(*)", "SUM(m)", "AVG(m)", "COUNT(m)", "SUM(far)"):
        doubles = doubles.replace(leaf, f"{leaf}::DOUBLE")
    asked = f"SELECT s, COUNT(*) + {unguarded(formula)} AS f FROM p GROUP BY s"
    due = f"SELECT s, COUNT(*)::DOUBLE + {doubles} AS f FROM p GROUP BY s"
    found, wanted = in_any_order(ours(database, asked)), in_any_order(theirs(database, due))
    assert [row[0] for row in found] == [row[0] for row in wanted]
    for (_, mine), (_, other) in zip(found, wanted, strict=True):
        if mine is None:
            assert other is None or abs(other) > 1e18  # beyond 64 bits, or 38 digits, there is no number
        else:
            assert mine == pytest.approx(other, rel=1e-6, abs=1e-6)


def unguarded(text: str) -> str:
    """`text` without NULLIF(…, 0): a division by zero is null in our language."""
    while (start := text.find("NULLIF(")) >= 0:
        depth, end = 1, start + len("NULLIF(")
        while depth:
            depth += (text[end] == "(") - (text[end] == ")")
            end += 1
        text = text[:start] + text[start + len("NULLIF(") : end - len(", 0)")] + text[end:]
    return text


@pytest.mark.parametrize(
    ("term", "kind"),
    [
        ("COUNT(*) + 1", "int64"),
        ("COUNT(*) * 2.50", "decimal128(38, 2)"),
        ("SUM(m) - COUNT(*)", "decimal128(38, 1)"),
        ("SUM(m) * SUM(m)", "decimal128(38, 2)"),
        ("COUNT(*) / 2", "double"),
        ("AVG(m) + 1", "double"),
        ("COUNT(*) * 0.0000000000000000001", "double"),
    ],
)
def test_the_type_of_a_calculation_follows_from_its_parts(term: str, kind: str) -> None:
    bound = query.bind(sql.parse(f"SELECT {term} AS c FROM p"), SCHEMA, Profile.OPEN)
    table = pa.table(
        {
            "avg_m": [1.5],
            "count": [3],
            "sum_m": pa.array([Decimal("1.5")], pa.decimal128(38, 1)),
            "status": ["released"],
        }
    )
    assert str(shown(table, bound.outputs, bound.view).schema.field("c").type) == kind


def cells(**columns: list[object]) -> pa.Table:
    return pa.table(columns | {"status": ["released"] * len(next(iter(columns.values())))})


def test_what_does_not_fit_its_type_and_what_divides_by_nothing_is_null() -> None:
    bound = query.bind(
        sql.parse("SELECT COUNT(*) * 9000000000000000000 AS a, 1 / (COUNT(*) - 2) AS b FROM p"), SCHEMA, Profile.OPEN
    )
    found = shown(cells(count=[1, 2, None]), bound.outputs, bound.view)
    assert found["a"].to_pylist() == [9000000000000000000, None, None]
    assert found["b"].to_pylist() == [-1.0, None, None]


def test_a_share_is_rounded_once() -> None:
    bound = query.bind(sql.parse("SELECT 100.0 * SUM(far) / COUNT(*) AS share FROM p"), SCHEMA, Profile.OPEN)
    found = shown(cells(count=[3], sum_far=[2**53 + 1]), bound.outputs, bound.view)
    assert found["share"].to_pylist() == [float(Fraction(100 * (2**53 + 1), 3))]


# --- ROLLUP


@pytest.mark.parametrize(
    ("groups", "order"),
    [("ROLLUP(s)", ""), ("t, ROLLUP(s)", ""), ("ROLLUP(s)", "HAVING COUNT(*) > 9 ORDER BY SUM(m) DESC, s LIMIT 3")],
)
@pytest.mark.parametrize("where", FILTERS[1:])
def test_a_rollup_is_what_duckdb_gives(
    database: duckdb.DuckDBPyConnection, groups: str, order: str, where: str
) -> None:
    items = "s, COUNT(*), SUM(m), AVG(far), COUNT(DISTINCT t), STDDEV(m)"
    asked, rest = f"SELECT {items} FROM p", f"FROM p WHERE {where} GROUP BY {groups} {order}"
    database.execute("SET default_null_order = 'nulls_last'")
    found = ours(database, f"{asked} WHERE {where} GROUP BY {groups} {order}")
    due = theirs(database, f"SELECT {items}, grouping(s) {rest}")
    assert found == due if order else in_any_order(found) == in_any_order(due)


def test_levels_stand_after_one_another_and_can_be_chosen(database: duckdb.DuckDBPyConnection) -> None:
    text = "SELECT t, COUNT(*) FROM p GROUP BY ROLLUP(t)"
    assert [row[2] for row in ours(database, text)] == [0, 0, 0, 1]
    assert ours(database, text + " HAVING level = 1") == [(None, len(ROWS), 1)]
    assert [row[2] for row in ours(database, text + " ORDER BY level DESC")] == [1, 0, 0, 0]
    assert refusal("SELECT t, COUNT(*) FROM p GROUP BY t ORDER BY level").code == "column_unknown"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SELECT COUNT(*) FROM p GROUP BY ROLLUP(s, t)", "column_not_dimension"),
        ("SELECT COUNT(*) FROM p GROUP BY s, ROLLUP(s)", "sql_unsupported"),
        ("SELECT COUNT(*) FROM p GROUP BY ROLLUP(s, s)", "sql_unsupported"),
        ("SELECT COUNT(*) FROM p GROUP BY ROLLUP(s), ROLLUP(t)", "sql_unsupported"),
        ("SELECT COUNT(*) FROM p GROUP BY ROLLUP((s, t))", "sql_unsupported"),
        ("SELECT COUNT(*) FROM p GROUP BY CUBE(s)", "sql_unsupported"),
        ("SELECT COUNT(*) FROM p GROUP BY GROUPING SETS (s)", "sql_unsupported"),
        ("SELECT COUNT(*) FROM p GROUP BY s WITH ROLLUP", "sql_unsupported"),
        ("SELECT COUNT(*) FROM p GROUP BY ROLLUP(m)", "column_not_dimension"),
        ("SELECT COUNT(*) AS level FROM p", "sql_unsupported"),
        ("SELECT COUNT(*) AS status FROM p", "sql_unsupported"),
    ],
)
def test_a_rollup_of_no_hierarchy_is_refused(text: str, code: str) -> None:
    assert refusal(text).code == code


def test_json_says_what_sql_says_of_rollups_and_the_node_checks_them() -> None:
    asked = query.bind(sql.parse("SELECT s, COUNT(*) FROM p GROUP BY ROLLUP(s)"), SCHEMA, Profile.OPEN).query
    body = {"product": "p", "measures": [{"function": "count"}], "rollup": ["s"]}
    assert query.bind(query.parse_json(body), SCHEMA, Profile.OPEN).query == asked
    wire = query.to_json(asked)
    assert query.from_json(wire, SCHEMA, OPEN) == asked
    for rollup, code in [
        ([], "field_invalid"), (["t"], "field_invalid"), ("s", "field_invalid"), (["s", "s"], "sql_unsupported"),
        (None, "field_invalid"), (["no"], "field_invalid"), ([1], "field_invalid"),
    ]:  # fmt: skip
        with pytest.raises(Problem) as caught:
            query.from_json(wire | {"rollup": rollup}, SCHEMA, OPEN)
        assert caught.value.code == code


VIEWS = [
    "HAVING COUNT(*) > 10",
    "HAVING SUM(m) > 5 AND NOT AVG(far) < 31000.5",
    "HAVING SUM(m) IS NULL OR n BETWEEN 9 AND 12",
    "HAVING NOT (SUM(m) > 3 OR n IN (9, 18))",
    "HAVING SUM(m) / COUNT(*) <= 1.5",
    "ORDER BY n DESC, s, t",
    "ORDER BY SUM(m), s DESC, t DESC",
    "ORDER BY 3 DESC, 1, 2",
    "ORDER BY COUNT(*) * -1 + 0.5, t, s LIMIT 4",
    "HAVING n > 2 ORDER BY AVG(m) DESC, s, t LIMIT 3",
    "ORDER BY s, t LIMIT 0",
]


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_is_what_duckdb_gives(database: duckdb.DuckDBPyConnection, view: str) -> None:
    text = f"SELECT s, t, COUNT(*) AS n, SUM(m) AS total FROM p GROUP BY s, t {view}"
    database.execute("SET default_null_order = 'nulls_last'")
    found, due = ours(database, text), theirs(database, text)
    assert found == due if "ORDER" in view else in_any_order(found) == in_any_order(due)


def test_ties_stand_in_the_grids_order_and_suppressed_rows_last_and_behind_every_having() -> None:
    table = pa.table(
        {
            "s": ["b", "a", "ba", "Z"],
            "count": [5, None, 7, 5],
            "status": ["released", "suppressed", "released", "released"],
        }
    )
    for view, due in [
        ("ORDER BY COUNT(*)", ["b", "Z", "ba", "a"]),
        ("ORDER BY COUNT(*) DESC", ["ba", "b", "Z", "a"]),
        ("HAVING COUNT(*) < 100", ["b", "ba", "Z"]),
        ("HAVING NOT COUNT(*) < 6", ["ba"]),
        ("HAVING COUNT(*) * 0 = 0", ["b", "ba", "Z"]),
        ("HAVING COUNT(*) IS NULL", ["a"]),
    ]:
        bound = query.bind(sql.parse(f"SELECT s, COUNT(*) FROM p GROUP BY s {view}"), SCHEMA, Profile.OPEN)
        assert shown(table, bound.outputs, bound.view)["s"].to_pylist() == due


WORDS = [
    *("COUNT(*)", "SUM(m)", "AVG(far)", "STDDEV(m)", "s", "t", "n", "level", "ROLLUP(s)", "FILTER (WHERE m > 1)"),
    *("SELECT", "AS", "FROM", "p", "WHERE", "GROUP", "BY", "HAVING", "ORDER", "LIMIT", "DESC", "CASE WHEN", "THEN"),
    *("ELSE", "END", "AND", "OR", "NOT", "NULL", "IS", "IN", *"(),+-*/<=>", "1", "0.5", "2"),
]
PIECES = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)


@settings(deadline=None)
@given(PIECES, PIECES, PIECES, PIECES)
def test_whatever_is_accepted_is_answered(
    database: duckdb.DuckDBPyConnection, item: str, group: str, having: str, order: str
) -> None:
    for text in (
        f"SELECT COUNT(*) AS n, SUM(m) {item} FROM p GROUP BY s, t {group}",
        f"SELECT s, AVG(far) AS n FROM p GROUP BY ROLLUP(s) HAVING n {having}",
        f"SELECT s, t, SUM(m) AS n FROM p GROUP BY s, t ORDER BY n {order}",
        f"SELECT {item} FROM p GROUP BY {group} HAVING {having} ORDER BY {order}",
    ):
        try:
            found = ours(database, text)
        except Problem as problem:
            assert problem.status in (400, 403)
        else:
            assert isinstance(found, list)
