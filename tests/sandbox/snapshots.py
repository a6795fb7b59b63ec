"""Snapshots of frames for tests, made by intake, and queries on them in SQL."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from exchange.sandbox import answer, intake, query, sql
from exchange.sandbox.engine import Engine
from exchange.sandbox.frames import Cells
from exchange.sandbox.query import AggregateQuery, Profile
from exchange.sandbox.schema import Manifest, Schema
from exchange.sandbox.terms import Terms
from tests import samples

SECRET = b"r" * 32
TERMS = {
    Profile.OPEN: Terms("open"),
    Profile.GUARDED: Terms("guarded", threshold=10),
    Profile.PRIVATE: Terms("private", rows=3, rho=10_000),
}


@dataclass
class Snapshot:
    """One snapshot in a home of its own."""

    folder: Path
    profile: Profile
    report: intake.Report
    engine: Engine
    terms: Terms = field(init=False)

    def __post_init__(self) -> None:
        self.terms = TERMS[self.profile]

    @property
    def manifest(self) -> Manifest:
        return self.engine.manifest("data", self.report.snapshot)

    def bind(self, text: str) -> AggregateQuery:
        return query.bind(sql.parse(text), self.manifest.schema, self.profile).query

    def cells(self, asked: AggregateQuery) -> Cells:
        return self.engine.run(asked, "data", self.report.snapshot, self.terms)

    def ask(self, text: str) -> pd.DataFrame:
        """The answer to `text`, as a buyer would have it."""
        asked = self.bind(text)
        return answer.table(self.cells(asked), asked, self.manifest, self.terms).to_pandas(types_mapper=pd.ArrowDtype)


def take(
    folder: Path, source: Path, schema: Schema, profile: Profile, secret: bytes = SECRET,
    large_entity: int = 1 << 20, **wishes: Any,
) -> Snapshot:  # fmt: skip
    """Take `source` in as the resource `data` under `folder`; `wishes` are Task's."""
    area = replace(area_in(folder), large_entity=large_entity)
    report = intake.take_in(source, intake.Task("data", schema, profile, **wishes), area, secret)
    return Snapshot(folder, profile, report, Engine(area.snapshots, b"n" * 32, memory_mb=256, threads=1))


def area_in(folder: Path) -> intake.Area:
    """Intake's folders under `folder`, made if need be."""
    area = intake.Area(folder / "snapshots", folder / "manifests", folder / "intake", memory_mb=256)
    for each in (area.snapshots, area.manifests, area.intake):
        each.mkdir(exist_ok=True)
    return area


def take_frame(folder: Path, frame: pd.DataFrame, schema: Schema, profile: Profile) -> Snapshot:
    return take(folder, samples.write(frame, folder / "source.parquet"), schema, profile)


def flights(folder: Path) -> Snapshot:
    return take_frame(folder, *samples.flights(), Profile.GUARDED)


def air(folder: Path) -> Snapshot:
    return take_frame(folder, *samples.air(), Profile.OPEN)
