"""Two tables about the same firms, what they sold and what a registry says of each, apart and joined beforehand."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from exchange.sandbox import answer, intake, query, sql
from exchange.sandbox.derived import Rule
from exchange.sandbox.engine import Engine
from exchange.sandbox.query import Bound, Profile
from exchange.sandbox.schema import Column, Kind, Manifest, Role, Schema
from tests import samples
from tests.sandbox import snapshots
from tests.sandbox.snapshots import TERMS, area_in

FIRM = Column("firm", Kind.STRING, Role.ENTITY)
TOWN = Column("town", Kind.STRING, Role.DIMENSION, ("east", "west"))
AMOUNT = Column("amount", Kind.INTEGER, Role.MEASURE, low=-5, high=100)
SECTOR = Column("sector", Kind.STRING, Role.DIMENSION, ("a", "b", "c"))
STAFF = Column("staff", Kind.INTEGER, Role.MEASURE, low=0, high=500)
CLASS = Column("size", Kind.STRING, Role.DIMENSION, derived=Rule("staff", edges=(0, 50, 501), labels=("small", "big")))
SALES = Schema((FIRM, TOWN, AMOUNT), row_key=("day",))
REGISTRY = Schema((SECTOR, FIRM, STAFF, CLASS))
# Joined beforehand; rows are known by the same columns, and so have the same keys.
WHOLE = Schema((FIRM, TOWN, AMOUNT, SECTOR, STAFF, CLASS), row_key=("day",))

Row = dict[str, Any]


def sales(firms: int = 300, seed: int = 5) -> list[Row]:
    """Up to eight rows of each firm; the registry knows neither all of them nor these alone."""
    draw = np.random.default_rng(seed)
    return [
        {"firm": f"f{firm}", "day": day, "town": draw.choice(["east", "west"]), "amount": int(draw.integers(-5, 101))}
        for firm in range(firms)
        for day in range(int(draw.integers(1, 9)))
    ]


def registry(first: int = 60, last: int = 400, seed: int = 6) -> list[Row]:
    """One row of each firm from `first` on; some values are null."""
    draw = np.random.default_rng(seed)
    rows = [
        {
            "firm": f"f{firm}",
            "sector": None if draw.random() < 0.1 else str(draw.choice(["a", "b", "c"])),
            "staff": None if draw.random() < 0.1 else int(draw.integers(0, 501)),
        }
        for firm in range(first, last)
    ]
    draw.shuffle(rows)  # the numbers of entities follow from hashes, those of rows from nothing
    return rows


class Pair:
    """Both in one home, and `whole`: the same table as if it had been joined before it was taken in. A test may take
    in open `towns` besides."""

    towns: str

    def __init__(
        self, folder: Path, one: list[Row], other: list[Row], profile: Profile = Profile.GUARDED, inner: bool = True,
        population: str = "firms",
    ) -> None:  # fmt: skip
        self.folder, self.profile, self.terms, self.area = folder, profile, TERMS[profile], area_in(folder)
        main, side = pd.DataFrame(one), pd.DataFrame(other, columns=["firm", "sector", "staff"])
        side["staff"] = side["staff"].astype("Int64")
        self.sales = self.take("sales", main, SALES, population=population)
        self.registry = self.take("registry", side, REGISTRY, one_row=True, population=population)
        both = main.merge(side, "inner" if inner else "left", on="firm")
        self.whole = self.take("whole", both, WHOLE) if len(both) else ""
        self.engine = Engine(self.area.snapshots, b"n" * 32, memory_mb=256, threads=1)

    def take(
        self, name: str, frame: pd.DataFrame, schema: Schema, profile: Profile | None = None, **wishes: Any
    ) -> str:  # fmt: skip
        source = samples.write(frame, self.folder / f"{name}.parquet")
        task = intake.Task(name, schema, profile or self.profile, **wishes)
        return intake.take_in(source, task, self.area, snapshots.SECRET).snapshot

    def manifest(self, name: str) -> Manifest:
        return self.engine.manifest(name, getattr(self, name))

    def bind(self, text: str, main: str = "sales") -> Bound:
        others = {name: self.manifest(name) for name in ("sales", "registry", "towns") if hasattr(self, name)}
        others.pop(main)
        return query.bind(sql.parse(text), self.manifest(main).schema, self.profile, others)

    def ask(self, text: str, main: str = "sales") -> pd.DataFrame:
        """The answer to `text`, its columns under their names in the release."""
        asked = self.bind(text, main).query
        at = {join.name: (name, getattr(self, name)) for join in asked.joins for name in [query.product_of(join)]}
        manifest = self.engine.joined(main, getattr(self, main), asked.joins, at)
        cells = self.engine.run(asked, main, getattr(self, main), self.terms, at)
        return answer.table(cells, asked, manifest, self.terms).to_pandas()

    def ask_whole(self, text: str) -> pd.DataFrame:
        """The answer of the table that was joined beforehand, to the same words without the join."""
        asked = query.bind(sql.parse(text), self.manifest("whole").schema, self.profile).query
        cells = self.engine.run(asked, "whole", self.whole, self.terms)
        return answer.table(cells, asked, self.manifest("whole"), self.terms).to_pandas()


def bare(found: pd.DataFrame) -> pd.DataFrame:
    """Columns without the name of the join in theirs."""
    return found.rename(columns=lambda name: name.replace("registry.", ""))
