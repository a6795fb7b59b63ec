"""A quantile found by asking questions whose answers carry noise. Pure: no Django, no I/O.

The values are cut into bins, and `ask(points)` tells, for each cell's own point, its balance there: the rows in
bins before the point, each weighing 1 - α, less the others, each weighing α. The balance grows with the point, and
the α-quantile is where it passes zero. So a walk halves the bins by the sign of each answer (Huang, Liang and Yi
2021, arXiv 2106.00463, find a clipping bound in this way). It sees the answers and nothing else: what it returns is
as private as they are.

An answer far enough from zero is sure of its side, and sure answers bound the quantile. Where it lies near a point
that was asked early, the halvings leave nothing near it on that point's other side; the last steps close such gaps,
by halving in logarithms the distance at which the end that is farther off is looked for.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CLOSINGS = 3  # steps that are spent on the ends alone

Integers = npt.NDArray[np.int64]
Ask = Callable[[Integers], Integers]
"""The noisy balance at a point in every cell; point p lies before bin p."""


@dataclass(frozen=True, slots=True)
class Walked:
    """Bins of every cell: where the quantile seems to be, and the first and last where it surely can be."""

    place: Integers
    low: Integers
    high: Integers


def steps(halvings: int) -> int:
    """How often a walk over 2**halvings bins asks."""
    return halvings + CLOSINGS


def walk(ask: Ask, cells: int, halvings: int, reach: int) -> Walked:
    """The walk over 2**halvings bins of each of `cells`; a balance farther than `reach` from zero is sure."""
    place = np.zeros(cells, np.int64)
    # Of the points before the place, and of those behind it: the nearest that is sure, the farthest that is not.
    sure = np.stack([place, np.full(cells, 1 << halvings)])
    unsure = sure[::-1].copy()
    for half in (1 << step for step in reversed(range(halvings))):
        points = place + half
        balances = ask(points)
        before, clear = balances < 0, np.abs(balances) > reach
        place = np.where(before, points, place)
        for side, here in enumerate((before, ~before)):
            sure[side] = np.where(here & clear, points, sure[side])
            farther = (np.minimum, np.maximum)[side](unsure[side], points)
            unsure[side] = np.where(here & ~clear, farther, unsure[side])
    return _closed(ask, place, _distances(place, sure), _distances(place, unsure), reach)


def _distances(place: Integers, points: Integers) -> Integers:
    """How far points before and behind the place's bin are, at least 1: its own two ends are at 1."""
    return np.stack([place + 1 - points[0], points[1] - place]).clip(1)


def _closed(ask: Ask, place: Integers, sure: Integers, unsure: Integers, reach: int) -> Walked:
    """The walk's end, from distances of the nearest sure and the farthest unsure point on either side."""
    everywhere = np.arange(len(place))
    for _ in range(CLOSINGS):
        behind = np.argmax(sure / unsure, axis=0)  # the side with the wider gap, in proportion
        here = behind, everywhere
        distances = np.sqrt(sure[here] * unsure[here]).astype(np.int64)
        balances = ask(np.where(behind, place + distances, place + 1 - distances))
        clear = np.where(behind, balances, -balances) > reach
        sure[here] = np.where(clear, np.minimum(sure[here], distances), sure[here])
        unsure[here] = np.where(clear, unsure[here], np.maximum(unsure[here], distances))
    return Walked(place, place + 1 - sure[0], place + sure[1] - 1)
