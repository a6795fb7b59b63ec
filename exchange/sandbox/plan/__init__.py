"""From a query to DuckDB SQL over integers. Pure: no Django, no I/O, and no buyer text ever.

The SQL is made of declared column names, integers and fixed words. Dimensions are codes (0 is null), measures
scaled integers; the grid of cells, the bounds of every value and the deadline follow from the query, the
schema and the number of rows, which are public.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from exchange.sandbox.frames import Shape
from exchange.sandbox.plan import exact, guarded, private
from exchange.sandbox.plan.totals import Part, bounds, centre, parts, parts_of
from exchange.sandbox.query import AggregateQuery, Profile, Total
from exchange.sandbox.query.grid import Grid, cells, grid
from exchange.sandbox.schema import Manifest, Schema
from exchange.sandbox.terms import Terms

__all__ = [
    "Part",
    "Plan",
    "Total",
    "centre",
    "compile",
    "deadline",
    "most_cells",
    "parts",
    "parts_of",
    "shape",
    "sigmas",
]

CELL_WORK = 100  # a cell of a guarded answer costs as much as this many rows: its noise is an HMAC per total


@dataclass(frozen=True, slots=True)
class Plan:
    """What the engine runs, and how its small result becomes cells.

    The result of `sql` has columns d0, d1 … (codes of the dimensions) and, on `open`, v0, v1 … (one per part of
    `parts`); on `guarded` those of guarded.look. `again` makes the statement that asks some cells, given as
    their codes, again, with the columns of guarded.exact. `sigmas` are the scales of the noise of each part on
    `private`.
    """

    sql: str
    again: Callable[[Sequence[guarded.Codes] | None], str] | None
    parts: tuple[Part, ...]
    grid: Grid
    shape: Shape
    sigmas: tuple[float, ...] = ()


def shape(query: AggregateQuery, manifest: Manifest, terms: Terms) -> Shape:
    """The frame an honest vault answers with; a guarded grid, and a lone cell, are sent whole.

    Raises Problem column_not_measure where a total could leave 63 bits, see totals.bounds, and query_too_large
    where the budget does not suffice for so many totals.
    """
    sigmas(query, manifest.schema, terms)
    ranges = [bounds(part, manifest, terms) for part in parts(query, manifest.schema, terms)]
    guarded = Profile(terms.profile) is not Profile.OPEN
    size = cells(grid(query, manifest.schema))
    complete = guarded or not query.dimensions
    return Shape(size, complete, tuple(low for low, _ in ranges), tuple(high for _, high in ranges))


def most_cells(query: AggregateQuery, manifest: Manifest, terms: Terms) -> int:
    """The most cells that can be charged: the grid; on `open` only cells with rows are answered.

    A query that was bound has no more of them than bind.MAX_CELLS.
    """
    size = cells(grid(query, manifest.schema))
    if Profile(terms.profile) is Profile.OPEN and query.dimensions:
        return min(size, manifest.rows)
    return size


def deadline(query: AggregateQuery, manifest: Manifest, terms: Terms, rows_per_second: int, start_ms: int) -> float:
    """Seconds from receipt to answer; 0.0 for `open`, which has no deadline.

    `rows_per_second` is the declared capacity for one total, `start_ms` what any plan takes. A deadline is the
    same for every snapshot with as many rows, whatever is in them.
    """
    if Profile(terms.profile) is Profile.OPEN:
        return 0.0
    work = manifest.rows + CELL_WORK * cells(grid(query, manifest.schema))
    return start_ms / 1000 + work * (1 + len(parts(query, manifest.schema, terms))) / rows_per_second


def sigmas(query: AggregateQuery, schema: Schema, terms: Terms) -> tuple[float, ...]:
    """The scale of the noise of each part under `private`; () elsewhere. Raises Problem query_too_large."""
    if Profile(terms.profile) is not Profile.PRIVATE:
        return ()
    return private.sigmas(query, parts(query, schema, terms), schema, terms)


def compile(query: AggregateQuery, manifest: Manifest, terms: Terms, table: str = "snapshot") -> Plan:
    """The plan of `query` over the native table `table`, a name the engine chose. Raises as `shape` does."""
    schema, keys, totals = manifest.schema, grid(query, manifest.schema), parts(query, manifest.schema, terms)
    again = None
    match Profile(terms.profile):
        case Profile.OPEN:
            sql = exact.sql(query, totals, manifest, cells(keys), table)
        case Profile.GUARDED:
            sql = guarded.look(query, totals, manifest, cells(keys), table)
            again = partial(guarded.exact, query, totals, schema, table)
        case Profile.PRIVATE:
            sql = private.sql(query, totals, manifest, cells(keys), terms, table)
    return Plan(sql, again, totals, keys, shape(query, manifest, terms), sigmas(query, schema, terms))
