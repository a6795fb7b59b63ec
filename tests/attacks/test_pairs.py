"""A table of the attacker's own about the same firms, joined by the entity, that marks whom it likes.

No column of the firms singles out a small one; an attacker who may join a table of its own has one that does. Who may
is the holder's word, resource by resource. What follows where the holder has said so is measured as well.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
import pytest

from exchange.crypto.keys import b64url, raw
from exchange.sandbox import answer, disclosure, intake, query, sql
from exchange.sandbox.engine import Engine
from exchange.sandbox.orders import Joined, OrderKind, Outcome
from exchange.sandbox.query import Profile
from exchange.sandbox.schema import Column, Kind, Role, Schema, manifest_from_json
from exchange.sandbox.terms import Terms
from tests import nodes, samples
from tests.attacks import chance, firms
from tests.attacks.chance import least, most, times
from tests.attacks.conftest import Write
from tests.attacks.firms import DISTRICTS, RHO
from tests.sandbox import snapshots
from tests.sandbox.shops import GUARDED, KEY, Running

ROUNDS = times(5, 40)
ONE_PAIR = float(np.mean(chance.guarded_noise(2, 200_000) - chance.guarded_noise(2, 200_000) >= 0))
CELLS, QUERIES, KNOWN = 20, 30, DISTRICTS[:10]
MARKS = Schema(
    (
        Column("firm", Kind.INTEGER, Role.ENTITY),
        Column("mark", Kind.STRING, Role.DIMENSION, ("yes", "no"), required=True),
        *(Column(f"p{i}", Kind.INTEGER, Role.DIMENSION, tuple(range(CELLS)), required=True) for i in range(QUERIES)),
    )
)


def targets() -> dict[str, int]:
    """The first small firm of each district, of which there are 39."""
    small = firms.frame()[firms.frame()["size"] == "small"]
    return dict(small.groupby("district")["firm"].min())


def marks() -> pd.DataFrame:
    """A row for every firm, that says whether it is a target, and cuts all of them at random again and again."""
    draw = np.random.default_rng(29)
    everyone = firms.frame()["firm"].to_numpy()
    cuts = {f"p{i}": draw.integers(0, CELLS, len(everyone)) for i in range(QUERIES)}
    return pd.DataFrame(
        {"firm": everyone, "mark": np.where(np.isin(everyone, [*targets().values()]), "yes", "no"), **cuts}
    )


@dataclass(frozen=True)
class Marked:
    """The firms and the attacker's table in one vault."""

    folder: Path
    snapshots: dict[str, str]
    terms: Terms
    engine: Engine

    def figures(self, text: str, by: str) -> dict[Any, float]:
        """What is released of a query's one measure, by the values of one column."""
        main, other = ("data", self.snapshots["data"]), ("marks", self.snapshots["marks"])
        others = {"marks": self.engine.manifest(*other)}
        asked = query.bind(sql.parse(text), self.engine.manifest(*main).schema, Profile(self.terms.profile), others)
        at = {join.name: other for join in asked.query.joins}
        manifest = self.engine.joined(*main, asked.query.joins, at)
        cells = self.engine.run(asked.query, *main, self.terms, at)
        found = answer.table(cells, asked.query, manifest, self.terms).to_pandas()
        there = found[found["status"] == "released"]
        return dict(zip(there[by], there[asked.query.measures[0].name].astype(float), strict=True))

    def elsewhere(self, number: int) -> "Marked":
        """The same rows where the noise has another secret."""
        return replace(self, engine=Engine(self.folder / "snapshots", number.to_bytes(32, "big"), 256, 1))


def take(folder: Path, profile: Profile, terms: Terms) -> Marked:
    area, taken = snapshots.area_in(folder), {}
    for name, frame, schema in (("data", firms.frame(), firms.SCHEMA), ("marks", marks(), MARKS)):
        source = samples.write(frame, folder / f"{name}.parquet")
        task = intake.Task(name, schema, profile, one_row=True, population="firms")
        taken[name] = intake.take_in(source, task, area, snapshots.SECRET).snapshot
    return Marked(folder, taken, terms, Engine(area.snapshots, b"n" * 32, memory_mb=256, threads=1))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Marked:
    return take(tmp_path_factory.mktemp("guarded"), Profile.GUARDED, Terms("guarded", 10))


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Marked:
    return take(tmp_path_factory.mktemp("private"), Profile.PRIVATE, firms.PRIVATE)


def right(marked: Marked) -> float:
    """All firms of a district less those that are not marked: how many of the targets' secrets that tells."""
    everyone = marked.figures("SELECT district, SUM(secret) FROM data GROUP BY district", "district")
    text = "SELECT district, SUM(secret) FROM data JOIN marks USING (firm) WHERE mark = 'no' GROUP BY district"
    others = marked.figures(text, "district")
    secrets = firms.frame().set_index("firm")["secret"]
    due = {district: int(secrets[firm]) for district, firm in targets().items()}
    return fmean(
        float((everyone[d] - others[d] > 0.5) == due[d]) if d in everyone and d in others else 0.5 for d in DISTRICTS
    )


def test_a_table_that_marks_one_entity(
    guarded: Marked, private: Marked, board: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tracker by a mark of the attacker's own, where the holder has named the table."""
    marked = guarded.figures("SELECT mark, district, SUM(secret) FROM data JOIN marks USING (firm) "
                             "WHERE mark = 'yes' GROUP BY mark, district", "district")  # fmt: skip
    assert marked == {}, "no cell of one firm is released"
    dearer = fmean(right(guarded.elsewhere(number)) for number in range(ROUNDS))
    board("guarded, named by the holder", dearer, trials=100 * ROUNDS, at_most=most(ONE_PAIR, 100 * ROUNDS))
    luck = fmean(right(private) for _ in range(ROUNDS))
    board(
        "private, named by the holder", luck, trials=100 * ROUNDS, at_most=most(chance.guessed(2 * RHO), 100 * ROUNDS)
    )
    monkeypatch.setattr(disclosure, "_bits", lambda *_: int("01" * 128, 2))  # noise 0
    board("control", right(guarded), trials=100, at_least=1.0)


def solved(marked: Marked) -> float:
    """The share of the secrets of ten districts that follow from their sums over the attacker's own cells."""
    frame = marks().merge(firms.frame(), on="firm")
    frame = frame[frame["district"].isin(KNOWN)].reset_index(drop=True)
    rows, sums = [], []
    for i in range(QUERIES):
        text = f"SELECT p{i}, SUM(secret) FROM data JOIN marks USING (firm) WHERE {firms.one_of(KNOWN)} GROUP BY p{i}"
        for cell, value in marked.figures(text, f"marks.p{i}").items():
            rows.append((frame[f"p{i}"] == cell).to_numpy(float))
            sums.append(value - rows[-1].sum() / 2)
    guess = np.linalg.lstsq(np.array(rows), np.array(sums), rcond=None)[0]
    return float(np.mean((guess > 0) == frame["secret"].to_numpy(bool)))


def test_a_table_that_cuts_everybody_at_random(guarded: Marked, private: Marked, board: Write) -> None:
    """Linear reconstruction with cells of the attacker's making: why the holder has to name what is joined.

    With the public grid it takes a query for each sum; here every query is twenty.
    """
    against = f"{QUERIES} queries, named by the holder"
    board(f"control, guarded, {against}", solved(guarded), trials=400, at_least=least(0.9, 400))
    # Each of the queries tells no more than its ρ of each firm, whatever the cells.
    board(f"private, {against}", solved(private), trials=400, at_most=most(chance.guessed(2 * RHO * QUERIES), 400))


# At the node: who may join what

PLAIN: dict[str, Any] = {"population": "firms", "columns": ["firm", "district", "size", "secret", "sales"]}
OWN: dict[str, Any] = {"population": "firms", "columns": [column.name for column in MARKS.columns], "one_row": True}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """`named` is what the holder lets the attacker's table be joined to; of `data` it says nothing."""
    folder = tmp_path_factory.mktemp("node")
    home = nodes.make_node(
        folder / "home", exchange_key=b64url(raw(KEY.public)),
        populations={"firms": {"profile": "guarded", "entity": "firm", "threshold": 10, "queries": 1_000}},
        resources={"data": PLAIN, "named": PLAIN | {"joins": ["marks"]}, "marks": OWN},
    )  # fmt: skip
    taken = {}
    for name, frame, schema in (("data", firms.frame(), firms.SCHEMA), ("marks", marks(), MARKS)):
        taken[name] = nodes.take_in(home, name, samples.write(frame, folder / f"{name}.parquet"), schema)["snapshot"]
    taken["named"] = nodes.take_in(home, "named", folder / "data.parquet", firms.SCHEMA)["snapshot"]
    with nodes.running(home) as process:
        yield Running(home, process, nodes.client(home), taken)


def attempts(node: Running, main: str) -> float:
    """The share of the attacker's queries that are answered, of the firms in `main`."""
    public = {"marks": manifest_from_json(node.described("marks")["manifest"])}
    outcomes = []
    for by in ("mark", "p0", "p1"):
        for join in ("JOIN", "LEFT JOIN"):
            for condition in ("", "WHERE mark = 'no'", "WHERE district = 'd03'"):
                text = f"SELECT {by}, SUM(secret) FROM data {join} marks USING (firm) {condition} GROUP BY {by}"
                asked = query.bind(sql.parse(text), firms.SCHEMA, Profile.GUARDED, public).query
                joined = Joined("marks", "marks", node.snapshots["marks"], tuple(OWN["columns"]))
                order = node.about(
                    OrderKind.QUERY, resource=main, snapshot=node.snapshots[main], terms=GUARDED,
                    query=query.to_json(asked), columns=tuple(PLAIN["columns"]), joins=(joined,),
                )  # fmt: skip
                outcomes.append(node.code(order)[0] is Outcome.RELEASED)
    return fmean(map(float, outcomes))


def test_a_table_the_holder_has_not_named(node: Running, board: Write) -> None:
    board("guarded", attempts(node, "data"), trials=18, chance=0.0, at_most=0.0)
    board("control, named", attempts(node, "named"), trials=18, chance=0.0, at_least=1.0)
