"""One intake, from a file to a snapshot in service, in two passes over the disk.

The first encodes the source batch by batch into the spool; the second sorts the spool by entity, numbers it,
sorts it as the vault likes it and writes it. No step holds more than some batches, whatever the number of rows.
"""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from exchange.ids import new_id
from exchange.sandbox.intake import earlier, spool
from exchange.sandbox.intake.earlier import MARK, Earlier
from exchange.sandbox.intake.keys import Keys
from exchange.sandbox.intake.matching import matches
from exchange.sandbox.intake.numbering import LARGE, NEW, Numbering
from exchange.sandbox.intake.progress import Progress
from exchange.sandbox.intake.publish import Places, Table, publish, write_all
from exchange.sandbox.intake.refused import IntakeRefused
from exchange.sandbox.intake.rows import BadColumn, Rows, stored
from exchange.sandbox.intake.sorting import Sorter
from exchange.sandbox.intake.source import Source
from exchange.sandbox.intake.unique import Unique
from exchange.sandbox.query import Profile
from exchange.sandbox.schema import Manifest, Role, Schema

NOISE = 5  # a guarded sum with its noise is at most this many times rows × the largest value (plan.shape)


@dataclass(frozen=True, slots=True)
class Area:
    """The folders intake writes: what vaults read, what is public, what is its own; and what it may use.

    `memory_mb` is for sorting, beside some 300 MB for all the rest. An entity with more than `large_entity` rows is
    ranked on disk.
    """

    snapshots: Path
    manifests: Path
    intake: Path
    memory_mb: int = 768
    threads: int = 1
    large_entity: int = LARGE

    def places(self, resource: str) -> Places:
        return Places(self.snapshots / resource, self.manifests / resource, self.intake / resource)


@dataclass(frozen=True, slots=True)
class Task:
    """What is to become of a source: the new snapshot of `resource`, or, with `append`, its newest rows.

    `least_batch` is the fewest entities, new or with new rows, that may be added at once; `most_rows` the most
    rows that the snapshot may have (0: any number); with `one_row` no entity has two. `population` is the one that
    is protected, whose entities are to be known again in other snapshots.
    """

    resource: str
    schema: Schema
    profile: Profile
    append: bool = False
    least_batch: int = 0
    most_rows: int = 0
    one_row: bool = False
    population: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What an intake did, for the holder alone.

    Of the source: `rows_read`, `rows_kept`, and `dropped` rows, which had no entity or no value in a required
    dimension; `clamped` values lay outside their bounds, `nulled` ones outside their domain, by column;
    `ignored` are source columns that the schema does not declare. Of the snapshot: `rows`, `entities`, and
    `appended_to`, the snapshot that was in service, where the source was added to it.
    """

    snapshot: str
    rows_read: int
    rows_kept: int
    dropped: int
    entities: int
    clamped: dict[str, int]
    nulled: dict[str, int]
    ignored: list[str]
    seconds: float
    rows: int = 0
    appended_to: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def take_in(source: Path, task: Task, area: Area, row_secret: bytes, progress: Progress | None = None) -> Report:
    """Take the CSV or Parquet file `source` in as the new snapshot of `task.resource`.

    Raises IntakeRefused, with line and column where they are known, and OSError where it cannot write; the
    old snapshot then stays in service.
    """
    start = time.monotonic()
    _check(task.schema, task.profile)
    places = area.places(task.resource)
    places.make()
    with spool.opened(places.intake) as folder:
        places.tidy()
        try:
            return _Intake(task, area, places, folder, Keys(row_secret), progress or Progress()).run(source, start)
        finally:
            places.tidy()


@dataclass
class _Intake:
    """One run. Each step leaves a file in the spool, or the snapshot's own."""

    task: Task
    area: Area
    places: Places
    folder: Path
    keys: Keys
    progress: Progress
    snapshot: str = field(default_factory=lambda: str(new_id()))

    def run(self, source: Path, start: float) -> Report:
        task, schema = self.task, self.task.schema
        before = earlier.find(self.places, schema, self.keys) if task.append else None
        file = Source(source)
        rows = Rows(schema, self.keys, before.domains if before else {})
        if missing := [name for name in rows.sources if name not in file.columns]:
            raise IntakeRefused("the column is missing", column=missing[0])
        sorter = Sorter(self.folder, self.area.memory_mb, self.area.threads)
        self._spool(file, rows, before, sorter)
        numbering = self._number(rows, sorter)
        if numbering and before and numbering.touched < task.least_batch:
            raise IntakeRefused(f"the file adds to fewer than {task.least_batch} entities, the holder's least_batch; "
                                "wait until there are more")  # fmt: skip
        if task.one_row and (numbering is None or numbering.most_rows > 1):
            raise IntakeRefused("an entity has several rows, where the holder declares one_row")
        domains = rows.domains() if task.profile is Profile.OPEN else {}
        unique = Unique({name: len(values) for name, values in domains.items()})
        table = self._write(rows, sorter, numbering is not None, unique)
        if task.most_rows and table.rows > task.most_rows:
            raise IntakeRefused("there are more rows than the holder's most_rows; deadlines follow from that number")
        _check_sums(schema, table.rows)
        manifest = Manifest(
            resource=task.resource,
            snapshot=self.snapshot,
            schema=_filled(schema, rows),
            rows=table.rows,
            entities=numbering.entities if numbering else 0,
            most_rows=numbering.most_rows if numbering else 0,
            taken_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            with_nulls=tuple(column.name for column in stored(schema) if column.name in table.with_nulls),
            unique=unique.names,
            population=task.population if numbering else "",
            one_row=task.one_row,
        )
        report = self._report(file, rows, manifest, before, time.monotonic() - start)
        publish(manifest, task.profile is not Profile.PRIVATE, report.to_json(), self.places)
        return report

    def _spool(self, file: Source, rows: Rows, before: Earlier | None, sorter: Sorter) -> None:
        """The first pass: the source's rows, and those of the snapshot that they are added to."""
        spool.write(self.folder / "rows", self._encoded(file, rows, before, sorter))
        self.progress.say(f"read {rows.read:,} rows, dropped {rows.dropped:,}")
        sys.audit("sluice.intake.spooled", self.snapshot)

    def _encoded(
        self, file: Source, rows: Rows, before: Earlier | None, sorter: Sorter
    ) -> Iterator[pa.RecordBatch]:  # fmt: skip
        spooled = None
        for batch in file.batches(rows.sources, rows.few):
            try:
                encoded = rows.encode(batch)
            except BadColumn as bad:
                raise IntakeRefused(bad.reason, file.line(rows.read + bad.row), bad.column) from None
            if before and "_word" in encoded.schema.names:
                encoded = encoded.append_column("_repeat", pa.array(np.full(encoded.num_rows, NEW, np.uint32)))
            spooled = encoded.schema
            yield encoded
            self.progress.rows("reading", rows.read)
        if spooled is None:
            raise IntakeRefused("the source has no rows")
        if before:
            yield from before.rows(sorter, spooled)

    def _number(self, rows: Rows, sorter: Sorter) -> Numbering | None:
        """Sort the spool by entity and number it; what is known of the rows is kept for the next append."""
        if self.task.schema.entity is None:
            return None
        self.progress.say("sorting by entity")
        numbering = Numbering(self.keys, self.folder, self.area.large_entity)
        marks = {MARK: self.keys.matches_mark(self.task.population)}
        with (
            spool.read(self.folder / "rows") as reader,
            Table(self.places.known(self.snapshot), {MARK: self.keys.mark}) as known,
            Table(self.places.entities(self.snapshot), marks) if self.task.population else nullcontext() as entities,
        ):
            order = numbering.order(reader.schema.names)
            numbered = numbering.run(sorter.ordered(reader, order), sorter)
            spool.write(self.folder / "numbered", self._settled(rows, numbered, known, entities))
        (self.folder / "rows").unlink()
        sys.audit("sluice.intake.numbered", self.snapshot)
        return numbering

    def _settled(
        self,
        rows: Rows,
        numbered: Iterable[tuple[pa.RecordBatch, pa.RecordBatch]],
        known: Table,
        entities: Table | None,
    ) -> Iterator[pa.RecordBatch]:
        """Rows with their final codes; what is known of them, and of their entities, goes into files of its own."""
        for batch, hashes in numbered:
            known.write(hashes)
            if entities is not None:
                entities.write(matches(hashes, self.keys, self.task.population))
            yield rows.settle(batch)
            self.progress.rows("numbering", known.rows)

    def _write(self, rows: Rows, sorter: Sorter, numbered: bool, unique: Unique) -> Table:
        """The snapshot's table, clustered: by the dimensions, the ones with fewest values first, then by entity.

        Groups and filters then read few places, runs compress well, and the rows of one entity in one cell
        stand together, as the inner grouping of a guarded plan likes them.
        """
        domains = rows.domains()
        order = sorted(domains, key=lambda name: (len(domains[name]), name))
        order += ["_entity", "_rank"] if numbered else []
        self.progress.say("sorting by dimensions")
        with spool.read(self.folder / ("numbered" if numbered else "rows")) as reader:
            batches: Iterable[pa.RecordBatch] = reader
            if not numbered:
                first = rows.settle(pa.RecordBatch.from_pylist([], reader.schema))
                batches = reader = pa.RecordBatchReader.from_batches(first.schema, map(rows.settle, reader))
            if order:
                batches = sorter.ordered(reader, order)
            with Table(self.places.parquet(self.snapshot)) as table:
                for number in write_all(table, unique.watch(batches)):
                    self.progress.rows("writing", number)
        self.progress.say(f"wrote {table.rows:,} rows")
        return table

    def _report(self, file: Source, rows: Rows, manifest: Manifest, before: Earlier | None, seconds: float) -> Report:
        return Report(
            snapshot=manifest.snapshot,
            rows_read=rows.read,
            rows_kept=rows.read - rows.dropped,
            dropped=rows.dropped,
            entities=manifest.entities,
            clamped={name: each.clamped for name, each in rows.encoders.items() if each.clamped},
            nulled={name: each.nulled for name, each in rows.encoders.items() if each.nulled},
            ignored=[name for name in file.columns if name not in rows.sources],
            seconds=round(seconds, 3),
            rows=manifest.rows,
            appended_to=before.manifest.snapshot if before else "",
        )


def _check(schema: Schema, profile: Profile) -> None:
    """Refuses a declaration that the profile cannot protect: unknown means refuse."""
    for column in stored(schema):
        if profile is not Profile.OPEN and column.role is Role.DIMENSION and not column.domain:
            raise IntakeRefused(
                f"under the profile {profile.value} a dimension declares its domain", column=column.name
            )
    if profile is not Profile.OPEN and schema.entity is None:
        raise IntakeRefused(f"under the profile {profile.value} the schema declares its protected entity")


def _check_sums(schema: Schema, rows: int) -> None:
    """Refuses what could overflow: no sum of an accepted query leaves 64 bits."""
    for column in stored(schema):
        if column.role is Role.MEASURE and NOISE * rows * max(abs(column.low), abs(column.high)) >= 2**63:
            raise IntakeRefused("the bounds are too wide for so many rows: a sum could overflow", column=column.name)


def _filled(schema: Schema, rows: Rows) -> Schema:
    """The schema with the domains that were collected."""
    domains = rows.domains()
    columns = (replace(column, domain=domains.get(column.name, column.domain)) for column in schema.columns)
    return Schema(tuple(columns), schema.row_key)
