"""Files added to the snapshot in service: old rows keep their keys, and few entities at once are refused."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.sandbox.intake import IntakeRefused
from exchange.sandbox.query import Profile
from exchange.sandbox.schema import Column, Kind, Role, Schema
from tests import nodes
from tests.sandbox import snapshots
from tests.sandbox.shops import RESOURCES, SCHEMA, make
from tests.sandbox.snapshots import Snapshot

FIRM = Column("firm", Kind.STRING, Role.ENTITY)
TOWN = Column("town", Kind.STRING, Role.DIMENSION, ("east", "west"))
SALES = Column("sales", Kind.DECIMAL, Role.MEASURE, low=0, high=100, scale=1)
PLAIN = Schema((TOWN, FIRM, SALES))
KEYED = Schema((TOWN, FIRM, SALES), row_key=("day",))
OPEN = Schema((Column("town", Kind.STRING, Role.DIMENSION), SALES))
Row = tuple[Any, ...]
OLD = [(f"f{n % 20}", "east" if n % 2 else "west", str(n % 9), n) for n in range(200)]
NEW = [(f"f{n % 40}", "east", str(n % 7), 1000 + n) for n in range(80)]


def take(
    folder: Path, rows: list[Row], schema: Schema, profile: Profile = Profile.GUARDED, **wishes: Any
) -> Snapshot:  # fmt: skip
    source = folder / "source.csv"
    pd.DataFrame(rows, columns=["firm", "town", "sales", "day"]).to_csv(source, index=False)
    return snapshots.take(folder, source, schema, profile, **wishes)


def frame(taken: Snapshot) -> pd.DataFrame:
    return pq.read_table(taken.folder / "snapshots" / "data" / f"{taken.report.snapshot}.parquet").to_pandas()


def contents(taken: Snapshot, *columns: str) -> Counter[Row]:
    return Counter(frame(taken)[list(columns)].astype(object).itertuples(index=False, name=None))


def in_service(folder: Path) -> str:
    return (folder / "manifests" / "data" / "current").read_text()


_rows = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(["east", "west"]), st.sampled_from("123"), st.integers(1, 3)),
    min_size=1, max_size=25,
)  # fmt: skip


@settings(deadline=None, max_examples=8)
@given(old=_rows, new=_rows, large=st.sampled_from([1, 1000]))
def test_a_file_added_is_as_if_it_had_been_there_from_the_start(old: list[Row], new: list[Row], large: int) -> None:
    with TemporaryDirectory() as one, TemporaryDirectory() as two:
        take(Path(one), old, PLAIN)
        added = take(Path(one), new, PLAIN, append=True, large_entity=large)
        whole = take(Path(two), old + new, PLAIN)
        columns = ("town", "sales", "_rank", "_key")
        assert contents(added, *columns) == contents(whole, *columns)
        assert added.manifest.most_rows == whole.manifest.most_rows
        assert (added.report.rows, added.report.entities) == (whole.report.rows, whole.report.entities)


@settings(deadline=None, max_examples=8)
@given(files=st.lists(_rows, min_size=2, max_size=4))
def test_old_rows_keep_their_keys_through_any_number_of_files(files: list[list[Row]]) -> None:
    with TemporaryDirectory() as folder:
        before = contents(take(Path(folder), files[0], KEYED), "town", "sales", "_key")
        for rows in files[1:]:
            after = contents(take(Path(folder), rows, KEYED, append=True), "town", "sales", "_key")
            assert before <= after
            assert after.total() == before.total() + len(rows)
            before = after


def test_the_report_tells_the_file_and_the_snapshot_apart(tmp_path: Path) -> None:
    first = take(tmp_path, OLD, KEYED)
    report = take(tmp_path, [*NEW, ("", "east", "1", 1)], KEYED, append=True).report
    assert (report.rows_read, report.rows_kept, report.dropped) == (81, 80, 1)
    assert (report.rows, report.entities, report.appended_to) == (280, 40, first.report.snapshot)


def test_the_snapshot_before_stays_readable(tmp_path: Path) -> None:
    count = "SELECT COUNT(*) AS n FROM data"
    first = take(tmp_path, OLD, OPEN, Profile.OPEN)
    second = take(tmp_path, NEW, OPEN, Profile.OPEN, append=True)
    assert first.ask(count)["count"].tolist() == [200]
    assert second.ask(count)["count"].tolist() == [280]


def test_a_collected_domain_grows(tmp_path: Path) -> None:
    take(tmp_path, [("", "north", "1", 1), ("", "south", "2", 2)], OPEN, Profile.OPEN)
    taken = take(tmp_path, [("", "atoll", "3", 3), ("", "south", "4", 4)], OPEN, Profile.OPEN, append=True)
    town = taken.manifest.schema.get("town")
    assert town and town.domain == ("atoll", "north", "south")
    answer = taken.ask("SELECT town, SUM(sales) AS s FROM data GROUP BY town").set_index("town")["sum_sales"]
    assert {name: float(answer[name]) for name in town.domain} == {"atoll": 3.0, "north": 1.0, "south": 6.0}


def test_fewer_entities_than_the_least_batch_are_refused_and_nothing_changes(tmp_path: Path) -> None:
    first = take(tmp_path, OLD, KEYED)
    few = [(f"f{n % 9}", "east", "1", 500 + n) for n in range(90)]
    with pytest.raises(IntakeRefused, match="fewer than 10 entities"):
        take(tmp_path, few, KEYED, append=True, least_batch=10)
    assert in_service(tmp_path) == first.report.snapshot
    assert len(list((tmp_path / "snapshots" / "data").glob("*.parquet"))) == 1
    enough = [*few, ("f10", "west", "1", 700)]
    assert take(tmp_path, enough, KEYED, append=True, least_batch=10).report.rows == 291


@pytest.mark.parametrize(
    "schema",
    [
        Schema(KEYED.columns, row_key=("firm", "day")),
        Schema((TOWN, FIRM, Column("sales", Kind.DECIMAL, Role.MEASURE, low=0, high=200, scale=1)), row_key=("day",)),
        Schema((Column("town", Kind.STRING, Role.DIMENSION, ("west", "east")), FIRM, SALES), row_key=("day",)),
        Schema((FIRM, SALES), row_key=("day",)),
    ],
    ids=["row key", "bounds", "domain", "columns"],
)
def test_another_schema_is_refused(tmp_path: Path, schema: Schema) -> None:
    take(tmp_path, OLD, KEYED)
    with pytest.raises(IntakeRefused, match="the schema differs"):
        take(tmp_path, NEW, schema, append=True)


def test_another_label_is_no_other_schema(tmp_path: Path) -> None:
    take(tmp_path, OLD, KEYED)
    labelled = Column("town", Kind.STRING, Role.DIMENSION, ("east", "west"), label_en="Town")
    taken = take(tmp_path, NEW, Schema((labelled, FIRM, SALES), row_key=("day",)), append=True)
    assert taken.manifest.schema.columns[0].label_en == "Town"


def test_without_a_snapshot_there_is_nothing_to_add_to(tmp_path: Path) -> None:
    with pytest.raises(IntakeRefused, match="no snapshot in service"):
        take(tmp_path, NEW, KEYED, append=True)


def test_another_secret_cannot_go_on(tmp_path: Path) -> None:
    take(tmp_path, OLD, KEYED)
    with pytest.raises(IntakeRefused, match="no hashes are kept"):
        take(tmp_path, NEW, KEYED, append=True, secret=b"other" * 8)


def test_a_damaged_snapshot_is_not_added_to(tmp_path: Path) -> None:
    taken = take(tmp_path, OLD, KEYED)
    path = tmp_path / "snapshots" / "data" / f"{taken.report.snapshot}.parquet"
    path.write_bytes(path.read_bytes()[:-9] + b"012345678")
    with pytest.raises(IntakeRefused, match="damaged"):
        take(tmp_path, NEW, KEYED, append=True)


def test_only_the_hashes_of_the_snapshot_in_service_are_kept(tmp_path: Path) -> None:
    take(tmp_path, OLD, KEYED)
    second = take(tmp_path, NEW, KEYED, append=True)
    assert [path.stem for path in (tmp_path / "intake" / "data").glob("*.parquet")] == [second.report.snapshot]
    assert not (tmp_path / "intake" / "data" / "spool").exists()


# Through the command


def test_the_command_adds_a_file_and_keeps_the_holders_least_batch(tmp_path: Path) -> None:
    home, before = make(tmp_path)
    source = tmp_path / "more.csv"
    source.write_text("firm,day,town,sales\n" + "".join(f"new{n},1,east,5\n" for n in range(12)))
    report = nodes.take_in(home, "shops", source, SCHEMA, "--append")
    assert (report["rows"], report["entities"], report["appended_to"]) == (1012, 112, before["shops"])
    source.write_text("firm,day,town,sales\n" + "".join(f"late{n},1,east,5\n" for n in range(9)))
    with pytest.raises(RuntimeError, match="fewer than 10 entities"):
        nodes.take_in(home, "shops", source, SCHEMA, "--append")
    assert nodes.take_in(home, "stalls", source, SCHEMA.only({"town", "sales"}), "--append")["rows"] == 1009
    populations = {"firms": {"profile": "guarded", "entity": "firm", "threshold": 10, "queries": 40, "least_batch": 9}}
    tables = {"populations.firms": populations["firms"], "resources.shops": RESOURCES["shops"]}
    nodes.write_policy(home, tables)
    assert nodes.take_in(home, "shops", source, SCHEMA, "--append")["rows"] == 1021


READ = """
import sys
from pathlib import Path
from exchange.sandbox.node import confine
from exchange.sandbox.node.home import Home
home = Home(Path(sys.argv[1]))
[hashes] = (home.intake / "shops").glob("*.parquet")
[table, *_] = (home.snapshots / "shops").glob("*.parquet")
confine.confine(confine.Confinement("vault", reads=(home.snapshots,)))
print(len(table.read_bytes()) > 0)
hashes.read_bytes()
"""


def test_a_vault_reads_snapshots_and_not_what_intake_knows_of_their_rows(tmp_path: Path) -> None:
    home, _ = make(tmp_path)
    command = [sys.executable, "-P", "-c", READ, str(home.root)]
    done = subprocess.run(command, env={"PYTHONPATH": str(nodes.ROOT)}, cwd="/", capture_output=True, text=True)
    assert done.stdout == "True\n"
    assert "PermissionError" in done.stderr
    assert home.intake.stat().st_mode & 0o077 == 0
    assert os.path.commonpath([home.intake, home.snapshots]) == str(home.root)
