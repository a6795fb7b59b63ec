"""From a query to DuckDB SQL over integers. Pure: no Django, no I/O, and no buyer text ever.

The SQL is made of declared column names, integers and fixed words. Dimensions are codes (0 is null), measures
scaled integers; the grid of cells, the bounds of every value and the deadline follow from the query, the
schema and the number of rows, which are public.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from exchange.sandbox import walk
from exchange.sandbox.frames import Shape
from exchange.sandbox.plan import exact, guarded, joined, private, ranks
from exchange.sandbox.plan.guarded import Codes
from exchange.sandbox.plan.memory import needed as memory
from exchange.sandbox.plan.ranks import Quantile
from exchange.sandbox.plan.totals import Part, bounds, centre, parts, parts_of
from exchange.sandbox.query import FIGURES, AggregateQuery, Profile, Total
from exchange.sandbox.query.grid import Grid, axes, cells, grids, sizes
from exchange.sandbox.schema import Manifest, Schema
from exchange.sandbox.terms import Terms

__all__ = [
    "Codes", "Level", "Part", "Plan", "Quantile", "Total", "centre", "compile", "deadline", "looks", "memory",
    "most_cells", "parts", "parts_of", "quantiles", "shape", "sigmas",
]  # fmt: skip

CELL_WORK = 100  # a total of a cell costs as much as this many rows: its noise is an HMAC, or drawn
BIN_WORK = 2  # a bin of a cell that has rows, and a row that is counted by bins, in the same measure
MATCH_WORK = 15  # an entity, or a row, of a table that is joined by the entity: measured 6 to 10
LOOKUP_WORK = 50  # a row, or a key, of a joined table, likewise: both domains are compared when the plan is made


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a query: a statement, the grid of its cells, and the key of the first of them.

    The statement's result has columns d0, d1 … (codes of the axes) and, on `open` and `private`, v0, v1 … (one for
    each part); on `guarded` those of guarded.look. There `again` makes the statement that asks some cells, given
    as their codes, again, with the columns of guarded.exact. On `private` there is no statement, "", where only
    quantiles are asked for, and `binned` has one for each of these, see ranks.sql.
    """

    sql: str
    grid: Grid
    first: int
    again: Callable[[Sequence[Codes] | None], str] | None = None
    binned: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What the engine runs, and how its small results become cells. `sigmas` are the scales of the parts' noise
    on `private`. A frame has the parts' values, then the place, low and high (walk.Walked) of each quantile."""

    levels: tuple[Level, ...]
    parts: tuple[Part, ...]
    shape: Shape
    sigmas: tuple[float, ...] = ()
    quantiles: tuple[Quantile, ...] = ()


def shape(query: AggregateQuery, manifest: Manifest, terms: Terms) -> Shape:
    """The frame an honest vault answers with; a guarded grid, and a lone cell, are sent whole.

    Raises Problem column_not_measure where a total could leave 63 bits, see totals.bounds, and query_too_large
    where the budget does not suffice for so many totals.
    """
    sigmas(query, manifest.schema, terms)
    ranges = [bounds(part, manifest, terms) for part in parts(query, manifest.schema, terms)]
    for quantile in quantiles(query, manifest.schema, terms):
        ranges += [(0, quantile.bins.number - 1)] * FIGURES
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


def looks(query: AggregateQuery) -> int:
    """How often a query looks at its population: once for each level, and again for each filter of an aggregate.

    A guarded population's budget counts these, so that what one query hides is paid for as if it were asked.
    """
    filters = {measure.where for measure in query.measures if measure.where is not None}
    return len(query.levels) * (1 + len(filters))


def deadline(query: AggregateQuery, manifest: Manifest, terms: Terms, rows_per_second: int, start_ms: int) -> float:
    """Seconds from receipt to answer; 0.0 for `open`, which has no deadline.

    `rows_per_second` is the declared capacity for one total, where a filtered one counts for two and a join for one,
    and `start_ms` what any plan takes. A deadline is the same for all snapshots with as many rows, whatever is in them.
    """
    if Profile(terms.profile) is Profile.OPEN:
        return 0.0
    rows = manifest.rows + LOOKUP_WORK * manifest.looked_up + MATCH_WORK * manifest.matched
    rows *= len(query.levels)
    size = cells(grids(query, manifest.schema))
    totals = parts(query, manifest.schema, terms)
    filtered = sum(part.where is not None for part in totals)
    work = (rows + CELL_WORK * size) * (1 + len(totals) + filtered + len(query.joins))
    walks = quantiles(query, manifest.schema, terms)
    for bins in {quantile.counted: quantile.bins for quantile in walks}.values():
        work += rows * (BIN_WORK + len(query.joins)) + BIN_WORK * min(rows, size * bins.number)
    work += sum(CELL_WORK * size * walk.steps(quantile.bins.halvings) for quantile in walks)
    return start_ms / 1000 + work / rows_per_second


def sigmas(query: AggregateQuery, schema: Schema, terms: Terms) -> tuple[float, ...]:
    """The scale of the noise of each part under `private`; () elsewhere. Raises Problem query_too_large."""
    if Profile(terms.profile) is not Profile.PRIVATE:
        return ()
    return private.sigmas(query, parts(query, schema, terms), schema, terms)


def quantiles(query: AggregateQuery, schema: Schema, terms: Terms) -> tuple[Quantile, ...]:
    """The quantiles of a query, in the order of their values in a frame. Raises Problem query_too_large."""
    if not ranks.asked(query):
        return ()
    return ranks.quantiles(query, schema, terms, private.share(query, parts(query, schema, terms), terms))


def compile(
    query: AggregateQuery, manifest: Manifest, terms: Terms, table: str = "snapshot",
    tables: Mapping[str, str] | None = None,
) -> Plan:  # fmt: skip
    """The plan of `query` over the native table `table`, a name the engine chose, and of each join's. Raises as
    `shape` does. `manifest` has the columns of the joins, see query.joined.

    Every level is a statement by itself: how many entities a coarse cell has does not follow from the finer ones.
    """
    schema, totals, first, levels = manifest.schema, parts(query, manifest.schema, terms), 0, []
    keys, walks = grids(query, schema), quantiles(query, schema, terms)
    table = joined.source(query, schema, table, tables or {})
    for level, grid, size in zip(query.levels, keys, sizes(keys), strict=True):
        along = replace(level, dimensions=axes(level, schema))
        binned = tuple(ranks.sql(along, quantile, schema, terms, table) for quantile in walks)
        levels.append(replace(_level(along, grid, first, totals, manifest, terms, table), binned=binned))
        first += size
    return Plan(tuple(levels), totals, shape(query, manifest, terms), sigmas(query, schema, terms), walks)


def _level(
    along: AggregateQuery,
    grid: Grid,
    first: int,
    totals: tuple[Part, ...],
    manifest: Manifest,
    terms: Terms,
    table: str,
) -> Level:
    sets = cells((grid,)) * sum(part.total is Total.ENTITIES for part in totals)
    match Profile(terms.profile):
        case Profile.OPEN:
            return Level(exact.sql(along, totals, manifest, sets, table), grid, first)
        case Profile.GUARDED:
            again = partial(guarded.exact, along, totals, manifest.schema, table)
            return Level(guarded.look(along, totals, manifest, sets, table), grid, first, again)
        case Profile.PRIVATE:
            return Level(private.sql(along, totals, manifest, sets, terms, table), grid, first)
