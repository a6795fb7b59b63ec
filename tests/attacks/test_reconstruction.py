"""A whole secret column out of many subset sums (Dinur and Nissim; Cohen and Nissim, arXiv 1810.05692)."""

from statistics import fmean

import numpy as np
import numpy.typing as npt

from tests.attacks import chance, firms
from tests.attacks.chance import most, times
from tests.attacks.conftest import Write
from tests.attacks.firms import DISTRICTS, RHO, sums_of_large
from tests.sandbox.snapshots import Snapshot

BITS = len(DISTRICTS)
FEW, MANY = 50, 300  # queries
Array = npt.NDArray[np.float64]


def subsets(number: int) -> Array:
    """Random halves of the districts, one a row."""
    return np.random.default_rng(7).integers(0, 2, (number, BITS)).astype(float)


def answered(taken: Snapshot, asked: Array) -> Array:
    return sums_of_large(taken, ([d for d, has in zip(DISTRICTS, row, strict=True) if has] for row in asked))


def solved(asked: Array, answers: Array) -> Array:
    """The bits that fit the answers best: least squares about one half, rounded."""
    found = np.linalg.lstsq(asked, answers - asked.sum(axis=1) / 2, rcond=1e-9)[0]
    return (found > 0).astype(float)


def reconstruction(taken: Snapshot, number: int) -> float:
    """The share of 100 bits got right with that many subset sums."""
    asked = subsets(number)
    due = np.array([firms.truth()[district] for district in DISTRICTS], float)
    return float((solved(asked, answered(taken, asked)) == due).mean())


def promised(number: int) -> float:
    """The share that it gets right where the noise is as docs/privacy.md says."""
    draw, asked, shares = np.random.default_rng(5), subsets(number), []
    for _ in range(200):
        bits = draw.integers(0, 2, BITS).astype(float)
        shares.append((solved(asked, asked @ bits + chance.guarded_noise(2, number)) == bits).mean())
    return fmean(shares)


def test_linear_reconstruction(guarded: Snapshot, private: Snapshot, naked: Snapshot, board: Write) -> None:
    """Noise smaller than √n falls to n queries, however each is perturbed: `guarded` stands by their number alone."""
    board("control", reconstruction(naked, 110), trials=BITS, at_least=0.95)
    nodes = times(3, 20)
    few = fmean(reconstruction(firms.elsewhere(guarded, number), FEW) for number in range(nodes))
    board(f"guarded, {FEW} queries", few, trials=BITS * nodes, at_most=most(promised(FEW), BITS * nodes))
    # Not withstood, and said in docs/threat-model.md: three queries for each bit are enough for all of them.
    board(f"guarded, {MANY} queries", reconstruction(guarded, MANY), trials=BITS, at_least=0.9)
    rounds = times(3, 20)
    luck = fmean(reconstruction(private, 100) for _ in range(rounds))
    bound = most(chance.guessed(100 * RHO), BITS * rounds)
    board("private, 100 queries", luck, trials=BITS * rounds, at_most=bound)
