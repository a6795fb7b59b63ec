"""How far a `private` answer may be from the bounded data: an interval for each cell. Pure: no Django, no I/O.

It follows from the released values and the public scales of their noise, so stating it costs nothing. It speaks
of the noise only; what bounding rows and values takes away is no matter of chance and not in it.
"""

from collections.abc import Sequence
from math import ceil, sqrt
from statistics import NormalDist

from exchange.sandbox.query import Function, Total

LEVEL = 0.95  # of all cells' intervals hold the figure of the bounded data

Span = tuple[float, float]


def interval(
    function: Function, totals: Sequence[Total], values: Sequence[int], sigmas: Sequence[float], bounds: Span
) -> Span:
    """Low and high of one measure of one cell.

    `totals`, `values` and `sigmas` are of the parts the measure is made of, sums and squares about the centre of
    the measure; `bounds` are the least and largest value of the column about that centre. So is an average;
    a sum is about the centre times the number of rows, see `of_sum`. A normal's tails bound the discrete
    Gaussian's but for rounding, hence whole units. Several parts share the level (Bonferroni).
    """
    z = NormalDist().inv_cdf(1 - (1 - LEVEL) / 2 / len(values))
    half = [float(ceil(z * sigma)) for sigma in sigmas]
    spans = {total: (v - h, v + h) for total, v, h in zip(totals, values, half, strict=True)}
    match function:
        case Function.AVG:
            return _average(spans[Total.SUM], spans[Total.ROWS], bounds)
        case Function.VARIANCE:
            return _variance(spans, bounds)
        case Function.STDDEV:
            low, high = _variance(spans, bounds)
            return sqrt(low), sqrt(high)
        case _:
            return spans[totals[0]]


def of_sum(sigma: float, about: int, sigma_of_rows: float) -> int:
    """Half the interval of a sum that is put together from a sum about `about` and a number of rows."""
    z = NormalDist().inv_cdf(1 - (1 - LEVEL) / 2)
    return ceil(z * sqrt(sigma**2 + (about * sigma_of_rows) ** 2))


def _average(total: Span, rows: Span, bounds: Span) -> Span:
    if rows[0] < 1:
        return bounds
    corners = [each / number for each in total for number in rows]
    return max(bounds[0], min(corners)), min(bounds[1], max(corners))


def _variance(spans: dict[Total, Span], bounds: Span) -> Span:
    """(Q - S²/n) / (n - 1) over the box that the parts' intervals make."""
    most = ((bounds[1] - bounds[0]) / 2) ** 2 * 2  # a sample of two at both ends
    (least_rows, most_rows), total, squares = spans[Total.ROWS], spans[Total.SUM], spans[Total.SQUARES]
    if least_rows < 2:
        return 0.0, most
    nearest = 0.0 if total[0] <= 0 <= total[1] else min(abs(total[0]), abs(total[1]))
    farthest = max(abs(total[0]), abs(total[1]))
    low = min((squares[0] - farthest**2 / n) / (n - 1) for n in (least_rows, most_rows))
    high = max((squares[1] - nearest**2 / n) / (n - 1) for n in (least_rows, most_rows))
    return max(0.0, low), max(0.0, min(high, most))
