"""Joins: an open table that is unique per key is a public function of its key, and nothing more can be joined."""

import json
from dataclasses import replace
from typing import Any

import pytest

from exchange.errors import Problem
from exchange.sandbox import plan, query, sql
from exchange.sandbox.derived import Rule
from exchange.sandbox.query import Bound, Join, Profile
from exchange.sandbox.schema import Column, Kind, Manifest, Role, Schema
from exchange.sandbox.terms import Terms

# A product, and places that can be joined to it

SALES = Manifest(
    "sales",
    "s1",
    Schema(
        (
            Column("shop", Kind.STRING, Role.DIMENSION, ("a", "b", "c", "d")),
            Column("code", Kind.INTEGER, Role.DIMENSION, (1, 2)),
            Column("amount", Kind.INTEGER, Role.MEASURE, low=-5, high=100),
        )
    ),
    rows=40,
)
PLACES = Manifest(
    "places_of_shops",
    "s2",
    Schema(
        (
            Column("id", Kind.STRING, Role.DIMENSION, ("d", "b", "x", "a")),
            Column("town", Kind.STRING, Role.DIMENSION, ("east", "west", "north")),
            Column("side", Kind.STRING, Role.DIMENSION, derived=Rule("town", map=(("east", "sun"), ("west", "sun")))),
            Column("code", Kind.INTEGER, Role.DIMENSION, (7, 8)),
            Column("size", Kind.INTEGER, Role.MEASURE, low=0, high=9),
        )
    ),
    rows=5,
    unique=("id",),
)
OTHERS = {"places": PLACES}
OPEN = Terms("open")


def bound(text: str, profile: Profile = Profile.OPEN) -> Bound:
    return query.bind(sql.parse(text), SALES.schema, profile, OTHERS)


def refusal(asked: Any, profile: Profile = Profile.OPEN, others: dict[str, Manifest] | None = None) -> Problem:
    with pytest.raises(Problem) as caught:
        question = sql.parse(asked) if isinstance(asked, str) else query.parse_json(asked)
        query.bind(question, SALES.schema, profile, OTHERS if others is None else others)
    return caught.value


# The language

SAME = [
    "SELECT places.town, COUNT(*) FROM sales JOIN places ON sales.shop = places.id GROUP BY places.town",
    "SELECT p.town, COUNT(*) FROM sales AS s INNER JOIN places p ON p.id = s.shop GROUP BY p.town",
    "SELECT town, COUNT(*) FROM sales JOIN places ON (shop = id) GROUP BY town",
    "SELECT TOWN, COUNT(*) FROM sales s JOIN places ON s.shop = id GROUP BY Places.Town",
]
BY_TOWN = {
    "product": "sales",
    "join": [{"product": "places", "on": {"shop": "id"}}],
    "dimensions": ["places.town"],
    "measures": [{"function": "count"}],
}


@pytest.mark.parametrize("text", SAME)
def test_a_join_is_the_same_query_whatever_its_tables_are_called(text: str) -> None:
    found = bound(text)
    assert found.query.joins == (Join("places", "shop", "id"),)
    assert found.query.dimensions == ("places.town",)
    assert [output.source for output in found.outputs] == ["places.town", "count"]
    assert found.query == query.bind(query.parse_json(BY_TOWN), SALES.schema, Profile.OPEN, OTHERS).query


def test_json_may_give_a_table_a_name_and_keep_all_rows() -> None:
    asked = BY_TOWN | {"join": [{"product": "places", "on": {"shop": "id"}, "keep": "all", "as": "p"}]}
    asked |= {"dimensions": ["p.town"], "order": [{"by": "p.town"}]}
    found = query.bind(query.parse_json(asked), SALES.schema, Profile.OPEN, OTHERS)
    assert found.query.joins == (Join("places", "shop", "id", inner=False),)
    assert found.view.order[0].term == "places.town"
    assert [output.label for output in found.outputs] == ["p.town", "count"]


def test_using_makes_one_column_of_two() -> None:
    others = {"places": replace(PLACES, schema=Schema((Column("shop", Kind.STRING, Role.DIMENSION, ("a",)),)))}
    others["places"] = replace(others["places"], unique=("shop",))
    text = "SELECT shop, COUNT(*) FROM sales JOIN places USING (shop) GROUP BY shop"
    found = query.bind(sql.parse(text), SALES.schema, Profile.OPEN, others).query
    assert (found.joins, found.dimensions) == ((Join("places", "shop", "shop"),), ("shop",))


def test_a_product_joined_on_two_columns_is_told_apart_by_them() -> None:
    others = {"places": replace(PLACES, unique=("id", "code"))}
    text = """SELECT one.town, two.town AS other, COUNT(*) FROM sales LEFT OUTER JOIN places one ON shop = one.id
              LEFT JOIN places AS two ON sales.code = two.code GROUP BY one.town, two.town ORDER BY other"""
    found = query.bind(sql.parse(text), SALES.schema, Profile.OPEN, others)
    assert [join.name for join in found.query.joins] == ["code.places", "shop.places"]
    assert [output.source for output in found.outputs] == ["shop.places.town", "code.places.town", "count"]
    assert [output.label for output in found.outputs] == ["town", "other", "count"]
    assert {query.product_of(join) for join in found.query.joins} == {"places"}


def test_everything_of_a_query_may_be_of_a_joined_column() -> None:
    text = """SELECT p.side, SUM(size) FILTER (WHERE p.town <> 'east') AS s, AVG(p.size) / COUNT(p.town) AS r FROM sales
              LEFT JOIN places p ON shop = p.id WHERE p.size > 3 OR p.town IS NULL
              GROUP BY ROLLUP(p.side, p.town) HAVING SUM(p.size) > 1 ORDER BY p.side, town"""
    found = bound(text)
    assert found.query.rollup == ("places.side", "places.town")
    assert {m.column for m in found.query.measures} == {"places.size", "places.town"}
    schema = query.joined(SALES, found.query.joins, OTHERS).schema
    carried = json.loads(json.dumps(query.to_json(found.query)))
    assert query.from_json(carried, schema, OPEN) == found.query


JOIN = "SELECT COUNT(*) FROM sales {} WHERE town = 'east'"
REFUSED = [
    (JOIN.format("RIGHT JOIN places ON shop = id"), "sql_unsupported"),
    (JOIN.format("FULL JOIN places ON shop = id"), "sql_unsupported"),
    (JOIN.format("CROSS JOIN places"), "sql_unsupported"),
    (JOIN.format("NATURAL JOIN places"), "sql_unsupported"),
    (JOIN.format("SEMI JOIN places ON shop = id"), "sql_unsupported"),
    (JOIN.format("ASOF JOIN places ON shop = id"), "sql_unsupported"),
    (JOIN.format(", places"), "sql_unsupported"),
    (JOIN.format("JOIN places"), "sql_unsupported"),
    (JOIN.format("JOIN (SELECT * FROM places) p ON shop = id"), "sql_unsupported"),
    (JOIN.format("JOIN places ON shop < id"), "sql_unsupported"),
    (JOIN.format("JOIN places ON shop = id AND sales.code = places.code"), "sql_unsupported"),
    (JOIN.format("JOIN places ON shop = id OR TRUE"), "sql_unsupported"),
    (JOIN.format("JOIN places ON shop = 'a'"), "sql_unsupported"),
    (JOIN.format("JOIN places ON TRUE"), "sql_unsupported"),
    (JOIN.format("JOIN places ON lower(shop) = id"), "sql_unsupported"),
    (JOIN.format("JOIN places USING (shop, id)"), "sql_unsupported"),
    (JOIN.format("JOIN read_csv('x') ON shop = id"), "function_unknown"),
    (JOIN.format("JOIN places TABLESAMPLE (10) ON shop = id"), "sql_unsupported"),
    (JOIN.format("JOIN places AS p (id, town) ON shop = id"), "sql_unsupported"),
    (JOIN.format("JOIN 'places.csv' ON shop = id"), "sql_unsupported"),
    (JOIN.format("JOIN sales s2 ON sales.shop = s2.shop"), "join_not_allowed"),
    (JOIN.format("JOIN places ON shop = shop"), "join_not_allowed"),
    (JOIN.format("JOIN places ON id = town"), "join_not_allowed"),
    (JOIN.format("JOIN places ON shop = town"), "join_not_allowed"),
    (JOIN.format("JOIN places ON sales.code = id"), "join_not_allowed"),
    (JOIN.format("JOIN places ON amount = id"), "join_not_allowed"),
    (JOIN.format("JOIN places ON shop = nothing"), "join_not_allowed"),
    (JOIN.format("JOIN places ON shop = other.id"), "join_not_allowed"),
    (JOIN.format("JOIN places sales ON shop = id"), "join_not_allowed"),
    (JOIN.format("JOIN places ON shop = places.id JOIN places p ON shop = p.id"), "join_not_allowed"),
    (JOIN.format("JOIN nowhere ON shop = id"), "not_found"),
    (JOIN.format(" ".join(f"JOIN places p{i} ON shop = p{i}.id" for i in range(5))), "query_too_large"),
    ("SELECT COUNT(*) FROM sales LEFT JOIN places ON shop = id", "join_not_allowed"),
    ("SELECT SUM(nothing.size) FROM sales JOIN places ON shop = id", "column_unknown"),
    ("SELECT SUM(places.amount) FROM sales JOIN places ON shop = id", "column_unknown"),
    ("SELECT code, COUNT(*) FROM sales JOIN places ON shop = id GROUP BY code", "column_unknown"),
    ("SELECT sales.code, COUNT(*) FROM sales JOIN places ON shop = id GROUP BY places.code", "sql_unsupported"),
    ("SELECT places.code, sales.code, COUNT(*) FROM sales JOIN places ON shop = id GROUP BY 1, 2", "sql_unsupported"),
    (BY_TOWN | {"join": [{"product": "places", "on": {"shop": "id", "code": "code"}}]}, "field_invalid"),
    (BY_TOWN | {"join": [{"product": "places", "on": {"shop": "id"}, "keep": "right"}]}, "field_invalid"),
    (BY_TOWN | {"join": [{"product": "places", "on": {"shop": 1}}]}, "field_invalid"),
    (BY_TOWN | {"join": [{"product": "../places", "on": {"shop": "id"}}]}, "field_invalid"),
    (BY_TOWN | {"join": {"product": "places"}}, "field_invalid"),
    (BY_TOWN | {"join": []}, "column_unknown"),
]


@pytest.mark.parametrize(("asked", "code"), REFUSED)
def test_every_other_join_is_refused_with_its_code(asked: Any, code: str) -> None:
    problem = refusal(asked)
    assert problem.code == code
    assert problem.hint or code in ("field_invalid", "query_too_large", "not_found")


def test_a_refusal_says_by_what_a_product_can_be_joined() -> None:
    text = "SELECT town, COUNT(*) FROM sales JOIN places ON shop = town GROUP BY town"
    assert refusal(text).hint == "places can be joined by id"
    hidden = {"places": replace(PLACES, schema=PLACES.schema.only({"town"}))}
    problem = refusal("SELECT town, COUNT(*) FROM sales JOIN places ON shop = id GROUP BY town", others=hidden)
    assert problem.code == "join_not_allowed"
    assert "places.code" in refusal("SELECT code, COUNT(*) FROM sales JOIN places ON shop = id GROUP BY code").hint


@pytest.mark.parametrize(
    ("item", "code"),
    [("SUM(size)", "column_not_measure"), ("AVG(places.size)", "column_not_measure"), ("COUNT(size)", "")],
)
def test_a_guarded_product_sums_nothing_that_is_joined(item: str, code: str) -> None:
    schema = Schema((*SALES.schema.columns, Column("firm", Kind.STRING, Role.ENTITY)))
    question = sql.parse(f"SELECT {item} FROM sales JOIN places ON shop = id")
    if not code:
        assert query.bind(question, schema, Profile.GUARDED, OTHERS).query.measures
        return
    with pytest.raises(Problem, match=code) as caught:
        query.bind(question, schema, Profile.GUARDED, OTHERS)
    assert "amount" in caught.value.hint
    assert "size" not in caught.value.hint


def test_a_sum_that_could_leave_64_bits_is_refused_by_public_figures_alone() -> None:
    wide = Column("size", Kind.INTEGER, Role.MEASURE, low=0, high=2**53 - 1)
    others = {"places": replace(PLACES, schema=Schema((*PLACES.schema.columns[:4], wide)))}
    asked = query.bind(
        sql.parse("SELECT SUM(size) FROM sales JOIN places ON shop = id"), SALES.schema, Profile.OPEN, others
    )
    few = query.joined(SALES, asked.query.joins, others)
    plan.shape(asked.query, few, OPEN)
    with pytest.raises(Problem, match="column_not_measure"):
        plan.shape(asked.query, replace(few, rows=10**6), OPEN)


def test_a_table_too_large_to_be_looked_up_is_refused_by_its_public_number_of_rows() -> None:
    asked = bound(SAME[0]).query
    for rows, fits in ((900_000, True), (10**6, False)):
        others = {"places": replace(PLACES, rows=rows)}
        if fits:
            assert query.joined(SALES, asked.joins, others).looked_up == rows + 4 + 4
            continue
        with pytest.raises(Problem, match="join_not_allowed"):
            query.joined(SALES, asked.joins, others)


def test_the_memory_that_a_join_may_take_is_reckoned_with_by_public_figures() -> None:
    schema = Schema((*SALES.schema.columns, Column("firm", Kind.STRING, Role.ENTITY)))
    sales, guarded = replace(SALES, schema=schema, entities=30), Terms("guarded", 10)
    asked = query.bind(sql.parse(SAME[0]), schema, Profile.GUARDED, OTHERS).query
    sizes = []
    for rows in (5, 100_000):
        manifest = query.joined(sales, asked.joins, {"places": replace(PLACES, rows=rows)})
        sizes.append(plan.memory(asked, manifest, guarded, threads=2))
    assert sizes[1] - sizes[0] >= (100_000 - 5) * 105, "measured: at most 105 bytes a key"


FORGED = [
    {"joins": [{"name": "places", "on": "shop", "key": "town", "inner": True}]},
    {"joins": [{"name": "places", "on": "amount", "key": "id", "inner": True}]},
    {"joins": [{"name": "places", "on": "places.town", "key": "id", "inner": True}]},
    {"joins": [{"name": "elsewhere", "on": "shop", "key": "id", "inner": True}]},
    {"joins": [{"name": "places", "on": "shop", "key": "id"}]},
    {"joins": [{"name": "places", "on": "shop", "key": "id", "inner": 1}]},
    {"joins": [{"name": "places", "on": "shop", "key": "id", "inner": True, "also": 1}]},
    {"joins": [2 * [{"name": "places", "on": "shop", "key": "id", "inner": True}]]},
    {"joins": {}},
    {"joins": []},
    {"dimensions": [], "joins": [{"name": "places", "on": "shop", "key": "id", "inner": False}]},
]


@pytest.mark.parametrize("changes", FORGED)
def test_what_no_exchange_would_send_is_refused_again(changes: dict[str, Any]) -> None:
    value = query.to_json(bound(SAME[0]).query) | changes
    with pytest.raises(Problem) as caught:
        schema = query.joined(SALES, query.joins_from_json(value), OTHERS).schema
        query.from_json(value, schema, OPEN)
    assert caught.value.code in ("field_invalid", "join_not_allowed", "column_unknown")
