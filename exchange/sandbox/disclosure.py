"""Disclosure control on the small aggregate: what of it may leave the vault. Pure: no Django, no I/O.

`open`: exact totals of the groups that are there. `guarded` (DESIGN section 4): the whole public grid, where
a cell is released whole or not at all. It is suppressed where fewer than `threshold` distinct entities
contribute, or one of its magnitudes is dominated; an empty cell is suppressed too and looks the same. What is
released carries noise that the contributing records and a secret fix: asked again in other words it is the
same noise. All arithmetic is on integers.
"""

import hmac
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from exchange.sandbox.frames import RELEASED, SUPPRESSED, Cells
from exchange.sandbox.plan import Part, Plan
from exchange.sandbox.query import Total
from exchange.sandbox.query.grid import Grid, sizes
from exchange.sandbox.terms import Terms

BASIS_POINTS = 10_000
COUNT_BITS, MAGNITUDE_BITS = 8, 64

Found = Mapping[str, npt.NDArray[np.generic]]
"""The engine's result by column, see plan.Plan; masked arrays where a value is null."""


def open_cells(found: Sequence[Found], plan: Plan) -> Cells:
    """Exact cells of the groups found, by ascending key; `found` has a result for each level."""
    levels = zip(found, plan.grids, _offsets(plan), strict=True)
    return np.concatenate([_open_level(each, plan, _keys(each, grid, offset)) for each, grid, offset in levels])


def _open_level(found: Found, plan: Plan, keys: npt.NDArray[np.int64]) -> Cells:
    cells = np.zeros(len(keys), plan.shape.dtype)
    order = np.argsort(keys)
    cells["key"] = keys[order]
    for i in range(len(plan.parts)):
        column = np.ma.asarray(found[f"v{i}"])
        cells["values"][:, i] = column.filled(0)[order]
        cells["nulls"] |= np.ma.getmaskarray(column)[order].astype(np.uint32) << np.uint32(i)
    return cells


def guarded_cells(found: Sequence[Found], plan: Plan, terms: Terms, secret: bytes) -> Cells:
    """The whole grid; suppressed cells, and empty ones, are zero in every field but key and status."""
    cells = np.zeros(plan.shape.cells, plan.shape.dtype)
    cells["key"] = np.arange(plan.shape.cells, dtype=np.uint64)
    cells["status"] = SUPPRESSED
    for each, grid, offset in zip(found, plan.grids, _offsets(plan), strict=True):
        columns = {name: values.tolist() for name, values in each.items()}
        for row, key in enumerate(_keys(each, grid, offset).tolist()):
            cell = {name: values[row] for name, values in columns.items()}
            if releasable(cell, len(plan.parts), terms):
                cells["status"][key] = RELEASED
                cells["values"][key] = [noised(cell, i, part, secret) for i, part in enumerate(plan.parts)]
    return cells


def releasable(cell: Mapping[str, int], parts: int, terms: Terms) -> bool:
    """Whether enough entities stand behind each of a cell's totals and none of its magnitudes is dominated.

    An entity whose values are all null is in the cell, but not in its sums: those who are must be enough.
    """
    contributing = (cell[f"n{i}"] for i in range(parts) if f"n{i}" in cell)
    if min([cell["entities"], *contributing]) < max(1, terms.threshold):
        return False
    magnitudes = [i for i in range(parts) if f"a{i}" in cell]
    return not any(dominated(cell[f"a{i}"], cell[f"t{i}"], cell[f"u{i}"], terms) for i in magnitudes)


def dominated(total: int, largest: int, second: int, terms: Terms) -> bool:
    """The (2, k) rule and the p-ratio on entities' absolute contributions; limits in basis points.

    (2, k): the two largest hold more than `dominance` of the total. p-ratio: what all others hold is less
    than `p_ratio` of the largest, so the second largest could tell the largest.
    """
    both = largest + second
    return both * BASIS_POINTS > terms.dominance * total or (total - both) * BASIS_POINTS < terms.p_ratio * largest


def noised(cell: Mapping[str, int], i: int, part: Part, secret: bytes) -> int:
    """Part `i` of a cell with its noise; counts and sums of squares are never below zero."""
    value, key = cell[f"v{i}"], cell[f"k{i}"]
    if part.total is Total.ENTITIES:
        return max(0, value + count_noise(secret, key, part.drawn))
    noise = magnitude_noise(secret, key, part.drawn, cell[f"t{i}"] + cell[f"u{i}"])
    return value + noise if part.total is Total.SUM else max(0, value + noise)


def count_noise(secret: bytes, key: int, name: str) -> int:
    """Noise of a number of entities: centred binomial of 8 bits, mean 0, variance 2, largest 4."""
    return (_bits(secret, key, name) & (1 << COUNT_BITS) - 1).bit_count() - COUNT_BITS // 2


def magnitude_noise(secret: bytes, key: int, name: str, two_largest: int) -> int:
    """Noise of a row count or sum: s × z, rounded half to even.

    `two_largest` is the sum of the two largest entities' absolute contributions and s half of it. z is
    (popcount of 64 bits - 32) / 8: mean 0, variance 1/4, largest 4; so |noise| ≤ 2 × `two_largest`.
    """
    centred = (_bits(secret, key, name) & (1 << MAGNITUDE_BITS) - 1).bit_count() - MAGNITUDE_BITS // 2
    return half_even(two_largest * centred, 16)


def half_even(numerator: int, denominator: int) -> int:
    """The quotient rounded half to even, without a float; `denominator` is positive and even."""
    quotient, rest = divmod(numerator, denominator)
    half = denominator // 2
    return quotient + (rest > half or (rest == half and quotient % 2 == 1))


def _bits(secret: bytes, key: int, name: str) -> int:
    """256 bits fixed by the secret, the sum of the contributing rows' keys and the measure."""
    return int.from_bytes(hmac.digest(secret, key.to_bytes(8, "big") + name.encode(), "sha256"), "big")


def _offsets(plan: Plan) -> list[int]:
    """The key of each level's first cell."""
    return [sum(sizes(plan.grids)[:level]) for level in range(len(plan.grids))]


def _keys(found: Found, grid: Grid, offset: int) -> npt.NDArray[np.int64]:
    """Each group's index in the levels' grids: mixed radix over its positions, the last dimension fastest."""
    if not grid:
        return np.full(1, offset, np.int64)
    keys = np.zeros(len(found["d0"]), np.int64)
    for i, codes in enumerate(grid):
        keys = keys * len(codes) + np.searchsorted(np.array(codes), np.ma.getdata(found[f"d{i}"]))
    return keys + offset
