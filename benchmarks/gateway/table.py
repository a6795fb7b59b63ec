"""The fixed table and its queries: 100,000 rows, seeded, of 50 groups and a column with 1,000 values."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from exchange.sandbox.schema import Column, Kind, Role, Schema

ROWS = 100_000
GROUPS = 50
VALUES = 1_000
BOUNDS = 10_000
ENTITIES = 2_000
OPEN, GUARDED = "gateway", "gateway_guarded"
GROUP_NAMES = tuple(f"g{number:02}" for number in range(GROUPS))

_SHOWN = (
    Column("g", Kind.STRING, Role.DIMENSION, GROUP_NAMES),
    Column("x", Kind.INTEGER, Role.MEASURE, low=0, high=BOUNDS - 1),
    Column("v", Kind.INTEGER, Role.DIMENSION, tuple(range(VALUES))),
)
SCHEMAS = {
    OPEN: Schema(_SHOWN),
    GUARDED: Schema((*_SHOWN, Column("e", Kind.INTEGER, Role.ENTITY)), row_key=("k",)),
}


def write(path: Path) -> Path:
    """The table as Parquet at `path`."""
    random = np.random.default_rng(20250101)
    names = np.array(GROUP_NAMES)
    columns = {
        "g": names[random.integers(0, GROUPS, ROWS)],
        "x": random.integers(0, BOUNDS, ROWS),
        "v": random.integers(0, VALUES, ROWS),
        "e": random.integers(0, ENTITIES, ROWS),
        "k": np.arange(ROWS),
    }
    pq.write_table(pa.table(columns), path)
    return path


def shuffled_bounds() -> list[int]:
    """0..9999 in a fixed random order."""
    return [int(bound) for bound in np.random.default_rng(7).permutation(BOUNDS)]


def query(bound: int) -> str:
    """The fixed group-by over the rows with x <= bound."""
    return f"SELECT g, COUNT(*) AS c, SUM(x) AS s, COUNT(DISTINCT v) AS d FROM {OPEN} WHERE x <= {bound} GROUP BY g"


def guarded_query(left_out: tuple[int, int]) -> str:
    """The group-by on the guarded product, without two of the groups."""
    names = " AND ".join(f"g <> '{GROUP_NAMES[number]}'" for number in left_out)
    return f"SELECT g, COUNT(*) AS c, SUM(x) AS s, COUNT(DISTINCT e) AS n FROM {GUARDED} WHERE {names} GROUP BY g"
