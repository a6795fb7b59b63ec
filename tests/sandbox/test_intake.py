"""A file becomes a snapshot of integers, or is refused with the place that is wrong."""

import hashlib
import json
import sys
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from exchange.sandbox.intake import IntakeRefused
from exchange.sandbox.query import Profile
from exchange.sandbox.schema import Column, Kind, Role, Schema
from tests import samples
from tests.sandbox import snapshots
from tests.sandbox.snapshots import Snapshot, take

TAILNUM = Column("tailnum", Kind.STRING, Role.ENTITY)
CARRIER = Column("carrier", Kind.STRING, Role.DIMENSION, ("AA", "UA"))
DELAY = Column("delay", Kind.INTEGER, Role.MEASURE, low=-60, high=100)
PRICE = Column("price", Kind.DECIMAL, Role.MEASURE, low=-1000, high=100_000, scale=2)
SMALL = Schema((TAILNUM, CARRIER, DELAY))


def csv(folder: Path, text: str) -> Path:
    path = folder / "source.csv"
    path.write_text(text)
    return path


def stored(taken: Snapshot) -> pd.DataFrame:
    return pq.read_table(taken.folder / "snapshots" / "data" / f"{taken.report.snapshot}.parquet").to_pandas()


def prices(folder: Path, *values: str) -> list[int | None]:
    """What an open resource with one column `price` stores of the CSV fields `values`."""
    taken = take(folder, csv(folder, "price\n" + "\n".join(values) + "\n"), Schema((PRICE,)), Profile.OPEN)
    return [None if pd.isna(value) else int(value) for value in stored(taken)["price"]]


def test_a_snapshot_holds_integers_only(tmp_path: Path) -> None:
    taken = snapshots.flights(tmp_path)
    frame = stored(taken)
    expected = {"carrier", "origin", "month", "dep_delay", "arr_delay", "distance", "_entity", "_rank", "_rows", "_key"}
    assert set(frame.columns) == expected
    assert all(kind.kind in "iuf" for kind in frame.dtypes)


def test_the_report_counts_what_was_changed(tmp_path: Path) -> None:
    report = snapshots.flights(tmp_path).report
    assert (report.rows_read, report.rows_kept, report.dropped) == (4000, 3980, 20)
    assert report.clamped == {"dep_delay": 1}
    assert report.nulled == {"carrier": 1}
    assert report.entities == samples.flights()[0]["tailnum"].nunique()


def test_csv_and_parquet_give_the_same_rows(tmp_path: Path) -> None:
    frame, schema = samples.flights()
    taken = [
        take(tmp_path, samples.write(frame, tmp_path / f"f.{s}"), schema, Profile.GUARDED) for s in ("csv", "parquet")
    ]
    pd.testing.assert_frame_equal(*map(stored, taken))


def test_an_outlier_is_clamped_to_its_bound(tmp_path: Path) -> None:
    taken = take(
        tmp_path, csv(tmp_path, "tailnum,carrier,delay\nN1,AA,5000\nN2,AA,-61\nN3,UA,7\n"), SMALL, Profile.GUARDED
    )
    assert sorted(stored(taken)["delay"]) == [-60, 7, 100]


def test_decimals_are_scaled_exactly_and_halves_go_to_even(tmp_path: Path) -> None:
    assert prices(tmp_path, "0.1", "1.005", "1.015", "-2.5", "7", "1e2", "999.99") == [
        10,
        100,
        102,
        -250,
        700,
        10_000,
        99_999,
    ]


def test_floats_stand_for_their_shortest_text(tmp_path: Path) -> None:
    frame = pd.DataFrame({"price": [0.1 + 0.2, 1.1, 2.675, float("nan")]})
    taken = snapshots.take_frame(tmp_path, frame, Schema((PRICE,)), Profile.OPEN)
    assert [int(value) for value in stored(taken)["price"].dropna()] == [30, 110, 268]


def test_a_row_without_its_entity_is_dropped(tmp_path: Path) -> None:
    taken = take(tmp_path, csv(tmp_path, "tailnum,carrier,delay\n,AA,1\nN2,AA,2\n"), SMALL, Profile.GUARDED)
    assert (taken.report.dropped, taken.report.rows_kept) == (1, 1)


def test_unknown_columns_are_ignored_and_listed(tmp_path: Path) -> None:
    taken = take(tmp_path, csv(tmp_path, "tailnum,secret,carrier,delay\nN1,x,AA,1\n"), SMALL, Profile.GUARDED)
    assert taken.report.ignored == ["secret"]


def test_an_open_dimension_collects_its_domain_in_order(tmp_path: Path) -> None:
    columns = snapshots.air(tmp_path).manifest.schema
    station, day = columns.get("station"), columns.get("day")
    assert station and station.domain == tuple(sorted(samples.STATIONS))
    assert day and day.domain[0] == "2026-01-01" and len(day.domain) == 60


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("tailnum,carrier\nN1,AA\n", None, "delay"),
        ("tailnum,carrier,delay\nN1,AA,1\nN2,AA,soon\n", 3, "delay"),
        ('tailnum,carrier,delay\n"N\n1",AA,1\nN2,AA,1.5\n', 4, "delay"),
        ("tailnum,carrier,delay\nN1,AA,1\nN2,AA\n", 3, None),
        ("tailnum,carrier,carrier\n", 1, None),
        ("", 1, None),
    ],
)
def test_a_source_that_does_not_fit_is_refused_with_its_place(
    tmp_path: Path, text: str, line: int | None, column: str | None
) -> None:
    with pytest.raises(IntakeRefused) as refused:
        take(tmp_path, csv(tmp_path, text), SMALL, Profile.GUARDED)
    assert (refused.value.line, refused.value.column) == (line, column)
    assert "soon" not in str(refused.value)


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "source.parquet"
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(IntakeRefused):
        take(tmp_path, path, SMALL, Profile.GUARDED)


@pytest.mark.parametrize(
    "schema",
    [
        Schema((CARRIER, DELAY)),
        Schema((TAILNUM, Column("carrier", Kind.STRING, Role.DIMENSION), DELAY)),
    ],
)
def test_a_declaration_that_cannot_protect_is_refused(tmp_path: Path, schema: Schema) -> None:
    with pytest.raises(IntakeRefused):
        take(tmp_path, csv(tmp_path, "tailnum,carrier,delay\nN1,AA,1\n"), schema, Profile.GUARDED)


def test_bounds_that_let_a_sum_overflow_are_refused(tmp_path: Path) -> None:
    wide = Schema((TAILNUM, CARRIER, Column("delay", Kind.INTEGER, Role.MEASURE, low=0, high=2**53 - 1)))
    with pytest.raises(IntakeRefused, match="overflow"):
        take(tmp_path, csv(tmp_path, "tailnum,carrier,delay\n" + "N1,AA,1\n" * 400), wide, Profile.GUARDED)


def test_a_source_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IntakeRefused, match="no rows"):
        take(tmp_path, csv(tmp_path, "tailnum,carrier,delay\n"), SMALL, Profile.GUARDED)


def test_a_source_whose_rows_all_lack_their_entity_answers_with_a_suppressed_cell(tmp_path: Path) -> None:
    taken = take(tmp_path, csv(tmp_path, "tailnum,carrier,delay\n,AA,1\n"), SMALL, Profile.GUARDED)
    assert taken.ask("SELECT COUNT(*) AS n FROM data")["status"].tolist() == ["suppressed"]


def test_leaving_one_entity_out_changes_no_other_row(tmp_path: Path) -> None:
    frame, schema = samples.flights()
    frame = frame[frame["tailnum"].notna()]
    gone = frame["tailnum"].iloc[0]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    before = stored(snapshots.take_frame(tmp_path / "a", frame, schema, Profile.GUARDED))
    after = stored(snapshots.take_frame(tmp_path / "b", frame[frame["tailnum"] != gone], schema, Profile.GUARDED))
    rows = ["_key", "_rank", "carrier", "origin", "month", "distance"]
    left = set(map(tuple, after[rows].to_numpy().tolist()))
    assert left < set(map(tuple, before[rows].to_numpy().tolist()))
    assert len(before) - len(after) == (frame["tailnum"] == gone).sum()


def test_ranks_number_the_rows_of_each_entity(tmp_path: Path) -> None:
    frame = stored(snapshots.flights(tmp_path))
    for _, ranks in frame.groupby("_entity")["_rank"]:
        assert sorted(ranks) == list(range(1, len(ranks) + 1))


def test_equal_rows_of_one_entity_get_different_keys(tmp_path: Path) -> None:
    taken = take(tmp_path, csv(tmp_path, "tailnum,carrier,delay\n" + "N1,AA,1\n" * 50), SMALL, Profile.GUARDED)
    assert stored(taken)["_key"].nunique() == 50


def test_the_private_manifest_holds_the_digest_of_the_rows(tmp_path: Path) -> None:
    taken = snapshots.flights(tmp_path)
    folder = tmp_path / "snapshots" / "data"
    private = json.loads((folder / f"{taken.report.snapshot}.json").read_text())
    assert private["sha256"] == hashlib.sha256((folder / f"{taken.report.snapshot}.parquet").read_bytes()).hexdigest()
    assert private["most_rows"] > 0


def test_the_public_manifest_tells_neither_digest_nor_most_rows(tmp_path: Path) -> None:
    taken = snapshots.flights(tmp_path)
    folder = tmp_path / "manifests" / "data"
    assert (folder / "current").read_text() == taken.report.snapshot
    public = json.loads((folder / f"{taken.report.snapshot}.json").read_text())
    assert public["most_rows"] == 0
    assert "sha256" not in public


def test_a_refused_source_leaves_the_old_snapshot_in_service(tmp_path: Path) -> None:
    taken = take(tmp_path, csv(tmp_path, "tailnum,carrier,delay\nN1,AA,1\n"), SMALL, Profile.GUARDED)
    with pytest.raises(IntakeRefused):
        take(tmp_path, csv(tmp_path, "tailnum,carrier,delay\nN1,AA,x\n"), SMALL, Profile.GUARDED)
    assert (tmp_path / "manifests" / "data" / "current").read_text() == taken.report.snapshot


class Stopped(BaseException):
    """The process ended here."""


_stop_at: list[str] = []


def _stop(event: str, _: object) -> None:
    if event in _stop_at:
        raise Stopped


sys.addaudithook(_stop)


def test_a_crash_before_publishing_leaves_the_old_snapshot_in_service(tmp_path: Path) -> None:
    taken = take(tmp_path, csv(tmp_path, "tailnum,carrier,delay\nN1,AA,1\n"), SMALL, Profile.GUARDED)
    _stop_at.append("sluice.intake.written")
    try:
        with pytest.raises(Stopped):
            take(tmp_path, csv(tmp_path, "tailnum,carrier,delay\nN2,UA,2\n"), SMALL, Profile.GUARDED)
    finally:
        _stop_at.clear()
    assert (tmp_path / "manifests" / "data" / "current").read_text() == taken.report.snapshot


def test_snapshots_sort_by_the_time_they_were_taken(tmp_path: Path) -> None:
    source = csv(tmp_path, "tailnum,carrier,delay\nN1,AA,1\n")
    names = [take(tmp_path, source, SMALL, Profile.GUARDED).report.snapshot for _ in range(5)]
    assert names == sorted(names)
