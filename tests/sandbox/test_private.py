"""`private`: bounded contributions, noise of the promised distribution, and intervals that hold.

ALMOST_EXACT spends so much that the noise is nothing: then the answer must be that of the bounded data.
"""

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, pvariance

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.errors import Problem
from exchange.sandbox import accuracy, plan
from exchange.sandbox.noise import discrete_gaussian
from exchange.sandbox.plan import private
from exchange.sandbox.query import Profile, Total
from exchange.sandbox.schema import Column, Kind, Role, Schema
from exchange.sandbox.terms import Terms
from tests.attacks.chance import times
from tests.sandbox import snapshots
from tests.sandbox.snapshots import Snapshot

ALMOST_EXACT = Terms("private", rows=3, rho=10**19)
SCHEMA = Schema(
    (
        Column("patient", Kind.INTEGER, Role.ENTITY),
        Column("ward", Kind.STRING, Role.DIMENSION, ("a", "b", "c", "never"), required=True),
        Column("days", Kind.INTEGER, Role.MEASURE, low=1, high=14),
        Column("cost", Kind.DECIMAL, Role.MEASURE, low=-5_00, high=100_00, scale=2),
    )
)
BY_WARD = (
    "SELECT ward, COUNT(*), COUNT(DISTINCT patient), SUM(days), AVG(days), SUM(cost), STDDEV(days) FROM p GROUP BY ward"
)


def frame() -> pd.DataFrame:
    """900 patients of up to 3 stays, and one of 500; some costs are not known."""
    draw = np.random.default_rng(3)
    stays = [*draw.integers(1, 4, 900), 500]
    patients = np.repeat(np.arange(901), stays)
    costs = np.round(draw.gamma(2.0, 15.0, len(patients)), 2)
    costs[draw.random(len(patients)) < 0.1] = np.nan
    wards = draw.choice(["a", "b", "c"], len(patients), p=[0.6, 0.3, 0.1])
    return pd.DataFrame(
        {"patient": patients, "ward": wards, "days": draw.integers(1, 15, len(patients)), "cost": costs}
    )


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return snapshots.take_frame(tmp_path_factory.mktemp("private"), frame(), SCHEMA, Profile.PRIVATE)


@pytest.fixture(scope="module")
def bounded(taken: Snapshot) -> pd.DataFrame:
    """What a query may read: three rows of each patient, wards by name."""
    path = taken.folder / "snapshots" / "data" / f"{taken.report.snapshot}.parquet"
    rows = pq.read_table(path).to_pandas()
    rows["ward"] = rows["ward"].map(dict(enumerate(("a", "b", "c", "never"), 1)))
    return rows[rows["_rank"] <= 3]


def ask(taken: Snapshot, text: str, terms: Terms) -> pd.DataFrame:
    return replace_terms(taken, terms).ask(text)


def replace_terms(taken: Snapshot, terms: Terms) -> Snapshot:
    other = Snapshot(taken.folder, taken.profile, taken.report, taken.engine)
    other.terms = terms
    return other


def test_without_noise_the_answer_is_that_of_the_bounded_data(taken: Snapshot, bounded: pd.DataFrame) -> None:
    found = ask(taken, BY_WARD, ALMOST_EXACT).set_index("ward")
    due = bounded.groupby("ward").agg(
        n=("days", "size"), people=("_entity", "nunique"), days=("days", "sum"), mean=("days", "mean"),
        cost=("cost", "sum"), deviation=("days", "std"),
    )  # fmt: skip
    there = found.loc[["a", "b", "c"]]
    assert there["count"].tolist() == due["n"].tolist()
    assert there["count_distinct_patient"].tolist() == due["people"].tolist()
    assert there["sum_days"].tolist() == due["days"].tolist()
    assert there["avg_days"].tolist() == pytest.approx(due["mean"].tolist())
    assert [int(cost * 100) for cost in there["sum_cost"]] == due["cost"].tolist()
    assert there["stddev_days"].tolist() == pytest.approx(due["deviation"].tolist())


def test_who_has_very_many_rows_counts_as_often_as_others(taken: Snapshot, bounded: pd.DataFrame) -> None:
    total = ask(taken, "SELECT COUNT(*) FROM p", ALMOST_EXACT)["count"].tolist()
    assert total == [len(bounded)]
    assert max(Counter(bounded["_entity"].tolist()).values()) == 3
    assert len(frame()) - len(bounded) >= 497


def test_a_filter_may_speak_of_a_measure_and_reads_bounded_rows_only(taken: Snapshot, bounded: pd.DataFrame) -> None:
    found = ask(taken, "SELECT COUNT(*), SUM(days) FILTER (WHERE ward = 'a') FROM p WHERE days > 7", ALMOST_EXACT)
    long = bounded[bounded["days"] > 7]
    assert found["count"].tolist() == [len(long)]
    assert found.filter(like="sum_days").iloc[0, 0] == long[long["ward"] == "a"]["days"].sum()


def test_the_whole_grid_is_released_and_an_empty_cell_has_noise_as_any_other(taken: Snapshot) -> None:
    terms = Terms("private", rows=3, rho=1_000)
    answers = [ask(taken, "SELECT ward, COUNT(*) FROM p GROUP BY ward", terms).set_index("ward") for _ in range(60)]
    assert all(answer["status"].tolist() == ["released"] * 4 for answer in answers)
    empty = [int(answer.loc["never", "count"]) for answer in answers]
    sigma = plan.sigmas(taken.bind("SELECT ward, COUNT(*) FROM p GROUP BY ward"), SCHEMA, terms)[0]
    assert len(set(empty)) > 20
    assert 0.5 * sigma**2 < pvariance(empty) < 2 * sigma**2


def test_each_answer_draws_its_own_noise(taken: Snapshot) -> None:
    text = "SELECT ward, COUNT(*), SUM(days) FROM p GROUP BY ward"
    one, other = (ask(taken, text, snapshots.TERMS[Profile.PRIVATE]) for _ in range(2))
    assert one["count"].tolist() != other["count"].tolist()


QUERIES = ["SELECT COUNT(*) FROM p", "SELECT ward, SUM(cost) FROM p GROUP BY ward", BY_WARD]


@given(st.sampled_from(QUERIES), st.integers(20, 10**9), st.integers(1, 50))
def test_the_noise_of_all_totals_together_costs_what_the_query_pays(text: str, rho: int, rows: int) -> None:
    """ρ = Σ L2² / 2σ², the L2 of each total written out anew."""
    from exchange.sandbox import query, sql

    terms = Terms("private", rows=rows, rho=rho)
    asked = query.bind(sql.parse(text), SCHEMA, Profile.PRIVATE).query
    reach = {"days": 7, "cost": 5250}  # from the middle of the bounds: 7 of 1 … 14, 4750 of -500 … 10000
    cells = 4 if asked.dimensions else 1
    spent = 0.0
    for part, sigma in zip(plan.parts(asked, SCHEMA, terms), plan.sigmas(asked, SCHEMA, terms), strict=True):
        l2 = {
            Total.ROWS: rows,
            Total.ENTITIES: math.sqrt(min(rows, cells)),
            Total.SUM: rows * reach.get(part.column.name if part.column else "", 0),
            Total.SQUARES: rows * reach.get(part.column.name if part.column else "", 0) ** 2,
        }[part.total]
        spent += l2**2 / (2 * sigma**2)
    assert spent * 1_000_000 <= rho
    assert spent * 1_000_000 > 0.5 * rho - 20


def test_less_than_a_micro_rho_for_each_total_is_refused(taken: Snapshot) -> None:
    with pytest.raises(Problem) as raised:
        ask(taken, BY_WARD, Terms("private", rows=3, rho=3))
    assert raised.value.code == "query_too_large"


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 14)), max_size=9), st.integers(1, 4))
def test_one_entity_moves_no_total_farther_than_its_sensitivity(rows: list[tuple[int, int]], most: int) -> None:
    """For any rows of one entity, as the cells of each total see the first `most` of them."""
    read = rows[:most]
    terms = Terms("private", rows=most, rho=1000)
    days = SCHEMA.get("days")
    about = 7
    moved = {
        Total.ROWS: [sum(1 for ward, _ in read if ward == cell) for cell in range(4)],
        Total.ENTITIES: [int(any(ward == cell for ward, _ in read)) for cell in range(4)],
        Total.SUM: [sum(day - about for ward, day in read if ward == cell) for cell in range(4)],
        Total.SQUARES: [sum((day - about) ** 2 for ward, day in read if ward == cell) for cell in range(4)],
    }
    asked = plan.AggregateQuery((), ("ward",))
    for total, vector in moved.items():
        part = plan.Part(total, None if total is Total.ROWS else days, about=about)
        assert sum(value**2 for value in vector) <= private.sensitivity_squared(part, asked, SCHEMA, terms)


@pytest.mark.parametrize("sigma", [0.7, 5.0, 300.0])
def test_the_noise_is_a_discrete_gaussian(sigma: float) -> None:
    """Chi-squared over some twenty classes, at one in a million."""
    draws = discrete_gaussian([0] * times(20_000, 1_000_000), sigma)
    assert abs(fmean(draws)) < 5 * sigma / math.sqrt(len(draws))
    width = max(1, round(sigma / 3))
    reach = math.ceil(12 * sigma)
    weights = {x: math.exp(-(x**2) / (2 * sigma**2)) for x in range(-reach, reach + 1)}
    total = sum(weights.values())
    due: Counter[int] = Counter()
    for x, weight in weights.items():
        due[x // width] += weight / total * len(draws)  # type: ignore[assignment]
    seen = Counter(draw // width for draw in draws)
    classes = [cell for cell, number in due.items() if number >= 10]
    statistic = sum((seen[cell] - due[cell]) ** 2 / due[cell] for cell in classes)
    freedom = len(classes) - 1
    assert statistic < freedom + 5.2 * math.sqrt(2 * freedom) + 20


def test_noise_stays_within_64_bits() -> None:
    assert all(abs(value) < 2**63 for value in discrete_gaussian([2**63 - 1, -(2**63) + 1] * 20, 1e18))


MEASURES: list[tuple[str, str, Callable[[pd.DataFrame], float]]] = [
    ("count", "COUNT(*)", len),
    ("count_distinct_patient", "COUNT(DISTINCT patient)", lambda rows: rows["_entity"].nunique()),
    ("sum_days", "SUM(days)", lambda rows: rows["days"].sum()),
    ("avg_days", "AVG(days)", lambda rows: rows["days"].mean()),
    ("sum_cost", "SUM(cost)", lambda rows: rows["cost"].sum() / 100),
    ("variance_days", "VARIANCE(days)", lambda rows: rows["days"].var()),
]


@pytest.mark.parametrize(("name", "sql", "figure"), MEASURES, ids=[row[0] for row in MEASURES])
def test_the_stated_intervals_hold_the_figure_of_the_bounded_data(
    taken: Snapshot, bounded: pd.DataFrame, name: str, sql: str, figure: Callable[[pd.DataFrame], float]
) -> None:
    """In 95 % of 300 cells, less five standard errors; and the estimate lies in its own interval."""
    terms = Terms("private", rows=3, rho=20_000)
    held = 0
    for _ in range(100):
        found = ask(taken, f"SELECT ward, {sql} FROM p GROUP BY ward", terms).set_index("ward")
        for ward in ("a", "b", "c"):
            low, middle, high = (float(found.loc[ward, f"{name}{end}"]) for end in ("_low", "", "_high"))
            assert low <= middle <= high
            held += low <= figure(bounded[bounded["ward"] == ward]) <= high
    assert held >= 300 * 0.95 - 5 * math.sqrt(300 * 0.95 * 0.05)


@given(st.integers(-100, 100), st.integers(1, 60), st.floats(0.1, 30))
def test_an_average_of_few_rows_is_within_the_bounds_and_says_no_more(total: int, rows: int, sigma: float) -> None:
    low, high = accuracy.of_average([total, rows], [sigma, sigma], (-7.0, 7.0))
    assert low >= -7.0 or high <= 7.0
    if rows <= 2 * sigma:
        assert (low, high) == (-7.0, 7.0)


def test_leaving_one_patient_out_changes_no_other_patients_bounded_rows(tmp_path: Path, bounded: pd.DataFrame) -> None:
    rows = frame()
    other = snapshots.take_frame(tmp_path, rows[rows["patient"] != 900], SCHEMA, Profile.PRIVATE)
    found = ask(other, BY_WARD, ALMOST_EXACT).set_index("ward")
    everyone = bounded.groupby("ward").size()
    assert int((everyone - found["count"].loc[["a", "b", "c"]].to_numpy()).abs().sum()) == 3


def test_a_variance_that_could_leave_64_bits_is_refused_by_the_declared_rows_not_by_the_data() -> None:
    from exchange.sandbox import query, sql
    from exchange.sandbox.schema import Manifest

    schema = Schema((SCHEMA.columns[0], Column("x", Kind.INTEGER, Role.MEASURE, low=-(2**31), high=2**31)))
    asked = query.bind(sql.parse("SELECT VARIANCE(x) FROM p"), schema, Profile.PRIVATE).query
    terms = Terms("private", rows=3, rho=1000)
    assert plan.shape(asked, Manifest("r", "s", schema, rows=1), terms).cells == 1
    with pytest.raises(Problem, match="column_not_measure"):
        plan.shape(asked, Manifest("r", "s", schema, rows=2), terms)
