"""Releasable cells as the table a buyer reads; the gate makes it from what is public."""

from datetime import date
from decimal import Decimal
from math import isqrt, ldexp
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from exchange.sandbox.frames import RELEASED, Cells
from exchange.sandbox.plan import centre, parts, parts_of
from exchange.sandbox.query import AggregateQuery, Function, Measure
from exchange.sandbox.query.grid import Grid, axes, followed, followers, grids, sizes
from exchange.sandbox.schema import Column, Kind, Manifest
from exchange.sandbox.terms import Terms

_TYPES = {Kind.STRING: pa.string(), Kind.INTEGER: pa.int64(), Kind.BOOLEAN: pa.bool_(), Kind.DATE: pa.date32()}


def table(cells: Cells, query: AggregateQuery, manifest: Manifest, terms: Terms) -> pa.Table:
    """One row per cell: the dimensions, the measures by `Measure.name`, for a ROLLUP `level`, then `status`.

    `level` is 0 for cells of all dimensions, and one more for each that is rolled up and therefore null.

    COUNT is int64, SUM int64 or decimal128(38, scale); AVG, VARIANCE and STDDEV are float64 (the exact value,
    rounded once). A measure is null where the cell is suppressed, where SQL says null, an AVG where its count
    is zero and a VARIANCE where it is below two.
    """
    keys = grids(query, manifest.schema)
    columns = _dimensions(cells, query, manifest, keys)
    values = {part.name: _values(cells, i) for i, part in enumerate(parts(query, manifest.schema))}
    for measure in query.measures:
        made_of = [values[part.name] for part in parts_of(measure, manifest.schema)]
        column = None if measure.column is None else manifest.schema.get(measure.column)
        columns[measure.name] = _measure(measure, made_of, column)
    if query.rollup:
        columns["level"] = pa.array(_levels(cells, keys)[0], pa.int64())
    released = cells["status"] == RELEASED
    columns["status"] = pa.array(np.where(released, "released", "suppressed"), pa.string())
    return pa.table(columns)


def _dimensions(cells: Cells, query: AggregateQuery, manifest: Manifest, keys: tuple[Grid, ...]) -> dict[str, pa.Array]:
    """Each dimension's values; null too where it is rolled up."""
    levels, places = _levels(cells, keys)
    codes = {name: np.zeros(len(cells), np.int64) for name in query.dimensions}
    for number, (level, positions) in enumerate(zip(query.levels, keys, strict=True)):
        here = levels == number
        rest = places[here]
        for name, known in reversed(list(zip(axes(level, manifest.schema), positions, strict=True))):
            codes[name][here] = np.array(known, np.int64)[rest % len(known)]
            rest //= len(known)
        coarse = followers(level, manifest.schema)
        for name in coarse:
            axis, code_of = followed(name, coarse, manifest.schema)
            codes[name][here] = np.array(code_of, np.int64)[codes[axis][here]]
    return {name: _decode(_column(manifest, name), found) for name, found in codes.items()}


def _levels(cells: Cells, keys: tuple[Grid, ...]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The level of each cell, and its place in that level's grid."""
    ends = np.cumsum(sizes(keys))
    found = cells["key"].astype(np.int64)
    levels = np.searchsorted(ends, found, side="right")
    return levels, found - np.concatenate([[0], ends])[levels]


def _column(manifest: Manifest, name: str) -> Column:
    column = manifest.schema.get(name)
    if column is None:
        raise KeyError(name)
    return column


def _decode(column: Column, codes: npt.NDArray[np.int64]) -> pa.Array:
    domain: list[Any] = [None, *column.domain]
    if column.kind is Kind.DATE:
        domain = [None, *(date.fromisoformat(str(value)) for value in column.domain)]
    return pa.array(domain, _TYPES[column.kind]).take(pa.array(codes))


def _values(cells: Cells, i: int) -> list[int | None]:
    """Part `i` of every cell; None where it is hidden or null."""
    shown = (cells["status"] == RELEASED) & ((cells["nulls"] >> np.uint32(i)) & 1 == 0)
    return [value if seen else None for value, seen in zip(cells["values"][:, i].tolist(), shown.tolist(), strict=True)]


def _measure(measure: Measure, made_of: list[list[int | None]], column: Column | None) -> pa.Array:
    """`made_of` are the values of plan.parts_of(measure), in its order."""
    scale = column.scale if column else 0
    match measure.function:
        case Function.AVG:
            means = [_mean(total, count, scale) for total, count in zip(*made_of, strict=True)]
            return pa.array(means, pa.float64())
        case Function.VARIANCE | Function.STDDEV if column is not None:
            final = _quotient if measure.function is Function.VARIANCE else _root
            spreads = [_spread(column, *totals) for totals in zip(*made_of, strict=True)]
            return pa.array([None if spread is None else final(*spread) for spread in spreads], pa.float64())
        case Function.QUANTILE:
            raise ValueError("a quantile is not made of totals")  # no plan here has one, see bind.Rules.measure
        case Function.SUM if scale:
            scaled = [None if v is None else Decimal(v).scaleb(-scale) for v in made_of[0]]
            return pa.array(scaled, pa.decimal128(38, scale))
        case _:
            return pa.array(made_of[0], pa.int64())


def _mean(total: int | None, count: int | None, scale: int) -> float | None:
    if total is None or not count:
        return None
    return total / int(count * 10**scale)  # integers: Python rounds the true quotient once


def _spread(column: Column, squares: int | None, total: int | None, count: int | None) -> tuple[int, int] | None:
    """The variance of a sample as numerator and denominator, from totals that may carry noise: never below 0.

    `squares` are about the column's centre c: Σ(v-c)² - (Σv - n·c)² / n, over n - 1.
    """
    if squares is None or total is None or count is None or count < 2:
        return None
    about = total - count * centre(column)
    return max(0, squares * count - about * about), count * (count - 1) * int(10 ** (2 * column.scale))


def _quotient(numerator: int, denominator: int) -> float:
    return numerator / denominator


def _root(numerator: int, denominator: int) -> float:
    """The square root of a quotient of integers, rounded once."""
    shift = max(0, 64 + (denominator.bit_length() - numerator.bit_length()) // 2)
    whole, rest = divmod(numerator << 2 * shift, denominator)
    root = isqrt(whole)
    # 64 bits of the root, and one for whether anything follows: more than a float takes to round rightly.
    return ldexp(2 * root + bool(rest or root * root != whole), -shift - 1)
