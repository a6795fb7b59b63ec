"""Many small tables in one, for an attacker that trains on tables like the one it attacks.

A world is 60 firms; who knows the target of a world knows its sector, region and age, and that no other firm has all
three. A question grouped by world asks all worlds at once: threshold, noise and budget are a cell's, so each world's
cell is what that world alone would have been answered.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from exchange.sandbox.derived import Rule
from exchange.sandbox.query import Profile
from exchange.sandbox.schema import Column, Kind, Role, Schema
from tests.attacks import firms
from tests.attacks.chance import times
from tests.sandbox.snapshots import Snapshot

TRAIN, SELECT, FRESH = 120, 120, times(260, 2000)
WORLDS, FIRMS = TRAIN + SELECT + FRESH, 60
TARGET = {"sector": "a", "region": "x", "age": 70}
SCHEMA = Schema(
    (
        Column("firm", Kind.INTEGER, Role.ENTITY),
        Column("world", Kind.INTEGER, Role.DIMENSION, tuple(range(WORLDS)), required=True),
        Column("sector", Kind.STRING, Role.DIMENSION, ("a", "b", "c"), required=True),
        Column("region", Kind.STRING, Role.DIMENSION, ("x", "y", "z"), required=True),
        Column("age", Kind.INTEGER, Role.MEASURE, low=0, high=79),
        Column("old", Kind.STRING, Role.DIMENSION, derived=Rule("age", edges=(0, 20, 60, 80), labels=("0", "1", "2"))),
        Column("secret", Kind.INTEGER, Role.MEASURE, low=0, high=1),
    )
)
Features = npt.NDArray[np.float64]


def frame() -> pd.DataFrame:
    """Every world anew by chance, but for what is known of its target, the first of its firms."""
    draw = np.random.default_rng(23)
    rows = pd.DataFrame(
        {
            "firm": np.arange(WORLDS * FIRMS),
            "world": np.repeat(np.arange(WORLDS), FIRMS),
            "sector": draw.choice(["a", "b", "c"], WORLDS * FIRMS),
            "region": draw.choice(["x", "y", "z"], WORLDS * FIRMS),
            "age": draw.integers(0, 80, WORLDS * FIRMS),
            "secret": draw.integers(0, 2, WORLDS * FIRMS),
        }
    )
    same = (rows["sector"] == "a") & (rows["region"] == "x") & (rows["age"] >= 60)
    rows.loc[same, "region"] = "y"
    for name, value in TARGET.items():
        rows.loc[rows["firm"] % FIRMS == 0, name] = value
    return rows


def take(folder: Path, profile: Profile) -> Snapshot:
    return firms.take(folder, profile, frame(), SCHEMA)


def secrets() -> Features:
    """The targets' secrets, by world."""
    rows = frame()
    return rows[rows["firm"] % FIRMS == 0]["secret"].to_numpy(float)


@dataclass(frozen=True)
class Question:
    """One query of a world: a figure of the firms that meet all conditions, perhaps with the totals of a ROLLUP."""

    figure: str
    where: tuple[str, ...]
    rolled: str = ""

    @property
    def draws(self) -> int:
        """How many independently noised totals of the secret the target may be in."""
        totals = {"COUNT(*)": 0, "VARIANCE(secret)": 2}.get(self.figure, 1)
        return totals * (2 if self.rolled else 1)

    def features(self, taken: Snapshot) -> Features:
        """What is answered, a row for each world: figures by cell, and where they are suppressed."""
        group = f"world, ROLLUP({self.rolled})" if self.rolled else "world"
        where = f"WHERE {' AND '.join(self.where)}" if self.where else ""
        names = f"world, {self.rolled}" if self.rolled else "world"
        found = firms.ask(taken, f"SELECT {names}, {self.figure} AS figure FROM data {where} GROUP BY {group}")
        found["figure"] = found["figure"].astype(float)
        by = [name for name in (self.rolled, "level") if name in found]
        if "level" in found:
            found = found[found["world"].notna()]
        cells = found.fillna({self.rolled: "all"} if self.rolled else {}).pivot_table(
            "figure", "world", by or None, dropna=False
        )
        values = cells.reindex(range(WORLDS)).to_numpy(float)
        hidden = np.isnan(values)
        return np.hstack([np.where(hidden, 0, values), hidden[:, hidden.any(axis=0)]])


FIGURES = ("COUNT(*)", "SUM(secret)", "SUM(secret)", "AVG(secret)", "VARIANCE(secret)")
ON_GRID = (
    "sector = 'a'", "sector <> 'a'", "region = 'x'", "region <> 'x'", "old = '2'", "old <> '2'",
    "(region <> 'x' OR old <> '2')", "(sector <> 'a' OR old <> '2')", "(sector <> 'a' OR region <> 'x')",
    "(sector <> 'a' OR region <> 'x' OR old <> '2')",
)  # fmt: skip
ON_MEASURES = ("age >= 70", "age < 70", "age <> 70", "secret = 1", "secret = 0")


class Grammar:
    """Draws questions about the target, and changes them."""

    def __init__(self, profile: Profile, seed: int) -> None:
        self.random = random.Random(seed)
        self.conditions = ON_GRID if profile is Profile.GUARDED else ON_GRID + ON_MEASURES

    def question(self) -> Question:
        where = self.random.sample(self.conditions, self.random.randint(0, 2))
        rolled = self.random.choice(["", "", "", "sector", "region"])
        return Question(self.random.choice(FIGURES), tuple(sorted(where)), rolled)

    def changed(self, question: Question) -> Question:
        """With a condition more, less or turned round: two such are what differencing asks."""
        where = set(question.where)
        where ^= {self.random.choice(self.conditions)}
        return Question(question.figure, tuple(sorted(where)), question.rolled)

    def family(self, size: int) -> tuple[Question, ...]:
        return tuple(self.question() for _ in range(size))

    def child(self, parent: tuple[Question, ...]) -> tuple[Question, ...]:
        """One question replaced: by another of the same family, changed, or by a new one."""
        questions = list(parent)
        fresh = self.question() if self.random.random() < 0.3 else self.changed(self.random.choice(questions))
        questions[self.random.randrange(len(questions))] = fresh
        return tuple(questions)


def learned(features: Features, labels: Features) -> Features:
    """The weights of a logistic regression, by Newton's method with a small ridge; the last is the constant."""
    inputs = np.hstack([features, np.ones((len(features), 1))])
    weights = np.zeros(inputs.shape[1])
    for _ in range(15):
        chance = 1 / (1 + np.exp(-np.clip(inputs @ weights, -30, 30)))
        curvature = inputs.T @ (inputs * (chance * (1 - chance))[:, None]) + 0.01 * np.eye(len(weights))
        weights += np.linalg.solve(curvature, inputs.T @ (labels - chance) - 0.01 * weights)
    return weights


def scaled(parts: Iterable[Features]) -> Features:
    """All features side by side, each with mean 0 and deviation 1 over the worlds the attacker trains on."""
    found = np.hstack(list(parts))
    known = found[:TRAIN]
    return (found - known.mean(axis=0)) / (known.std(axis=0) + 1e-9)
