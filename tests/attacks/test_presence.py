"""Whether somebody is in a table at all, and what somebody with many rows, or a missing bound, gives away."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from exchange.sandbox.budget import epsilon
from exchange.sandbox.query import Profile
from exchange.sandbox.schema import Column, Kind, Role, Schema
from exchange.sandbox.terms import Terms
from tests.attacks import chance, firms
from tests.attacks.chance import least, most, times
from tests.attacks.conftest import Write
from tests.attacks.firms import RHO, ask, under
from tests.sandbox.snapshots import Snapshot

HUNDREDS = times(20, 100)  # of bets: an answer has a cell, and noise of its own, for each district or site
BETS = 100 * HUNDREDS
BY_DISTRICT = "SELECT district, COUNT(*) AS n FROM data GROUP BY district"
Array = np.ndarray[tuple[int], np.dtype[np.int64]]


@pytest.fixture(scope="module")
def absent(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Everybody but the large firm of each district, on `private`."""
    return firms.take(tmp_path_factory.mktemp("absent"), Profile.PRIVATE, without_large())


def without_large() -> pd.DataFrame:
    rows = firms.frame()
    return rows[rows["size"] != "large"]


def counts(taken: Snapshot, text: str, runs: int) -> Array:
    """What each cell of `text` was released as, each time with fresh noise; asked of a plan made once."""
    bound = taken.bind(text)
    return np.concatenate([taken.cells(bound)["values"][:, 0] for _ in range(runs)]).astype(int)


def told(larger: Array, smaller: Array) -> float:
    """How often the one who bets on the larger answer is right."""
    return float(np.mean((larger > smaller) + 0.5 * (larger == smaller)))


def test_membership(private: Snapshot, absent: Snapshot, naked: Snapshot, board: Write, tmp_path: Path) -> None:
    """Is this firm in? The attacker knows everybody else, has an answer of each table, and bets on the larger."""
    bare = firms.take(tmp_path / "naked", Profile.OPEN, without_large())
    board("control", told(counts(naked, BY_DISTRICT, 1), counts(bare, BY_DISTRICT, 1)), trials=100, at_least=1.0)
    score = told(counts(private, BY_DISTRICT, HUNDREDS), counts(absent, BY_DISTRICT, HUNDREDS))
    board("private", score, trials=BETS, at_most=most(chance.told_apart(2 * RHO), BETS))


RUNS = 100 * HUNDREDS
SLACK = 5  # standard errors


@pytest.mark.parametrize("rho", [10_000, 100_000, 1_000_000])
def test_neighbours_are_no_better_told_apart_than_the_budget_allows(
    private: Snapshot, absent: Snapshot, rho: int
) -> None:
    """(ε, δ) both ways, for the events that tell most: the figure is above, or below, a threshold."""
    delta = 9
    answers = [
        counts(under(taken, Terms("private", rows=1, rho=rho)), BY_DISTRICT, HUNDREDS) for taken in (private, absent)
    ]
    limit = np.exp(epsilon(rho, delta))
    for one, other in (answers, answers[::-1]):
        for cut in np.quantile(np.concatenate(answers), np.linspace(0.05, 0.95, 19)):
            for p, q in (((one > cut).mean(), (other > cut).mean()), ((one <= cut).mean(), (other <= cut).mean())):
                unsure = max(q, 1 / RUNS)  # what was not seen may still be
                slack = SLACK * (np.sqrt(p * (1 - p) / RUNS) + limit * np.sqrt(unsure / RUNS))
                assert p <= limit * q + 10.0**-delta + slack


def test_neighbours_told_apart(private: Snapshot, absent: Snapshot, board: Write) -> None:
    """The best bet on one figure, at the budget of a thousand queries: as good as promised, and no better."""
    rho = 1_000_000
    terms = Terms("private", rows=1, rho=rho)
    score = told_by_one(*(counts(under(taken, terms), BY_DISTRICT, HUNDREDS) for taken in (private, absent)))
    # Whole numbers tell more than the normal distribution at so small a σ²: P(noise ≥ 0), σ² = 1/2.
    none = 1 / sum(np.exp(-float(x * x)) for x in range(-20, 21))
    board("private, ρ = 1", score, trials=2 * RUNS, at_most=most((1 + none) / 2, 2 * RUNS))
    loud = Terms("private", rows=1, rho=100 * rho)
    score = told_by_one(*(counts(under(taken, loud), BY_DISTRICT, HUNDREDS) for taken in (private, absent)))
    board("control, ρ = 100", score, trials=2 * RUNS, at_least=least(0.99, 2 * RUNS))


def told_by_one(larger: Array, smaller: Array) -> float:
    """How often one answer, seen alone, is laid at the right table: above 39.5 firms, or below."""
    return float(((larger > 39.5).mean() + (smaller < 39.5).mean()) / 2)


# One entity has very many rows


SITES = tuple(range(100))
STAYS = Schema(
    (
        Column("patient", Kind.INTEGER, Role.ENTITY),
        Column("day", Kind.INTEGER, Role.MEASURE, low=0, high=1_000),
        Column("ward", Kind.STRING, Role.DIMENSION, ("a", "b", "never"), required=True),
        Column("site", Kind.INTEGER, Role.DIMENSION, SITES, required=True),
    ),
    row_key=("patient", "day"),
)


def stays(heavy: int) -> pd.DataFrame:
    """At each site 100 patients of one stay in each of two wards, and one of `heavy` stays, all in ward b."""
    few = [(patient, ward, "ab"[ward]) for patient in range(100) for ward in (0, 1)]
    one = pd.DataFrame([*few, *((100, day, "b") for day in range(heavy))], columns=["patient", "day", "ward"])
    return pd.concat([one.assign(patient=one["patient"] + 1000 * site, site=site) for site in SITES])


@pytest.fixture(scope="module")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Snapshot]:
    """Tables with and without the patient of 600 stays."""
    folder = tmp_path_factory.mktemp("heavy")
    return {
        name: firms.take(folder / name, profile, stays(rows), STAYS)
        for name, profile, rows in (
            ("there", Profile.PRIVATE, 600), ("not there", Profile.PRIVATE, 0),
            ("naked", Profile.OPEN, 600), ("naked without", Profile.OPEN, 0),
        )
    }  # fmt: skip


def test_contribution_skew(heavy: dict[str, Snapshot], board: Write) -> None:
    """Somebody who has more rows than all others together shows in every sum, unless rows are bounded first."""
    text = "SELECT site, COUNT(*) AS n FROM data WHERE ward = 'b' GROUP BY site"
    naked = told(counts(heavy["naked"], text, 1), counts(heavy["naked without"], text, 1))
    board("control", naked, trials=100, at_least=1.0)
    score = told(counts(heavy["there"], text, HUNDREDS), counts(heavy["not there"], text, HUNDREDS))
    board("private", score, trials=BETS, at_most=most(chance.told_apart(2 * RHO), BETS))
    # The noise is not merely large: were rows not bounded, 600 at a σ of 22 would be seen every time.
    unbounded = under(heavy["there"], Terms("private", rows=600, rho=RHO * 600**2))
    other = under(heavy["not there"], unbounded.terms)
    seen = told(counts(unbounded, text, 1), counts(other, text, 1))
    board("control, 600 rows each", seen, trials=100, at_least=least(0.99, 100))


def test_group_by_keys(heavy: dict[str, Snapshot], board: Write) -> None:
    """A group appears where somebody is in it: which wards does an answer name, with and without a patient there?"""
    text = "SELECT site, ward, COUNT(*) AS n FROM data WHERE day >= 2 GROUP BY site, ward"  # the heavy patients alone

    def named(name: str) -> Array:
        found = ask(heavy[name], text)
        return np.isin(SITES, found[found["ward"] == "b"]["site"]).astype(int)

    board("control", told_by_names(named("naked"), named("naked without")), trials=200, at_least=1.0)
    there, not_there = (np.concatenate([named(name) for _ in range(HUNDREDS // 10)]) for name in ("there", "not there"))
    trials = 2 * len(there)
    board("private", told_by_names(there, not_there), trials=trials, at_most=most(0.5, trials))


def told_by_names(there: Array, not_there: Array) -> float:
    """Whether b is named; an attacker who always sees it learns nothing."""
    return float((there.mean() + (1 - not_there).mean()) / 2)


def test_hidden_aggregates(private: Snapshot, absent: Snapshot, naked: Snapshot, board: Write, tmp_path: Path) -> None:
    """AVG is a sum and a count, a ROLLUP a query for each level: all of them together pay as one."""
    text = (
        "SELECT district, size, COUNT(*) AS n, AVG(sales) AS a, STDDEV(sales) AS s, COUNT(*) FILTER (WHERE sales >= 0)"
        " AS sold, COUNT(DISTINCT firm) AS firms FROM data GROUP BY district, ROLLUP(size)"
    )
    rho = 10_000

    def evidence(taken: Snapshot, runs: int) -> Array:
        """All that speaks of a district's large firm added up: rows, firms and sales, of its cell and the total."""
        asked = under(taken, Terms("private", rows=1, rho=rho)) if taken.profile is Profile.PRIVATE else taken
        answers = [ask(asked, text) for _ in range(runs)]
        about = [found[found["size"].fillna("all") != "small"].set_index("district") for found in answers]
        summed = [found[["n", "sold", "firms"]].astype(float).sum(axis=1) for found in about]
        return np.concatenate([each.groupby(level=0).sum().to_numpy() for each in summed])

    bare = firms.take(tmp_path / "naked", Profile.OPEN, without_large())
    board("control", told(evidence(naked, 1), evidence(bare, 1)), trials=100, at_least=1.0)
    runs = HUNDREDS // 5
    score = told(*(evidence(taken, runs) for taken in (private, absent)))
    board("private", score, trials=100 * runs, at_most=most(chance.told_apart(2 * rho), 100 * runs))


# The largest value, by a quantile


def lone(there: bool) -> pd.DataFrame:
    """Nobody sells more than 500, but the large firm of each district, if it is there, 1,000."""
    rows = firms.frame().copy()
    rows["sales"] = rows["sales"].clip(upper=500).mask(rows["size"] == "large", 1000)
    return rows if there else rows[rows["size"] != "large"]


def test_an_extreme_asked_for_as_a_quantile(board: Write, tmp_path: Path) -> None:
    """The quantile at 1 is somebody's value; of noisy answers no more of it is left than the budget lets through."""
    text, rho = "SELECT district, QUANTILE_CONT(sales, 1) AS n FROM data GROUP BY district", 1_000_000
    runs = HUNDREDS // 5
    tables = [firms.take(tmp_path / str(there), Profile.PRIVATE, lone(there)) for there in (True, False)]
    score = told(*(counts(under(taken, Terms("private", rows=1, rho=rho)), text, runs) for taken in tables))
    board("private, ρ = 1", score, trials=100 * runs, at_most=most(chance.told_apart(2 * rho), 100 * runs))
    loud = Terms("private", rows=1, rho=10_000 * rho)
    score = told(*(counts(under(taken, loud), text, runs) for taken in tables))
    board("control, ρ = 10,000", score, trials=100 * runs, at_least=least(0.99, 100 * runs))
