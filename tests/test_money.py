"""Money: shares sum to the line, whatever the amount."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.money import BASIS_POINTS, show, split


@st.composite
def shares(draw: st.DrawFn) -> dict[str, int]:
    cuts = sorted(draw(st.lists(st.integers(0, BASIS_POINTS), max_size=5)))
    edges = [0, *cuts, BASIS_POINTS]
    return {str(i): b - a for i, (a, b) in enumerate(zip(edges, edges[1:], strict=False))}


@given(st.integers(0, 10**15), shares())
def test_the_parts_of_a_split_sum_to_the_amount_and_are_within_one_of_their_due(
    amount: int, by: dict[str, int]
) -> None:
    parts = split(amount, by)
    assert sum(parts.values()) == amount
    assert all(0 <= parts[name] - amount * by[name] // BASIS_POINTS <= 1 for name in by)


@given(st.integers(0, 10**9), shares())
def test_a_party_without_a_share_gets_nothing(amount: int, by: dict[str, int]) -> None:
    assert all(part == 0 for name, part in split(amount, by).items() if by[name] == 0)


def test_ties_go_in_the_order_of_the_shares() -> None:
    assert split(1, {"holder": 5000, "operator": 5000}) == {"holder": 1, "operator": 0}


@pytest.mark.parametrize("by", [{}, {"a": 9999}, {"a": 10001}, {"a": 10100, "b": -100}])
def test_shares_that_are_no_whole_are_refused(by: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="shares"):
        split(100, by)


def test_a_negative_amount_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        split(-1, {"a": BASIS_POINTS})


def test_amounts_are_shown_with_two_digits() -> None:
    assert [show(5), show(123456), show(-1)] == ["0.05 CNY", "1234.56 CNY", "-0.01 CNY"]
