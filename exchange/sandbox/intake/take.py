"""One intake, from a file to a snapshot in service."""

import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from exchange.ids import new_id
from exchange.sandbox.intake.publish import publish
from exchange.sandbox.intake.refused import IntakeRefused
from exchange.sandbox.intake.rows import BadColumn, Rows
from exchange.sandbox.intake.source import Source
from exchange.sandbox.query import Profile
from exchange.sandbox.schema import Manifest, Role, Schema

NOISE = 3  # a guarded sum with its noise is at most this many times rows × the largest value (plan.shape)


@dataclass(frozen=True, slots=True)
class Report:
    """What an intake did.

    `dropped` rows had no entity or no value in a required dimension; `clamped` values lay outside their bounds,
    `nulled` ones outside their domain, by column; `ignored` are source columns that the schema does not declare.
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

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def take_in(
    source: Path, schema: Schema, resource: str, profile: Profile, row_secret: bytes, snapshots: Path, manifests: Path
) -> Report:
    """Take the CSV or Parquet file `source` in as the new snapshot of `resource`.

    Raises IntakeRefused, with line and column where they are known, and OSError where it cannot write; the
    old snapshot then stays in service.
    """
    start = time.monotonic()
    _check(schema, profile)
    file = Source(source)
    rows = Rows(schema.stored, row_secret)  # the derived ones are computed when they are asked for
    if missing := [name for name in rows.sources if name not in file.columns]:
        raise IntakeRefused("the column is missing", column=missing[0])
    for batch in file.batches(rows.sources):
        before = rows.read
        try:
            rows.add(batch)
        except BadColumn as bad:
            raise IntakeRefused(bad.reason, file.line(before + bad.row), bad.column) from None
    table = rows.table()
    _check_sums(schema, table.num_rows)
    manifest = Manifest(
        resource=resource,
        snapshot=str(new_id()),
        schema=_filled(schema, rows),
        rows=table.num_rows,
        entities=rows.entities,
        most_rows=rows.most_rows(table),
        taken_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    publish(table, manifest, snapshots, manifests)
    return Report(
        snapshot=manifest.snapshot,
        rows_read=rows.read,
        rows_kept=table.num_rows,
        dropped=rows.dropped,
        entities=manifest.entities,
        clamped={name: each.clamped for name, each in rows.encoders.items() if each.clamped},
        nulled={name: each.nulled for name, each in rows.encoders.items() if each.nulled},
        ignored=[name for name in file.columns if name not in rows.sources],
        seconds=round(time.monotonic() - start, 3),
    )


def _check(schema: Schema, profile: Profile) -> None:
    """Refuses a declaration that the profile cannot protect: unknown means refuse."""
    for column in schema.columns:
        if profile is not Profile.OPEN and column.role is Role.DIMENSION and not column.domain:
            raise IntakeRefused(
                f"under the profile {profile.value} a dimension declares its domain", column=column.name
            )
    if profile is not Profile.OPEN and schema.entity is None:
        raise IntakeRefused(f"under the profile {profile.value} the schema declares its protected entity")


def _check_sums(schema: Schema, rows: int) -> None:
    """Refuses what could overflow: no sum of an accepted query leaves 64 bits."""
    for column in schema.columns:
        if column.role is Role.MEASURE and NOISE * rows * max(abs(column.low), abs(column.high)) >= 2**63:
            raise IntakeRefused("the bounds are too wide for so many rows: a sum could overflow", column=column.name)


def _filled(schema: Schema, rows: Rows) -> Schema:
    """The schema with the domains that were collected."""
    domains = rows.domains()
    columns = (replace(column, domain=domains.get(column.name, column.domain)) for column in schema.columns)
    return Schema(tuple(columns), schema.row_key)
