"""What can be learned of one entity from what is released."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
import pandas as pd
import pytest

from exchange.errors import Problem
from exchange.sandbox import disclosure
from exchange.sandbox.query import Profile
from exchange.sandbox.schema import Column, Kind, Role, Schema
from exchange.sandbox.terms import Terms
from tests.attacks.conftest import Write
from tests.sandbox import snapshots
from tests.sandbox.snapshots import Snapshot

DISTRICTS = tuple(f"d{i:02}" for i in range(100))
SCHEMA = Schema(
    (
        Column("firm", Kind.INTEGER, Role.ENTITY),
        Column("district", Kind.STRING, Role.DIMENSION, DISTRICTS, required=True),
        Column("size", Kind.STRING, Role.DIMENSION, ("small", "large"), required=True),
        Column("secret", Kind.INTEGER, Role.MEASURE, low=0, high=1),
        Column("sales", Kind.INTEGER, Role.MEASURE, low=0, high=1000),
    )
)
PRIVATE = Terms("private", rows=1, rho=1_000)  # an ε of 0.3 at δ = 1e-9


def frame() -> pd.DataFrame:
    """4,000 firms, one row each; in every district exactly one is large, and its secret is a coin."""
    draw = np.random.default_rng(11)
    rows = []
    for firm in range(4000):
        district = DISTRICTS[firm % 100]
        size = "large" if firm < 100 else "small"
        rows.append((firm, district, size, int(draw.integers(0, 2)), int(draw.integers(0, 1001))))
    return pd.DataFrame(rows, columns=["firm", "district", "size", "secret", "sales"])


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return snapshots.take_frame(tmp_path_factory.mktemp("guarded"), frame(), SCHEMA, Profile.GUARDED)


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    taken = snapshots.take_frame(tmp_path_factory.mktemp("private"), frame(), SCHEMA, Profile.PRIVATE)
    taken.terms = PRIVATE
    return taken


@pytest.fixture(scope="module")
def naked(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """The control: the same rows, exact."""
    return snapshots.take_frame(tmp_path_factory.mktemp("naked"), frame(), SCHEMA, Profile.OPEN)


@pytest.fixture
def threshold_only(guarded: Snapshot, monkeypatch: pytest.MonkeyPatch) -> Snapshot:
    """The control: cells of ten and more, exact, as many systems do it."""
    monkeypatch.setattr(disclosure, "_bits", lambda *_: int("01" * 128, 2))  # as many ones as zeros: noise 0
    return guarded


def truth() -> dict[str, int]:
    """Whether the large firm of each district has the secret."""
    large = frame()[frame()["size"] == "large"]
    return dict(zip(large["district"], large["secret"].astype(int), strict=True))


def by_district(taken: Snapshot, figure: str, where: str = "") -> dict[str, float | None]:
    found = taken.ask(f"SELECT district, {figure} FROM data {where} GROUP BY district")
    name = next(c for c in found.columns if c.startswith(("sum", "count")) and not c.endswith(("_low", "_high")))
    values = (None if pd.isna(value) else float(value) for value in found[name])
    return dict(zip(found["district"], values, strict=True))


def right(guesses: dict[str, int | None]) -> float:
    """The share of secrets guessed right; who has no guess tosses a coin."""
    due = truth()
    return fmean(0.5 if guesses.get(d) is None else float(guesses[d] == due[d]) for d in DISTRICTS)


def tracker(taken: Snapshot) -> dict[str, int | None]:
    """All firms of a district less its small ones: what remains is the one that nobody may ask for."""
    everyone, small = by_district(taken, "SUM(secret)"), by_district(taken, "SUM(secret)", "WHERE size = 'small'")
    guesses: dict[str, int | None] = {}
    for district in DISTRICTS:
        one, other = everyone.get(district), small.get(district)
        guesses[district] = None if one is None or other is None else int(one - other > 0.5)
    return guesses


ERROR = (0.25 / len(DISTRICTS)) ** 0.5  # the standard error of a score
# Each difference is a coin of 0 or 1 and two noises of one unit, rounded: 0.64 are expected to be guessed.
DEARER = 0.64 + 2.5 * ERROR
# Under `private` the noise is some twenty units.
LUCK = 0.52 + 2.5 * ERROR


def test_tracker(guarded: Snapshot, private: Snapshot, naked: Snapshot, board: Write) -> None:
    """Two allowed sums that differ by one entity (Denning, Schlörer)."""
    board("control", right(tracker(naked)), 0.5, 1.0)
    board("guarded", right(tracker(guarded)), 0.5, DEARER)
    board("private", right(tracker(private)), 0.5, LUCK)


def test_tracker_against_a_threshold_alone(threshold_only: Snapshot, board: Write) -> None:
    """Why a threshold never suffices: each of the two cells is large, their difference is one firm."""
    board("control", right(tracker(threshold_only)), 0.5, 1.0)


TARGETS, PAIRS = DISTRICTS[:25], 20


def averaged_tracker(taken: Snapshot) -> float:
    """The share of 25 secrets guessed right by the mean of 20 differences each, every one with fresh noise.

    Large firms of fifty districts, with and without the target's: two large cells that differ by one firm, in as
    many ways as there are fifties. 40 queries for each target.
    """
    draw = np.random.default_rng(3)
    due, hits = truth(), []
    for target in TARGETS:
        others = [district for district in DISTRICTS if district != target]
        differences = []
        for _ in range(PAIRS):
            some = sorted(str(district) for district in draw.choice(others, 49, replace=False))
            with_it, without = (total_of_large(taken, each) for each in ([*some, target], some))
            differences.append(with_it - without)
        hits.append(float(int(fmean(differences) > 0.5) == due[target]))
    return fmean(hits)


def total_of_large(taken: Snapshot, districts: list[str]) -> float:
    listed = ", ".join(f"'{district}'" for district in districts)
    found = taken.ask(f"SELECT SUM(secret) FROM data WHERE size = 'large' AND district IN ({listed})")
    return float(found["sum_secret"].iloc[0])


def test_averaged_tracker(guarded: Snapshot, private: Snapshot, naked: Snapshot, board: Write) -> None:
    """What a number of queries buys: on `guarded` certainty, which is why that number is hard and the holder's.

    No noise that is bounded withstands it; under `private` the 40 queries have spent forty times the budget of one.
    """
    board("control", averaged_tracker(naked), 0.5, 1.0)
    board("guarded", averaged_tracker(guarded), 0.5, 1.0)
    board("private", averaged_tracker(private), 0.5, 0.6 + 2.5 * (0.25 / len(TARGETS)) ** 0.5)


def subtraction(taken: Snapshot) -> dict[str, int | None]:
    """The suppressed cell as a total less the others."""
    found = taken.ask("SELECT district, size, SUM(secret) FROM data GROUP BY district, size")
    total = by_district(taken, "SUM(secret)")
    guesses: dict[str, int | None] = {}
    for district, rows in found.groupby("district"):
        rest = [
            float(v) for v, s in zip(rows["sum_secret"], rows["size"], strict=True) if s == "small" and not pd.isna(v)
        ]
        whole = total.get(str(district))
        guesses[str(district)] = None if whole is None or not rest else int(whole - rest[0] > 0.5)
    return guesses


def test_suppression_arithmetic(guarded: Snapshot, private: Snapshot, naked: Snapshot, board: Write) -> None:
    """The cell of one firm is suppressed; its district's total and the other cell are not."""
    hidden = guarded.ask("SELECT district, size, COUNT(*) FROM data GROUP BY district, size")
    assert (hidden[hidden["size"] == "large"]["status"] == "suppressed").all()
    board("control", right(subtraction(naked)), 0.5, 1.0)
    board("guarded", right(subtraction(guarded)), 0.5, DEARER)
    board("private", right(subtraction(private)), 0.5, LUCK)


def spellings() -> Iterator[str]:
    """The same rows in many words: the small firms of d00."""
    others = [f"district <> '{district}'" for district in DISTRICTS[1:]]
    tests = [
        "district = 'd00' AND size = 'small'",
        "district IN ('d00') AND NOT size = 'large'",
        "NOT (district <> 'd00' OR size <> 'small')",
        "size IN ('small', 'small') AND district <= 'd00'",
        f"size = 'small' AND {' AND '.join(others)}",
        "(size = 'small' AND district = 'd00') OR (size = 'small' AND district = 'd00' AND district IS NOT NULL)",
    ]
    for test, figure in itertools.product(tests, ("SUM(sales)", "SUM(sales), COUNT(*)", "AVG(sales), SUM(sales)")):
        yield f"SELECT {figure} FROM data WHERE {test}"
        yield f"SELECT district, {figure} FROM data WHERE {test} GROUP BY district"
        yield f"SELECT size, {figure} FROM data WHERE {test} GROUP BY size"


def averaged(taken: Snapshot) -> tuple[float, int]:
    """(relative error of the average of all answers, how many different ones there were)."""
    answers = []
    for text in spellings():
        found = taken.ask(text)
        answers += [float(v) for v in found["sum_sales"] if not pd.isna(v)]
    rows = frame()
    due = rows[(rows["district"] == "d00") & (rows["size"] == "small")]["sales"].sum()
    return abs(fmean(answers) - due) / due, len(set(answers))


def test_averaging(guarded: Snapshot, board: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cell asked in 54 ways (Asghar and Kaafar): the noise is the records', not the text's."""
    _, different = averaged(guarded)
    fresh = np.random.default_rng(5)
    monkeypatch.setattr(disclosure, "_bits", lambda *_: int.from_bytes(fresh.bytes(32), "big"))
    _, loose = averaged(guarded)
    asked = len(list(spellings()))
    # How many independent draws there were to average, for each question.
    board("control", loose / asked, 1 / asked, 0.2)
    board("guarded", different / asked, 1 / asked, 1 / asked)


def test_extremes_ordered_values_and_single_rows_cannot_be_asked(guarded: Snapshot, private: Snapshot) -> None:
    for text in (
        "SELECT MIN(sales) FROM data", "SELECT MAX(sales) FROM data", "SELECT sales FROM data",
        "SELECT COUNT(*) FROM data GROUP BY sales", "SELECT COUNT(*) FROM data WHERE firm = 3",
        "SELECT district, COUNT(*) FROM data GROUP BY district, firm", "SELECT COUNT(DISTINCT sales) FROM data",
        "SELECT FIRST(sales) FROM data", "SELECT ARRAY_AGG(sales) FROM data", "SELECT SUM(1/(sales-42)) FROM data",
    ):  # fmt: skip
        for taken in (guarded, private):
            with pytest.raises(Problem):
                taken.ask(text)


def test_free_predicates_cannot_be_asked_of_guarded(guarded: Snapshot) -> None:
    """Linear reconstruction needs many subsets; a grid has few."""
    with pytest.raises(Problem, match="filter_not_allowed"):
        guarded.ask("SELECT SUM(secret) FROM data WHERE sales > 500")


def presence(ask: Callable[[Snapshot], float], with_it: Snapshot, without: Snapshot, runs: int) -> float:
    """How often an attacker who knows everybody else tells the two tables apart: the larger figure has it."""
    return fmean((ask(with_it) > ask(without)) + 0.5 * (ask(with_it) == ask(without)) for _ in range(runs))


def test_membership(private: Snapshot, naked: Snapshot, board: Write, tmp_path: Path) -> None:
    """Is this firm in? The attacker has both tables and one answer of each, and bets on the larger."""
    rows = frame()
    fewer = rows[rows["firm"] != 0]
    for name in ("private", "naked"):
        (tmp_path / name).mkdir()
    absent = snapshots.take_frame(tmp_path / "private", fewer, SCHEMA, Profile.PRIVATE)
    absent.terms = PRIVATE
    bare = snapshots.take_frame(tmp_path / "naked", fewer, SCHEMA, Profile.OPEN)

    def ask(taken: Snapshot) -> float:
        return float(taken.ask("SELECT COUNT(*) FROM data WHERE district = 'd00'")["count"].iloc[0])

    board("control", presence(ask, naked, bare, 5), 0.5, 1.0)
    # Two Gaussians one apart, of σ = 22: Φ(1 / (σ√2)) = 0.513, and five standard errors of 400 bets.
    board("private", presence(ask, private, absent, 400), 0.5, 0.513 + 5 * (0.25 / 400) ** 0.5)


BUDGETS = [
    ("COUNT(*)", 10_000), ("COUNT(*)", 100_000), ("COUNT(*)", 1_000_000),
    ("MEDIAN(sales)", 100_000), ("QUANTILE_CONT(sales, 1)", 100_000),
]  # fmt: skip


@pytest.mark.parametrize(("figure", "rho"), BUDGETS)
def test_neighbours_are_no_better_told_apart_than_the_budget_allows(
    figure: str, rho: int, private: Snapshot, tmp_path: Path
) -> None:
    """For the events that tell most: what is released is above, or below, a threshold.

    (ε, δ) both ways, and no probability farther from the other than √(ρ/2) (Pinsker: ρ bounds the divergence). 600
    answers of each table; five standard errors are allowed. The firm that one has not sells most in its district.
    """
    from exchange.sandbox.budget import MICRO, epsilon

    rows = frame()
    best = rows[rows["district"] == "d00"].nlargest(1, "sales")["firm"].iloc[0]
    absent = snapshots.take_frame(tmp_path, rows[rows["firm"] != best], SCHEMA, Profile.PRIVATE)
    runs, delta = 600, 9
    answers = []
    for taken in (private, absent):
        asked = Snapshot(taken.folder, taken.profile, taken.report, taken.engine)
        asked.terms = replace(PRIVATE, rho=rho)
        bound = asked.bind(f"SELECT {figure} FROM data WHERE district = 'd00'")
        answers.append(np.array([asked.cells(bound)["values"][0] for _ in range(runs)]).T)
    limit, apart = np.exp(epsilon(rho, delta)), (rho / MICRO / 2) ** 0.5
    for values in zip(*answers, strict=True):  # a count; of a quantile its bin, and the ends of its interval
        for cut in np.quantile(np.concatenate(values), [0.1, 0.25, 0.5, 0.75, 0.9]):
            for one, other in (values, values[::-1]):
                for p, q in (((one > cut).mean(), (other > cut).mean()), ((one <= cut).mean(), (other <= cut).mean())):
                    errors = np.sqrt(p * (1 - p) / runs), np.sqrt(q * (1 - q) / runs)
                    assert p <= limit * q + 10.0**-delta + 5 * (errors[0] + limit * errors[1])
                    assert p <= q + apart + 5 * np.hypot(*errors)
