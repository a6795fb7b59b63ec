"""Ranks and keys follow from the secret and an entity's own rows, and nothing else moves them."""

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.sandbox.query import Profile
from exchange.sandbox.schema import Column, Kind, Role, Schema
from tests.sandbox import snapshots
from tests.sandbox.snapshots import Snapshot

FIRM = Column("firm", Kind.STRING, Role.ENTITY)
TOWN = Column("town", Kind.STRING, Role.DIMENSION, ("east", "west"))
SALES = Column("sales", Kind.DECIMAL, Role.MEASURE, low=0, high=100, scale=1)
PLAIN = Schema((TOWN, FIRM, SALES))
KEYED = Schema((TOWN, FIRM, SALES), row_key=("day",))
SCHEMAS = pytest.mark.parametrize("schema", [PLAIN, KEYED], ids=["content", "row_key"])
SLOW = settings(deadline=None, max_examples=8)

Row = tuple[Any, ...]
_rows = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", "d", "e"]),
        st.sampled_from(["east", "west", None]),
        st.sampled_from([None, "0", "1.5", "7", "99"]),
        st.integers(1, 4),
    ),
    min_size=1,
    max_size=40,
)


def snapshot(folder: Path, rows: list[Row], schema: Schema, **wishes: Any) -> Snapshot:
    """The rows (firm, town, sales, day) taken in under `folder`, as CSV."""
    source = folder / "source.csv"
    pd.DataFrame(rows, columns=["firm", "town", "sales", "day"]).to_csv(source, index=False)
    return snapshots.take(folder, source, schema, Profile.GUARDED, **wishes)


def contents(taken: Snapshot) -> Counter[Row]:
    """What is stored of each row, without the number of its entity, which only tells entities of one snapshot apart."""
    table = pq.read_table(taken.folder / "snapshots" / "data" / f"{taken.report.snapshot}.parquet")
    return Counter(tuple(row[name] for name in ("town", "sales", "_rank", "_key")) for row in table.to_pylist())


def taken(rows: list[Row], schema: Schema, **wishes: Any) -> Counter[Row]:
    with TemporaryDirectory() as folder:
        return contents(snapshot(Path(folder), rows, schema, **wishes))


@SCHEMAS
@SLOW
@given(rows=_rows)
def test_leaving_an_entity_out_changes_no_key_and_no_rank_of_another(schema: Schema, rows: list[Row]) -> None:
    gone = rows[0][0]
    left = [row for row in rows if row[0] != gone]
    whole = taken(rows, schema)
    parts = taken([row for row in rows if row[0] == gone], schema) + (taken(left, schema) if left else Counter())
    assert whole == parts


@SCHEMAS
@SLOW
@given(data=st.data())
def test_the_order_of_the_rows_in_the_file_does_not_matter(schema: Schema, data: st.DataObject) -> None:
    rows = data.draw(_rows)
    assert taken(data.draw(st.permutations(rows)), schema) == taken(rows, schema)


@SCHEMAS
def test_the_same_file_gives_the_same_keys_again(tmp_path: Path, schema: Schema) -> None:
    rows = [(f"f{n % 7}", "east", str(n % 5), n % 3) for n in range(200)]
    assert contents(snapshot(tmp_path, rows, schema)) == contents(snapshot(tmp_path, rows, schema))


def test_another_secret_gives_other_keys_and_other_ranks(tmp_path: Path) -> None:
    rows = [(f"f{n % 3}", "east", f"{n / 10}", n) for n in range(200)]
    one, other = (contents(snapshot(tmp_path, rows, PLAIN, secret=secret)) for secret in (b"a" * 32, b"b" * 32))
    assert {row[3] for row in one}.isdisjoint(row[3] for row in other)
    assert {row[:3] for row in one} != {row[:3] for row in other}


def test_the_same_row_of_another_entity_has_another_key(tmp_path: Path) -> None:
    rows = [(f"f{n}", "east", "1", 1) for n in range(300)]
    assert len({row[3] for row in contents(snapshot(tmp_path, rows, PLAIN))}) == 300


@SCHEMAS
def test_repeats_of_a_row_have_keys_of_their_own_and_ranks_anywhere(tmp_path: Path, schema: Schema) -> None:
    rows = [("a", "east", "1", 1)] * 50 + [("a", "west", f"{n}", n) for n in range(2, 52)]
    found = contents(snapshot(tmp_path, rows, schema))
    assert len({row[3] for row in found}) == 100
    ranks = sorted(row[2] for row in found if row[0] == 1)
    assert len(ranks) == 50
    assert ranks != list(range(ranks[0], ranks[0] + 50)), "one repeat behind the other: a bound would take all or none"


def test_a_corrected_measure_leaves_the_key_of_a_row_that_is_known_by_its_row_key(tmp_path: Path) -> None:
    rows = [("a", "east", "1", day) for day in range(20)]
    corrected = [("a", "east", "2" if day == 7 else "1", day) for day in range(20)]
    before, after = (contents(snapshot(tmp_path, each, KEYED)) for each in (rows, corrected))
    assert {row[2:] for row in before} == {row[2:] for row in after}


def test_null_is_another_content_than_zero_and_than_an_empty_name(tmp_path: Path) -> None:
    rows = [("a", "east", None, 1), ("a", "east", "0", 1), ("a", None, None, 1), ("a", None, "0", 1)]
    found = contents(snapshot(tmp_path, rows, PLAIN))
    assert len({row[3] for row in found}) == 4


def test_numbers_of_entities_are_dense_from_one(tmp_path: Path) -> None:
    made = snapshot(tmp_path, [(f"f{n % 30}", "east", "1", n) for n in range(100)], PLAIN)
    table = pq.read_table(tmp_path / "snapshots" / "data" / f"{made.report.snapshot}.parquet")
    assert set(table["_entity"].to_pylist()) == set(range(1, 31))


@SCHEMAS
@SLOW
@given(rows=_rows)
def test_an_entity_ranked_on_disk_has_the_ranks_it_would_have_in_memory(schema: Schema, rows: list[Row]) -> None:
    assert taken(rows, schema, large_entity=1) == taken(rows, schema)


def test_entities_of_very_different_sizes_are_ranked_across_batches(tmp_path: Path) -> None:
    """More rows than one batch holds, and entities that span several; whether they are held or set aside."""
    names = {0: "large", 1: "large", 2: "larger", 3: "larger", 4: "larger"}
    rows = [(names.get(n % 6, f"f{n % 1000}"), "east", f"{n % 90}", n // 4) for n in range(500_000)]
    (tmp_path / "aside").mkdir()
    aside = snapshot(tmp_path / "aside", rows, KEYED, large_entity=1000)
    made = snapshot(tmp_path, rows, KEYED)
    assert contents(aside) == contents(made)
    table = pq.read_table(tmp_path / "snapshots" / "data" / f"{made.report.snapshot}.parquet").to_pandas()
    sizes = table.groupby("_entity")["_rank"].agg(["size", "min", "max", "nunique"])
    assert (sizes["min"] == 1).all()
    assert (sizes["size"] == sizes["max"]).all() and (sizes["size"] == sizes["nunique"]).all()
    for each in (made, aside):
        assert (each.manifest.most_rows, each.report.entities) == (int(sizes["size"].max()), len(sizes))
    assert sizes["size"].nlargest(2).min() > 1 << 17, "two entities larger than a batch"
