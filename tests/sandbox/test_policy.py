"""The holder's law at the node: what it refuses, whoever asks, and what it cannot say."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.errors import Problem
from exchange.sandbox.node import policy
from exchange.sandbox.node.home import BadConfiguration
from exchange.sandbox.node.judge import check_validity
from exchange.sandbox.orders import Order, OrderKind
from exchange.sandbox.query import Profile
from exchange.sandbox.schema import Column, Kind, Role, Schema
from exchange.sandbox.terms import Terms

LAW = b"""
[populations.aircraft]
profile = "guarded"
entity = "tailnum"
threshold = 10
queries = 1000

[populations.weather]
profile = "open"

[resources.flights]
population = "aircraft"
columns = ["carrier", "month", "dep_delay"]

[resources.stations]
population = "weather"
columns = ["origin"]

[exchanges.sluice]
x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
"""
SCHEMA = Schema(
    (
        Column("carrier", Kind.STRING, Role.DIMENSION, domain=("AA", "UA")),
        Column("dep_delay", Kind.INTEGER, Role.MEASURE, low=-60, high=600),
        Column("tailnum", Kind.STRING, Role.ENTITY),
    )
)
GOOD = Order(
    id="1", exchange="sluice", node="transport", issued_at=100, expires_at=200, kind=OrderKind.QUERY,
    resource="flights", snapshot="s1", terms=Terms("guarded", 10), columns=("carrier", "dep_delay"),
)  # fmt: skip


def test_it_lets_an_order_within_the_law_pass():
    population = policy.check(policy.parse(LAW), GOOD, SCHEMA)
    assert (population.name, population.queries) == ("aircraft", 1000)


REFUSALS = [
    ("a resource it does not name", replace(GOOD, resource="salaries"), "policy_refused"),
    ("no terms", replace(GOOD, terms=None), "field_invalid"),
    ("a profile nobody knows", replace(GOOD, terms=Terms("secret", 10)), "field_invalid"),
    ("a softer profile", replace(GOOD, terms=Terms("open", 10)), "profile_too_weak"),
    ("a lower threshold", replace(GOOD, terms=Terms("guarded", 9)), "policy_refused"),
    ("a softer dominance", replace(GOOD, terms=Terms("guarded", 10, dominance=9001)), "policy_refused"),
    ("a softer p-ratio", replace(GOOD, terms=Terms("guarded", 10, p_ratio=999)), "policy_refused"),
    ("a column it does not offer", replace(GOOD, columns=("carrier", "dest")), "policy_refused"),
]


@pytest.mark.parametrize(("what", "order", "code"), REFUSALS, ids=[row[0] for row in REFUSALS])
def test_it_refuses(what, order, code):
    with pytest.raises(Problem) as refused:
        policy.check(policy.parse(LAW), order, SCHEMA)
    assert refused.value.code == code


def test_stricter_terms_than_the_law_asks_for_pass():
    terms = Terms("guarded", 50, dominance=5000, p_ratio=5000)
    assert policy.check(policy.parse(LAW), replace(GOOD, terms=terms), SCHEMA).name == "aircraft"


def test_the_protected_entity_may_be_named_to_be_counted():
    assert policy.check(policy.parse(LAW), replace(GOOD, columns=("carrier", "tailnum")), SCHEMA)


@pytest.mark.parametrize("entity", [None, "pilot"])
def test_it_refuses_a_snapshot_that_does_not_protect_the_entity(entity):
    columns = SCHEMA.columns[:2] + ((Column(entity, Kind.STRING, Role.ENTITY),) if entity else ())
    with pytest.raises(Problem, match="policy_refused"):
        policy.check(policy.parse(LAW), GOOD, Schema(columns))


def test_an_open_population_needs_no_entity():
    order = replace(GOOD, resource="stations", terms=Terms("open"), columns=("origin",))
    assert policy.check(policy.parse(LAW), order, Schema(SCHEMA.columns[:2])).profile is Profile.OPEN


def test_an_order_in_its_time_for_this_node_is_valid():
    check_validity(GOOD, "transport", GOOD.expires_at - 1)


@pytest.mark.parametrize(("order", "now"), [(GOOD, 200), (replace(GOOD, node="health"), 150)])
def test_an_expired_order_and_another_nodes_order_are_not(order, now):
    with pytest.raises(Problem, match="node_refused"):
        check_validity(order, "transport", now)


def test_the_digest_is_that_of_the_file():
    changed = LAW.replace(b"1000", b"2000")
    assert policy.parse(LAW).digest == policy.parse(LAW).digest != policy.parse(changed).digest


def test_exchanges_are_known_by_key_id_and_name():
    law = policy.parse(LAW)
    assert law.keys.keys() == law.names.keys()
    assert list(law.names.values()) == ["sluice"]


MISTAKES = [
    (b"not toml [", "policy.toml:"),
    (b"\xff\xfe", "policy.toml:"),
    (b"[rules]\na = 1", "unknown table 'rules'"),
    (b"populations = 3", "populations is no table"),
    (b"[populations.p]\nprofile = 'soft'", "profile is one of"),
    (b"[populations.p]", "profile is one of"),
    (b"[populations.p]\nprofile = 'guarded'\nthreshold = 10\nqueries = 5", "needs entity and queries"),
    (b"[populations.p]\nprofile = 'guarded'\nentity = 'e'\nthreshold = 10", "needs entity and queries"),
    (b"[populations.p]\nprofile = 'guarded'\nentity = 'e'\nthreshold = 1\nqueries = 5", "at least 2"),
    (b"[populations.p]\nprofile = 'private'\nentity = 'e'\nqueries = 5", "needs entity and rho"),
    (b"[populations.p]\nprofile = 'private'\nentity = 'e'\nrho = 5\ndelta = 3", "delta is n for"),
    (
        b"[populations.p]\nprofile = 'private'\nentity = 'e'\nrho = 5\n"
        b"[resources.r]\npopulation = 'p'\ncolumns = ['a']",
        "most_rows declares",
    ),
    (b"[populations.p]\nprofile = 'open'\nqueries = -1", "queries is not negative"),
    (b"[populations.p]\nprofile = 'open'\nqueries = 1.5", "queries is no int"),
    (b"[populations.p]\nprofile = 'open'\nqueries = true", "queries is no int"),
    (b"[populations.p]\nprofile = 'open'\nquerys = 5", "unknown setting 'querys'"),
    (b"[populations.'../p']\nprofile = 'open'", "its name is no good"),
    (b"[resources.r]\npopulation = 'nobody'\ncolumns = ['a']", "names none of the populations"),
    (b"[populations.p]\nprofile = 'open'\n[resources.r]\npopulation = 'p'", "columns is a list"),
    (b"[populations.p]\nprofile = 'open'\n[resources.r]\npopulation = 'p'\ncolumns = [1]", "columns is a list"),
    (b"[exchanges.e]\nx = 'short'", "no Ed25519 public key"),
    (b"[exchanges.e]", "no Ed25519 public key"),
]


@pytest.mark.parametrize(("data", "says"), MISTAKES, ids=[row[1] for row in MISTAKES])
def test_a_mistake_in_the_law_is_named(data, says):
    with pytest.raises(BadConfiguration) as refused:
        policy.parse(data)
    assert says in str(refused.value)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_whatever_the_file_holds_it_is_a_law_or_a_mistake(data):
    try:
        law = policy.parse(data)
    except BadConfiguration:
        return
    assert law.resources == {} == law.exchanges
