"""What the gate takes for an order at all, and what it runs."""

import base64
from dataclasses import asdict, replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.crypto import jws
from exchange.crypto.keys import signing_key
from exchange.errors import Problem
from exchange.sandbox.node import judge, policy
from exchange.sandbox.node.home import Settings
from exchange.sandbox.orders import ORDER_TYPE, Order, OrderKind, read_order
from exchange.sandbox.schema import Column, Kind, Manifest, Role, Schema
from exchange.sandbox.terms import Terms
from tests.sandbox.test_policy import LAW

KEY = signing_key(Ed25519PrivateKey.generate())
KEYS = {KEY.kid: KEY.public}
CLAIMS = {
    "jti": "1", "iss": "sluice", "aud": "transport", "iat": 1, "exp": 2, "v": 1, "kind": "query",
    "resource": "flights", "snapshot": "s1", "terms": asdict(Terms("guarded", 10)), "query": {},
    "columns": ["carrier"], "since": 0, "seen": "",
}  # fmt: skip


def read(claims: dict) -> Order:
    order = read_order(jws.sign(claims, KEY, ORDER_TYPE), KEYS)
    judge.check_form(order)
    return order


def test_a_well_formed_order_is_read():
    assert read(CLAIMS).resource == "flights"


MISSHAPEN = [
    ("jti", ""),
    ("jti", "x" * 65),
    ("jti", 1),
    ("jti", "é"),
    ("iat", "1"),
    ("exp", True),
    ("exp", 1.5),
    ("since", -1),
    ("kind", "drop"),
    ("kind", ["query"]),
    ("snapshot", None),
    ("columns", [1]),
    ("columns", 3),
    ("terms", ["guarded"]),
    ("terms", {"profile": "guarded", "noise": 0}),
    ("terms", {"profile": 1}),
    ("terms", {"profile": "guarded", "threshold": "10"}),
]


@pytest.mark.parametrize(("claim", "value"), MISSHAPEN)
def test_a_signed_thing_of_another_shape_is_no_order(claim, value):
    with pytest.raises(jws.BadSignature):
        read(CLAIMS | {claim: value})


@pytest.mark.parametrize("claim", sorted(CLAIMS.keys() - {"v"}))
def test_an_order_lacks_nothing(claim):
    with pytest.raises(jws.BadSignature):
        read({name: value for name, value in CLAIMS.items() if name != claim})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(CLAIMS)), json_values)
def test_whatever_a_claim_says_it_is_an_order_or_none(claim, value):
    try:
        assert isinstance(read(CLAIMS | {claim: value}), Order)
    except jws.BadSignature:
        return


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80) | st.binary(max_size=80).map(lambda data: data.decode("latin-1")))
def test_what_nobody_signed_is_no_order(token):
    with pytest.raises(jws.BadSignature):
        read_order(token, KEYS)


def test_a_header_nested_without_end_is_no_order():
    header = base64.urlsafe_b64encode(b"[" * 100_000).rstrip(b"=").decode()
    with pytest.raises(jws.BadSignature):
        read_order(f"{header}.e30.AA", KEYS)


SCHEMA = Schema(
    (
        Column("carrier", Kind.STRING, Role.DIMENSION, domain=("AA", "UA")),
        Column("month", Kind.INTEGER, Role.DIMENSION, domain=(1, 2, 3)),
        Column("dep_delay", Kind.INTEGER, Role.MEASURE, low=-60, high=600),
        Column("tailnum", Kind.STRING, Role.ENTITY),
    )
)
MANIFEST = Manifest("flights", "s1", SCHEMA, rows=100_000, entities=900)
COUNT = {"measures": [{"function": "count", "column": None}], "dimensions": ["carrier"], "where": None}
ORDER = Order(
    "1", "sluice", "transport", 1, 2, OrderKind.QUERY, "flights", "s1", Terms("guarded", 10), COUNT, ("carrier",)
)


def task(order: Order, rows: int = 100_000, entities: int = 900) -> judge.Task:
    manifest, settings = replace(MANIFEST, rows=rows, entities=entities), Settings("transport", rows_per_second=10**6)
    return judge.task(order, policy.parse(LAW), manifest, settings)


def test_a_task_knows_its_grid_and_its_deadline():
    found = task(ORDER)
    assert (found.shape.cells, found.shape.complete, found.population.name) == (3, True, "aircraft")
    assert found.deadline > 0


def test_the_deadline_follows_from_what_is_public():
    assert task(ORDER, rows=1_000_000).deadline > task(ORDER).deadline == task(replace(ORDER, id="2")).deadline


def test_a_query_that_some_data_might_not_fit_into_memory_is_refused_for_all_data():
    with pytest.raises(Problem, match="query_too_large"):
        task(ORDER, rows=10_000_000, entities=10_000_000)
    assert task(ORDER, rows=10_000_000, entities=100_000)


def test_the_query_names_no_column_that_the_product_does_not_have():
    with pytest.raises(Problem, match="column_unknown"):
        task(replace(ORDER, query=COUNT | {"dimensions": ["month"]}))


def test_the_same_query_under_the_same_terms_is_the_same_plan():
    stricter = replace(ORDER, terms=Terms("guarded", 20))
    assert task(ORDER).plan == task(replace(ORDER, id="2", issued_at=5)).plan != task(stricter).plan
    assert task(ORDER).plan != task(replace(ORDER, snapshot="s2")).plan
