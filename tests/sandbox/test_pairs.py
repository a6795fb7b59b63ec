"""Joins by the entity: two products about one population, of which the joined one has one row for each entity."""

import json
from dataclasses import replace
from typing import Any

import pytest

from exchange.errors import Problem
from exchange.sandbox import plan, query, sql
from exchange.sandbox.node import judge, policy
from exchange.sandbox.node.home import BadConfiguration, Settings
from exchange.sandbox.orders import Joined, Order, OrderKind
from exchange.sandbox.query import Bound, Join, Profile
from exchange.sandbox.schema import Column, Kind, Manifest, Role, Schema, manifest_from_json
from exchange.sandbox.terms import Terms, strictest
from tests.sandbox.pairs import REGISTRY, SALES

GUARDED = Terms("guarded", 10)
MAIN = Manifest("sales", "s1", SALES, rows=4_000, entities=300, population="firms")
SIDE = Manifest("registry", "s2", REGISTRY, rows=340, entities=340, population="firms", one_row=True)
TOWNS = Manifest(
    "towns", "s3", Schema((Column("name", Kind.STRING, Role.DIMENSION, ("east", "west")),
                           Column("coast", Kind.BOOLEAN, Role.DIMENSION, (True, False)))), rows=2, unique=("name",),
)  # fmt: skip
OTHERS = {"registry": SIDE, "towns": TOWNS}
BY_SECTOR = "SELECT sector, COUNT(*) FROM sales JOIN registry USING (firm) GROUP BY sector"


def bound(asked: Any, profile: Profile = Profile.GUARDED, others: dict[str, Manifest] | None = None) -> Bound:
    question = sql.parse(asked) if isinstance(asked, str) else query.parse_json(asked)
    return query.bind(question, SALES, profile, OTHERS if others is None else others)


def refusal(asked: Any, **changes: Any) -> Problem:
    """How it is refused, by its words or by the snapshots it is about."""
    others = {"registry": replace(SIDE, **changes), "towns": TOWNS, "more": replace(SIDE, resource="more")}
    with pytest.raises(Problem) as caught:
        found = bound(asked, others=others)
        query.joined(MAIN, found.query.joins, {join.name: others[query.product_of(join)] for join in found.query.joins})
    return caught.value


# The language

SAME = [
    BY_SECTOR,
    "SELECT r.sector, COUNT(*) FROM sales AS s JOIN registry r ON s.firm = r.firm GROUP BY r.sector",
    "SELECT registry.sector, COUNT(*) FROM sales INNER JOIN registry ON registry.firm = sales.firm GROUP BY sector",
    {
        "product": "sales", "join": [{"product": "registry", "on": {"firm": "firm"}}],
        "dimensions": ["registry.sector"], "measures": [{"function": "count"}],
    },
]  # fmt: skip


@pytest.mark.parametrize("asked", SAME, ids=[0, 1, 2, "json"])
def test_a_join_by_the_entity_is_one_query_however_it_is_written(asked: Any) -> None:
    found = bound(asked).query
    assert found.joins == (Join("registry", "firm", "firm"),)
    assert found == bound(BY_SECTOR).query
    carried = json.loads(json.dumps(query.to_json(found)))
    assert query.from_json(carried, query.joined(MAIN, found.joins, OTHERS).schema, GUARDED) == found


@pytest.mark.parametrize("written", ["firm", "s.firm", "r.firm"])
def test_the_entity_has_one_name_in_the_rows_that_match(written: str) -> None:
    text = f"SELECT COUNT(DISTINCT {written}) FROM sales s JOIN registry r ON s.firm = r.firm"
    assert [measure.name for measure in bound(text).query.measures] == ["count_distinct_firm"]


def test_where_rows_are_kept_without_a_match_the_other_tables_entity_is_nobodys_name() -> None:
    text = "SELECT sector, COUNT(DISTINCT r.firm) FROM sales LEFT JOIN registry r USING (firm) GROUP BY sector"
    assert refusal(text).code == "column_unknown"


def test_an_open_product_is_joined_beside_it() -> None:
    text = """SELECT sector, coast, COUNT(*) FROM sales JOIN towns ON town = name LEFT JOIN registry USING (firm)
              GROUP BY sector, coast"""
    found = bound(text).query
    assert found.joins == (Join("registry", "firm", "firm", inner=False), Join("towns", "town", "name"))
    assert query.joined(MAIN, found.joins, OTHERS).looked_up == 2 + 2 + 2


JOIN = "SELECT sector, COUNT(*) FROM sales JOIN registry ON {} GROUP BY sector"
REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    (BY_SECTOR, {"one_row": False}, "join_not_allowed", "ask FROM it"),
    (BY_SECTOR, {"population": ""}, "join_not_allowed", "takes the data in again"),
    (BY_SECTOR, {"population": "people"}, "join_not_allowed", "about one population"),
    (JOIN.format("sales.firm = registry.sector"), {}, "join_not_allowed", "ON the entity of both"),
    (JOIN.format("town = registry.firm"), {}, "join_not_allowed", "one of its dimensions"),
    (JOIN.format("town = sector"), {}, "join_not_allowed", "one of its dimensions"),
    (JOIN.format("amount = registry.firm"), {}, "join_not_allowed", "one of its dimensions"),
    (BY_SECTOR.replace("JOIN", "LEFT JOIN more m USING (firm) JOIN").replace("sector", "registry.sector"), {},
     "join_not_allowed", "about one population"),
    ("SELECT COUNT(*) FROM sales LEFT JOIN registry USING (firm)", {}, "join_not_allowed", "leave it out"),
    (BY_SECTOR.replace("COUNT(*)", "SUM(staff)"), {}, "column_not_measure", "amount"),
    (BY_SECTOR.replace("COUNT(*)", "AVG(staff)"), {}, "column_not_measure", "amount"),
    (BY_SECTOR.replace("GROUP", "WHERE staff > 3 GROUP"), {}, "filter_not_allowed", "sector"),
    (BY_SECTOR.replace("GROUP", "WHERE registry.firm = 'f1' GROUP"), {}, "filter_not_allowed", "sector"),
    (BY_SECTOR.replace("COUNT(*)", "COUNT(DISTINCT sector)"), {}, "column_not_measure", "firm"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "changes", "code", "hint"), REFUSED)
def test_every_other_join_of_protected_products_is_refused(
    text: str, changes: dict[str, Any], code: str, hint: str
) -> None:
    problem = refusal(text, **changes)
    assert problem.code == code
    assert hint in problem.hint


def test_open_data_with_entities_in_them_are_about_nobody() -> None:
    """They may have a column for one, which nothing protects and nothing matches."""
    others = {"registry": replace(SIDE, population="")}
    with pytest.raises(Problem, match="join_not_allowed"):
        bound(BY_SECTOR, Profile.OPEN, others)


def test_on_private_what_is_joined_is_summed_and_filtered_by_too() -> None:
    text = "SELECT SUM(staff), MEDIAN(staff) FROM sales JOIN registry USING (firm) WHERE staff > 10"
    assert {measure.column for measure in bound(text, Profile.PRIVATE).query.measures} == {"registry.staff"}


# What is public of it


def test_an_older_manifest_says_nothing_and_a_new_one_what_a_join_needs() -> None:
    older = {name: value for name, value in SIDE.to_json().items() if name not in ("population", "one_row")}
    assert (manifest_from_json(older).population, manifest_from_json(older).one_row) == ("", False)
    for counts in (True, False):
        published = manifest_from_json(SIDE.published(counts).to_json())
        assert (published.population, published.one_row) == ("firms", True)


def test_deadline_and_memory_follow_from_public_numbers_of_both() -> None:
    asked = bound(BY_SECTOR).query
    small, large = (query.joined(MAIN, asked.joins, {"registry": replace(SIDE, rows=rows)}) for rows in (340, 10**6))
    assert (small.matched, large.matched) == (340 + 300, 10**6 + 300)
    assert plan.deadline(asked, large, GUARDED, 10**6, 0) > 10 * plan.deadline(asked, small, GUARDED, 10**6, 0)
    grown = plan.memory(asked, large, GUARDED, 2) - plan.memory(asked, small, GUARDED, 2)
    assert grown >= 90 * (10**6 - 340), "measured: less than 90 bytes for each entity and row"


def test_on_private_deadline_and_memory_follow_from_the_numbers_that_the_holder_declares() -> None:
    law = (
        LAW.replace('"guarded"', '"private"').replace("queries = 100", "rho = 1_000_000").replace("threshold = 10", "")
    )
    terms, published = Terms("private", rows=3, rho=1_000), {"registry": SIDE.published(counts=False)}
    asked = bound(BY_SECTOR, Profile.PRIVATE).query
    order = Order(
        "1", "sluice", "n", 1, 2, OrderKind.QUERY, "sales", "s1", terms, query.to_json(asked), ("town", "firm"),
        joins=(Joined("registry", "registry", "s2", ("sector", "firm")),),
    )  # fmt: skip

    def task(sales: int, registered: int) -> judge.Task:
        first, *rest = law.split("columns")  # of sales, visits and the registry
        declared = zip((sales, 5, registered), rest, strict=True)
        text = first + "".join(f"most_rows = {rows}\ncolumns{after}" for rows, after in declared)
        capacity = Settings("n", rows_per_second=10**6)
        return judge.task(order, policy.parse(text.encode()), MAIN.published(counts=False), capacity, published)

    assert task(100_000, 100_000).deadline > task(100_000, 1_000).deadline > task(1_000, 1_000).deadline
    with pytest.raises(Problem, match="query_too_large"):
        task(1_000, 10_000_000)


def test_of_several_products_the_strictest_terms_rule() -> None:
    one, other = Terms("guarded", 10, 8000, 1000), Terms("guarded", 20, 9000, 1500)
    assert strictest([one, other]) == strictest([other, one]) == Terms("guarded", 20, 8000, 1500)
    private, other = Terms("private", rows=5, rho=300), Terms("private", rows=3, rho=900)
    assert strictest([private, other]) == Terms("private", rows=3, rho=300)
    assert strictest([one, private]) == Terms("private", 10, 8000, 1000, rows=5, rho=300)
    assert strictest([one, Terms("open")]) == one


# The holder's law

LAW = """
[populations.firms]
profile = "guarded"
entity = "firm"
threshold = 10
queries = 100
[populations.others]
profile = "guarded"
entity = "firm"
threshold = 10
queries = 100
[populations.air]
profile = "open"
[resources.sales]
population = "firms"
columns = ["town", "amount"]
joins = ["registry"]
[resources.visits]
population = "firms"
columns = ["town"]
[resources.registry]
population = "firms"
columns = ["sector"]
one_row = true
"""


def test_the_law_says_for_each_resource_what_may_be_joined_to_it() -> None:
    law = policy.parse(LAW.encode())
    policy.check_joined(law, "sales", Joined("r", "registry", "s", ("sector", "firm")))
    for resource, joined in (("visits", "registry"), ("registry", "sales"), ("sales", "visits")):
        with pytest.raises(Problem, match="join_not_allowed"):
            policy.check_joined(law, resource, Joined("r", joined, "s", ("town",)))
    with pytest.raises(Problem, match="policy_refused"):
        policy.check_joined(law, "sales", Joined("r", "registry", "s", ("sector", "staff")))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('joins = ["registry"]', 'joins = ["sales"]', "sales is no other resource"),
        ('joins = ["registry"]', 'joins = ["nothing"]', "nothing is no other resource"),
        ('joins = ["registry"]', "joins = [1]", "joins is a list of resources"),
        ('joins = ["registry"]', 'joins = ["visits"]', "visits is not of the same population with one_row"),
        ('columns = ["sector"]\n', 'columns = ["sector"]\njoins = 3\n', "joins is no list"),
        ("one_row = true", "", "registry is not of the same population with one_row"),
        ("one_row = true", "one_row = 1", "one_row is no bool"),
        ('"firms"\ncolumns = ["sector"]', '"others"\ncolumns = ["sector"]', "not of the same population"),
        ('"firms"\ncolumns = ["sector"]', '"air"\ncolumns = ["sector"]', "nobody is protected here"),
    ],
)
def test_a_law_that_would_join_what_cannot_be_joined_is_none(old: str, new: str, says: str) -> None:
    assert LAW.count(old) == 1
    with pytest.raises(BadConfiguration) as refused:
        policy.parse(LAW.replace(old, new).encode())
    assert says in str(refused.value)
