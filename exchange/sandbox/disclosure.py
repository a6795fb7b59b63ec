"""Disclosure control on the small aggregate: what of it may leave the vault. Pure: no Django, no I/O.

`open`: exact totals of the groups that are there. `guarded` (DESIGN section 4): the whole public grid, where
a cell is released whole or not at all. It is suppressed where fewer than `threshold` distinct entities
contribute, or one of its magnitudes is dominated; an empty cell is suppressed too and looks the same. What is
released carries noise that the contributing records and a secret fix: asked again in other words it is the
same noise. All arithmetic is on integers.
"""

import hmac
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from exchange.sandbox import accuracy
from exchange.sandbox.frames import RELEASED, SUPPRESSED, Cells
from exchange.sandbox.plan import Codes, Level, Part, Plan, Quantile
from exchange.sandbox.query import FIGURES, Total
from exchange.sandbox.terms import Terms
from exchange.sandbox.walk import Ask, Integers, steps, walk

BASIS_POINTS = 10_000
COUNT_BITS, MAGNITUDE_BITS = 8, 64

FREE = 1_000

Found = Mapping[str, npt.NDArray[np.generic]]
"""The engine's result by column, see plan.Plan; masked arrays where a value is null."""

Noisy = Callable[[Sequence[int], float], list[int]]
"""Values, each with noise of the given scale."""

Cell = Mapping[str, int]
"""One row of it."""


def open_cells(found: Sequence[Found], plan: Plan) -> Cells:
    """Exact cells of the groups found, by ascending key; `found` has a result for each level."""
    return np.concatenate([_open_level(each, level, plan) for each, level in zip(found, plan.levels, strict=True)])


def _open_level(found: Found, level: Level, plan: Plan) -> Cells:
    keys = _keys(found, level)
    cells = np.zeros(len(keys), plan.shape.dtype)
    order = np.argsort(keys)
    cells["key"] = keys[order]
    for i in range(len(plan.parts)):
        column = np.ma.asarray(found[f"v{i}"])
        cells["values"][:, i] = column.filled(0)[order]
        cells["nulls"] |= np.ma.getmaskarray(column)[order].astype(np.uint32) << np.uint32(i)
    return cells


def private_cells(found: Sequence[Found], counted: Sequence[Sequence[Found]], plan: Plan, noisy: Noisy) -> Cells:
    """The whole grid, a cell without rows being one with zeros; every total of every cell has noise of its own.

    `counted` has, for each quantile, what each level's statement found of it. `noisy(values, sigma)` adds the
    noise, also to every balance that a quantile is found by. Nothing here depends on which cells have rows.
    """
    cells = np.zeros(plan.shape.cells, plan.shape.dtype)
    cells["key"] = np.arange(plan.shape.cells, dtype=np.uint64)
    for i, sigma in enumerate(plan.sigmas):
        totals = np.zeros(plan.shape.cells, np.int64)
        for each, level in zip(found, plan.levels, strict=True):
            totals[_keys(each, level)] = each[f"v{i}"]
        cells["values"][:, i] = noisy(totals.tolist(), sigma)
    for i, (quantile, counts) in enumerate(zip(plan.quantiles, counted, strict=True)):
        first = len(plan.parts) + FIGURES * i
        cells["values"][:, first : first + FIGURES] = _walked(_balances(counts, plan, quantile), plan, quantile, noisy)
    return cells


def _walked(balances: Ask, plan: Plan, quantile: Quantile, noisy: Noisy) -> Integers:
    """Place, low and high of a quantile in every cell. The walk is told noisy balances alone."""
    bins = quantile.bins
    reach = accuracy.of_balance(quantile.sigma, steps(bins.halvings))

    def ask(points: Integers) -> Integers:
        return np.array(noisy(balances(points).tolist(), quantile.sigma), np.int64)

    found = walk(ask, plan.shape.cells, bins.halvings, reach)
    return np.minimum(np.stack([found.place, found.low, found.high], axis=1), bins.number - 1)


def _balances(counts: Sequence[Found], plan: Plan, quantile: Quantile) -> Ask:
    """The exact balances at a point of every cell, in basis points of a row."""
    stride = 1 << quantile.bins.halvings
    levels = list(zip(counts, plan.levels, strict=True))
    bins = np.concatenate([_keys(found, level) * stride + found["bin"].astype(np.int64) for found, level in levels])
    rows = np.concatenate([found["n"] for found, _ in levels])
    order = np.argsort(bins)
    bins, before = bins[order], np.concatenate([[0], np.cumsum(rows[order])])
    cells = np.arange(plan.shape.cells, dtype=np.int64) * stride

    def until(points: Integers | int) -> Integers:
        return before[np.searchsorted(bins, cells + points)]

    start = until(0)
    weights = quantile.at * (until(stride) - start)
    return lambda points: BASIS_POINTS * (until(points) - start) - weights


def cells_of(found: Found, level: Level) -> dict[Codes, Cell]:
    """The engine's rows by the codes of their axes."""
    columns = {name: values.tolist() for name, values in found.items()}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return {tuple(row[f"d{i}"] for i in range(len(level.grid))): row for row in rows}


def guarded_cells(
    found: Sequence[tuple[Mapping[Codes, Cell], Mapping[Codes, Cell]]], plan: Plan, terms: Terms, secret: bytes
) -> Cells:
    """The whole grid; suppressed cells, and empty ones, are zero in every field but key and status.

    `found` has, for each level, every cell that has rows as the first look saw it, and exactly at least those
    that `settled` does not settle.
    """
    cells = np.zeros(plan.shape.cells, plan.shape.dtype)
    cells["key"] = np.arange(plan.shape.cells, dtype=np.uint64)
    cells["status"] = SUPPRESSED
    for (seen, exact), level in zip(found, plan.levels, strict=True):
        for key, (codes, cell) in zip(_positions(list(seen), level), seen.items(), strict=True):
            held = bounded(cell, plan.parts)
            if codes in exact:
                held = {**exact[codes], **{name: held[name] for name in held if name[0] in "tu"}}
            if releasable(held, len(plan.parts), terms):
                cells["status"][key] = RELEASED
                cells["values"][key] = [noised(held, i, part, secret) for i, part in enumerate(plan.parts)]
    return cells


def bounded(cell: Cell, parts: Sequence[Part]) -> dict[str, int]:
    """A cell of the first look as an exact one: at least so many entities, and, where the bound is good enough,
    two largest of at most so much.

    An entity has at most `most` rows in the cell, and adds at most `most` times the largest value of a row. The
    bound stands in for the exact figure where twice of it is at most a FREE-th of the total; whether it does
    depends on the cell's records alone, not on what else is asked of them, so that the noise does neither.
    """
    held = {"entities": -(-cell["rows"] // max(1, cell["most"]))}
    for i, part in enumerate(parts):
        most = max(1, cell[f"m{i}"])
        held |= {f"v{i}": cell[f"v{i}"], f"k{i}": cell[f"k{i}"]}
        if part.total is Total.ENTITIES:
            held[f"n{i}"] = cell[f"v{i}"]
            held["entities"] = max(held["entities"], cell[f"v{i}"])
            continue
        held |= {f"n{i}": -(-cell[f"n{i}"] // most), f"a{i}": cell.get(f"a{i}", cell[f"v{i}"])}
        largest = most * cell.get(f"x{i}", 1)
        if 2 * largest * FREE <= held[f"a{i}"]:
            held |= {f"t{i}": largest, f"u{i}": largest}
    return held


def settled(cell: Cell, parts: Sequence[Part], terms: Terms) -> bool:
    """Whether the first look settles a cell: it surely has too few entities, or is surely released."""
    if min([cell["rows"], *(cell[f"n{i}"] for i in range(len(parts)))]) < max(1, terms.threshold):
        return True
    held = bounded(cell, parts)
    free = all(f"t{i}" in held for i, part in enumerate(parts) if part.total is not Total.ENTITIES)
    return free and releasable(held, len(parts), terms)


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

    s, `two_largest`, is the sum of the two largest entities' absolute contributions. z is (popcount of 64 bits - 32)
    / 8: mean 0, variance 1/4, largest 4. So the noise is about as large as one large entity. Another scale
    draws another z: two releases of one total, with one z at two scales, would be two equations for it.
    """
    drawn = _bits(secret, key, f"{name} {two_largest}") & (1 << MAGNITUDE_BITS) - 1
    centred = drawn.bit_count() - MAGNITUDE_BITS // 2
    return half_even(two_largest * centred, 8)


def half_even(numerator: int, denominator: int) -> int:
    """The quotient rounded half to even, without a float; `denominator` is positive and even."""
    quotient, rest = divmod(numerator, denominator)
    half = denominator // 2
    return quotient + (rest > half or (rest == half and quotient % 2 == 1))


def _bits(secret: bytes, key: int, name: str) -> int:
    """256 bits fixed by the secret, the sum of the contributing rows' keys and what is noised."""
    return int.from_bytes(hmac.digest(secret, key.to_bytes(8, "big") + name.encode(), "sha256"), "big")


def _keys(found: Found, level: Level) -> npt.NDArray[np.int64]:
    """Each group's index in the levels' grids: mixed radix over its positions, the last axis fastest."""
    if not level.grid:
        return np.full(1, level.first, np.int64)
    keys = np.zeros(len(found["d0"]), np.int64)
    for i, codes in enumerate(level.grid):
        keys = keys * len(codes) + np.searchsorted(np.array(codes), np.ma.getdata(found[f"d{i}"]))
    return keys + level.first


def _positions(cells: Sequence[Codes], level: Level) -> list[int]:
    """The same for cells given by their codes."""
    columns = {f"d{i}": np.array([codes[i] for codes in cells], np.int64) for i in range(len(level.grid))}
    keys: list[int] = _keys(columns, level).tolist()
    return keys if cells else []
