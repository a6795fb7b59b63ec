"""What a joined query answers: as a plain rule has it, and on snapshots as the same map declared would."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.errors import Problem
from exchange.sandbox import answer, disclosure, intake, plan, query, sql
from exchange.sandbox.derived import Rule
from exchange.sandbox.engine import Engine
from exchange.sandbox.query import Profile
from exchange.sandbox.schema import Column, Kind, Manifest, Role, Schema, manifest_from_json
from tests import samples
from tests.sandbox import snapshots
from tests.sandbox.snapshots import TERMS, area_in, take
from tests.sandbox.test_joins import OPEN, OTHERS, PLACES, SALES, SAME, bound

# What it computes

Row = tuple[str | None, int | None, int | None]
Place = tuple[str | None, str | None, int | None]

CONDITIONS: dict[str, Any] = {
    "": lambda row, place: True,
    "WHERE places.town = 'east'": lambda row, place: place[1] == "east",
    "WHERE places.town IS NULL": lambda row, place: place[1] is None,
    "WHERE size > 4 OR shop = 'a'": lambda row, place: (place[2] or 0) > 4 or row[0] == "a",
    "WHERE side = 'sun' AND amount < 50": lambda row, place: place[1] in ("east", "west") and (row[2] or 99) < 50,
    "WHERE NOT town IN ('west')": lambda row, place: place[1] in ("east", "north"),
}
DIMENSIONS: dict[str, Any] = {
    "shop": lambda row, place: row[0],
    "places.town": lambda row, place: place[1],
    "places.side": lambda row, place: "sun" if place[1] in ("east", "west") else None,
    "places.id": lambda row, place: place[0],
}


def by_rule(rows: list[Row], places: list[Place], inner: bool, names: tuple[str, ...], condition: str) -> list[Any]:
    """The answer as a plain rule has it: each row with the one place that has its key."""
    by_key = {place[0]: place for place in places if place[0] is not None}
    groups: dict[tuple[Any, ...], list[tuple[Row, Place]]] = {} if names else {(): []}
    for row in rows:
        place = by_key.get(row[0], (None, None, None))
        if (place[0] is None and inner) or not CONDITIONS[condition](row, place):
            continue
        groups.setdefault(tuple(DIMENSIONS[name](row, place) for name in names), []).append((row, place))
    return sorted(([*key, *totals(members)] for key, members in groups.items()), key=repr)


def totals(members: list[tuple[Row, Place]]) -> list[Any]:
    towns = [place[1] for _, place in members if place[1] is not None]
    sizes = [place[2] for _, place in members if place[2] is not None]
    return [len(members), len(towns), len(set(towns)), sum(sizes) if sizes else None]


def by_plan(rows: list[Row], places: list[Place], inner: bool, names: tuple[str, ...], condition: str) -> list[Any]:
    """The answer by parse, bind, compile, DuckDB and disclosure."""
    shown = ", ".join([*names, "COUNT(*) AS n", "COUNT(town) AS t", "COUNT(DISTINCT town) AS d", "SUM(size) AS s"])
    groups = f"GROUP BY {', '.join(names)}" if names else ""
    text = f"SELECT {shown} FROM sales {'' if inner else 'LEFT '}JOIN places ON shop = id {condition} {groups}"
    asked = bound(text)
    manifest = query.joined(SALES, asked.query.joins, OTHERS)
    compiled = plan.compile(asked.query, manifest, OPEN, "t1", {"places": "t2"})
    database = duckdb.connect()
    for name, table in (("t1", coded(SALES, rows)), ("t2", coded(PLACES, [(p[0], p[1], None, p[2]) for p in places]))):
        database.register("incoming", table)
        database.execute(f"CREATE TABLE {name} AS SELECT * FROM incoming")
        database.unregister("incoming")
    found = [database.execute(level.sql).fetchnumpy() for level in compiled.levels]
    table = answer.table(disclosure.open_cells(found, compiled), asked.query, manifest, OPEN)
    columns = [table[output.source].to_pylist() for output in asked.outputs]  # type: ignore[index]
    return sorted((list(row) for row in zip(*columns, strict=True)), key=repr)


def coded(manifest: Manifest, rows: list[Any]) -> pa.Table:
    """Rows as intake stores them."""
    columns: dict[str, Any] = {}
    for i, column in enumerate(manifest.schema.stored.columns):
        values = [row[i] for row in rows]
        if column.role is Role.DIMENSION:
            values = [0 if value is None else column.domain.index(value) + 1 for value in values]
        columns[column.name] = pa.array(values, pa.uint8() if column.role is Role.DIMENSION else pa.int16())
    return pa.table(columns)


ROWS = st.lists(
    st.tuples(
        st.sampled_from([None, "a", "b", "c", "d"]), st.sampled_from([None, 1, 2]), st.none() | st.integers(-5, 100)
    ),
    max_size=30,
)
PLACE = st.tuples(
    st.sampled_from([None, "d", "b", "x", "a"]),
    st.sampled_from([None, "east", "west", "north"]),
    st.none() | st.integers(0, 9),
)
SOME = st.lists(PLACE, max_size=7, unique_by=lambda place: place[0] or object())


@settings(deadline=None)
@given(
    ROWS, SOME, st.booleans(), st.lists(st.sampled_from([*DIMENSIONS]), unique=True, max_size=3).map(tuple),
    st.sampled_from([*CONDITIONS]),
)  # fmt: skip
def test_a_join_gives_what_a_plain_rule_gives(
    rows: list[Row], places: list[Place], inner: bool, names: tuple[str, ...], condition: str
) -> None:
    assert by_plan(rows, places, inner, names, condition) == by_rule(rows, places, inner, names, condition)


@settings(deadline=None)
@given(ROWS, st.lists(PLACE, max_size=30), st.booleans())
def test_no_join_multiplies_a_row_even_where_a_manifest_lies(rows: list[Row], places: list[Place], inner: bool) -> None:
    """The attack: keys that repeat, 199 times or so, under a manifest that says that they do not."""
    found = sum(row[1] for row in by_plan(rows, places, inner, ("shop",), ""))
    keys = {place[0] for place in places if place[0]}
    assert found == (sum(row[0] in keys for row in rows) if inner else len(rows))


def test_no_word_of_the_buyers_is_in_a_plan() -> None:
    text = SAME[1].replace(" p ", ' "evil"" alias" ').replace("p.", '"evil"" alias".')
    asked = bound(text).query
    manifest = query.joined(SALES, asked.joins, OTHERS)
    compiled = plan.compile(asked, manifest, OPEN, "t1", {"places": "t2"})
    assert "evil" not in compiled.levels[0].sql
    assert asked == bound(SAME[0]).query


# In the vault: snapshots as intake makes them

FLEETS = {"AA": "big", "DL": "big", "HA": "small", "OO": "small", "UA": "big"}


class Two:
    """A guarded resource with a declared map of its carriers, and the same map as an open resource."""

    def __init__(self, folder: Path, carriers: pd.DataFrame, profile: Profile = Profile.GUARDED) -> None:
        frame, schema = samples.flights()
        kind = Column("kind", Kind.STRING, Role.DIMENSION, derived=Rule("carrier", map=tuple(FLEETS.items())))
        self.terms, self.area = TERMS[profile], area_in(folder)
        self.main = self._take("data", folder, frame, Schema((*schema.columns, kind), schema.row_key), profile)
        columns = (
            Column("carrier", Kind.STRING, Role.DIMENSION),
            Column("fleet", Kind.STRING, Role.DIMENSION),
            Column("planes", Kind.INTEGER, Role.MEASURE, low=0, high=100),
        )
        self.other = self._take("carriers", folder, carriers, Schema(columns), Profile.OPEN)
        weights = pd.DataFrame([{"code": name, "w1": 10, "w2": 20, "w3": 30} for name in FLEETS])
        measures = (Column(f"w{number}", Kind.INTEGER, Role.MEASURE, low=0, high=100) for number in (1, 2, 3))
        code = Column("code", Kind.STRING, Role.DIMENSION)
        self.weights = self._take("carriers", folder, weights, Schema((code, *measures)), Profile.OPEN)
        self.engine = Engine(self.area.snapshots, b"n" * 32, memory_mb=256, threads=1)

    def _take(self, name: str, folder: Path, frame: pd.DataFrame, schema: Schema, profile: Profile) -> str:
        source = samples.write(frame, folder / f"{name}.parquet")
        return intake.take_in(source, intake.Task(name, schema, profile), self.area, snapshots.SECRET).snapshot

    def ask(self, text: str) -> pd.DataFrame:
        others = {"carriers": self.engine.manifest("carriers", self.other)}
        main = self.engine.manifest("data", self.main)
        asked = query.bind(sql.parse(text), main.schema, Profile(self.terms.profile), others).query
        at = {join.name: ("carriers", self.other) for join in asked.joins}
        manifest = self.engine.joined("data", self.main, asked.joins, at)
        cells = self.engine.run(asked, "data", self.main, self.terms, at)
        return answer.table(cells, asked, manifest, self.terms).to_pandas()


def carriers(**more: Any) -> pd.DataFrame:
    rows = [{"carrier": name, "fleet": fleet, "planes": len(fleet)} for name, fleet in FLEETS.items()]
    return pd.DataFrame([*rows, *([more] if more else [])])


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Two:
    return Two(tmp_path_factory.mktemp("two"), carriers())


JOINED = "SELECT fleet, COUNT(*), SUM(distance) FROM flights LEFT JOIN carriers USING (carrier) {} GROUP BY fleet"
DERIVED = "SELECT kind, COUNT(*), SUM(distance) FROM flights {} GROUP BY kind"
FILTERS = ["", "WHERE origin = 'JFK'", "WHERE {} = 'small'", "WHERE {} IS NOT NULL AND month = 1"]


@pytest.mark.parametrize("condition", FILTERS)
def test_a_joined_dimension_is_answered_as_a_derived_one_with_the_same_noise(two: Two, condition: str) -> None:
    found = two.ask(JOINED.format(condition.format("carriers.fleet")))
    due = two.ask(DERIVED.format(condition.format("kind")))
    assert found.rename(columns={"carriers.fleet": "kind"}).equals(due)
    assert "released" in set(found["status"])


def test_a_threshold_counts_entities_not_matches(two: Two) -> None:
    text = "SELECT carriers.carrier, COUNT(*) FROM flights JOIN carriers ON flights.carrier = carriers.carrier {}"
    found = two.ask(text.format("GROUP BY carriers.carrier")).set_index("carriers.carrier")
    alone = two.ask("SELECT carrier, COUNT(*) FROM flights GROUP BY carrier").set_index("carrier")
    assert found.loc["HA", "status"] == alone.loc["HA", "status"] == "suppressed"
    assert found["count"].equals(alone["count"].rename_axis("carriers.carrier"))


def test_weights_would_draw_noise_anew_so_the_vault_sums_none_for_a_guarded_product(two: Two) -> None:
    """The attack: a table of weights anybody may offer, and so many draws of the noise of one number of rows."""
    joins = (query.Join("carriers", "carrier", "code"),)
    at = {"carriers": ("carriers", two.weights)}
    weights = [query.Measure(query.Function.SUM, f"carriers.w{number}") for number in (1, 2, 3)]
    asked = query.AggregateQuery((query.Measure(query.Function.COUNT), *weights), joins=joins)
    manifest = two.engine.joined("data", two.main, joins, at)
    values = two.engine.run(asked, "data", two.main, two.terms, at)["values"][0].tolist()
    assert len({value / weight for value, weight in zip(values, (1, 10, 20, 30), strict=True)}) == 4
    with pytest.raises(Problem, match="column_not_measure"):
        query.from_json(query.to_json(asked), manifest.schema, two.terms)


def test_a_private_figure_of_a_joined_measure_has_an_interval(tmp_path: Path) -> None:
    two = Two(tmp_path, carriers(), Profile.PRIVATE)
    two.terms = replace(two.terms, rho=10_000_000)
    row = two.ask("SELECT SUM(planes), MEDIAN(planes), COUNT(*) FROM flights JOIN carriers USING (carrier)").iloc[0]
    assert row["sum_carriers.planes_low"] < row["sum_carriers.planes"] < row["sum_carriers.planes_high"]
    middle = "quantile_5000_carriers.planes"
    assert row[f"{middle}_low"] <= row[middle] <= row[f"{middle}_high"]
    assert row["count"] > 0
    row = two.ask("SELECT MEDIAN(planes) FROM flights JOIN carriers USING (carrier)").iloc[0]
    name = next(name for name in row.index if "quantile" in name)
    assert 0 <= row[name] <= 100


def test_intake_tells_of_open_tables_alone_what_is_unique(two: Two, tmp_path: Path) -> None:
    public = json.loads((two.area.manifests / "carriers" / f"{two.other}.json").read_text())
    assert public["unique"] == ["carrier"]
    assert manifest_from_json(public).unique == ("carrier",)
    assert "unique" not in json.loads((two.area.manifests / "data" / f"{two.main}.json").read_text())
    again = Two(tmp_path, carriers(carrier="AA", fleet="big", planes=1))
    assert again.engine.manifest("carriers", again.other).unique == ()


def test_rows_without_a_key_do_not_make_it_less_unique(tmp_path: Path) -> None:
    frame = pd.DataFrame({"k": ["a", None, "b", None], "v": [1, 1, 2, 2]})
    columns = (Column("k", Kind.STRING, Role.DIMENSION), Column("v", Kind.INTEGER, Role.DIMENSION))
    taken = take(tmp_path, samples.write(frame, tmp_path / "source.parquet"), Schema(columns), Profile.OPEN)
    assert taken.manifest.unique == ("k",)


def test_tables_that_a_query_needs_do_not_push_each_other_out(two: Two) -> None:
    small = Engine(two.area.snapshots, b"n" * 32, memory_mb=256, threads=1)
    small._room = 1
    main, other = ("data", two.main), ("carriers", two.other)
    small.load(*main, {"carriers": other})
    assert set(small._tables) == {main, other}
