"""From a query to DuckDB SQL over integers. Pure: no Django, no I/O, and no buyer text ever.

The SQL is made of declared column names, integers and fixed words. Dimensions are codes (0 is null), measures
scaled integers; the grid of cells, the bounds of every value and the deadline follow from the query, the
schema and the number of rows, which are public.
"""

from dataclasses import dataclass, replace

from exchange.sandbox.frames import Shape
from exchange.sandbox.plan import exact, guarded
from exchange.sandbox.plan.totals import Part, bounds, centre, parts, parts_of
from exchange.sandbox.query import AggregateQuery, Profile, Total
from exchange.sandbox.query.grid import Grid, axes, cells, grids, sizes
from exchange.sandbox.schema import Manifest
from exchange.sandbox.terms import Terms

__all__ = ["Part", "Plan", "Total", "centre", "compile", "deadline", "most_cells", "parts", "parts_of", "shape"]

CELL_WORK = 100  # a cell of a guarded answer costs as much as this many rows: its noise is an HMAC per total


@dataclass(frozen=True, slots=True)
class Plan:
    """What the engine runs, and how its small results become cells: a statement and a grid for each level.

    A result has columns d0, d1 … (codes of the axes) and, on `open`, v0, v1 … (one per part of
    `parts`). On `guarded` it has `entities` and for part i: v (total), a (sum of entities' absolute
    contributions), t and u (the two largest of them), n (how many entities contribute, where that can be fewer
    than `entities`) and k (sum of the row keys that contribute), each with i.
    """

    sql: tuple[str, ...]
    parts: tuple[Part, ...]
    grids: tuple[Grid, ...]
    shape: Shape


def shape(query: AggregateQuery, manifest: Manifest, terms: Terms) -> Shape:
    """The frame an honest vault answers with; a guarded grid, and a lone cell, are sent whole.

    Raises Problem column_not_measure where a total could leave 63 bits, see totals.bounds.
    """
    ranges = [bounds(part, manifest, terms) for part in parts(query, manifest.schema)]
    guarded = Profile(terms.profile) is not Profile.OPEN
    size = cells(grids(query, manifest.schema))
    complete = guarded or not query.dimensions
    return Shape(size, complete, tuple(low for low, _ in ranges), tuple(high for _, high in ranges))


def most_cells(query: AggregateQuery, manifest: Manifest, terms: Terms) -> int:
    """The most cells that can be charged: the grid; on `open` only cells with rows are answered.

    A query that was bound has no more of them than bind.MAX_CELLS.
    """
    keys = grids(query, manifest.schema)
    if Profile(terms.profile) is not Profile.OPEN:
        return cells(keys)
    return sum(min(size, manifest.rows) if grid else size for size, grid in zip(sizes(keys), keys, strict=True))


def deadline(query: AggregateQuery, manifest: Manifest, terms: Terms, rows_per_second: int, start_ms: int) -> float:
    """Seconds from receipt to answer; 0.0 for `open`, which has no deadline.

    `rows_per_second` is the declared capacity for one total, where a filtered one counts for two, and `start_ms`
    what any plan takes. A deadline is the same for every snapshot with as many rows, whatever is in them.
    """
    if Profile(terms.profile) is Profile.OPEN:
        return 0.0
    work = manifest.rows * len(query.levels) + CELL_WORK * cells(grids(query, manifest.schema))
    totals = parts(query, manifest.schema)
    filtered = sum(part.where is not None for part in totals)
    return start_ms / 1000 + work * (1 + len(totals) + filtered) / rows_per_second


def compile(query: AggregateQuery, manifest: Manifest, terms: Terms, table: str = "snapshot") -> Plan:
    """The plan of `query` over the native table `table`, a name the engine chose. Raises as `shape` does."""
    keys = grids(query, manifest.schema)
    levels = [replace(level, dimensions=axes(level, manifest.schema)) for level in query.levels]
    if Profile(terms.profile) is Profile.OPEN:
        numbers = zip(levels, sizes(keys), strict=True)
        statements = [exact.sql(level, manifest, number, table) for level, number in numbers]
    else:  # every level by itself: how many entities a coarse cell has does not follow from the finer ones
        statements = [guarded.sql(level, manifest.schema, table) for level in levels]
    return Plan(tuple(statements), parts(query, manifest.schema), keys, shape(query, manifest, terms))
