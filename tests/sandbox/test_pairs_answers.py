"""What a join by the entity answers: what the same table joined beforehand does, noise included."""

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.errors import Problem
from exchange.sandbox import plan, query, sql
from exchange.sandbox.engine import Engine, SnapshotUnreadable
from exchange.sandbox.intake import IntakeRefused
from exchange.sandbox.query import Profile
from exchange.sandbox.schema import Column, Kind, Role, Schema
from exchange.sandbox.terms import Terms
from tests import samples
from tests.sandbox.pairs import REGISTRY, SALES, Pair, Row, bare, registry, sales
from tests.sandbox.test_pairs import BY_SECTOR, GUARDED, MAIN, OTHERS, bound

QUESTIONS = [
    "SELECT sector, COUNT(*), SUM(amount), COUNT(DISTINCT firm) FROM sales {} GROUP BY sector",
    "SELECT size, town, COUNT(staff), STDDEV(amount) FROM sales {} WHERE sector <> 'c' GROUP BY size, town",
    "SELECT town, SUM(amount) FILTER (WHERE size = 'big') FROM sales {} WHERE sector IS NULL GROUP BY town",
    "SELECT sector, size, COUNT(*) FROM sales {} GROUP BY sector, ROLLUP(size)",
]
JOINS = {True: "JOIN registry USING (firm)", False: "LEFT JOIN registry USING (firm)"}


@pytest.fixture(scope="module", params=[True, False], ids=["inner", "left"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Pair, str]:
    """240 firms are in both tables, 60 sold something and are not registered, 100 the other way round."""
    return Pair(tmp_path_factory.mktemp("pair"), sales(), registry(), inner=request.param), JOINS[request.param]


@pytest.mark.parametrize("text", QUESTIONS)
def test_the_answer_is_that_of_the_table_joined_beforehand_with_the_same_noise(
    pair: tuple[Pair, str], text: str
) -> None:
    both, join = pair
    found, due = bare(both.ask(text.format(join))), both.ask_whole(text.format("").replace("sales", "whole"))
    filters = {name: name.partition("_where_")[0] for name in found}  # a filter's name has its columns' names in it
    due = due.rename(columns={name: name.partition("_where_")[0] for name in due})
    assert found.rename(columns=filters)[due.columns].equals(due)
    assert "released" in set(found["status"])


def test_an_open_table_is_joined_beside_it_and_changes_nothing_else(pair: tuple[Pair, str]) -> None:
    both, join = pair
    columns = (Column("name", Kind.STRING, Role.DIMENSION), Column("coast", Kind.STRING, Role.DIMENSION))
    towns = pd.DataFrame({"name": ["east", "west", "south"], "coast": ["sea", "lake", "sea"]})
    both.towns = both.take("towns", towns, Schema(columns), Profile.OPEN)
    text = "SELECT {}, sector, SUM(amount), COUNT(*) FROM {} GROUP BY {}, sector"
    found = bare(both.ask(text.format("coast", f"sales {join} JOIN towns ON town = name", "coast")))
    due = both.ask_whole(text.format("town", "whole", "town"))
    found = found.rename(columns={"towns.coast": "town"}).replace({"town": {"sea": "east", "lake": "west"}})
    rows = [each.dropna(subset="town").sort_values(["town", "sector"]).reset_index(drop=True) for each in (found, due)]
    assert rows[0][due.columns].equals(rows[1])
    assert "released" in set(rows[0]["status"])


Firms = list[tuple[int, str, int]]
_sold = st.lists(st.tuples(st.integers(0, 6), st.sampled_from(["east", "west"]), st.integers(-5, 100)), max_size=25)
_registered = st.lists(
    st.tuples(st.integers(0, 8), st.none() | st.sampled_from("abc"), st.none() | st.integers(0, 500)),
    min_size=1, max_size=9, unique_by=lambda row: row[0],
)  # fmt: skip


@settings(deadline=None, max_examples=12)
@given(sold=_sold.filter(len), registered=_registered, inner=st.booleans(), text=st.sampled_from(QUESTIONS[:2]))
def test_any_two_tables_answer_as_the_one_they_make(sold: Firms, registered: Any, inner: bool, text: str) -> None:
    """With the softest terms that there are, so that every cell with a row shows its noised figures."""
    one = [{"firm": f"f{firm}", "day": day, "town": town, "amount": n} for day, (firm, town, n) in enumerate(sold)]
    other = [{"firm": f"f{firm}", "sector": sector, "staff": staff} for firm, sector, staff in registered]
    with TemporaryDirectory() as folder:
        both = Pair(Path(folder), one, other, inner=inner)
        both.terms = Terms("guarded", 1, 10_000, 0)
        found = bare(both.ask(text.format(JOINS[inner])))
        if not both.whole:
            assert set(found["status"]) == {"suppressed"}
            return
        due = both.ask_whole(text.format("").replace("sales", "whole"))
        assert found[due.columns].equals(due)


def test_ranks_after_the_join_are_those_before_it(tmp_path: Path) -> None:
    """`private`, and so much budget that the noise is nothing: the same rows of each firm are read."""
    for inner in (True, False):
        (tmp_path / str(inner)).mkdir()
        both = Pair(tmp_path / str(inner), sales(), registry(), Profile.PRIVATE, inner)
        both.terms = Terms("private", rows=3, rho=2**53 - 1)
        figures = "COUNT(*), COUNT(DISTINCT firm), SUM(amount), SUM(staff), QUANTILE_CONT(staff, 0.4321)"
        text = f"SELECT sector, {figures} FROM sales {{}}"
        text += " WHERE staff IS NULL OR staff < 400 GROUP BY sector"
        found, due = both.ask(text.format(JOINS[inner])), both.ask_whole(text.format("").replace("sales", "whole"))
        names = [name for name in due if not name.endswith(("_low", "_high"))]
        assert bare(found)[names].equals(due[names])
        exact = pd.DataFrame(sales()).merge(pd.DataFrame(registry()), "inner" if inner else "left")
        assert found["count"].sum() < len(exact), "no firm has more than three rows in it"


def test_a_private_answer_differs_by_its_noise_alone(tmp_path: Path) -> None:
    both = Pair(tmp_path, sales(), registry(), Profile.PRIVATE)
    both.terms = Terms("private", rows=8, rho=5_000_000)
    exact = pd.DataFrame(sales()).merge(pd.DataFrame(registry()))
    row = both.ask("SELECT COUNT(*), SUM(staff) FROM sales JOIN registry USING (firm)").iloc[0]
    for name, due in (("count", len(exact)), ("sum_registry.staff", exact["staff"].sum())):
        width = row[f"{name}_high"] - row[f"{name}_low"]
        assert abs(row[name] - due) < 3 * width  # some 12 standard deviations
        assert width > 0


# No row is multiplied, whatever a table holds

REPEATED = st.lists(st.tuples(st.integers(1, 5), st.sampled_from([0, 1, 2, 3]), st.none() | st.integers(0, 500)))


@settings(deadline=None)
@given(st.lists(st.integers(1, 5), max_size=20), REPEATED, st.booleans())
def test_no_join_multiplies_a_row_even_where_a_manifest_lies(main: list[int], side: Any, inner: bool) -> None:
    """The attack: 199 rows of one entity on the joined side, under a manifest that says that it has one."""
    asked = bound(f"SELECT COUNT(*), COUNT(sector) FROM sales {JOINS[inner]}").query
    compiled = plan.compile(asked, query.joined(MAIN, asked.joins, OTHERS), GUARDED, "t1", {"registry": "t2"})
    entities = pa.array(main, pa.uint32())
    ones = pa.array([1] * len(main), pa.int32())
    database = duckdb.connect()
    sectors, staff = pa.array([row[1] for row in side], pa.uint8()), pa.array([row[2] for row in side], pa.int16())
    tables = {
        "t1": {"_entity": entities, "_rows": ones, "_key": ones, "_rank": ones, "town": ones, "amount": ones},
        "t2": {"_entity": pa.array([row[0] for row in side], pa.uint32()), "sector": sectors, "staff": staff},
    }
    for name, columns in tables.items():
        database.register("incoming", pa.table(columns))
        database.execute(f"CREATE TABLE {name} AS SELECT * FROM incoming")
        database.unregister("incoming")
    known = {row[0] for row in side}
    found = database.execute(compiled.levels[0].sql).fetchnumpy()
    assert int(found["rows"][0]) == (sum(entity in known for entity in main) if inner else len(main))


# What intake keeps so that entities are known again


def words(pair: Pair, name: str) -> dict[int, tuple[int, int]]:
    path = pair.area.snapshots / name / f"{getattr(pair, name)}.entities.parquet"
    rows = pq.read_table(path).to_pydict()
    assert list(rows) == ["_entity", "_match0", "_match1"]
    return dict(zip(rows["_entity"], zip(rows["_match0"], rows["_match1"], strict=True), strict=True))


def test_an_entity_has_the_same_words_in_all_snapshots_of_its_population_and_in_no_others(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir(), (tmp_path / "two").mkdir()
    one = Pair(tmp_path / "one", sales(), registry())
    two = Pair(tmp_path / "two", sales(), registry(), population="others")
    sold, registered = words(one, "sales"), words(one, "registry")
    assert sorted(sold) == list(range(1, 301)), "one row for each dense number"
    assert len({*sold.values()}) == 300
    assert len({*sold.values()} & {*registered.values()}) == 240
    assert not {word for pair in words(two, "sales").values() for word in pair} & {w for p in sold.values() for w in p}
    without = Pair(one.folder, [row for row in sales() if row["firm"] != "f7"], registry())
    assert {*words(without, "sales").values()} < {*sold.values()}, "leaving one out changes nobody else's"


def test_no_original_id_and_no_hash_that_intake_keeps_is_in_what_vaults_read(pair: tuple[Pair, str]) -> None:
    area = pair[0].area
    known = pq.read_table(next((area.intake / "sales").glob("*.parquet"))).to_pydict()
    hashes = {*known["_head"], *known["_tail"]}
    assert not {word for each in words(pair[0], "sales").values() for word in each} & hashes


@pytest.mark.parametrize("large", [1, 1 << 20], ids=["each on disk", "all in memory"])
def test_rows_added_to_either_side_are_joined_as_if_they_had_been_there(tmp_path: Path, large: int) -> None:
    (tmp_path / "added").mkdir(), (tmp_path / "whole").mkdir()
    first = {row["firm"] for row in sales()[:400]}
    old, new = ([row for row in sales() if (row["firm"] in first) is there] for there in (True, False))
    added = Pair(tmp_path / "added", old, registry(60, 200))
    added.area = replace(added.area, large_entity=large)
    added.sales = added.take("sales", pd.DataFrame(new), SALES, append=True, population="firms")
    rest = [row for row in registry(60, 400) if int(row["firm"][1:]) >= 200]
    kept = registry(60, 200)
    added.registry = added.take("registry", pd.DataFrame(rest), REGISTRY, append=True, one_row=True, population="firms")
    whole = Pair(tmp_path / "whole", old + new, kept + rest)
    assert added.ask(BY_SECTOR).equals(whole.ask(BY_SECTOR))
    assert {*words(added, "sales").values()} == {*words(whole, "sales").values()}


def test_a_file_with_two_rows_of_one_entity_is_refused_where_the_holder_declares_one(tmp_path: Path) -> None:
    both = Pair(tmp_path, sales(), registry())
    twice: list[Row] = [*registry(), {"firm": "f99", "sector": "a", "staff": 1}]
    for rows, append in ((twice, False), (twice[-1:], True)):
        with pytest.raises(IntakeRefused, match="one_row"):
            both.take("registry", pd.DataFrame(rows), REGISTRY, one_row=True, population="firms", append=append)
    assert both.area.manifests.joinpath("registry", "current").read_text() == both.registry
    manifest = json.loads(both.area.manifests.joinpath("registry", f"{both.registry}.json").read_text())
    assert (manifest["one_row"], manifest["population"]) == (True, "firms")


# In the vault


def test_a_snapshot_whose_entities_were_tampered_with_is_not_joined(tmp_path: Path) -> None:
    both = Pair(tmp_path, sales(), registry())
    path = both.area.snapshots.joinpath("registry", f"{both.registry}.entities.parquet")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(SnapshotUnreadable):
        both.ask(BY_SECTOR)
    assert len(both.ask("SELECT sector, COUNT(*) FROM registry GROUP BY sector", main="registry"))


def test_words_that_another_secret_made_are_not_matched(tmp_path: Path) -> None:
    from exchange.sandbox import intake

    both = Pair(tmp_path, sales(), registry())
    source = samples.write(pd.DataFrame(registry()), tmp_path / "again.parquet")
    task = intake.Task("registry", REGISTRY, Profile.GUARDED, one_row=True, population="firms")
    both.registry = intake.take_in(source, task, both.area, b"other secret of a node's own....").snapshot
    with pytest.raises(SnapshotUnreadable):
        both.ask(BY_SECTOR)


def test_a_pairs_table_is_made_once_and_makes_room_for_others(tmp_path: Path) -> None:
    both = Pair(tmp_path, sales(), registry())
    small = Engine(both.area.snapshots, b"n" * 32, memory_mb=256, threads=1)
    small._room = 1
    main, other = ("sales", both.sales), ("registry", both.registry)
    small.load(*main, {"registry": other})
    assert set(small._tables) == {main, (*main, *other)}
    made = dict(small._tables)
    small.load(*main, {"registry": other})
    assert dict(small._tables) == made
    small.load(*other)
    assert set(small._tables) == {other}


def test_the_vault_judges_the_pair_again(tmp_path: Path) -> None:
    both = Pair(tmp_path, sales(), registry())
    asked = query.bind(sql.parse(BY_SECTOR), SALES, Profile.GUARDED, OTHERS).query
    elsewhere = both.take("others", pd.DataFrame(registry()), REGISTRY, one_row=True, population="others")
    with pytest.raises(Problem, match="join_not_allowed"):
        both.engine.run(asked, "sales", both.sales, both.terms, {"registry": ("others", elsewhere)})
