"""What leaves the vault: who is enough, who dominates, and noise that is fixed by the records."""

import math
from collections.abc import Mapping
from fractions import Fraction
from statistics import fmean, pvariance
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.sandbox import plan
from exchange.sandbox.disclosure import (
    cells_of,
    count_noise,
    dominated,
    guarded_cells,
    half_even,
    magnitude_noise,
    open_cells,
)
from exchange.sandbox.frames import RELEASED, SUPPRESSED, Cells
from exchange.sandbox.plan import Plan
from exchange.sandbox.query import AggregateQuery, Function, Measure
from exchange.sandbox.schema import Column, Kind, Manifest, Role, Schema
from exchange.sandbox.terms import Terms

SECRET = b"noise"
TERMS = Terms("guarded", threshold=10)
SCHEMA = Schema(
    (
        Column("who", Kind.STRING, Role.ENTITY),
        Column("g", Kind.STRING, Role.DIMENSION, ("a", "b", "c")),
        Column("x", Kind.INTEGER, Role.MEASURE, low=-1000, high=1000),
    )
)
MANIFEST = Manifest("r", "s", SCHEMA, rows=1_000_000, entities=50_000)
QUERY = AggregateQuery(
    (Measure(Function.COUNT), Measure(Function.COUNT_DISTINCT, "who"), Measure(Function.SUM, "x")), ("g",)
)
GUARDED = plan.compile(QUERY, MANIFEST, TERMS)
DRAWS = 20_000

keys = st.integers(0, 2**40)
masses = st.lists(st.integers(0, 10**9), min_size=1, max_size=30)


def found(*cells: dict[str, int]) -> dict[str, Any]:
    return {name: np.array([cell[name] for cell in cells]) for name in cells[0]}


def cell(code: int = 1, entities: int = 40, largest: int = 100, key: int = 7) -> dict[str, int]:
    """A cell of equal entities, each with one row and the value `largest`, as the engine would find it."""
    total = entities * largest
    return {
        "d0": code, "entities": entities,
        "v0": entities, "a0": entities, "t0": 1, "u0": 1, "k0": key,
        "v1": entities, "k1": key,
        "v2": total, "a2": total, "t2": largest, "u2": largest, "n2": entities, "k2": key,
    }  # fmt: skip


def release(*cells: dict[str, int], secret: bytes = SECRET, terms: Terms = TERMS) -> Cells:
    """As if the first look had proved nothing, and all were asked again."""
    exact = cells_of(found(*cells), GUARDED.levels[0])
    seen = {codes: look(cell, most=cell["v0"]) for codes, cell in exact.items()}
    return guarded_cells([(seen, exact)], GUARDED, terms, secret)


def look(cell: Mapping[str, int], most: int = 1) -> dict[str, int]:
    """What one pass sees of a cell, with `most` rows of an entity at most."""
    names = ("d0", "v0", "k0", "v1", "k1", "v2", "k2", "a2", "n2")
    everyone = {f"{name}{i}": number for name, number in (("n", cell["v0"]), ("m", most)) for i in range(3)}
    return everyone | {name: cell[name] for name in names} | {"rows": cell["v0"], "most": most, "x2": cell["t2"]}


def spread(noise: Any) -> tuple[float, float, int]:
    drawn = [noise(key) for key in range(DRAWS)]
    return fmean(drawn), pvariance(drawn), max(abs(value) for value in drawn)


def test_the_noise_of_a_number_of_entities_has_mean_0_variance_2_and_largest_4() -> None:
    mean, variance, largest = spread(lambda key: count_noise(SECRET, key, "n"))
    assert abs(mean) < 5 * math.sqrt(2 / DRAWS)
    assert variance == pytest.approx(2, rel=0.05)
    assert largest == 4


def test_the_noise_of_a_sum_has_mean_0_and_a_quarter_of_the_variance_of_its_scale() -> None:
    scale = 1_000_000
    mean, variance, largest = spread(lambda key: magnitude_noise(SECRET, key, "sum_x", scale))
    assert abs(mean) < 5 * scale / 2 / math.sqrt(DRAWS)
    assert variance == pytest.approx(scale**2 / 4, rel=0.05)
    assert largest <= 4 * scale


@given(keys, st.integers(0, 2**60))
def test_noise_never_exceeds_four_times_the_two_largest(key: int, two_largest: int) -> None:
    assert abs(magnitude_noise(SECRET, key, "sum_x", two_largest)) <= 4 * two_largest
    assert abs(count_noise(SECRET, key, "n")) <= 4


@given(st.integers(-(10**12), 10**12), st.integers(1, 100))
def test_noise_rounds_half_to_even(numerator: int, half: int) -> None:
    assert half_even(numerator, 2 * half) == round(Fraction(numerator, 2 * half))


@given(keys, keys)
def test_noise_is_fixed_by_the_records_and_the_secret(one: int, other: int) -> None:
    assert release(cell(key=one)).tobytes() == release(cell(key=one)).tobytes()
    draws = {magnitude_noise(secret, key, "n", 2**40) for secret in (b"a", b"b", b"c", b"d") for key in (one, other)}
    assert len(draws) > 1


def test_measures_of_one_cell_draw_their_own_noise() -> None:
    drawn = [(count_noise(SECRET, k, "a"), count_noise(SECRET, k, "b")) for k in range(2_000)]
    assert abs(np.corrcoef(np.array(drawn).T)[0, 1]) < 0.1


@given(masses, st.integers(0, 10_000), st.integers(0, 10_000))
def test_dominance_is_the_rule_written_out_on_the_list_of_entities(held: list[int], share: int, ratio: int) -> None:
    largest, second, *others = [*sorted(held, reverse=True), 0]
    total = sum(held)
    terms = Terms("guarded", 1, share, ratio)
    by_share = (largest + second) * 10_000 > share * total
    by_ratio = sum(others) * 10_000 < ratio * largest
    assert dominated(total, largest, second, terms) == (by_share or by_ratio)


@given(masses, st.integers(1, 1000))
def test_dominance_does_not_depend_on_the_unit(held: list[int], unit: int) -> None:
    largest, second, *_ = [*sorted(held, reverse=True), 0]
    scaled = dominated(sum(held) * unit, largest * unit, second * unit, TERMS)
    assert scaled == dominated(sum(held), largest, second, TERMS)


@given(st.integers(0, 30))
def test_a_cell_is_released_from_the_threshold_on(entities: int) -> None:
    status = release(cell(entities=entities))["status"][1]
    assert status == (RELEASED if entities >= TERMS.threshold and entities > 2 else SUPPRESSED)


def test_one_dominated_sum_suppresses_the_whole_cell() -> None:
    held = release(cell() | {"t2": 3990, "u2": 5})
    assert held["status"][1] == SUPPRESSED
    assert not held["values"][1].any()


def test_few_contributors_suppress_the_whole_cell() -> None:
    assert release(cell() | {"n2": 9})["status"][1] == SUPPRESSED


@given(st.integers(0, 9), st.integers(1, 10**6), keys)
def test_a_suppressed_cell_tells_nothing_of_what_is_in_it(entities: int, largest: int, key: int) -> None:
    assert release(cell(entities=entities, largest=largest, key=key)).tobytes() == release(cell(entities=0)).tobytes()


@given(st.integers(0, 9), keys)
def test_a_small_cell_and_an_empty_one_are_the_same_bytes(entities: int, key: int) -> None:
    there = release(cell(1), cell(2, entities=entities, key=key))
    assert there.tobytes() == release(cell(1)).tobytes()


@given(st.lists(st.integers(0, 3), unique=True, min_size=1), st.randoms())
def test_the_order_of_the_rows_found_does_not_show(codes: list[int], random: Any) -> None:
    cells = [cell(code, entities=5 * code + 5, key=code) for code in codes]
    shuffled = random.sample(cells, len(cells))
    assert release(*shuffled).tobytes() == release(*cells).tobytes()


@given(st.integers(10, 100), keys)
def test_every_released_value_lies_within_the_shape(entities: int, key: int) -> None:
    values = release(cell(entities=entities, key=key))["values"][1]
    assert all(low <= v <= high for low, v, high in zip(GUARDED.shape.lows, values, GUARDED.shape.highs, strict=True))


def test_counts_are_never_below_zero() -> None:
    lax = Terms("guarded", threshold=1, dominance=10_000, p_ratio=0)
    cells = [cell(entities=2, key=key) | {"v0": 2, "a0": 2, "t0": 1000, "u0": 1000} for key in range(50)]
    values = [release(each, terms=lax)["values"][1] for each in cells]
    assert min(value[0] for value in values) == min(value[1] for value in values) == 0


def test_open_cells_are_sorted_by_key_and_keep_their_nulls() -> None:
    query = AggregateQuery((Measure(Function.COUNT), Measure(Function.SUM, "x")), ("g",))
    compiled: Plan = plan.compile(query, MANIFEST, Terms("open"))
    sums = np.ma.masked_array([5, 6], mask=[False, True])
    cells = open_cells([{"d0": np.array([3, 1]), "v0": np.array([8, 9]), "v1": sums}], compiled)
    assert cells["key"].tolist() == [1, 3]
    assert cells["values"].tolist() == [[9, 0], [8, 5]]
    assert cells["nulls"].tolist() == [2, 0]
