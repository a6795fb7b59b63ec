"""How far a `private` answer may be from the bounded data: an interval for each cell. Pure: no Django, no I/O.

It follows from the released values and the public scales of their noise, so stating it costs nothing. It speaks
of the noise only; what bounding rows and values takes away is no matter of chance and not in it. A normal's tails
bound the discrete Gaussian's but for rounding, hence whole units. Where a figure is made of several totals, they
share the 5 % that may be missed (Bonferroni).
"""

from collections.abc import Sequence
from math import ceil, sqrt
from statistics import NormalDist

LEVEL = 0.95  # of all cells' intervals hold the figure of the bounded data

ROW = 10_000  # what one row can move a balance, in basis points

Span = tuple[float, float]


def of_total(sigma: float, about: int = 0, sigma_of_rows: float = 0.0) -> int:
    """Half the interval of a total; of a sum, put together from a sum about `about` and a number of rows."""
    return ceil(_z(1) * sqrt(sigma**2 + (about * sigma_of_rows) ** 2))


def of_balance(sigma: float, steps: int) -> int:
    """How far from zero a balance of a walk must be to be sure of its side, in basis points of a row.

    A quantile lies on one side of each of the `steps` points, so an answer can be wrong in one way only, and half
    the tail suffices. The row on top makes sure of the quantile however it is defined between two rows: the usual
    definitions (Hyndman and Fan 1996) lie between the rows of rank αn and αn + 1.
    """
    return ceil(_z(steps / 2) * sigma) + ROW


def of_average(values: Sequence[int], sigmas: Sequence[float], bounds: Span) -> Span:
    """Low and high of an average about a centre; `values` are the sum about it and the number of rows, `bounds`
    the least and largest value about it, which is all that can be said where there may be no row."""
    total, rows = _spans(values, sigmas)
    if rows[0] < 1:
        return bounds
    corners = [each / number for each in total for number in rows]
    return max(bounds[0], min(corners)), min(bounds[1], max(corners))


def of_variance(values: Sequence[int], sigmas: Sequence[float], bounds: Span) -> Span:
    """Low and high of (Q - S²/n) / (n - 1) over the box that the intervals of `values`, Q, S and n, make.

    Q and S are about the same centre as `bounds`.
    """
    squares, total, rows = _spans(values, sigmas)
    most = (bounds[1] - bounds[0]) ** 2 / 2  # a sample of two, at both ends
    if rows[0] < 2:
        return 0.0, most
    nearest = 0.0 if total[0] <= 0 <= total[1] else min(abs(total[0]), abs(total[1]))
    farthest = max(abs(total[0]), abs(total[1]))
    low = min((squares[0] - farthest**2 / n) / (n - 1) for n in rows)
    high = max((squares[1] - nearest**2 / n) / (n - 1) for n in rows)
    return max(0.0, low), max(0.0, min(high, most))


def _spans(values: Sequence[int], sigmas: Sequence[float]) -> list[Span]:
    half = [float(ceil(_z(len(values)) * sigma)) for sigma in sigmas]
    return [(value - h, value + h) for value, h in zip(values, half, strict=True)]


def _z(shared_by: float) -> float:
    return NormalDist().inv_cdf(1 - (1 - LEVEL) / 2 / shared_by)
