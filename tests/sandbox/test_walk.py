"""The walk that finds a quantile by asking, without noise and with, and the bins that it walks over."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exchange.sandbox import accuracy
from exchange.sandbox.plan import ranks
from exchange.sandbox.schema import Column, Kind, Role
from exchange.sandbox.walk import CLOSINGS, Integers, Walked, steps, walk

POINTS = 10_000  # of 1, as `at` is given


def balances(counts: list[int], at: int, points: Integers) -> Integers:
    """By the definition: rows before each point weigh 1 - α, the others α."""
    found = [sum(counts[:p]) * (POINTS - at) - sum(counts[p:]) * at for p in points.tolist()]
    return np.array(found, np.int64)


def alone(counts: list[int], at: int) -> Walked:
    """The walk over one cell's bins, a power of two of them."""
    halvings = (len(counts) - 1).bit_length()
    return walk(lambda points: balances(counts, at, points), 1, halvings, accuracy.of_balance(0, steps(halvings)))


def rows_of(counts: list[int]) -> list[int]:
    return [number for number, count in enumerate(counts) for _ in range(count)]


USUAL = (
    "inverted_cdf", "averaged_inverted_cdf", "closest_observation", "interpolated_inverted_cdf", "hazen", "weibull",
    "linear", "median_unbiased", "normal_unbiased",
)  # fmt: skip
COUNTS = st.integers(1, 5).flatmap(lambda k: st.lists(st.integers(0, 4), min_size=2**k, max_size=2**k))


@given(COUNTS, st.integers(0, POINTS))
@example([0, 5], POINTS)
@example([2, 0, 0, 2], POINTS // 2)
def test_the_place_is_the_first_bin_by_which_the_fraction_of_rows_has_passed(counts: list[int], at: int) -> None:
    due = next((k for k in range(len(counts)) if sum(counts[: k + 1]) * POINTS >= at * sum(counts)), len(counts) - 1)
    assert alone(counts, at).place.tolist() == [due]


@given(COUNTS.filter(any), st.integers(0, POINTS))
@example([0, 0, 1, 0], 1)
def test_the_interval_holds_the_quantile_by_each_of_the_usual_definitions(counts: list[int], at: int) -> None:
    found = alone(counts, at)
    for method in USUAL:
        value = np.quantile(rows_of(counts), at / POINTS, method=method)  # type: ignore[call-overload]
        assert found.low[0] - 1e-9 <= value <= found.high[0] + 1e-9
    assert found.low[0] <= found.place[0] <= found.high[0]


def test_of_many_rows_the_interval_is_the_quantiles_own_bin() -> None:
    found = alone([100] * 64, 5050)
    assert (found.place[0], found.low[0], found.high[0]) == (32, 32, 32)


@pytest.mark.parametrize("middle", [1024, 2048, 2049, 3000])
def test_both_ends_are_found_also_of_a_quantile_beside_a_point_asked_early(middle: int) -> None:
    """The first point asked is 2048: without the last steps one end would be that of the bounds."""
    counts = np.full(4096, 100)
    counts[:middle] = 100 * (4096 - middle) / middle
    before = np.concatenate([[0], np.cumsum(counts)])

    def exactly(points: Integers) -> Integers:
        return np.asarray(POINTS * before[points] - 5000 * before[-1], np.int64)

    found = walk(exactly, 1, 12, 10 * 100 * POINTS)  # sure from about ten bins away
    assert found.place[0] - 60 < found.low[0] < found.place[0] < found.high[0] < found.place[0] + 60


def test_every_cell_walks_for_itself() -> None:
    cells = [[9, 0, 0, 0], [0, 0, 9, 0], [0, 9, 0, 9], [0, 0, 0, 0]]
    one_by_one = [alone(counts, 7500) for counts in cells]

    def exactly(points: Integers) -> Integers:
        pairs = zip(cells, points, strict=True)
        return np.concatenate([balances(counts, 7500, np.array([point])) for counts, point in pairs])

    together = walk(exactly, 4, 2, POINTS)
    assert together.place.tolist() == [int(each.place[0]) for each in one_by_one]
    assert together.low.tolist() == [int(each.low[0]) for each in one_by_one]
    assert together.high.tolist() == [int(each.high[0]) for each in one_by_one]


@given(st.integers(1, 12), st.lists(st.integers(-(2**63) + 1, 2**63 - 1), min_size=20, max_size=20))
def test_whatever_the_answers_a_walk_asks_as_often_as_it_pays_for_and_stays_inside(
    halvings: int, answers: list[int]
) -> None:
    told = iter(answers)
    asked = []

    def noise(points: Integers) -> Integers:
        asked.append(int(points[0]))
        return np.array([next(told)])

    found = walk(noise, 1, halvings, 1000)
    assert len(asked) == steps(halvings) == halvings + CLOSINGS
    assert min(asked) >= 0 and max(asked) <= 2**halvings
    assert 0 <= found.low[0] <= found.place[0] <= found.high[0] < 2**halvings


def test_where_it_is_hardest_one_interval_in_twenty_misses() -> None:
    """One row in the first of 1,024 bins, in noise a hundred times as large: each step is as likely as another to be
    wrongly sure, and to no other side. 20,000 walks; the share of them has a standard error of 0.0015."""
    sigma, cells, draw = 1_000_000.0, 20_000, np.random.default_rng(6)

    def noisy(points: Integers) -> Integers:
        return 5_000 + np.rint(draw.normal(0, sigma, cells)).astype(np.int64)

    found = walk(noisy, cells, 10, accuracy.of_balance(sigma, steps(10)))
    missed = float(np.mean(found.low > 0))
    assert 0.03 < missed < 0.05 + 5 * 0.0015


# --- Bins


@given(st.integers(-(2**53), 2**53 - 2), st.integers(1, 2**54), st.integers(2, 4096))
@example(1, 13, 4096)
@example(0, 1, 4096)
@example(0, 4096, 4096)
def test_the_bins_are_the_bounds_cut_into_few_enough_equal_pieces(low: int, width: int, most: int) -> None:
    bins = ranks.bins_of(Column("m", Kind.INTEGER, Role.MEASURE, low=low, high=low + width), most)
    assert bins.number <= most and 2 ** (bins.halvings - 1) < bins.number <= 2**bins.halvings
    assert (bins.first(0), bins.last(bins.number - 1)) == (low, low + width)
    numbers = sorted({0, 1, bins.number // 2, bins.number - 2, bins.number - 1} & set(range(bins.number)))
    for one, other in pairwise(numbers):
        assert bins.last(one) < bins.first(other)
        assert other > one + 1 or bins.last(one) + 1 == bins.first(other)
    assert all(bins.first(n) <= bins.middle(n) <= bins.last(n) for n in numbers)
    assert width >= most or bins.size == 1
