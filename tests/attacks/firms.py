"""The table most attacks are on, and how an attacker asks it.

An attacker asks as a buyer does: SQL, bound, run, and the released table back; only the processes between are left out,
which is what lets it ask ten thousand times. Attacks that need them (time, memory, orders) have a real node.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import fmean

import numpy as np
import numpy.typing as npt
import pandas as pd

from exchange.sandbox import answer, query, sql
from exchange.sandbox.engine import Engine
from exchange.sandbox.query import Profile
from exchange.sandbox.schema import Column, Kind, Role, Schema
from exchange.sandbox.shown import shown
from exchange.sandbox.terms import Terms
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
RHO = 1_000  # micro-ρ of a query: an ε of 0.3 at δ = 1e-9
PRIVATE = Terms("private", rows=1, rho=RHO)
Guesses = Mapping[str, float | None]


@cache
def frame() -> pd.DataFrame:
    """4,000 firms, one row each; in every district exactly one is large, and its secret is a coin."""
    draw = np.random.default_rng(11)
    rows = []
    for firm in range(4000):
        district = DISTRICTS[firm % 100]
        size = "large" if firm < 100 else "small"
        rows.append((firm, district, size, int(draw.integers(0, 2)), int(draw.integers(0, 1001))))
    return pd.DataFrame(rows, columns=["firm", "district", "size", "secret", "sales"])


def take(folder: Path, profile: Profile, rows: pd.DataFrame | None = None, schema: Schema = SCHEMA) -> Snapshot:
    """`rows` (else all firms) as a snapshot under `folder`."""
    folder.mkdir(exist_ok=True)
    taken = snapshots.take_frame(folder, frame() if rows is None else rows, schema, profile)
    return under(taken, PRIVATE) if profile is Profile.PRIVATE else taken


def under(taken: Snapshot, terms: Terms) -> Snapshot:
    """The same snapshot on other terms."""
    other = Snapshot(taken.folder, taken.profile, taken.report, taken.engine)
    other.terms = terms
    return other


def elsewhere(taken: Snapshot, number: int) -> Snapshot:
    """The same rows at another node, with another secret of the noise: another draw of an attack's luck."""
    engine = Engine(taken.folder / "snapshots", number.to_bytes(32, "big"), memory_mb=256, threads=1)
    other = replace(taken, engine=engine)
    other.terms = taken.terms
    return other


@cache
def truth() -> dict[str, int]:
    """Whether the large firm of each district has the secret."""
    large = frame()[frame()["size"] == "large"]
    return dict(zip(large["district"], large["secret"].astype(int), strict=True))


def right(guesses: Guesses) -> float:
    """The share of secrets guessed right; who has no guess tosses a coin."""
    due = truth()
    return fmean(0.5 if (guess := guesses.get(d)) is None else float(guess == due[d]) for d in DISTRICTS)


def ask(taken: Snapshot, text: str) -> pd.DataFrame:
    """The answer to `text`, columns in its order and under its names."""
    bound = query.bind(sql.parse(text), taken.manifest.schema, taken.profile)
    table = answer.table(taken.cells(bound.query), bound.query, taken.manifest, taken.terms)
    return shown(table, *query.shown_from_json(query.shown_json(bound))).to_pandas(types_mapper=pd.ArrowDtype)


def figures(taken: Snapshot, figure: str, where: str = "", by: str = "district") -> dict[str, float]:
    """What is released of `figure`, by the values of one column."""
    found = ask(taken, f"SELECT {by}, {figure} AS figure FROM data {where} GROUP BY {by}")
    there = found[found["status"] == "released"]
    return dict(zip(there[by], there["figure"].astype(float), strict=True))


def sums_of_large(taken: Snapshot, subsets: Iterable[Iterable[str]]) -> npt.NDArray[np.float64]:
    """How many large firms of each set of districts have the secret, as it is released; a query for each."""
    asked = (f"SELECT SUM(secret) AS n FROM data WHERE size = 'large' AND {one_of(subset)}" for subset in subsets)
    return np.array([float(ask(taken, text)["n"].iloc[0]) for text in asked])


def one_of(districts: Iterable[str]) -> str:
    """A condition that holds in these districts."""
    return f"district IN ({', '.join(repr(str(district)) for district in districts)})"
