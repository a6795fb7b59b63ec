"""Whether a plan fits into memory tells what rows there are: it passes with some and fails with others."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from exchange.sandbox import plan
from exchange.sandbox.engine import Engine, EngineFailed
from exchange.sandbox.node.home import Settings
from exchange.sandbox.query import Profile
from exchange.sandbox.schema import Column, Kind, Role, Schema
from tests.attacks import firms
from tests.attacks.conftest import Write
from tests.sandbox.snapshots import Snapshot

ROWS = 200_000
SMALL = 18  # megabytes of a vault
TOWNS = tuple(f"t{i:02}" for i in range(20))
SCHEMA = Schema(
    (
        Column("firm", Kind.INTEGER, Role.ENTITY),
        Column("town", Kind.STRING, Role.DIMENSION, TOWNS, required=True),
        Column("sales", Kind.INTEGER, Role.MEASURE, low=0, high=10**6),
    )
)
ASKED = (
    "SELECT town, SUM(sales) FROM data GROUP BY town",
    "SELECT town, AVG(sales) FROM data GROUP BY town",
    "SELECT town, SUM(sales) FROM data WHERE town <> 't00' GROUP BY ROLLUP(town)",
    "SELECT town, STDDEV(sales), COUNT(*), COUNT(DISTINCT firm) FROM data GROUP BY town",
)
Pair = tuple[Snapshot, Snapshot]


def table(skewed: bool) -> pd.DataFrame:
    """As many rows and firms either way. Where one firm of each town is very large, every firm is looked at."""
    found = np.arange(ROWS)
    sales = np.where(skewed & (found < 20), 10**6, 1)
    return pd.DataFrame({"firm": found, "town": np.array(TOWNS)[found % 20], "sales": sales})


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Two tables that look the same from outside."""
    folder = tmp_path_factory.mktemp("memory")
    even, skewed = (firms.take(folder / str(skew), Profile.GUARDED, table(skew), SCHEMA) for skew in (False, True))
    return even, skewed


def runs(taken: Snapshot, text: str, megabytes: int) -> bool:
    """Whether an engine with that much memory gets to the end of it."""
    engine = Engine(Path(taken.folder) / "snapshots", b"n" * 32, megabytes, threads=1)
    try:
        replace(taken, engine=engine).cells(taken.bind(text))
    except EngineFailed:
        return False
    return True


def accepted(taken: Snapshot, text: str, megabytes: int) -> bool:
    """Whether a node lets its vaults run it, by what is public of the table."""
    settings = Settings("node", memory_mb=megabytes)
    return plan.memory(taken.bind(text), taken.manifest, taken.terms, settings.threads) <= settings.query_bytes


def enough(taken: Snapshot, text: str) -> int:
    """The least memory with which a node accepts it."""
    return next(megabytes for megabytes in range(1, 10_000) if accepted(taken, text, megabytes))


def test_memory(pair: Pair, board: Write) -> None:
    """How many of these texts tell the two tables apart by failing with one of them?"""
    tried = len(ASKED)
    told = [runs(pair[0], text, SMALL) != runs(pair[1], text, SMALL) for text in ASKED]
    board("control", sum(told) / tried, chance=0, trials=tried, at_least=1)
    refused = [accepted(pair[0], text, SMALL) == accepted(pair[1], text, SMALL) is False for text in ASKED]
    fits = [all(runs(taken, text, enough(taken, text)) for taken in pair) for text in ASKED]
    held = [each and other for each, other in zip(refused, fits, strict=True)]
    board("guarded", 1 - sum(held) / tried, chance=0, trials=tried, at_most=0)
