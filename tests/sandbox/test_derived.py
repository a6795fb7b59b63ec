"""Bins, periods and hierarchies: declared by the holder, computed by the plan, never stored."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.crypto.keys import b64url, raw
from exchange.errors import Problem
from exchange.sandbox import derived, plan, query, sql
from exchange.sandbox.derived import Period, Rule
from exchange.sandbox.query import Profile
from exchange.sandbox.schema import Column, Kind, Manifest, Role, Schema, SchemaError, schema_from_json
from exchange.sandbox.terms import Terms
from tests import nodes, samples
from tests.sandbox import snapshots
from tests.sandbox.shops import KEY, POPULATIONS, ROWS_PER_SECOND, SCHEMA, Running, table
from tests.sandbox.snapshots import Snapshot


def dimension(name: str, kind: Kind, rule: Rule) -> Column:
    return Column(name, kind, Role.DIMENSION, derived=rule)


DISTRICTS = (("东四", "东城"), ("万柳", "海淀"))
COARSE = (
    dimension("week", Kind.DATE, Rule("day", by=Period.WEEK)),
    dimension("month", Kind.DATE, Rule("day", by=Period.MONTH)),
    dimension("quarter", Kind.DATE, Rule("month", by=Period.QUARTER)),
    dimension("year", Kind.DATE, Rule("quarter", by=Period.YEAR)),
    dimension("district", Kind.STRING, Rule("station", map=DISTRICTS)),
    dimension("urban", Kind.BOOLEAN, Rule("district", map=(("东城", True), ("海淀", False)))),
    dimension("band", Kind.STRING, Rule("pm25", edges=(0, 350, 750, 1150))),
    dimension("grade", Kind.INTEGER, Rule("band", map=(("[0, 35)", 1), ("[75, 115)", 3)))),
)
AS_SQL = {
    "week": "date_trunc('week', day)::DATE",
    "month": "date_trunc('month', day)::DATE",
    "quarter": "date_trunc('quarter', day)::DATE",
    "year": "date_trunc('year', day)::DATE",
    "district": "CASE station WHEN '东四' THEN '东城' WHEN '万柳' THEN '海淀' END",
    "urban": "CASE station WHEN '东四' THEN TRUE WHEN '万柳' THEN FALSE END",
    "band": "CASE WHEN pm25 < 35 THEN '[0, 35)' WHEN pm25 < 75 THEN '[35, 75)' WHEN pm25 < 115 THEN '[75, 115)' END",
    "grade": "CASE WHEN pm25 < 35 THEN 1 WHEN pm25 BETWEEN 75 AND 114.9 THEN 3 END",
}


@pytest.fixture(scope="module")
def air(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    frame, schema = samples.air()
    with_derived = Schema((*schema.columns, *COARSE))
    return snapshots.take_frame(tmp_path_factory.mktemp("air"), frame, with_derived, Profile.OPEN)


@pytest.fixture(scope="module")
def database() -> duckdb.DuckDBPyConnection:
    frame = samples.air()[0]
    connection = duckdb.connect()
    connection.register("frame", frame)
    connection.execute("CREATE TABLE raw AS SELECT station, day::DATE AS day, pm25 FROM frame")
    return connection


@pytest.mark.parametrize("name", sorted(AS_SQL))
def test_a_derived_dimension_groups_as_its_rule_says(
    air: Snapshot, database: duckdb.DuckDBPyConnection, name: str
) -> None:
    due = database.execute(f"SELECT {AS_SQL[name]} AS g, count(*) FROM raw GROUP BY g").fetchall()
    found = air.ask(f"SELECT {name}, COUNT(*) FROM air GROUP BY {name}")
    pairs = zip(found[name].tolist(), found["count"].tolist(), strict=True)
    assert {None if pd.isna(key) else key: n for key, n in pairs} == dict(due)


@pytest.mark.parametrize("name", sorted(AS_SQL))
def test_a_derived_dimension_filters_and_is_counted_as_its_rule_says(
    air: Snapshot, database: duckdb.DuckDBPyConnection, name: str
) -> None:
    text = """SELECT COUNT(*) FILTER (WHERE {0} IS NULL), COUNT(DISTINCT {0}), COUNT({0}) FROM {1}
              WHERE {0} IS NOT NULL OR station = '定陵' OR pm25 > 100"""
    due = database.execute(text.format(f"({AS_SQL[name]})", "raw")).fetchall()[0]
    found = air.ask(text.format(name, "air"))
    filtered = next(column for column in found.columns if "where" in column)
    row = found.iloc[0]
    assert (row[filtered], row[f"count_distinct_{name}"], row[f"count_{name}"]) == due


def test_nothing_derived_is_stored_or_read(air: Snapshot) -> None:
    table = pq.read_table(air.folder / "snapshots" / "data" / f"{air.report.snapshot}.parquet")
    assert set(table.column_names) == {"station", "day", "pm25"}


def test_domains_follow_from_the_source(air: Snapshot) -> None:
    domains = {column.name: column.domain for column in air.manifest.schema.columns}
    assert domains["month"] == ("2026-01-01", "2026-02-01", "2026-03-01")
    assert domains["year"] == ("2026-01-01",)
    assert domains["district"] == ("东城", "海淀")
    assert domains["band"] == ("[0, 35)", "[35, 75)", "[75, 115)")


def test_date_trunc_is_the_dimension_declared_so(air: Snapshot) -> None:
    text = "SELECT DATE_TRUNC('month', day) AS m, COUNT(*) FROM air GROUP BY DATE_TRUNC('month', day)"
    bound = query.bind(sql.parse(text), air.manifest.schema, Profile.OPEN)
    assert bound.query.dimensions == ("month",)
    assert [(output.label, output.source) for output in bound.outputs] == [("m", "month"), ("count", "count")]
    asked = {"product": "air", "measures": [{"function": "count"}], "dimensions": [{"column": "day", "by": "month"}]}
    assert query.bind(query.parse_json(asked), air.manifest.schema, Profile.OPEN).query == bound.query


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SELECT COUNT(*) FROM air GROUP BY DATE_TRUNC('year', day)", "column_not_dimension"),
        ("SELECT COUNT(*) FROM air GROUP BY DATE_TRUNC('hour', day)", "column_not_dimension"),
        ("SELECT DATE_TRUNC('month', day), COUNT(*) FROM air GROUP BY day", "sql_unsupported"),
        ("SELECT COUNT(*) FROM air GROUP BY DATE_TRUNC(day, day)", "column_not_dimension"),
        ("SELECT COUNT(*) FROM air WHERE DATE_TRUNC('month', day) = '2026-01-01'", "function_unknown"),
        ("SELECT SUM(band) FROM air", "column_not_measure"),
        ("SELECT COUNT(*) FROM air WHERE band = 'no'", ""),
    ],
)
def test_what_is_not_declared_is_refused_and_what_is_declared_is_named(air: Snapshot, text: str, code: str) -> None:
    try:
        query.bind(sql.parse(text), air.manifest.schema, Profile.OPEN)
    except Problem as problem:
        assert problem.code == code
        assert code != "column_not_dimension" or "month (the month of day)" in problem.hint
    else:
        assert code == ""


def test_a_product_can_show_a_bin_without_its_measure(air: Snapshot) -> None:
    shown = air.manifest.schema.only({"band", "month"})
    bound = query.bind(sql.parse("SELECT band, COUNT(*) FROM air GROUP BY band"), shown, Profile.OPEN)
    assert len(air.cells(bound.query)) == 4
    with pytest.raises(Problem, match="column_unknown"):
        query.bind(sql.parse("SELECT SUM(pm25) FROM air"), shown, Profile.OPEN)


def test_a_schema_survives_json(air: Snapshot) -> None:
    assert schema_from_json(air.manifest.schema.to_json()) == air.manifest.schema
    declared = {"of": "station", "map": dict(DISTRICTS)}
    column = COARSE[4].to_json() | {"derived": declared}
    schema = schema_from_json({"columns": [air.manifest.schema.columns[0].to_json(), column]})
    assert schema.columns[1] == air.manifest.schema.get("district")


def test_many_spans_are_looked_up_and_few_are_compared() -> None:
    for size in (20, 500):
        coarse = tuple((value, value % 2 + 1) for value in range(size))
        schema = Schema(
            (
                Column("fine", Kind.INTEGER, Role.DIMENSION, tuple(range(size))),
                dimension("odd", Kind.INTEGER, Rule("fine", map=coarse[1:])),
            )
        )
        asked = query.bind(sql.parse("SELECT odd, COUNT(*) FROM t GROUP BY odd"), schema, Profile.OPEN).query
        text = plan.compile(asked, Manifest("r", "s", schema, rows=size), Terms("open"), "t").levels[0].sql
        connection = duckdb.connect()
        connection.execute(f"CREATE TABLE t AS SELECT i::USMALLINT AS fine FROM range({size + 1}) r(i)")
        found = sorted(connection.execute(text).fetchall())
        assert found == [(0, 2), (1, size // 2), (2, size // 2 - 1)]  # value 0 and null are in no coarse one
        assert ("CASE" in text) == (size == 20)


def test_a_guarded_bin_is_a_public_grid_of_its_own(tmp_path: Path) -> None:
    frame, schema = samples.flights()
    band = dimension("band", Kind.STRING, Rule("distance", edges=(0, 1000, 5000), labels=("short", "long")))
    taken = snapshots.take_frame(tmp_path, frame, replace(schema, columns=(*schema.columns, band)), Profile.GUARDED)
    found = taken.ask("SELECT band, COUNT(*) FROM flights GROUP BY band").set_index("band")
    kept = frame[frame["tailnum"].notna()]
    assert len(found) == 3
    for label, due in (("short", (kept["distance"] < 1000).sum()), ("long", (kept["distance"] >= 1000).sum())):
        assert found.loc[label, "status"] == "released"
        assert abs(found.loc[label, "count"] - due) < 0.2 * due
    alone = taken.ask("SELECT COUNT(*) FROM flights WHERE band = 'long'")
    assert alone["count"].tolist() == [found.loc["long", "count"]]
    with pytest.raises(Problem, match="filter_not_allowed"):
        taken.ask("SELECT COUNT(*) FROM flights WHERE distance > 10")


@pytest.mark.parametrize(("names", "keys"), [("year, quarter, week", ""), ("month, year", ""), ("year, month", "ok")])
def test_a_rollup_is_of_a_declared_hierarchy_coarse_to_fine(air: Snapshot, names: str, keys: str) -> None:
    text = f"SELECT {names}, COUNT(*) FROM air GROUP BY ROLLUP({names})"
    if keys:
        assert air.bind(text).rollup == ("year", "month")
        return
    with pytest.raises(Problem, match="column_not_dimension"):
        air.bind(text)


@pytest.mark.parametrize("names", ["year, quarter, month, day", "urban, district, station", "grade, band"])
def test_a_hierarchy_rolls_up_as_duckdb_has_it(air: Snapshot, database: duckdb.DuckDBPyConnection, names: str) -> None:
    columns = names.split(", ")
    inner = ", ".join(f"{AS_SQL.get(name, name)} AS {name}" for name in columns)
    due = database.execute(
        f"""SELECT {names}, count(*), bit_count(grouping({names})) FROM (SELECT {inner}, pm25 FROM raw WHERE pm25 > 9)
            GROUP BY ROLLUP({names})"""
    ).fetchall()
    found = air.ask(f"SELECT COUNT(*) FROM air WHERE pm25 > 9 GROUP BY ROLLUP({names})")
    shown = found[[*columns, "count", "level"]].astype(object).values.tolist()
    plain = [tuple(None if pd.isna(value) else value for value in row) for row in shown]
    assert sorted(plain, key=repr) == sorted(due, key=repr)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("GROUP BY month", 1 + 3),
        ("GROUP BY year, month", 1 + 3),
        ("GROUP BY year, quarter, month, day", 1 + 60),
        ("WHERE year IS NULL GROUP BY year, month", 1),
        ("WHERE month = '2026-02-01' GROUP BY quarter, month", 1),
        ("WHERE quarter IS NOT NULL GROUP BY quarter, day", 60),
        ("GROUP BY week, month", (1 + 9) * (1 + 3)),
        ("GROUP BY urban, station, band", (1 + 3) * (1 + 3)),
        ("GROUP BY ROLLUP(year, quarter, month)", 4 + 2 + 2 + 1),
    ],
)
def test_a_grid_has_no_cells_that_a_hierarchy_rules_out(air: Snapshot, text: str, size: int) -> None:
    asked = air.bind(f"SELECT COUNT(*) FROM air {text}")
    assert plan.shape(asked, air.manifest, air.terms).cells == size
    air.cells(asked)


@pytest.mark.parametrize("names", ["year, month", "urban, station", "week, month, year", "quarter, year, day"])
def test_nested_dimensions_group_as_duckdb_has_it(
    air: Snapshot, database: duckdb.DuckDBPyConnection, names: str
) -> None:
    columns = names.split(", ")
    inner = ", ".join(f"{AS_SQL.get(name, name)} AS {name}" for name in columns)
    due = database.execute(
        f"SELECT {names}, count(*) FROM (SELECT {inner} FROM raw WHERE pm25 > 40) GROUP BY {names}"
    ).fetchall()
    found = air.ask(f"SELECT {names}, COUNT(*) FROM air WHERE pm25 > 40 GROUP BY {names}")
    shown = found[[*columns, "count"]].astype(object).values.tolist()
    plain = [tuple(None if pd.isna(value) else value for value in row) for row in shown]
    assert sorted(plain, key=repr) == sorted(due, key=repr)


def test_a_guarded_rollup_has_every_cell_of_every_level_and_the_same_noise_as_its_parts(tmp_path: Path) -> None:
    taken = snapshots.flights(tmp_path)
    found = taken.ask("SELECT carrier, COUNT(*), SUM(distance) FROM flights GROUP BY origin, ROLLUP(carrier)")
    assert found["level"].value_counts().to_dict() == {0: 4 * 6, 1: 4}
    columns = ["origin", "count", "sum_distance", "status"]
    alone = taken.ask("SELECT COUNT(*), SUM(distance) FROM flights GROUP BY origin")
    assert found[found["level"] == 1][columns].reset_index(drop=True).equals(alone[columns])
    fine = taken.ask("SELECT COUNT(*), SUM(distance) FROM flights GROUP BY origin, carrier")
    assert found[found["level"] == 0][columns].reset_index(drop=True).equals(fine[columns])


def test_a_derived_dimension_changes_no_row_key(tmp_path: Path) -> None:
    frame, schema = samples.flights()
    bare = replace(schema, row_key=())
    band = dimension("band", Kind.STRING, Rule("distance", edges=(0, 1000, 5000)))
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    one = snapshots.take_frame(tmp_path / "a", frame, bare, Profile.GUARDED)
    other = snapshots.take_frame(tmp_path / "b", frame, replace(bare, columns=(*bare.columns, band)), Profile.GUARDED)
    text = "SELECT carrier, SUM(distance) FROM flights GROUP BY carrier"
    assert one.ask(text).equals(other.ask(text))


@given(st.dates(date(1, 1, 8)), st.sampled_from(Period))
def test_a_period_begins_before_its_day_and_holds_its_own_first_day(day: date, by: Period) -> None:
    first = derived.first_day(day, by)
    assert first <= day <= first + timedelta(days={"week": 6, "month": 30, "quarter": 91, "year": 365}[by])
    assert derived.first_day(first, by) == first


@pytest.mark.parametrize(
    ("edges", "scale", "labels"),
    [((0, 18, 65), 0, ("[0, 18)", "[18, 65)")), ((-5, 50, 1000), 1, ("[-0.5, 5)", "[5, 100)"))],
)
def test_ranges_are_labelled_in_the_measures_own_values(
    edges: tuple[int, ...], scale: int, labels: tuple[str, ...]
) -> None:
    assert derived.ranges(Rule("m", edges=edges), scale) == labels


DAY = Column("day", Kind.DATE, Role.DIMENSION, ("2026-01-01",))
MEASURE = Column("m", Kind.INTEGER, Role.MEASURE, low=0, high=9)
UNSOUND = [
    (Rule("no", by=Period.MONTH), Kind.DATE, "no column before"),
    (Rule("late", by=Period.MONTH), Kind.DATE, "no column before"),
    (Rule("day"), Kind.DATE, "one of edges"),
    (Rule("day", by=Period.MONTH, map=(("2026-01-01", "x"),)), Kind.DATE, "one of edges"),
    (Rule("day", by=Period.MONTH), Kind.STRING, "periods are dates"),
    (Rule("m", by=Period.MONTH), Kind.DATE, "of a dimension"),
    (Rule("day", edges=(1, 2)), Kind.STRING, "cut a measure"),
    (Rule("m", edges=(1,)), Kind.STRING, "two or more"),
    (Rule("m", edges=(2, 1)), Kind.STRING, "ascending"),
    (Rule("m", edges=(1, 1)), Kind.STRING, "ascending"),
    (Rule("m", edges=(1, 2, 3), labels=("a",)), Kind.STRING, "one for each"),
    (Rule("m", edges=(1, 2, 3), labels=("a", "a")), Kind.STRING, "repeat"),
    (Rule("m", edges=(1, 2**53)), Kind.STRING, "2..53"),
    (Rule("day", map=(("2026-02-01", "x"),)), Kind.STRING, "in the domain"),
    (Rule("day", map=(("2026-01-01", "x"), ("2026-01-01", "y"))), Kind.STRING, "each once"),
    (Rule("day", map=(("2026-01-01", 1),)), Kind.STRING, "of the column's kind"),
    (Rule("day", map=(("2026-01-01", None),)), Kind.STRING, "of the column's kind"),
    (Rule("day", map=(([], "x"),)), Kind.STRING, "each once"),  # type: ignore[list-item]
]


@pytest.mark.parametrize(("rule", "kind", "says"), UNSOUND)
def test_a_rule_that_is_not_sound_is_refused(rule: Rule, kind: Kind, says: str) -> None:
    with pytest.raises(SchemaError, match=says):
        Schema((DAY, MEASURE, dimension("late", kind, rule)))


@pytest.mark.parametrize(
    "rule",
    [5, [], "x", {"by": "month"}, {"of": "day", "by": "hour"}, {"of": "day", "map": 5}, {"of": "day", "map": [[1]]},
     {"of": "m", "edges": [0.5, 1]}, {"of": "m", "edges": ["a"]}, {"of": "day", "by": "month", "x": 1}],
)  # fmt: skip
def test_a_rule_that_is_no_rule_is_refused(rule: Any) -> None:
    column = {"name": "late", "kind": "date", "role": "dimension", "derived": rule}
    if rule == []:
        return  # nothing is declared
    with pytest.raises(SchemaError):
        schema_from_json({"columns": [DAY.to_json(), MEASURE.to_json(), column]})


# At the node


def test_a_bin_is_answered_by_a_holder_who_hides_the_measure(tmp_path: Path) -> None:
    home = nodes.make_node(
        tmp_path / "home",
        populations=POPULATIONS,
        resources={"shops": {"population": "firms", "columns": ["firm", "size", "scale"]}},
        exchange_key=b64url(raw(KEY.public)),
        rows_per_second=ROWS_PER_SECOND,
    )
    size = Rule("sales", edges=(0, 250, 500, 1001), labels=("small", "middle", "large"))
    scale = Rule("size", map=(("small", "low"), ("middle", "low"), ("large", "high")))
    rules = {"size": size, "scale": scale}
    derived = [Column(name, Kind.STRING, Role.DIMENSION, derived=rule) for name, rule in rules.items()]
    schema = Schema((*SCHEMA.columns, *derived), SCHEMA.row_key)
    source = tmp_path / "source.csv"
    source.write_text("firm,day,town,sales\n" + "".join(f"firm{i % 100},{i // 100},east,{i}\n" for i in range(1000)))
    taken = nodes.take_in(home, "shops", source, schema)
    with nodes.running(home) as process:
        node = Running(home, process, nodes.client(home), {"shops": taken["snapshot"]})
        asked = {"measures": [{"function": "count_distinct", "column": "firm"}], "dimensions": ["scale", "size"]}
        asked |= {"where": None, "rollup": ["scale", "size"]}
        order = replace(node.order(), query=asked, columns=("firm", "size", "scale"))
        rows = table(node.send(order))
        assert [row["level"] for row in rows] == 4 * [0] + 3 * [1] + [2]
        shown = [(row["scale"], row["size"], row["level"]) for row in rows if row["status"] == "released"]
        assert shown == [
            ("low", "small", 0), ("low", "middle", 0), ("high", "large", 0), ("low", None, 1), ("high", None, 1),
            (None, None, 2),
        ]  # fmt: skip
        hidden = {"measures": [{"function": "sum", "column": "sales"}], "dimensions": [], "where": None}
        assert node.code(replace(node.order(), query=hidden, columns=order.columns))[1] == "column_unknown"
        assert node.code(replace(node.order(), query=hidden, columns=("firm", "sales")))[1] == "policy_refused"
