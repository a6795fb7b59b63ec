"""What luck, the promised noise and the promised budget let an attacker guess. No code of the project is used here.

A bound on a score follows from one of three expectations, with room for luck:

- chance: secrets are coins, half of them are guessed by tossing another;
- the noise that docs/privacy.md promises on `guarded`: the attack is played on answers simulated with it;
- the budget on `private`: whoever sees answers of ρ in all tells two tables, with and without one entity, apart no
  better than two normal distributions √(2ρ) standard deviations from each other. Giving an entity another value takes
  it out and puts it in again: twice that.
"""

import math
import os
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

SOAK = os.environ.get("SLUICE_SOAK", "") not in ("", "0")
FALSE_ALARM = 1e-6
MICRO = 1_000_000
_DRAW = np.random.default_rng(17)


def times(quick: int, soak: int) -> int:
    """How often an attack is played: `quick` in the suite, `soak` in `make soak`."""
    return soak if SOAK else quick


def most(expected: float, trials: int) -> float:
    """The share of `trials` that a score of that expectation exceeds once in a million runs (Chernoff's bound)."""
    low, high = expected, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        far = trials * _divergence(middle, expected) >= math.log(1 / FALSE_ALARM)
        low, high = (low, middle) if far else (middle, high)
    return high


def least(expected: float, trials: int) -> float:
    """The share that it falls short of once in a million runs."""
    return 1 - most(1 - expected, trials)


def _divergence(p: float, q: float) -> float:
    return sum(a * math.log(a / b) for a, b in ((p, q), (1 - p, 1 - q)) if a > 0)


def told_apart(rho: float) -> float:
    """The most that anybody guesses right, of micro-ρ `rho` in all, whether an entity is there."""
    return NormalDist().cdf(math.sqrt(2 * rho / MICRO) / 2)


def guessed(rho: float) -> float:
    """The most that anybody guesses right, of micro-ρ `rho` in all, which of two values an entity has."""
    return NormalDist().cdf(math.sqrt(2 * rho / MICRO))


def guarded_noise(two_largest: int, *size: int) -> npt.NDArray[np.float64]:
    """Draws of the noise of a sum on `guarded`: s·z, z = (popcount of 64 bits - 32) / 8, rounded half to even."""
    return np.rint(two_largest * (_DRAW.binomial(64, 0.5, size) - 32) / 8)
