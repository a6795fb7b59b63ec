"""`private`: totals of bounded contributions, and the noise that they need. Pure: no Django, no I/O.

Entity-level zero-concentrated differential privacy (Bun and Steinke 2016, arXiv 1605.02065). Two tables are
neighbours where one has an entity, all its rows, more. A query reads at most `terms.rows` rows of an entity, by
their rank, and values that intake has clamped, so one entity moves the cells of a total by a vector of at most

    count of rows       Σ|x| ≤ rows, hence L2 ≤ rows
    sum about c         L2 ≤ rows · h, where h is the farthest that a value can be from c
    sum of squares      L2 ≤ rows · h²
    count of entities   0 or 1 in each of at most min(rows, cells) cells: L2 ≤ √min(rows, cells)

and each level of a ROLLUP is such a vector once more. A filter only leaves rows out. The discrete Gaussian of
scale σ on a vector of that L2 costs ρ = L2² / 2σ² (Canonne, Kamath and Steinke 2020, arXiv 2004.00010, theorem 4),
and ρ adds up over the totals of a query, and its quantiles (plan.ranks).
"""

import math
from collections.abc import Sequence

from exchange.errors import Problem
from exchange.sandbox.budget import MICRO
from exchange.sandbox.plan import ranks
from exchange.sandbox.plan.exact import distinct
from exchange.sandbox.plan.totals import Part
from exchange.sandbox.plan.words import only, rows, select, source, square, stored, test, where
from exchange.sandbox.query import AggregateQuery, Total
from exchange.sandbox.query.grid import grids, sizes
from exchange.sandbox.schema import Column, Manifest, Schema
from exchange.sandbox.terms import Terms


def sql(query: AggregateQuery, totals: Sequence[Part], manifest: Manifest, sets: int, terms: Terms, table: str) -> str:
    """Exact totals v0, v1 … of at most `terms.rows` rows of each entity; groups without rows are not there.
    "" where no totals are asked for."""
    if not totals:
        return ""
    names = [f'"{name}"' for name in query.dimensions]
    columns = [f"{name} AS d{i}" for i, name in enumerate(names)]
    for i, part in enumerate(totals):
        columns.append(f"{_total(part, manifest, sets)} AS v{i}")
    bounded = f"_rank <= {terms.rows:d}"
    rows_of = f"{source(query, manifest.schema, table)}{where(query, manifest.schema, bounded)}"
    return select(columns, rows_of, names)


def sigmas(query: AggregateQuery, totals: Sequence[Part], schema: Schema, terms: Terms) -> tuple[float, ...]:
    """The scale of each total's noise. Raises Problem as `share` does."""
    each = share(query, totals, terms)
    squares = (sensitivity_squared(part, query, schema, terms) for part in totals)
    # A little more than exact arithmetic would give, so that rounding never makes the noise too small.
    return tuple(math.sqrt(square * MICRO / (2 * each)) * (1 + 2**-40) for square in squares)


def share(query: AggregateQuery, totals: Sequence[Part], terms: Terms) -> int:
    """The micro-ρ of each total and of each quantile: the query's is spent on them in equal shares.

    Raises Problem query_too_large where there is not one micro-ρ for each.
    """
    figures = len(totals) + len(ranks.asked(query))
    if terms.rho < figures:
        raise Problem("query_too_large", f"{terms.rho} micro-ρ are too little for {figures} totals and quantiles")
    return terms.rho // figures


def sensitivity_squared(part: Part, query: AggregateQuery, schema: Schema, terms: Terms) -> int:
    """The square of how far, in L2, one entity can move the cells of `part`."""
    levels = sizes(grids(query, schema))  # of a ROLLUP: each has all rows once more
    match part.total:
        case Total.ENTITIES:
            return sum(min(terms.rows, size) for size in levels)
        case Total.SUM if part.column is not None:
            return len(levels) * (terms.rows * reach(part.column, part.about)) ** 2
        case Total.SQUARES if part.column is not None:
            return len(levels) * int((terms.rows * reach(part.column, part.about) ** 2) ** 2)
        case _:
            return len(levels) * terms.rows**2


def reach(column: Column, about: int) -> int:
    """The farthest that a value can be from `about`, in the column's units."""
    return max(column.high - about, about - column.low)


def _total(part: Part, manifest: Manifest, sets: int) -> str:
    condition = "" if part.where is None else test(part.where, manifest.schema)
    column = part.column
    match part.total:
        case Total.ENTITIES if column is not None:
            return distinct(column, condition, manifest, sets)
        case Total.SUM if column is not None:
            total = f"coalesce(sum({only(condition, stored(column))}), 0)::BIGINT"
            return f"{total} - {part.about} * {rows(column, condition)}" if part.about else total
        case Total.SQUARES if column is not None:
            return f"coalesce(sum({only(condition, square(column, part.about))}), 0)::BIGINT"
        case _:
            return rows(column, condition)
