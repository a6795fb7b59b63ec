"""Quantiles of `private` products: their bins, what they ask of the rows, and their noise. Pure: no Django, no I/O.

A measure's declared bounds are cut into equal bins, whose number follows from public figures alone. A statement
counts the rows in each bin of each cell; the counts stay in the vault, where a walk (exchange.sandbox.walk) asks for
one balance of each cell at a time: the rows before a point, 10,000 - `at` for each, less `at` for each of the others.

One entity has at most `terms.rows` rows in all cells of a level together, each of which adds at most
w = max(at, 10,000 - `at`) to the balance of its cell, so it moves the vector of all cells' balances by at most
rows · w in L2, and by √levels as much in a ROLLUP. Where the points lie follows from earlier answers, and ρ adds up
over questions asked in this way too (Bun and Steinke 2016, lemma 2.3): with scale σ each of t steps costs
levels · (rows · w)² / 2σ², which is one t-th of the quantile's share of the query's ρ.
"""

import math
from dataclasses import dataclass

from exchange.sandbox import walk
from exchange.sandbox.budget import MICRO
from exchange.sandbox.plan.words import column_of, present, select, source, stored, test, where
from exchange.sandbox.query import AggregateQuery, Function, Measure, Predicate
from exchange.sandbox.query.grid import cells, grids
from exchange.sandbox.query.question import BASIS_POINTS
from exchange.sandbox.schema import Column, Schema
from exchange.sandbox.terms import Terms

MOST_BINS = 1 << 12  # of a measure
MOST_COUNTS = 1 << 21  # of all cells' bins together: so many counts fit a vault of 256 MB


@dataclass(frozen=True, slots=True)
class Bins:
    """Equal bins of a measure's bounds, each of `size` units of the column; the last may be cut off."""

    low: int
    high: int
    size: int

    @property
    def number(self) -> int:
        return (self.high - self.low) // self.size + 1

    @property
    def halvings(self) -> int:
        """How often halving a power of two of bins, the least that holds these, leaves one."""
        return (self.number - 1).bit_length()

    def first(self, number: int) -> int:
        """The least value in a bin."""
        return self.low + number * self.size

    def last(self, number: int) -> int:
        """The largest value in a bin."""
        return min(self.first(number + 1) - 1, self.high)

    def middle(self, number: int) -> int:
        return (self.first(number) + self.last(number)) // 2


@dataclass(frozen=True, slots=True)
class Quantile:
    """One quantile of a query. `at` is in basis points, `sigma` the scale of the noise of each balance."""

    measure: Measure
    at: int
    bins: Bins
    sigma: float

    @property
    def counted(self) -> tuple[str | None, Predicate | None]:
        """Which rows are counted by bins: quantiles of the same values share one count."""
        return self.measure.column, self.measure.where


def quantiles(query: AggregateQuery, schema: Schema, terms: Terms, share: int) -> tuple[Quantile, ...]:
    """The quantiles of a query that has some, in the order of its measures; each costs `share` micro-ρ."""
    levels, counted = len(query.levels), len({(measure.column, measure.where) for measure in asked(query)})
    most = min(MOST_BINS, MOST_COUNTS // (counted * cells(grids(query, schema))))
    found = []
    for measure in asked(query):
        at, bins = measure.at or 0, bins_of(column_of(schema, measure.column), most)
        farthest = terms.rows * max(at, BASIS_POINTS - at)
        square = walk.steps(bins.halvings) * levels * farthest**2
        # A little more than exact arithmetic would give, so that rounding never makes the noise too small.
        sigma = math.sqrt(square * MICRO / (2 * share)) * (1 + 2**-40)
        found.append(Quantile(measure, at, bins, sigma))
    return tuple(found)


def asked(query: AggregateQuery) -> list[Measure]:
    """The measures of a query that are quantiles."""
    return [measure for measure in query.measures if measure.function is Function.QUANTILE]


def bins_of(column: Column, most: int) -> Bins:
    """At most `most` bins of a measure: one for each value where there are no more of them."""
    values = column.high - column.low + 1
    return Bins(column.low, column.high, -(-values // most))


def sql(query: AggregateQuery, quantile: Quantile, schema: Schema, terms: Terms, table: str) -> str:
    """How many of at most `terms.rows` rows of each entity lie in each bin of each cell: d0, d1 …, `bin` and `n`."""
    column, bins = column_of(schema, quantile.measure.column), quantile.bins
    tests = [f"_rank <= {terms.rows:d}", present(column)]
    tests += [] if quantile.measure.where is None else [test(quantile.measure.where, schema)]
    names = [f'"{name}"' for name in query.dimensions]
    number = f"(({stored(column)}::BIGINT - {bins.low}) // {bins.size})::USMALLINT"
    columns = [*(f"{name} AS d{i}" for i, name in enumerate(names)), f"{number} AS bin", "count(*) AS n"]
    rows_of = f"{source(query, schema, table)}{where(query, schema, ' AND '.join(tests))}"
    return select(columns, rows_of, [*names, number])
