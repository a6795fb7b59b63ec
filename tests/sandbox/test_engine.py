"""The engine answers as the data say, fails without a word, and opens nothing but its snapshots."""

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.sandbox import frames, plan
from exchange.sandbox.engine import Engine, EngineFailed, SnapshotUnreadable
from exchange.sandbox.query import Profile
from exchange.sandbox.schema import Column, Kind, Role, Schema
from tests import samples
from tests.sandbox import snapshots
from tests.sandbox.snapshots import Snapshot


@pytest.fixture(scope="module")
def air(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return snapshots.air(tmp_path_factory.mktemp("air"))


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return snapshots.flights(tmp_path_factory.mktemp("flights"))


def wire(taken: Snapshot, text: str) -> frames.Cells:
    """The cells as the gate reads them from the pipe, checked as if the vault were hostile."""
    asked = taken.bind(text)
    shape = plan.shape(asked, taken.manifest, taken.terms)
    data = frames.encode(7, frames.Status.DONE, taken.cells(asked))
    head, body = data[: frames.HEADER.size], data[frames.HEADER.size :]
    assert frames.decode_header(head, 7, shape) == (frames.Status.DONE, len(body))
    return frames.decode_cells(body, shape)


def test_open_totals_agree_with_pandas(air: Snapshot) -> None:
    frame = samples.air()[0]
    due = frame.groupby("station")["pm25"].agg(["size", "count", "sum", "mean", "nunique"])
    found = air.ask(
        "SELECT station, COUNT(*), COUNT(pm25), SUM(pm25), AVG(pm25), COUNT(DISTINCT pm25) FROM air GROUP BY station"
    ).set_index("station")
    assert found["count"].to_dict() == due["size"].to_dict()
    assert found["count_pm25"].to_dict() == due["count"].to_dict()
    assert found["count_distinct_pm25"].to_dict() == due["nunique"].to_dict()
    assert found["sum_pm25"].astype(float).to_dict() == pytest.approx(due["sum"].to_dict())
    assert found["avg_pm25"].astype(float).to_dict() == pytest.approx(due["mean"].to_dict())


def test_a_count_of_nothing_is_one_row_with_zero(air: Snapshot) -> None:
    found = air.ask("SELECT COUNT(*), SUM(pm25), AVG(pm25), COUNT(DISTINCT day) FROM air WHERE station IS NULL")
    assert found["count"].tolist() == [0]
    assert found["count_distinct_day"].tolist() == [0]
    assert found["sum_pm25"].isna().all() and found["avg_pm25"].isna().all()


def test_open_groups_that_are_not_there_are_not_answered(air: Snapshot) -> None:
    found = air.ask("SELECT day, COUNT(*) FROM air WHERE day <= DATE '2026-01-02' AND pm25 >= 0 GROUP BY day")
    assert [str(day) for day in found["day"]] == ["2026-01-01", "2026-01-02"]


def test_guarded_releases_the_whole_grid(flights: Snapshot) -> None:
    found = flights.ask("SELECT carrier, month, COUNT(*) FROM flights GROUP BY carrier, month")
    assert len(found) == (5 + 1) * (4 + 1)
    assert found[found["month"] == 4]["status"].unique().tolist() == ["suppressed"]


def test_guarded_cells_that_are_released_are_large_enough_and_near_the_truth(flights: Snapshot) -> None:
    found = flights.ask(
        "SELECT carrier, origin, COUNT(*), COUNT(DISTINCT tailnum), SUM(distance) FROM flights GROUP BY carrier, origin"
    )
    frame = samples.flights()[0]
    cells = frame[frame["tailnum"].notna()].groupby(["carrier", "origin"])
    due = cells.agg(rows=("tailnum", "size"), aircraft=("tailnum", "nunique"), distance=("distance", "sum"))
    shown = found[found["status"] == "released"].set_index(["carrier", "origin"]).join(due)
    assert len(shown) == 9  # AA, DL and UA; HA is small and OO dominated
    assert (shown["aircraft"] >= 10).all()
    assert ((shown["count_distinct_tailnum"] - shown["aircraft"]).abs() <= 4).all()
    assert ((shown["sum_distance"] - shown["distance"]).abs() <= 0.2 * shown["distance"]).all()


def test_a_guarded_spread_is_near_the_truth(flights: Snapshot) -> None:
    found = flights.ask("SELECT carrier, STDDEV(distance) FROM flights GROUP BY carrier").set_index("carrier")
    frame = samples.flights()[0]
    due = frame[frame["tailnum"].notna()].groupby("carrier")["distance"].std()
    for carrier in ("AA", "DL", "UA"):
        assert found.loc[carrier, "stddev_distance"] == pytest.approx(due[carrier], rel=0.25)


def test_a_dominated_cell_is_suppressed_though_it_has_enough_entities(flights: Snapshot) -> None:
    frame = samples.flights()[0]
    assert frame[frame["carrier"] == "OO"]["tailnum"].nunique() >= 10
    found = flights.ask("SELECT carrier, COUNT(*) FROM flights GROUP BY carrier").set_index("carrier")
    assert found.loc["OO", "status"] == "suppressed"


def test_a_sum_that_few_entities_contribute_to_is_suppressed(tmp_path: Path) -> None:
    frame = pd.DataFrame({"who": [f"e{i}" for i in range(20)], "x": [1.0, 2.0, 3.0] + 17 * [float("nan")]})
    schema = Schema((Column("who", Kind.STRING, Role.ENTITY), Column("x", Kind.INTEGER, Role.MEASURE, low=0, high=10)))
    taken = snapshots.take_frame(tmp_path, frame, schema, Profile.GUARDED)
    assert taken.ask("SELECT COUNT(*) FROM data")["status"].tolist() == ["released"]
    for text in ("SUM(x)", "COUNT(x)", "COUNT(*), AVG(x)"):
        assert taken.ask(f"SELECT {text} FROM data")["status"].tolist() == ["suppressed"]


def test_the_same_records_have_the_same_noise_however_they_are_asked_for(flights: Snapshot) -> None:
    alone = flights.ask("SELECT COUNT(*), SUM(distance) FROM flights WHERE carrier = 'AA'")
    grouped = flights.ask(
        "SELECT carrier, COUNT(*), SUM(distance) FROM flights WHERE NOT carrier <> 'AA' GROUP BY carrier"
    )
    row = grouped[grouped["status"] == "released"]
    assert row[["count", "sum_distance"]].to_numpy().tolist() == alone[["count", "sum_distance"]].to_numpy().tolist()


def test_counting_a_column_without_nulls_is_no_second_draw_of_noise(flights: Snapshot) -> None:
    row = flights.ask(
        "SELECT COUNT(*), COUNT(origin), COUNT(distance), COUNT(month) FROM flights WHERE origin = 'JFK'"
    ).iloc[0]
    assert len({row["count"], row["count_origin"], row["count_distance"], row["count_month"]}) == 1


@pytest.mark.parametrize("item", ["COUNT(*)", "COUNT(DISTINCT tailnum)", "SUM(distance)", "VARIANCE(distance)"])
def test_a_filter_is_no_second_draw_of_noise(flights: Snapshot, item: str) -> None:
    """The attacker averages over filters that differ in words and hold for the same records."""
    due = flights.ask(f"SELECT {item} FROM flights WHERE origin = 'JFK'").iloc[0].tolist()
    for also in ("", " AND NOT month = 4", " AND (carrier <> 'no' OR carrier IS NULL)", " AND month IN (1, 2, 3)"):
        assert flights.ask(f"SELECT {item} FILTER (WHERE origin = 'JFK'{also}) FROM flights").iloc[0].tolist() == due


@pytest.mark.parametrize("item", ["COUNT(*)", "COUNT(DISTINCT tailnum)", "SUM(distance)", "STDDEV(distance)"])
def test_a_filter_with_too_few_or_dominated_records_suppresses_the_cell(flights: Snapshot, item: str) -> None:
    shown = flights.ask(f"SELECT {item}, {item} FILTER (WHERE carrier = 'AA') FROM flights")
    assert shown["status"].tolist() == ["released"]
    for words in ("carrier = 'HA'", "carrier = 'OO'", "month = 4"):
        if (item, words) == ("COUNT(DISTINCT tailnum)", "carrier = 'OO'"):
            continue  # enough aircraft, and a number of entities is dominated by none
        hidden = flights.ask(f"SELECT COUNT(*), {item} FILTER (WHERE {words}) FROM flights")
        assert hidden["status"].tolist() == ["suppressed"]
        assert hidden["count"].isna().all()


def test_another_vault_with_the_same_secret_draws_the_same_noise(flights: Snapshot) -> None:
    asked = flights.bind("SELECT origin, SUM(arr_delay) FROM flights GROUP BY origin")
    again = Engine(flights.folder / "snapshots", b"n" * 32, 256, 2).run(
        asked, "data", flights.report.snapshot, flights.terms
    )
    other = Engine(flights.folder / "snapshots", b"m" * 32, 256, 2).run(
        asked, "data", flights.report.snapshot, flights.terms
    )
    assert (again == flights.cells(asked)).all()
    assert not (other == again).all()


@pytest.mark.parametrize(
    "text",
    [
        "SELECT COUNT(*), SUM(dep_delay), COUNT(DISTINCT tailnum) FROM flights",
        "SELECT carrier, month, origin, AVG(arr_delay), AVG(dep_delay) FROM flights GROUP BY carrier, month, origin",
        "SELECT month, COUNT(*) FROM flights WHERE month IN (1, 3) AND carrier IS NULL GROUP BY month",
    ],
)
def test_every_answer_fits_its_shape(flights: Snapshot, text: str) -> None:
    cells = wire(flights, text)
    hidden = cells[cells["status"] == frames.SUPPRESSED]
    assert not hidden["values"].any() and not hidden["nulls"].any()


AGGREGATES = {
    "air": [
        "COUNT(*)",
        "COUNT(station)",
        "COUNT(DISTINCT day)",
        "COUNT(DISTINCT pm25)",
        "SUM(pm25)",
        "STDDEV(pm25)",
        "AVG(pm25) FILTER (WHERE pm25 > 3)",
    ],  # fmt: skip
    "flights": [
        "COUNT(*)",
        "COUNT(carrier)",
        "COUNT(DISTINCT tailnum)",
        "SUM(dep_delay)",
        "STDDEV(distance)",
        "SUM(distance) FILTER (WHERE month = 2)",
    ],  # fmt: skip
}
FILTERS = {
    "air": [
        "pm25 < 0.15",
        "NOT pm25 = 17.2",
        "station IS NULL",
        "day > '2026-02-01'",
        "pm25 IS NULL",
        "station = 'no'",
    ],
    "flights": [
        "carrier IN ('HA', 'OO')",
        "month <> 2",
        "origin IS NULL",
        "NOT month BETWEEN 1 AND 4",
        "carrier < 'B'",
    ],
}
GROUPS = {"air": ["station", "day"], "flights": ["carrier", "month", "origin"]}


@settings(deadline=None, max_examples=60)
@given(data=st.data(), name=st.sampled_from(["air", "flights"]))
def test_no_query_that_is_accepted_fails(air: Snapshot, flights: Snapshot, data: st.DataObject, name: str) -> None:
    groups = data.draw(st.lists(st.sampled_from(GROUPS[name]), unique=True))
    items = groups + data.draw(st.lists(st.sampled_from(AGGREGATES[name]), min_size=1, unique=True))
    filters = data.draw(st.lists(st.sampled_from(FILTERS[name]), max_size=3))
    text = f"SELECT {', '.join(items)} FROM {name}"
    text += f" WHERE {data.draw(st.sampled_from([' AND ', ' OR '])).join(filters)}" if filters else ""
    rolled = bool(groups) and data.draw(st.booleans())
    shown = [*groups[:-1], f"ROLLUP({groups[-1]})"] if rolled else groups
    text += f" GROUP BY {', '.join(shown)}" if groups else ""
    taken = air if name == "air" else flights
    assert len(wire(taken, text)) <= plan.most_cells(taken.bind(text), taken.manifest, taken.terms)
    assert len(taken.ask(text).columns) == len(items) + rolled + 1


def test_an_empty_cell_and_a_small_one_look_the_same(flights: Snapshot) -> None:
    cells = wire(flights, "SELECT carrier, SUM(distance), COUNT(*) FROM flights WHERE month = 1 GROUP BY carrier")
    null, small = cells[0].copy(), cells[1 + list(samples.FLEETS).index("HA")].copy()
    null["key"] = small["key"] = 0
    assert null == small


@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "manifest", "swap"])
def test_a_damaged_snapshot_is_unreadable(tmp_path: Path, damage: str) -> None:
    taken = snapshots.air(tmp_path)
    asked = taken.bind("SELECT COUNT(*) FROM air")
    path = tmp_path / "snapshots" / "data" / f"{taken.report.snapshot}.parquet"
    data = path.read_bytes()
    match damage:
        case "flip":
            path.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
        case "cut":
            path.write_bytes(data[:-10])
        case "remove":
            path.unlink()
        case "manifest":
            path.with_suffix(".json").write_text("{")
        case "swap":
            samples.write(samples.air()[0], path)
    fresh = Engine(tmp_path / "snapshots", b"n" * 32, 256, 1)
    with pytest.raises(SnapshotUnreadable):
        fresh.run(asked, "data", taken.report.snapshot, taken.terms)


@pytest.mark.parametrize("name", ["../data", "", "a/b", "nosuch", "\0"])
def test_a_name_that_is_no_snapshot_is_unreadable(air: Snapshot, name: str) -> None:
    with pytest.raises(SnapshotUnreadable):
        air.engine.run(air.bind("SELECT COUNT(*) FROM air"), name, name, air.terms)


def test_a_query_that_the_engine_cannot_run_fails_without_its_words(tmp_path: Path) -> None:
    taken = snapshots.air(tmp_path)
    asked = taken.bind("SELECT COUNT(*) FROM air")
    taken.cells(asked)
    taken.engine._duckdb.execute("DROP TABLE snapshot_1")
    with pytest.raises(EngineFailed) as failed:
        taken.cells(asked)
    assert failed.value.args == ()
    assert failed.value.__cause__ is None and failed.value.__suppress_context__


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "COPY (SELECT 1) TO '/tmp/sluice-escape.csv'",
        "ATTACH '/tmp/sluice-escape.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET memory_limit = '100GB'",
        "SET lock_configuration = false",
        "SELECT * FROM glob('/etc/*')",
        "EXPORT DATABASE '/tmp/sluice-escape'",
        "CREATE PERSISTENT SECRET s (TYPE s3)",
    ],
)
def test_the_locked_engine_opens_nothing_and_changes_nothing(air: Snapshot, statement: str) -> None:
    with pytest.raises(duckdb.Error):
        air.engine._duckdb.execute(statement)


def test_the_locked_engine_runs_with_the_settings_asked_for(air: Snapshot) -> None:
    names = ("enable_external_access", "lock_configuration", "temp_directory", "autoload_known_extensions", "threads")
    row = air.engine._duckdb.execute("SELECT " + ", ".join(f"current_setting('{name}')" for name in names)).fetchone()
    assert row == (False, True, "", False, 1)


def test_the_snapshot_used_last_stays_when_memory_is_short(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": np.arange(100_000)})
    schema = Schema((Column("x", Kind.INTEGER, Role.MEASURE, low=0, high=100_000),))
    taken = [snapshots.take_frame(tmp_path, frame, schema, Profile.OPEN) for _ in range(3)]
    small = Engine(tmp_path / "snapshots", b"n" * 32, memory_mb=64, threads=1)
    small._room = 1_000_000  # two tables of 400 kB
    for each in (0, 1, 0, 2, 0):
        asked = taken[each].bind("SELECT SUM(x) FROM data")
        assert small.run(asked, "data", taken[each].report.snapshot, taken[each].terms)["values"][0, 0] == 4_999_950_000
    assert {key[1] for key in small._tables} == {taken[0].report.snapshot, taken[2].report.snapshot}
