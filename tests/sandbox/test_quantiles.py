"""Quantiles of `private` products: a walk that is told noisy balances, and intervals that hold.

ALMOST_EXACT spends so much that the noise is nothing: then the answer must be that of the bounded data.
"""

import math
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.errors import Problem
from exchange.sandbox import plan, query, sql
from exchange.sandbox.frames import BadFrame, decode_cells
from exchange.sandbox.query import AggregateQuery, Function, Measure, Profile
from exchange.sandbox.schema import Column, Kind, Manifest, Role, Schema
from exchange.sandbox.terms import Terms
from exchange.sandbox.walk import steps
from tests.sandbox import snapshots
from tests.sandbox.snapshots import Snapshot

ALMOST_EXACT = Terms("private", rows=3, rho=10**19)
POINTS = 10_000  # of 1, as `at` is given
WARDS = ("a", "b", "c", "never")
SCHEMA = Schema(
    (
        Column("patient", Kind.INTEGER, Role.ENTITY),
        Column("ward", Kind.STRING, Role.DIMENSION, WARDS, required=True),
        Column("days", Kind.INTEGER, Role.MEASURE, low=1, high=14),
        Column("cost", Kind.DECIMAL, Role.MEASURE, low=-5_00, high=100_00, scale=2),
        Column("dead", Kind.INTEGER, Role.MEASURE, low=0, high=1),
    )
)


def frame() -> pd.DataFrame:
    """2,000 patients of up to 3 stays, and one of 500 long ones; some costs are not known."""
    draw = np.random.default_rng(4)
    stays = [*draw.integers(1, 4, 2000), 500]
    patients = np.repeat(np.arange(2001), stays)
    size = len(patients)
    days = np.where(patients == 2000, 14, draw.integers(1, 15, size))
    costs = np.round(draw.gamma(2.0, 15.0, size) - 5, 2)
    costs[draw.random(size) < 0.1] = np.nan
    wards = draw.choice(["a", "b", "c"], size, p=[0.6, 0.3, 0.1])
    dead = draw.random(size) < 0.2
    return pd.DataFrame({"patient": patients, "ward": wards, "days": days, "cost": costs, "dead": dead.astype(int)})


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return snapshots.take_frame(tmp_path_factory.mktemp("quantiles"), frame(), SCHEMA, Profile.PRIVATE)


@pytest.fixture(scope="module")
def bounded(taken: Snapshot) -> pd.DataFrame:
    """What a query may read: three rows of each patient; wards by name, costs in hundredths."""
    path = taken.folder / "snapshots" / "data" / f"{taken.report.snapshot}.parquet"
    rows = pq.read_table(path).to_pandas()
    rows["ward"] = rows["ward"].map(dict(enumerate(WARDS, 1)))
    return rows[rows["_rank"] <= 3]


def ask(taken: Snapshot, text: str, terms: Terms) -> pd.DataFrame:
    other = Snapshot(taken.folder, taken.profile, taken.report, taken.engine)
    other.terms = terms
    return other.ask(text)


def bind(text: str) -> AggregateQuery:
    return query.bind(sql.parse(text), SCHEMA, Profile.PRIVATE).query


# --- What it costs


def test_a_large_grid_has_fewer_bins_so_that_a_vault_can_hold_the_counts() -> None:
    streets = Column("street", Kind.STRING, Role.DIMENSION, tuple(f"s{i}" for i in range(9_999)), required=True)
    schema = Schema((*SCHEMA.columns, streets))
    terms = Terms("private", rows=3, rho=1000)

    def counts(text: str) -> int:
        asked = query.bind(sql.parse(text), schema, Profile.PRIVATE).query
        found = plan.quantiles(asked, schema, terms)
        histograms = {(each.measure.column, each.measure.where): each.bins.number for each in found}
        return plan.shape(asked, Manifest("r", "s", schema, 1), terms).cells * sum(histograms.values())

    assert counts("SELECT MEDIAN(cost) FROM p") == 3501
    for figures in ("MEDIAN(cost)", "MEDIAN(cost), MEDIAN(days), QUANTILE_CONT(cost, 0.9) FILTER (WHERE days > 3)"):
        assert 2**19 < counts(f"SELECT street, {figures} FROM p GROUP BY street") <= 2**21


@given(st.integers(20, 10**9), st.integers(1, 50), st.integers(0, POINTS))
def test_the_steps_of_all_quantiles_and_the_noise_of_all_totals_cost_what_the_query_pays(
    rho: int, rows: int, at: int
) -> None:
    """ρ = Σ L2² / 2σ², the L2 of each step written out anew."""
    terms = Terms("private", rows=rows, rho=rho)
    text = f"SELECT COUNT(*), MEDIAN(days), QUANTILE_CONT(cost, {at / POINTS:.4f}) FROM p GROUP BY ROLLUP(ward)"
    asked = query.bind(sql.parse(text), SCHEMA, Profile.PRIVATE).query
    levels, halvings = 2, {"days": 4, "cost": 12}
    spent = levels * rows**2 / (2 * plan.sigmas(asked, SCHEMA, terms)[0] ** 2)
    for each in plan.quantiles(asked, SCHEMA, terms):
        weight = max(each.at, POINTS - each.at)  # of one row, in the balance of its cell
        column = each.measure.column or ""
        spent += (halvings[column] + 3) * levels * (rows * weight) ** 2 / (2 * each.sigma**2)
    assert 0.5 * rho - 20 < spent * 1_000_000 <= rho


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 14)), max_size=9),
    st.integers(1, 4),
    st.lists(st.integers(1, 15), min_size=4, max_size=4),
    st.integers(0, POINTS),
)
def test_one_entity_moves_the_balances_no_farther_than_its_sensitivity(
    rows: list[tuple[int, int]], most: int, points: list[int], at: int
) -> None:
    """For any rows of one entity and any points, as the cells see the first `most` of them."""
    read = rows[:most]
    moved = [
        sum((POINTS - at) if day < points[cell] else -at for ward, day in read if ward == cell) for cell in range(4)
    ]
    terms = Terms("private", rows=most, rho=2_000_000)
    asked = AggregateQuery((Measure(Function.QUANTILE, "days", None, at),), ("ward",))
    (found,) = plan.quantiles(asked, SCHEMA, terms)
    assert sum(value**2 for value in moved) <= 2 * found.sigma**2 * 2 / steps(4)  # ρ is 2, in equal steps


def test_less_than_a_micro_rho_for_each_figure_is_refused(taken: Snapshot) -> None:
    with pytest.raises(Problem) as raised:
        ask(taken, "SELECT COUNT(*), MEDIAN(days), MEDIAN(cost) FROM p", Terms("private", rows=3, rho=2))
    assert raised.value.code == "query_too_large"


def test_as_many_quantiles_are_answered_as_fit_a_frame(taken: Snapshot) -> None:
    asked = [f"QUANTILE_CONT(days, {i / 100})" for i in range(1, 12)]
    found = ask(taken, f"SELECT {', '.join(asked[:10])} FROM p", ALMOST_EXACT)
    assert len(found.columns) == 3 * 10 + 1
    with pytest.raises(Problem, match="query_too_large"):
        bind(f"SELECT {', '.join(asked)} FROM p")


def test_a_deadline_has_time_for_the_walk_and_depends_on_public_figures_alone() -> None:
    manifest = Manifest("r", "s", SCHEMA, rows=1_000_000)
    terms = Terms("private", rows=3, rho=1000)
    texts = ("SELECT COUNT(*) FROM p", "SELECT MEDIAN(days) FROM p", "SELECT MEDIAN(days), MEDIAN(cost) FROM p")
    seconds = [plan.deadline(bind(text), manifest, terms, 1_000_000, 0) for text in texts]
    assert seconds[0] < seconds[1] < seconds[2]
    both = plan.deadline(bind("SELECT MEDIAN(days), QUANTILE_CONT(days, 0.9) FROM p"), manifest, terms, 1_000_000, 0)
    assert seconds[1] < both < seconds[1] + 0.01  # the rows are counted once
    other = Manifest("r", "other", SCHEMA, rows=1_000_000, entities=7, most_rows=9)
    assert plan.deadline(bind(texts[2]), other, terms, 1_000_000, 0) == seconds[2]


# --- The answer, without noise


def due(rows: pd.DataFrame, at: float) -> Any:
    """The first value by which that fraction of rows has passed."""
    return np.quantile(rows, at, method="inverted_cdf")


def test_without_noise_each_quantile_is_that_of_the_bounded_data(taken: Snapshot, bounded: pd.DataFrame) -> None:
    asked = "MEDIAN(days), QUANTILE_CONT(days, 0.9), PERCENTILE_CONT(0.25) WITHIN GROUP (ORDER BY days), MEDIAN(dead)"
    found = ask(taken, f"SELECT ward, {asked} FROM p GROUP BY ward", ALMOST_EXACT).set_index("ward")
    for ward in ("a", "b", "c"):
        rows = bounded[bounded["ward"] == ward]
        for at in (2500, 5000, 9000):
            assert found.loc[ward, f"quantile_{at}_days"] == due(rows["days"], at / POINTS)
        assert found.loc[ward, "quantile_5000_dead"] == due(rows["dead"], 0.5)


def test_decimals_are_answered_to_the_width_of_a_bin_also_below_zero(taken: Snapshot, bounded: pd.DataFrame) -> None:
    """10,501 hundredths in at most 4,096 bins: three in each."""
    found = ask(taken, "SELECT QUANTILE_CONT(cost, 0.01), MEDIAN(cost) FROM p", ALMOST_EXACT)
    known = bounded["cost"].dropna()
    for at in (100, 5000):
        value = found[f"quantile_{at}_cost"].iloc[0]
        assert abs(int(value * 100) - due(known, at / POINTS)) <= 1
        assert str(found[f"quantile_{at}_cost"].dtype) == "decimal128(38, 2)[pyarrow]"
    assert found["quantile_100_cost"].iloc[0] < 0


def test_rows_without_a_value_are_left_out_and_filters_choose_rows(taken: Snapshot, bounded: pd.DataFrame) -> None:
    text = "SELECT MEDIAN(cost) FILTER (WHERE ward = 'b'), MEDIAN(cost) FROM p WHERE days > 7"
    found = ask(taken, text, ALMOST_EXACT)
    long = bounded[bounded["days"] > 7].dropna(subset=["cost"])
    filtered = next(name for name in found.columns if "where" in name)
    for name, rows in ((filtered, long[long["ward"] == "b"]), ("quantile_5000_cost", long)):
        assert abs(int(found[name].iloc[0] * 100) - due(rows["cost"], 0.5)) <= 1


def test_a_rollup_has_the_quantile_of_each_level(taken: Snapshot, bounded: pd.DataFrame) -> None:
    found = ask(taken, "SELECT ward, QUANTILE_CONT(days, 0.7), COUNT(*) FROM p GROUP BY ROLLUP(ward)", ALMOST_EXACT)
    assert found["level"].tolist() == [0, 0, 0, 0, 1]
    assert found["quantile_7000_days"].iloc[4] == due(bounded["days"], 0.7)
    assert found["quantile_7000_days"].iloc[0] == due(bounded[bounded["ward"] == "a"]["days"], 0.7)
    assert found["count"].iloc[4] == len(bounded)


def test_who_has_very_many_rows_counts_as_often_as_others(taken: Snapshot, bounded: pd.DataFrame) -> None:
    """One patient's 500 stays of 14 days would move the share of 14 days from a twelfth to a sixth."""
    found = ask(taken, "SELECT QUANTILE_CONT(days, 0.9), COUNT(*) FROM p", ALMOST_EXACT)
    assert due(frame()["days"], 0.9) == 14
    assert found["quantile_9000_days"].iloc[0] == due(bounded["days"], 0.9) == 13


def test_the_ends_of_the_scale_are_the_ends_of_the_data(taken: Snapshot, bounded: pd.DataFrame) -> None:
    found = ask(taken, "SELECT QUANTILE_CONT(cost, 1), QUANTILE_CONT(cost, 0) FROM p", ALMOST_EXACT)
    assert abs(int(found["quantile_10000_cost"].iloc[0] * 100) - bounded["cost"].max()) <= 1
    assert int(found["quantile_0_cost"].iloc[0] * 100) <= bounded["cost"].min()


def test_sql_and_json_ask_for_the_same_quantile() -> None:
    body = {
        "product": "p",
        "measures": [
            {"function": "median", "column": "days"},
            {"function": "quantile", "column": "cost", "at": 0.9},
        ],
    }
    asked = query.bind(query.parse_json(body), SCHEMA, Profile.PRIVATE).query
    assert asked == bind("SELECT MEDIAN(days), QUANTILE_CONT(cost, 0.9) FROM p")
    terms = Terms("private", rows=3, rho=1000)
    assert query.from_json(query.to_json(asked), SCHEMA, terms) == asked


def test_a_column_that_would_be_named_as_the_end_of_an_interval_is_refused() -> None:
    schema = Schema((*SCHEMA.columns, Column("days_low", Kind.INTEGER, Role.MEASURE, low=0, high=9)))
    with pytest.raises(Problem, match="sql_unsupported"):
        query.bind(sql.parse("SELECT MEDIAN(days), MEDIAN(days_low) FROM p"), schema, Profile.PRIVATE)


def test_released_quantiles_are_calculated_with_filtered_and_ordered_by(taken: Snapshot) -> None:
    from exchange.sandbox.answer import table
    from exchange.sandbox.shown import shown

    text = (
        "SELECT ward, MEDIAN(cost) AS middle, QUANTILE_CONT(cost, 0.9) - MEDIAN(cost) AS tail FROM p GROUP BY ward"
        " HAVING MEDIAN(cost) > 0 ORDER BY middle DESC LIMIT 2"
    )
    bound = query.bind(sql.parse(text), SCHEMA, Profile.PRIVATE)
    other = Snapshot(taken.folder, taken.profile, taken.report, taken.engine)
    other.terms = ALMOST_EXACT
    whole = table(other.cells(bound.query), bound.query, taken.manifest, ALMOST_EXACT)
    seen = shown(whole, bound.outputs, bound.view)
    assert seen.column_names == ["ward", "middle", "middle_low", "middle_high", "tail", "status"]
    middles = seen["middle"].to_pylist()
    assert len(middles) == 2 and middles == sorted(middles, reverse=True) and min(middles) > 0
    rows = {row["ward"]: row for row in whole.to_pylist()}
    for row in seen.to_pylist():
        assert row["tail"] == rows[row["ward"]]["quantile_9000_cost"] - rows[row["ward"]]["quantile_5000_cost"]


# --- With noise


def test_an_empty_cell_is_answered_as_any_other_and_says_that_it_could_be_anything(taken: Snapshot) -> None:
    terms = Terms("private", rows=3, rho=10_000)
    answers = [ask(taken, "SELECT ward, MEDIAN(days) FROM p GROUP BY ward", terms) for _ in range(40)]
    assert all(answer["status"].tolist() == ["released"] * 4 for answer in answers)
    rows = [answer.set_index("ward").loc["never"] for answer in answers]
    assert all(1 <= row["quantile_5000_days"] <= 14 for row in rows)
    assert len({row["quantile_5000_days"] for row in rows}) > 3
    wide = [row for row in rows if (row["quantile_5000_days_low"], row["quantile_5000_days_high"]) == (1, 14)]
    assert len(wide) >= 40 * 0.95 - 5 * math.sqrt(40 * 0.95 * 0.05)


ASKED = [("days", 5000), ("days", 9000), ("cost", 100), ("cost", 5000), ("cost", 10_000), ("dead", 5000)]


@pytest.mark.parametrize(("column", "at"), ASKED)
def test_the_stated_intervals_hold_the_quantile_of_the_bounded_data(
    taken: Snapshot, bounded: pd.DataFrame, column: str, at: int
) -> None:
    """In 95 % of 240 cells, less five standard errors; and the estimate lies in its own interval."""
    terms = Terms("private", rows=3, rho=20_000)
    scale = 100 if column == "cost" else 1
    held = 0
    for _ in range(80):
        text = f"SELECT ward, QUANTILE_CONT({column}, {at / POINTS}) FROM p GROUP BY ward"
        found = ask(taken, text, terms).set_index("ward")
        for ward in ("a", "b", "c"):
            name = f"quantile_{at}_{column}"
            low, middle, high = (float(found.loc[ward, f"{name}{end}"]) * scale for end in ("_low", "", "_high"))
            assert low - 1e-6 <= middle <= high + 1e-6
            known = bounded[bounded["ward"] == ward][column].dropna()
            held += low - 1e-6 <= np.quantile(known, at / POINTS, method="linear") <= high + 1e-6
    assert held >= 240 * 0.95 - 5 * math.sqrt(240 * 0.95 * 0.05)


def test_more_budget_makes_a_quantile_nearer_and_its_interval_narrower(taken: Snapshot, bounded: pd.DataFrame) -> None:
    middle = due(bounded["cost"].dropna(), 0.5) / 100
    errors, widths = [], []
    for rho in (1_000, 30_000, 1_000_000):
        terms = Terms("private", rows=3, rho=rho)
        answers = [ask(taken, "SELECT MEDIAN(cost) FROM p", terms).iloc[0] for _ in range(40)]
        errors.append(fmean(abs(float(row["quantile_5000_cost"]) - middle) for row in answers))
        widths.append(fmean(float(row["quantile_5000_cost_high"] - row["quantile_5000_cost_low"]) for row in answers))
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert widths[0] > 2 * widths[1] > 4 * widths[2]


def test_each_answer_draws_its_own_noise(taken: Snapshot) -> None:
    terms = Terms("private", rows=3, rho=1_000)
    answers = [ask(taken, "SELECT MEDIAN(cost) FROM p", terms)["quantile_5000_cost"].iloc[0] for _ in range(12)]
    assert len(set(answers)) > 6


# --- What the gate lets through


def test_a_frame_with_a_bin_that_is_not_there_is_refused(taken: Snapshot) -> None:
    asked = bind("SELECT ward, COUNT(*), MEDIAN(days) FROM p GROUP BY ward")
    shape = plan.shape(asked, taken.manifest, taken.terms)
    assert (shape.lows[1:], shape.highs[1:]) == ((0, 0, 0), (13, 13, 13))
    cells = taken.cells(asked)
    assert (decode_cells(cells.tobytes(), shape) == cells).all()
    for value in (-1, 14):
        forged = cells.copy()
        forged["values"][2, 3] = value
        with pytest.raises(BadFrame):
            decode_cells(forged.tobytes(), shape)


def test_bins_are_counted_once_for_all_quantiles_of_the_same_values(taken: Snapshot) -> None:
    text = "SELECT ward, MEDIAN(days), QUANTILE_CONT(days, 0.9), MEDIAN(cost) FROM p GROUP BY ward"
    (level,) = plan.compile(bind(text), taken.manifest, taken.terms).levels
    assert (level.sql, len(level.binned), len(set(level.binned))) == ("", 3, 2)
