"""Tariffs and rating."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licensing.tariff import MOST, Tariff, from_json
from settlement.rating import rate, total

parts = st.integers(0, MOST)


@given(parts, parts, st.integers(0, 10**6), st.integers(0, 10**6))
def test_the_lines_sum_to_calls_and_cells_times_their_prices(call: int, cell: int, calls: int, cells: int) -> None:
    assert total(rate(Tariff(call, cell), calls, cells)) == call * calls + cell * cells


def test_what_costs_nothing_has_no_line() -> None:
    assert rate(Tariff(0, 2), calls=1, cells=3)[0].what == "cell"
    assert rate(Tariff(0, 0), calls=1, cells=3) == ()


@pytest.mark.parametrize("value", [
    {"per_call": -1}, {"per_cell": 1.5}, {"per_call": True}, {"per_call": "1"}, {"per_call": MOST + 1}, {"per_row": 1},
])  # fmt: skip
def test_a_tariff_that_is_none_is_refused(value: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="tariff"):
        from_json(value)


def test_parts_left_out_are_free() -> None:
    assert from_json({"per_cell": 3}) == Tariff(0, 3)
