"""`guarded` whole: what the engine releases, against the rules written out over a list of rows.

The reference knows no bounds that are free and no second look: it counts entities, sorts their contributions
and draws the noise of each total from the records alone.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from exchange.sandbox import disclosure, plan
from exchange.sandbox.disclosure import FREE, dominated, magnitude_noise
from exchange.sandbox.frames import RELEASED
from exchange.sandbox.query import Profile
from exchange.sandbox.schema import Column, Kind, Role, Schema
from tests.sandbox import snapshots
from tests.sandbox.snapshots import Snapshot

SECRET = b"n" * 32
TERMS = snapshots.TERMS[Profile.GUARDED]
KINDS = ("crowd", "signed", "tail", "heavy", "nulls", "few", "lone", "empty")
SCHEMA = Schema(
    (
        Column("who", Kind.STRING, Role.ENTITY),
        Column("kind", Kind.STRING, Role.DIMENSION, KINDS, required=True),
        Column("half", Kind.INTEGER, Role.DIMENSION, (0, 1), required=True),
        Column("x", Kind.INTEGER, Role.MEASURE, low=-50, high=1000),
        Column("y", Kind.INTEGER, Role.MEASURE, low=0, high=10),
    )
)


def frame() -> pd.DataFrame:
    """Cells that one look settles, by proof or by their size, and cells that it does not."""
    draw = np.random.default_rng(7)
    rows: list[tuple[str, str, int, float, int]] = []

    def add(kind: str, who: int, x: float) -> None:
        rows.append((f"{kind}{who}", kind, len(rows) % 2, x, int(draw.integers(0, 11))))

    for who in range(6_000):
        add("crowd", who, 10)
        add("signed", who, -50 if who == 0 else float(draw.integers(-10, 11)))
    for who in range(150):
        add("tail", who, 1000 if who < 2 else 1)
    for who in range(200):
        for _ in range(60 if who == 0 else 2):
            add("heavy", who, 3)
    for who in range(3_000):
        add("nulls", who, 5 if who < 12 else float("nan"))
    for who in range(8):
        for _ in range(500):
            add("few", who, 5)
    for _ in range(4_000):
        add("lone", 0, 5)
    return pd.DataFrame(rows, columns=["who", "kind", "half", "x", "y"])


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return snapshots.take_frame(tmp_path_factory.mktemp("guarded"), frame(), SCHEMA, Profile.GUARDED)


@pytest.fixture(scope="module")
def rows(taken: Snapshot) -> list[dict[str, Any]]:
    """The snapshot's rows as the vault has them."""
    path = taken.folder / "snapshots" / "data" / f"{taken.report.snapshot}.parquet"
    return pq.read_table(path).to_pylist()


class Reference:
    """One cell's totals of COUNT(*), SUM and COUNT over `column`, entity by entity."""

    def __init__(self, rows: list[dict[str, Any]], column: str | None) -> None:
        self.rows = [row for row in rows if column is None or row[column] is not None]
        self.values = [1 if column is None else row[column] for row in self.rows]
        self.total = sum(self.values)
        self.key = sum(row["_key"] for row in self.rows)
        held: dict[int, int] = defaultdict(int)
        for row, value in zip(self.rows, self.values, strict=True):
            held[row["_entity"]] += abs(value)
        self.held = [*sorted(held.values(), reverse=True), 0, 0]
        self.entities = len(held)

    @property
    def mass(self) -> int:
        return sum(self.held)

    @property
    def two_largest(self) -> int:
        """Exact; or the bound from rows and values alone, where it is a FREE-th of the total at most."""
        most = max((row["_rows"] for row in self.rows), default=1)
        bound = 2 * most * max(map(abs, self.values), default=0)
        return bound if bound * FREE <= self.mass else self.held[0] + self.held[1]


def expected(rows: list[dict[str, Any]], columns: list[str], threshold: int) -> dict[str, int] | None:
    """The released totals of a cell by name; None where it is suppressed."""
    totals: dict[str, tuple[Reference, str]] = {"count": (Reference(rows, None), "count")}
    for column in columns:
        totals[f"sum_{column}"] = (Reference(rows, column), f"sum_{column}")
    found = {}
    for name, (total, key) in totals.items():
        largest, second, *_ = total.held
        if total.entities < threshold or dominated(total.mass, largest, second, TERMS):
            return None
        found[name] = total.total + magnitude_noise(SECRET, total.key, key, total.two_largest)
    return found | {"count": max(0, found["count"])}


QUERIES = [
    ("SELECT kind, COUNT(*) FROM data GROUP BY kind", ["kind"], []),
    ("SELECT kind, COUNT(*), SUM(x) FROM data GROUP BY kind", ["kind"], ["x"]),
    ("SELECT kind, COUNT(*), SUM(x), SUM(y) FROM data GROUP BY kind", ["kind"], ["x", "y"]),
    ("SELECT kind, half, COUNT(*), SUM(y) FROM data GROUP BY kind, half", ["kind", "half"], ["y"]),
    ("SELECT COUNT(*), SUM(x) FROM data", [], ["x"]),
]


@pytest.mark.parametrize(("text", "groups", "columns"), QUERIES)
def test_the_engine_releases_what_the_rules_say(
    taken: Snapshot, rows: list[dict[str, Any]], text: str, groups: list[str], columns: list[str]
) -> None:
    asked = taken.bind(text)
    names = [part.name for part in plan.parts(asked, taken.manifest.schema, TERMS)]
    cells: dict[int, list[dict[str, Any]]] = defaultdict(list)
    sizes = {"kind": len(KINDS), "half": 2}
    for row in rows:
        key = 0
        for name in sorted(groups):
            key = key * sizes[name] + row[name] - 1
        cells[key].append(row)
    for cell in taken.cells(asked):
        due = expected(cells[int(cell["key"])], columns, threshold=10)
        shown = dict(zip(names, cell["values"].tolist(), strict=True)) if cell["status"] == RELEASED else None
        assert shown == due


def test_the_table_has_cells_of_every_sort(taken: Snapshot) -> None:
    """Or the tests here would show nothing: settled by proof, by size, and by a second look."""
    asked = taken.bind("SELECT kind, COUNT(*), SUM(x) FROM data GROUP BY kind")
    compiled = plan.compile(asked, taken.manifest, taken.terms, "snapshot_1")
    taken.cells(asked)
    seen = disclosure.cells_of(taken.engine._found(compiled.levels[0].sql), compiled.levels[0])
    found = {KINDS[codes[0] - 1]: disclosure.settled(cell, compiled.parts, TERMS) for codes, cell in seen.items()}
    assert found == {
        "crowd": True, "signed": False, "tail": False, "heavy": False, "nulls": False, "few": False, "lone": False,
    }  # fmt: skip
    released = taken.ask("SELECT kind, COUNT(*), SUM(x) FROM data GROUP BY kind").set_index("kind")["status"]
    assert released[released == "released"].index.tolist() == ["crowd", "signed", "heavy", "nulls"]


def test_what_else_is_asked_of_a_cell_draws_no_second_noise(taken: Snapshot) -> None:
    """The count of `signed` is settled by proof, its sum is not: asked together the count must not change."""
    alone = taken.ask("SELECT COUNT(*) FROM data WHERE kind = 'signed'")["count"].tolist()
    beside = taken.ask("SELECT COUNT(*), SUM(x) FROM data WHERE kind = 'signed'")["count"].tolist()
    grouped = taken.ask("SELECT kind, COUNT(*), SUM(x), COUNT(DISTINCT who) FROM data GROUP BY kind").set_index("kind")
    assert alone == beside == [grouped.loc["signed", "count"]]


def test_many_unsettled_cells_are_asked_again_in_one_statement(tmp_path: Path) -> None:
    """More than can be named one by one: the index of a cell then stands in a list."""
    groups = tuple(range(60))
    schema = Schema(
        (
            Column("who", Kind.INTEGER, Role.ENTITY),
            Column("g", Kind.INTEGER, Role.DIMENSION, groups),
            Column("x", Kind.INTEGER, Role.MEASURE, low=0, high=9),
        )
    )
    made = [(who, g, 1 + who % 3) for g in groups for who in range(5_000 if g == 0 else 12)]
    made.append((1, None, 5))  # a cell of its own: no value
    data = pd.DataFrame(made, columns=["who", "g", "x"])
    taken = snapshots.take_frame(tmp_path, data, schema, Profile.GUARDED)
    found = taken.ask("SELECT g, COUNT(DISTINCT who), COUNT(*), SUM(x) FROM data GROUP BY g").set_index("g")
    shown = found[found["status"] == "released"]
    assert shown.index.tolist() == list(groups)
    assert (shown["count_distinct_who"].drop(0) - 12).abs().max() <= 4
