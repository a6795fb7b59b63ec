"""One entity as the difference of two allowed figures, once and averaged, and what the noise itself gives away."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

import numpy as np
import pandas as pd
import pytest

from exchange.sandbox import disclosure, noise
from exchange.sandbox.query import Profile
from tests.attacks import chance, firms
from tests.attacks.chance import least, most, times
from tests.attacks.conftest import Write
from tests.attacks.firms import DISTRICTS, RHO, figures, right, sums_of_large
from tests.sandbox.snapshots import Snapshot

NODES = times(5, 40)  # whose noise is drawn anew
ROUNDS = times(5, 100)  # each with fresh noise
# Each difference is a coin of 0 or 1, and two noises at the scale of two firms with the secret.
ONE_PAIR = float(np.mean(chance.guarded_noise(2, 200_000) - chance.guarded_noise(2, 200_000) >= 0))


def tracker(taken: Snapshot) -> dict[str, float | None]:
    """All firms of a district less its small ones: what remains is the one that nobody may ask for."""
    everyone, small = figures(taken, "SUM(secret)"), figures(taken, "SUM(secret)", "WHERE size = 'small'")
    return {d: None if d not in small else float(everyone[d] - small[d] > 0.5) for d in everyone}


def subtraction(taken: Snapshot) -> dict[str, float | None]:
    """The suppressed cell as a total less the others."""
    found = taken.ask("SELECT district, size, SUM(secret) FROM data GROUP BY district, size")
    total = figures(taken, "SUM(secret)")
    small = found[(found["size"] == "small") & (found["status"] == "released")]
    rest = dict(zip(small["district"], small["sum_secret"].astype(float), strict=True))
    return {d: None if d not in rest else float(total[d] - rest[d] > 0.5) for d in total}


def test_tracker(guarded: Snapshot, private: Snapshot, naked: Snapshot, board: Write) -> None:
    """Two allowed sums that differ by one entity (Denning, Schlörer)."""
    board("control", right(tracker(naked)), trials=100, at_least=1.0)
    dearer = fmean(right(tracker(firms.elsewhere(guarded, number))) for number in range(NODES))
    board("guarded", dearer, trials=100 * NODES, at_most=most(ONE_PAIR, 100 * NODES))
    luck = fmean(right(tracker(private)) for _ in range(ROUNDS))
    board("private", luck, trials=100 * ROUNDS, at_most=most(chance.guessed(2 * RHO), 100 * ROUNDS))


def test_tracker_against_a_threshold_alone(threshold_only: Snapshot, board: Write) -> None:
    """Why a threshold never suffices: each of the two cells is large, their difference is one firm."""
    board("control", right(tracker(threshold_only)), trials=100, at_least=1.0)


def test_suppression_arithmetic(guarded: Snapshot, private: Snapshot, naked: Snapshot, board: Write) -> None:
    """The cell of one firm is suppressed; its district's total and the other cell are not."""
    hidden = guarded.ask("SELECT district, size, COUNT(*) FROM data GROUP BY district, size")
    assert (hidden[hidden["size"] == "large"]["status"] == "suppressed").all()
    board("control", right(subtraction(naked)), trials=100, at_least=1.0)
    dearer = fmean(right(subtraction(firms.elsewhere(guarded, number))) for number in range(NODES))
    board("guarded", dearer, trials=100 * NODES, at_most=most(ONE_PAIR, 100 * NODES))
    luck = fmean(right(subtraction(private)) for _ in range(ROUNDS))
    board("private", luck, trials=100 * ROUNDS, at_most=most(chance.guessed(2 * RHO), 100 * ROUNDS))


def between(before: Snapshot, after: Snapshot) -> dict[str, float | None]:
    """What a district's sum lost between two snapshots is the one firm that left."""
    first, second = (figures(taken, "SUM(secret)") for taken in (before, after))
    return {d: None if d not in second else float(first[d] - second[d] > 0.5) for d in first}


def test_updates_between_runs(
    guarded: Snapshot, private: Snapshot, naked: Snapshot, board: Write, tmp_path: Path
) -> None:
    """The same question before and after the large firms left, in a whole new file: nothing holds that to a batch.

    A small file that is appended is refused, see tests/sandbox/test_intake_append.py.
    """
    rows = firms.frame()
    small = rows[rows["size"] == "small"]
    later = {profile: firms.take(tmp_path / profile, profile, small) for profile in Profile}
    board("control", right(between(naked, later[Profile.OPEN])), trials=100, at_least=1.0)
    dearer = fmean(
        right(between(firms.elsewhere(guarded, number), firms.elsewhere(later[Profile.GUARDED], number)))
        for number in range(NODES)
    )
    board("guarded", dearer, trials=100 * NODES, at_most=most(ONE_PAIR, 100 * NODES))
    luck = fmean(right(between(private, later[Profile.PRIVATE])) for _ in range(ROUNDS))
    board("private", luck, trials=100 * ROUNDS, at_most=most(chance.guessed(2 * RHO), 100 * ROUNDS))


PAIRS = times(2, 5)
TARGETS = times(60, 100)


def averaged_tracker(taken: Snapshot, targets: int = TARGETS) -> float:
    """The share of secrets guessed right by the mean of some differences each, every one with fresh noise.

    Large firms of fifty districts, with and without the target's: two large cells that differ by one firm, in as
    many ways as there are fifties.
    """
    draw = np.random.default_rng(3)
    due, hits = firms.truth(), []
    for target in DISTRICTS[:targets]:
        others = [district for district in DISTRICTS if district != target]
        some = [sorted(map(str, draw.choice(others, 49, replace=False))) for _ in range(PAIRS)]
        with_it = [[*districts, target] for districts in some]
        answers = sums_of_large(taken, with_it + some)
        hits.append(float(float(answers[:PAIRS].mean() - answers[PAIRS:].mean() > 0.5) == due[target]))
    return fmean(hits)


def test_averaged_tracker(guarded: Snapshot, private: Snapshot, naked: Snapshot, board: Write) -> None:
    """What a number of queries buys: on `guarded` certainty in the end, which is why that number is hard.

    No noise that is bounded withstands it; under `private` the queries have spent as often the budget of one.
    """
    board("control", averaged_tracker(naked, 10), trials=10, at_least=1.0)
    drawn = chance.guarded_noise(2, 20_000, PAIRS) - chance.guarded_noise(2, 20_000, PAIRS)
    due = float(np.mean(drawn.mean(axis=1) > -0.5))
    board("guarded", averaged_tracker(guarded), trials=TARGETS, at_most=most(due, TARGETS))
    bound = most(chance.guessed(2 * PAIRS * RHO), TARGETS)
    board("private", averaged_tracker(private), trials=TARGETS, at_most=bound)


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
    for test, asked in itertools.product(tests, ("SUM(sales)", "SUM(sales), COUNT(*)", "AVG(sales), SUM(sales)")):
        yield f"SELECT {asked} FROM data WHERE {test}"
        yield f"SELECT district, {asked} FROM data WHERE {test} GROUP BY district"
        yield f"SELECT size, {asked} FROM data WHERE {test} GROUP BY size"


def draws(taken: Snapshot) -> int:
    """How many different answers all the spellings have."""
    answers = [value for text in spellings() for value in taken.ask(text)["sum_sales"] if not pd.isna(value)]
    return len(set(answers))


def test_averaging(guarded: Snapshot, board: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cell asked in 54 ways (Asghar and Kaafar): independent draws of noise, for each question.

    The noise is the records', not the text's. A question asked again under `private` has fresh noise, and pays.
    """
    asked = len(list(spellings()))
    board("guarded", draws(guarded) / asked, chance=1 / asked, trials=asked, at_most=1 / asked)
    fresh = np.random.default_rng(5)
    monkeypatch.setattr(disclosure, "_bits", lambda *_: int.from_bytes(fresh.bytes(32), "big"))
    board("control", draws(guarded) / asked, chance=1 / asked, trials=asked, at_least=0.2)


ANSWERS = 8


def spread(taken: Snapshot) -> float:
    """How often the noise alone tells the one large firm of a district from its 39 small ones: it varies less."""
    text = "SELECT district, size, COUNT(*) FROM data GROUP BY district, size"
    answers = [taken.ask(text).set_index(["district", "size"])["count"].astype(float) for _ in range(ANSWERS)]
    deviation = pd.concat(answers, axis=1).std(axis=1).unstack()
    return float((deviation["large"] < deviation["small"]).mean())


def test_noise_exploitation(private: Snapshot, board: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise whose scale depends on the data or on the condition gives them away (Gadotti et al.)."""
    rounds = times(3, 50)
    luck = fmean(spread(private) for _ in range(rounds))
    board("private", luck, trials=100 * rounds, at_most=most(0.5, 100 * rounds))
    honest = noise.discrete_gaussian

    def of_the_data(values: list[int], sigma: float) -> list[int]:
        return [honest([value], 1 + abs(value))[0] for value in values]

    monkeypatch.setattr(noise, "discrete_gaussian", of_the_data)
    board("control", spread(private), trials=100, at_least=least(0.95, 100))
