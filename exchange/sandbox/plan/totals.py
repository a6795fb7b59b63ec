"""The totals that a query is made of, and how large each can be. Pure: no Django, no I/O."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from exchange.sandbox.plan.words import column_of
from exchange.sandbox.query import AggregateQuery, Function, Measure, Profile
from exchange.sandbox.schema import Column, Manifest, Schema
from exchange.sandbox.terms import Terms


class Total(StrEnum):
    """What is added up. Their names are part of the noise's key: a renamed one would be drawn anew."""

    ROWS = "count"  # rows; of a column: rows where it is not null
    ENTITIES = "count_distinct"  # distinct values
    SUM = "sum"


@dataclass(frozen=True, slots=True)
class Part:
    """One total of a query: what a frame has one value for in every cell."""

    total: Total
    column: Column | None = None  # None: rows

    @property
    def name(self) -> str:
        return self.total.value if self.column is None else f"{self.total.value}_{self.column.name}"


def parts(query: AggregateQuery, schema: Schema) -> tuple[Part, ...]:
    """The totals a query is made of, in the order of a frame's values."""
    found = {part.name: part for measure in query.measures for part in parts_of(measure, schema)}
    return tuple(found[name] for name in sorted(found))


def parts_of(measure: Measure, schema: Schema) -> Iterable[Part]:
    """The totals of one measure: AVG is a SUM and a COUNT."""
    column = None if measure.column is None else column_of(schema, measure.column)
    match measure.function:
        case Function.COUNT:
            return (Part(Total.ROWS, column),)
        case Function.COUNT_DISTINCT:
            return (Part(Total.ENTITIES, column),)
        case Function.SUM:
            return (Part(Total.SUM, column),)
        case Function.AVG:
            return (Part(Total.SUM, column), Part(Total.ROWS, column))


def bounds(part: Part, manifest: Manifest, terms: Terms) -> tuple[int, int]:
    """The least and largest value `part` can have, noise included (see disclosure.magnitude_noise).

    Intake holds 3 × rows × the largest absolute value below 2**63, so these are int64.
    """
    noisy = Profile(terms.profile) is not Profile.OPEN
    rows, column = manifest.rows, part.column
    match part.total:
        case Total.SUM if column is not None:
            spread = 2 * rows * max(abs(column.low), abs(column.high)) if noisy else 0
            return min(0, rows * column.low) - spread, max(0, rows * column.high) + spread
        case Total.ENTITIES if noisy:
            return 0, manifest.entities + 4
        case _:
            return 0, 3 * rows if noisy else rows
