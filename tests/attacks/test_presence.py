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

BETS = times(400, 4_000)
IN_D00 = "SELECT COUNT(*) AS n FROM data WHERE district = 'd00'"
Array = np.ndarray[tuple[int], np.dtype[np.int64]]


@pytest.fixture(scope="module")
def absent(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Everybody but firm 0, on `private`."""
    return firms.take(tmp_path_factory.mktemp("absent"), Profile.PRIVATE, without_first())


def without_first() -> pd.DataFrame:
    rows = firms.frame()
    return rows[rows["firm"] != 0]


def counts(taken: Snapshot, text: str, runs: int) -> Array:
    """What `text` was released as, each time with fresh noise; asked of a plan made once."""
    bound = taken.bind(text)
    return np.array([int(taken.cells(bound)["values"][0, 0]) for _ in range(runs)])


def told(larger: Array, smaller: Array) -> float:
    """How often the one who bets on the larger answer is right."""
    return float(np.mean((larger > smaller) + 0.5 * (larger == smaller)))


def test_membership(private: Snapshot, absent: Snapshot, naked: Snapshot, board: Write, tmp_path: Path) -> None:
    """Is this firm in? The attacker knows everybody else, has an answer of each table, and bets on the larger."""
    bare = firms.take(tmp_path / "naked", Profile.OPEN, without_first())
    board("control", told(counts(naked, IN_D00, 5), counts(bare, IN_D00, 5)), trials=5, at_least=1.0)
    score = told(counts(private, IN_D00, BETS), counts(absent, IN_D00, BETS))
    board("private", score, trials=BETS, at_most=most(chance.told_apart(2 * RHO), BETS))


RUNS = times(300, 4_000)
SLACK = 5  # standard errors


@pytest.mark.parametrize("rho", [10_000, 100_000, 1_000_000])
def test_neighbours_are_no_better_told_apart_than_the_budget_allows(
    private: Snapshot, absent: Snapshot, rho: int
) -> None:
    """(ε, δ) both ways, for the events that tell most: the figure is above, or below, a threshold."""
    delta = 9
    answers = [counts(under(taken, Terms("private", rows=1, rho=rho)), IN_D00, RUNS) for taken in (private, absent)]
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
    score = told_by_one(*(counts(under(taken, terms), IN_D00, RUNS) for taken in (private, absent)))
    # Whole numbers tell more than the normal distribution at so small a σ²: P(noise ≥ 0), σ² = 1/2.
    none = 1 / sum(np.exp(-float(x * x)) for x in range(-20, 21))
    board("private, ρ = 1", score, trials=2 * RUNS, at_most=most((1 + none) / 2, 2 * RUNS))
    loud = Terms("private", rows=1, rho=100 * rho)
    score = told_by_one(*(counts(under(taken, loud), IN_D00, RUNS) for taken in (private, absent)))
    board("control, ρ = 100", score, trials=2 * RUNS, at_least=least(0.99, 2 * RUNS))


def told_by_one(larger: Array, smaller: Array) -> float:
    """How often one answer, seen alone, is laid at the right table: above 39.5 firms, or below."""
    return float(((larger > 39.5).mean() + (smaller < 39.5).mean()) / 2)


# One entity has very many rows


STAYS = Schema(
    (
        Column("patient", Kind.INTEGER, Role.ENTITY),
        Column("day", Kind.INTEGER, Role.MEASURE, low=0, high=1_000),
        Column("ward", Kind.STRING, Role.DIMENSION, ("a", "b", "never"), required=True),
    ),
    row_key=("patient", "day"),
)


def stays(heavy: int) -> pd.DataFrame:
    """100 patients of one stay in each of two wards, and one of `heavy` stays, all in ward b."""
    few = [(patient, ward, ward) for patient in range(100) for ward in (0, 1)]
    rows = [*few, *((100, day, 1) for day in range(heavy))]
    found = pd.DataFrame(rows, columns=["patient", "day", "ward"])
    found["ward"] = found["ward"].map({0: "a", 1: "b"})
    return found


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
    text = "SELECT COUNT(*) AS n FROM data WHERE ward = 'b'"
    naked = told(counts(heavy["naked"], text, 5), counts(heavy["naked without"], text, 5))
    board("control", naked, trials=5, at_least=1.0)
    score = told(counts(heavy["there"], text, BETS), counts(heavy["not there"], text, BETS))
    board("private", score, trials=BETS, at_most=most(chance.told_apart(2 * RHO), BETS))
    # The noise is not merely large: were rows not bounded, 600 at a σ of 22 would be seen every time.
    unbounded = under(heavy["there"], Terms("private", rows=600, rho=RHO * 600**2))
    other = under(heavy["not there"], unbounded.terms)
    seen = told(counts(unbounded, text, 50), counts(other, text, 50))
    board("control, 600 rows each", seen, trials=50, at_least=least(0.99, 50))


def test_group_by_keys(heavy: dict[str, Snapshot], board: Write) -> None:
    """A group appears where somebody is in it: which wards does an answer name, with and without a patient there?"""
    text = "SELECT ward, COUNT(*) AS n FROM data WHERE day >= 2 GROUP BY ward"  # the heavy patient alone
    runs = times(50, 500)

    def named(name: str) -> set[str]:
        found = ask(heavy[name], text)
        return {str(ward) for ward in found["ward"]}

    board("control", told_by_names([named("naked")], [named("naked without")]), trials=2, at_least=1.0)
    there, not_there = ([named(name) for _ in range(runs)] for name in ("there", "not there"))
    board("private", told_by_names(there, not_there), trials=2 * runs, at_most=most(0.5, 2 * runs))


def told_by_names(there: list[set[str]], not_there: list[set[str]]) -> float:
    """Whether b is named; an attacker who always sees it learns nothing."""
    return float((np.mean(["b" in names for names in there]) + np.mean(["b" not in names for names in not_there])) / 2)


def test_hidden_aggregates(private: Snapshot, absent: Snapshot, naked: Snapshot, board: Write, tmp_path: Path) -> None:
    """AVG is a sum and a count, a ROLLUP a query for each level: all of them together pay as one."""
    text = (
        "SELECT district, COUNT(*) AS n, AVG(sales) AS a, STDDEV(sales) AS s, COUNT(*) FILTER (WHERE size = 'large')"
        " AS large, COUNT(DISTINCT firm) AS firms FROM data WHERE district = 'd00' GROUP BY ROLLUP(district)"
    )
    runs, rho = times(100, 1000), 10_000

    def evidence(taken: Snapshot) -> Array:
        """All that speaks of firm 0 added up: rows, firms and large ones, of each level."""
        asked = under(taken, Terms("private", rows=1, rho=rho)) if taken.profile is Profile.PRIVATE else taken
        found = ask(asked, text)
        return np.array(found[["n", "large", "firms"]].sum().sum(), dtype=float)

    bare = firms.take(tmp_path / "naked", Profile.OPEN, without_first())
    board("control", told(evidence(naked), evidence(bare)), trials=1, at_least=1.0)
    score = told(*(np.array([evidence(taken) for _ in range(runs)]) for taken in (private, absent)))
    board("private", score, trials=runs, at_most=most(chance.told_apart(2 * rho), runs))


# The largest value, by a quantile


def lone(there: bool) -> pd.DataFrame:
    """Nobody sells more than 500, but firm 0, if it is there, 1,000."""
    rows = firms.frame().copy()
    rows["sales"] = rows["sales"].clip(upper=500)
    rows.loc[rows["firm"] == 0, "sales"] = 1000
    return rows if there else rows[rows["firm"] != 0]


def test_an_extreme_asked_for_as_a_quantile(board: Write, tmp_path: Path) -> None:
    """The quantile at 1 is somebody's value; of noisy answers no more of it is left than the budget lets through."""
    text, rho = "SELECT QUANTILE_CONT(sales, 1) AS n FROM data WHERE district = 'd00'", 1_000_000
    tables = [firms.take(tmp_path / str(there), Profile.PRIVATE, lone(there)) for there in (True, False)]
    score = told(*(counts(under(taken, Terms("private", rows=1, rho=rho)), text, BETS) for taken in tables))
    board("private, ρ = 1", score, trials=BETS, at_most=most(chance.told_apart(2 * rho), BETS))
    loud = Terms("private", rows=1, rho=10_000 * rho)
    score = told(*(counts(under(taken, loud), text, BETS) for taken in tables))
    board("control, ρ = 10,000", score, trials=BETS, at_least=least(0.99, BETS))
