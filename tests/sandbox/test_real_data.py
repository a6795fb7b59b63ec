"""Real public data: what is exact is exact, and what is private holds its intervals.

The data are no part of the project: SLUICE_REAL_DATA names their folder.
"""

import math
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from exchange.sandbox.query import Profile
from exchange.sandbox.schema import Column, Kind, Role, Schema
from exchange.sandbox.terms import Terms
from tests.sandbox import snapshots
from tests.sandbox.snapshots import Snapshot

AGES = tuple(f"[{low}-{low + 10})" for low in range(0, 100, 10))
A1C = ("None", "Norm", ">7", ">8")
PATIENTS = Schema(
    (
        Column("patient_nbr", Kind.INTEGER, Role.ENTITY),
        Column("age", Kind.STRING, Role.DIMENSION, AGES, required=True),
        Column("a1cresult", Kind.STRING, Role.DIMENSION, A1C, required=True),
        Column("readmitted", Kind.STRING, Role.DIMENSION, ("<30", ">30", "NO"), required=True),
        Column("time_in_hospital", Kind.INTEGER, Role.MEASURE, low=1, high=14),
    ),
    row_key=("encounter_id",),
)
BY_AGE_AND_A1C = """
SELECT age, a1cresult, COUNT(*), COUNT(*) FILTER (WHERE readmitted = '<30'), AVG(time_in_hospital)
FROM encounters GROUP BY age, a1cresult
"""
TERMS = Terms("private", rows=3, rho=50_000)  # an ε of 2.1 at δ = 1e-9


@pytest.fixture(scope="module")
def hospital(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    frame = pd.read_parquet(real_data / "diabetic_data.parquet").rename(columns=str.lower)
    columns = [*(column.name for column in PATIENTS.columns), "encounter_id"]
    taken = snapshots.take_frame(tmp_path_factory.mktemp("hospital"), frame[columns], PATIENTS, Profile.PRIVATE)
    taken.terms = TERMS
    return taken


def rows(taken: Snapshot) -> pd.DataFrame:
    path = taken.folder / "snapshots" / "data" / f"{taken.report.snapshot}.parquet"
    found = pq.read_table(path).to_pandas()
    for name, domain in (("age", AGES), ("a1cresult", A1C), ("readmitted", ("<30", ">30", "NO"))):
        found[name] = found[name].map(dict(enumerate(domain, 1)))
    return found


def figures(found: pd.DataFrame) -> pd.DataFrame:
    """The exact answer, by age and A1C."""
    groups = found.groupby(["age", "a1cresult"])
    return pd.DataFrame(
        {
            "count": groups.size(),
            "early": found[found["readmitted"] == "<30"].groupby(["age", "a1cresult"]).size(),
            "stay": groups["time_in_hospital"].mean(),
        }
    ).fillna({"early": 0})


def test_intake_takes_every_encounter_in(hospital: Snapshot) -> None:
    assert (hospital.report.rows_kept, hospital.report.entities) == (101_766, 71_518)
    assert not hospital.report.clamped and not hospital.report.nulled


def test_the_intervals_hold_the_figures_of_the_bounded_data_in_95_of_100_cells(hospital: Snapshot) -> None:
    """Over 20 answers of 40 cells; five standard errors of slack."""
    everyone = rows(hospital)
    due = figures(everyone[everyone["_rank"] <= TERMS.rows])
    held: dict[str, list[bool]] = {"count": [], "early": [], "stay": []}
    asked = hospital.bind(BY_AGE_AND_A1C)
    early = next(measure.name for measure in asked.measures if measure.where is not None)
    for _ in range(20):
        found = hospital.ask(BY_AGE_AND_A1C).set_index(["age", "a1cresult"])
        assert len(found) == len(AGES) * len(A1C)
        for figure, name in (("count", "count"), ("early", early), ("stay", "avg_time_in_hospital")):
            joined = due[[figure]].join(found[[f"{name}_low", f"{name}_high"]], how="inner")
            inside = (joined[f"{name}_low"] <= joined[figure]) & (joined[figure] <= joined[f"{name}_high"])
            held[figure] += inside.astype(bool).tolist()
    for figure, found_inside in held.items():
        share = sum(found_inside) / len(found_inside)
        assert share >= 0.95 - 5 * math.sqrt(0.95 * 0.05 / len(found_inside)), figure


def test_the_intervals_of_quantiles_hold_and_large_groups_are_answered_to_the_day(hospital: Snapshot) -> None:
    """Median and ninth decile of the stay by age, over 20 answers; a median of 5,000 encounters has no error."""
    everyone = rows(hospital)
    groups = everyone[everyone["_rank"] <= TERMS.rows].groupby("age")["time_in_hospital"]
    text = "SELECT age, MEDIAN(time_in_hospital), QUANTILE_CONT(time_in_hospital, 0.9) FROM encounters GROUP BY age"
    held, large = [], groups.size()[groups.size() >= 5_000].index
    assert len(large) >= 5
    for _ in range(20):
        found = hospital.ask(text).set_index("age")
        for at in (5000, 9000):
            name, due = f"quantile_{at}_time_in_hospital", groups.quantile(at / 10_000).reindex(found.index)
            held += ((found[f"{name}_low"] <= due) & (due <= found[f"{name}_high"])).astype(bool).tolist()
            assert at > 5000 or (found[name][large] == due[large]).all()
    assert sum(held) / len(held) >= 0.95 - 5 * math.sqrt(0.95 * 0.05 / len(held))


def test_what_bounding_loses_is_small_and_known_apart(hospital: Snapshot) -> None:
    """Three encounters of a patient are read: 7 of 100 are left out, and no average of 200 moves by a quarter day."""
    everyone = rows(hospital)
    bounded = everyone[everyone["_rank"] <= TERMS.rows]
    lost = 1 - len(bounded) / len(everyone)
    assert 0.05 < lost < 0.08
    before, after = figures(everyone), figures(bounded)
    moved = (after["stay"] - before["stay"])[before["count"] >= 200].abs()
    assert len(moved) > 25 and moved.max() < 0.25


def test_pm25_by_station_is_exact(real_data: Path, tmp_path: Path) -> None:
    frame = pd.read_parquet(real_data / "prsa_beijing.parquet").rename(columns={"PM2.5": "pm25"})
    schema = Schema(
        (
            Column("station", Kind.STRING, Role.DIMENSION),
            Column("pm25", Kind.DECIMAL, Role.MEASURE, low=0, high=10_000, scale=1),
        )
    )
    taken = snapshots.take_frame(tmp_path, frame[["station", "pm25"]], schema, Profile.OPEN)
    found = taken.ask("SELECT station, COUNT(*), COUNT(pm25), SUM(pm25), AVG(pm25) FROM air GROUP BY station")
    found = found.set_index("station")
    due = frame.groupby("station")["pm25"]
    assert (found["count"].sum(), (found["count"] - found["count_pm25"]).sum()) == (420_768, 8_739)
    assert found["count_pm25"].to_dict() == due.count().to_dict()
    assert {station: float(total) for station, total in found["sum_pm25"].items()} == pytest.approx(due.sum().to_dict())
    assert found["avg_pm25"].idxmin() == "Dingling" and round(float(found["avg_pm25"].min()), 2) == 65.99
    assert found["avg_pm25"].idxmax() == "Dongsi" and round(float(found["avg_pm25"].max()), 2) == 86.19
