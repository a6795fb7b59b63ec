"""Releasable cells as the table a buyer reads; the gate makes it from what is public."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from math import isqrt, ldexp, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from exchange.sandbox import accuracy
from exchange.sandbox.frames import INT64, RELEASED, Cells
from exchange.sandbox.plan import Part, Quantile, Total, parts, parts_of, quantiles, sigmas
from exchange.sandbox.query import FIGURES, AggregateQuery, Function, Measure
from exchange.sandbox.query.grid import Grid, axes, followed, followers, grids, sizes
from exchange.sandbox.schema import Column, Kind, Manifest
from exchange.sandbox.terms import Terms

ENDS = ("", "_low", "_high")  # a private figure's columns: itself and its interval
_TYPES = {Kind.STRING: pa.string(), Kind.INTEGER: pa.int64(), Kind.BOOLEAN: pa.bool_(), Kind.DATE: pa.date32()}


def table(cells: Cells, query: AggregateQuery, manifest: Manifest, terms: Terms) -> pa.Table:
    """One row per cell: the dimensions, the measures by `Measure.name`, for a ROLLUP `level`, then `status`.

    `level` is 0 for cells of all dimensions, and one more for each that is rolled up and therefore null.

    COUNT is int64, SUM int64 or decimal128(38, scale); AVG, VARIANCE and STDDEV are float64 (the exact value,
    rounded once). A measure is null where the cell is suppressed, where SQL says null, an AVG where its count
    is below one and a VARIANCE where it is below two. A quantile has the type of a SUM. Under `private` each measure
    is followed by the ends of its 95 % interval, `…_low` and `…_high`.
    """
    keys = grids(query, manifest.schema)
    columns = _dimensions(cells, query, manifest, keys)
    totals = parts(query, manifest.schema, terms)
    values = {part.name: _values(cells, i) for i, part in enumerate(totals)}
    scales = dict(zip((part.name for part in totals), sigmas(query, manifest.schema, terms), strict=False))
    walked = _quantiles(cells, len(totals), quantiles(query, manifest.schema, terms), manifest)
    for measure in query.measures:
        if measure.function is Function.QUANTILE:
            columns |= walked[measure]
            continue
        made_of = [(part, values[part.name]) for part in parts_of(measure, manifest.schema, terms)]
        columns[measure.name] = _measure(measure, made_of)
        if scales:
            spans = _spans(measure, made_of, [scales[part.name] for part, _ in made_of])
            columns |= {measure.name + end: span for end, span in zip(ENDS[1:], spans, strict=True)}
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


MadeOf = list[tuple[Part, list[int | None]]]
"""The parts of a measure, in the order of plan.parts_of, with their values in each cell."""


def _measure(measure: Measure, made_of: MadeOf) -> pa.Array:
    column, lists = made_of[0][0].column, _about_zero(made_of)
    scale = column.scale if column else 0
    match measure.function:
        case Function.AVG:
            means = [_mean(total, count, column) for total, count in zip(*lists, strict=True)]
            return pa.array(means, pa.float64())
        case Function.VARIANCE | Function.STDDEV:
            final = _quotient if measure.function is Function.VARIANCE else _root
            about = made_of[0][0].about
            spreads = [_spread(about, scale, *totals) for totals in zip(*lists, strict=True)]
            return pa.array([None if spread is None else final(*spread) for spread in spreads], pa.float64())
        case Function.SUM:
            return _units(lists[0], scale)
        case _:
            return pa.array(lists[0], pa.int64())


def _about_zero(made_of: MadeOf) -> list[list[int | None]]:
    """The parts' values; a sum about a centre, which comes with its number of rows, as the sum itself."""
    lists = [values for _, values in made_of]
    for i, (part, values) in enumerate(made_of):
        if part.total is Total.SUM and part.about:
            pairs = zip(values, lists[-1], strict=True)
            lists[i] = [None if v is None or n is None else v + part.about * n for v, n in pairs]
    return lists


def _units(values: list[int | None], scale: int) -> pa.Array:
    if not scale:
        return pa.array([None if v is None else min(max(v, -INT64), INT64) for v in values], pa.int64())
    return pa.array([None if v is None else Decimal(v).scaleb(-scale) for v in values], pa.decimal128(38, scale))


def _quantiles(
    cells: Cells, first: int, quantiles: Sequence[Quantile], manifest: Manifest
) -> dict[Measure, dict[str, pa.Array]]:
    """Each quantile as the middle of its bin, and the least and largest value of its interval's bins; their bins
    are the frame's values from the `first` on."""
    found: dict[Measure, dict[str, pa.Array]] = {}
    for i, quantile in enumerate(quantiles):
        measure, bins = quantile.measure, quantile.bins
        scale = _column(manifest, measure.column or "").scale
        numbers = cells["values"][:, first + FIGURES * i :].T
        found[measure] = {
            measure.name + end: _units([value(number) for number in column.tolist()], scale)
            for end, value, column in zip(ENDS, (bins.middle, bins.first, bins.last), numbers, strict=False)
        }
    return found


def _spans(measure: Measure, made_of: MadeOf, scales: list[float]) -> tuple[pa.Array, pa.Array]:
    """The two ends of each cell's interval (exchange.sandbox.accuracy), of the type of the measure."""
    part = made_of[0][0]
    column, about, scale = part.column, part.about, part.column.scale if part.column else 0
    if measure.function in (Function.COUNT, Function.COUNT_DISTINCT, Function.SUM) or column is None:
        half = accuracy.of_total(scales[0], about, scales[-1] if about else 0.0)
        middle = [value for value in _about_zero(made_of)[0] if value is not None]
        return _units([value - half for value in middle], scale), _units([value + half for value in middle], scale)
    rows: list[tuple[int, ...]] = list(zip(*(values for _, values in made_of), strict=True))
    bounds = (float(column.low - about), float(column.high - about))
    if measure.function is Function.AVG:
        found = [accuracy.of_average(row, scales, bounds) for row in rows]
        ends = [[(end + about) / 10.0**scale for end in each] for each in zip(*found, strict=True)]
    else:
        root = sqrt if measure.function is Function.STDDEV else float
        found = [accuracy.of_variance(row, scales, bounds) for row in rows]
        ends = [[root(end / 100.0**scale) for end in each] for each in zip(*found, strict=True)]
    return pa.array(ends[0], pa.float64()), pa.array(ends[1], pa.float64())


def _mean(total: int | None, count: int | None, column: Column | None) -> float | None:
    """Within the column's bounds, where noise would take it out of them."""
    if total is None or count is None or count < 1 or column is None:
        return None
    total = min(max(total, column.low * count), column.high * count)
    return total / int(count * 10**column.scale)  # integers: Python rounds the true quotient once


def _spread(
    about: int, scale: int, squares: int | None, total: int | None, count: int | None
) -> tuple[int, int] | None:
    """The variance of a sample as numerator and denominator, from totals that may carry noise: never below 0.

    `squares` are about a centre c: Σ(v-c)² - (Σv - n·c)² / n, over n - 1.
    """
    if squares is None or total is None or count is None or count < 2:
        return None
    from_centre = total - count * about
    return max(0, squares * count - from_centre * from_centre), count * (count - 1) * int(10 ** (2 * scale))


def _quotient(numerator: int, denominator: int) -> float:
    return numerator / denominator


def _root(numerator: int, denominator: int) -> float:
    """The square root of a quotient of integers, rounded once."""
    shift = max(0, 64 + (denominator.bit_length() - numerator.bit_length()) // 2)
    whole, rest = divmod(numerator << 2 * shift, denominator)
    root = isqrt(whole)
    # 64 bits of the root, and one for whether anything follows: more than a float takes to round rightly.
    return ldexp(2 * root + bool(rest or root * root != whole), -shift - 1)
