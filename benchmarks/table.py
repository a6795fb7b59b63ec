"""The fixed table of the benchmarks, and the questions put to it. The same rows on every machine."""

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 100_000
GROUPS = tuple(f"g{i:02}" for i in range(50))
X_MOST = 9_999  # x is 0..X_MOST
V_VALUES = 1_000
SEED = 20_240_101


def write(path: Path) -> None:
    """Columns: `n` row number, `g` group, `x` integer, `v` one of 1,000 values."""
    numbers = np.random.default_rng(SEED)
    table = {
        "n": np.arange(ROWS),
        "g": np.array(GROUPS)[numbers.integers(0, len(GROUPS), ROWS)],
        "x": numbers.integers(0, X_MOST + 1, ROWS),
        "v": numbers.integers(0, V_VALUES, ROWS),
    }
    pq.write_table(pa.table(table), path)


def different(table: str) -> list[str]:
    """10,000 queries, no two alike, in a fixed random order."""
    bounds = list(range(X_MOST + 1))
    random.Random(SEED).shuffle(bounds)
    return [_select(table, f"x <= {bound}") for bound in bounds]


def of_groups(table: str, number: int) -> list[str]:
    """`number` queries, no two alike, that filter by half of the groups: what a `guarded` product allows."""
    choose = random.Random(SEED)
    halves: set[tuple[str, ...]] = set()
    while len(halves) < number:
        halves.add(tuple(sorted(choose.sample(GROUPS, len(GROUPS) // 2))))
    return [_select(table, "g IN (" + ", ".join(f"'{g}'" for g in half) + ")") for half in sorted(halves)]


def _select(table: str, where: str) -> str:
    return f"SELECT g, COUNT(*) AS c, SUM(x) AS s, COUNT(DISTINCT v) AS d FROM {table} WHERE {where} GROUP BY g"
