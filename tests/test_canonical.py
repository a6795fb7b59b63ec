"""Canonical JSON is RFC 8785's, whichever of the two encoders writes it."""

import json

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from exchange.crypto.canonical import canonical
from exchange.sandbox.orders import Outcome

PLAIN = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text()
ANY = st.recursive(
    PLAIN | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
)


@given(ANY)
@example({"\ue000": 1, "\U00010000": 2})  # these two keys sort otherwise in UTF-16 than in UTF-8
@example({"a\u2028": '\u2028\x7f\x00\x1f"\\/'})
@example({"b": 1.0, "a": 1e21})
@example({"b": {"d": Outcome.RELEASED, "c": True}, "a": ()})
def test_it_is_what_the_standards_own_library_writes(value):
    assert canonical(value) == rfc8785.dumps(value)
    assert json.loads(canonical(value)) == json.loads(rfc8785.dumps(value))


@pytest.mark.parametrize(
    "value", [2**53, -(2**53), [10**30], float("nan"), {"a": float("inf")}, "\ud800", {"\ud800": 1}]
)
def test_what_json_cannot_say_is_refused(value):
    with pytest.raises(ValueError):  # noqa: PT011 (each library has its own subclasses)
        canonical(value)


@pytest.mark.parametrize("value", [{1: 2}, {"a": {2, 3}}, b"x", object()])
def test_what_is_no_json_is_refused(value):
    with pytest.raises((ValueError, TypeError)):
        canonical(value)
