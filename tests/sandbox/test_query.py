"""Questions bound to a product: what each profile allows, and one value for one meaning."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exchange.errors import Problem
from exchange.sandbox import query, sql
from exchange.sandbox.query import AggregateQuery, Bound, Function, In, IsNull, Measure, Op, Or, Profile
from exchange.sandbox.query.question import Among, Condition, Every, Item, Missing, Not, Question, Some
from exchange.sandbox.query.question import Test as Comparison
from exchange.sandbox.schema import Column, Kind, Role, Schema, SchemaError
from exchange.sandbox.terms import Terms

CARRIERS = ("AA", "B6", "UA")
DELAYS = Schema(
    (
        Column("carrier", Kind.STRING, Role.DIMENSION, CARRIERS),
        Column("month", Kind.INTEGER, Role.DIMENSION, tuple(range(1, 13)), required=True),
        Column("day", Kind.DATE, Role.DIMENSION, ("2013-01-01", "2013-01-02")),
        Column("late", Kind.BOOLEAN, Role.DIMENSION, (False, True)),
        Column("code", Kind.STRING, Role.DIMENSION),
        Column("delay", Kind.INTEGER, Role.MEASURE, low=-60, high=1440),
        Column("fare", Kind.DECIMAL, Role.MEASURE, low=0, high=100_000, scale=2),
        Column("tailnum", Kind.STRING, Role.ENTITY),
    )
)
GUARDED, OPEN = Terms("guarded", threshold=10), Terms("open")


def bind(text: str, profile: Profile = Profile.OPEN, schema: Schema = DELAYS) -> Bound:
    return query.bind(sql.parse(text), schema, profile)


def where(text: str, profile: Profile = Profile.OPEN) -> object:
    return bind(f"SELECT COUNT(*) FROM d WHERE {text}", profile).query.where


def refusal(ask: Any, *arguments: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        ask(*arguments)
    return caught.value


def test_a_question_becomes_a_sorted_query_and_keeps_its_outputs() -> None:
    bound = bind("SELECT SUM(delay) AS s, month, COUNT(tailnum), SUM(delay), COUNT(*) FROM d GROUP BY month, carrier")
    assert bound.query == AggregateQuery(
        (Measure(Function.COUNT), Measure(Function.SUM, "delay")), ("carrier", "month")
    )
    assert [(o.label, o.source) for o in bound.outputs] == [
        ("s", "sum_delay"), ("month", "month"), ("count_tailnum", "count"), ("sum_delay", "sum_delay"),
        ("count", "count"),
    ]  # fmt: skip


# --- What a profile allows, in the order in which refusals take precedence

REFUSALS = [
    (Profile.OPEN, "SELECT MEDIAN(delay) FROM d", "function_unknown"),
    (Profile.GUARDED, "SELECT QUANTILE_CONT(delay, 0.9) FROM d", "function_unknown"),
    (Profile.PRIVATE, "SELECT MEDIAN(carrier) FROM d", "column_not_measure"),
    (Profile.PRIVATE, "SELECT MEDIAN(tailnum) FROM d", "column_not_measure"),
    (Profile.GUARDED, "SELECT COUNT(*) FILTER (WHERE delay > 0) FROM d", "filter_not_allowed"),
    (Profile.GUARDED, "SELECT COUNT(*) FILTER (WHERE tailnum = 'N1') FROM d", "filter_not_allowed"),
    (Profile.OPEN, "SELECT COUNT(*) FILTER (WHERE nothing = 1) FROM d", "column_unknown"),
    (Profile.OPEN, "SELECT COUNT(*) FILTER (WHERE carrier = 1) FROM d", "value_invalid"),
    (Profile.OPEN, f"SELECT COUNT(*) FILTER (WHERE {' OR '.join(['month = 1'] * 201)}) FROM d", "query_too_large"),
    (
        Profile.GUARDED,
        "SELECT " + ", ".join(f"COUNT(*) FILTER (WHERE month = {i})" for i in range(1, 6)) + " FROM d",
        "query_too_large",
    ),
    (Profile.OPEN, "SELECT COUNT(*) n, SUM(delay) n FROM d", "sql_unsupported"),
    (Profile.OPEN, 'SELECT COUNT(*) AS "a\tb" FROM d', "sql_unsupported"),
    (Profile.GUARDED, "SELECT SUM(nothing) FROM d WHERE tailnum = 'N1'", "column_unknown"),
    (Profile.GUARDED, "SELECT COUNT(*) FROM d WHERE nothing = 1", "column_unknown"),
    (Profile.GUARDED, "SELECT COUNT(DISTINCT carrier), tailnum FROM d GROUP BY tailnum", "column_not_dimension"),
    (Profile.OPEN, "SELECT COUNT(*) FROM d GROUP BY tailnum", "column_not_dimension"),
    (Profile.OPEN, "SELECT COUNT(*) FROM d GROUP BY delay", "column_not_dimension"),
    (Profile.GUARDED, "SELECT COUNT(DISTINCT carrier) FROM d WHERE delay > 0", "column_not_measure"),
    (Profile.GUARDED, "SELECT COUNT(DISTINCT delay) FROM d", "column_not_measure"),
    (Profile.OPEN, "SELECT SUM(carrier) FROM d", "column_not_measure"),
    (Profile.OPEN, "SELECT AVG(tailnum) FROM d", "column_not_measure"),
    (Profile.GUARDED, "SELECT COUNT(*) FROM d WHERE delay > 0 OR carrier = 1", "filter_not_allowed"),
    (Profile.GUARDED, "SELECT COUNT(*) FROM d WHERE tailnum = 'N1'", "filter_not_allowed"),
    (Profile.GUARDED, "SELECT COUNT(*) FROM d WHERE delay IS NULL", "filter_not_allowed"),
    (Profile.OPEN, "SELECT COUNT(*) FROM d WHERE tailnum = 'N1'", "filter_not_allowed"),
    (Profile.OPEN, "SELECT COUNT(*) FROM d WHERE carrier = 1", "value_invalid"),
    (Profile.OPEN, "SELECT COUNT(*) FROM d WHERE month = 'March'", "value_invalid"),
    (Profile.OPEN, "SELECT COUNT(*) FROM d WHERE delay = 'x'", "value_invalid"),
    (Profile.OPEN, "SELECT COUNT(*) FROM d WHERE day = '2013-1-1'", "value_invalid"),
    (Profile.OPEN, "SELECT COUNT(*) FROM d WHERE carrier = DATE '2013-01-01'", "value_invalid"),
    (Profile.OPEN, "SELECT COUNT(*) FROM d WHERE late = 1", "value_invalid"),
    (Profile.OPEN, "SELECT COUNT(*) FROM d WHERE " + " OR ".join(["month = 1"] * 201), "query_too_large"),
    (Profile.OPEN, f"SELECT COUNT(*) FROM d WHERE delay IN ({', '.join(['1'] * 1001)})", "query_too_large"),
]


@pytest.mark.parametrize(("profile", "text", "code"), REFUSALS)
def test_what_a_profile_does_not_allow_is_refused(profile: Profile, text: str, code: str) -> None:
    assert refusal(bind, text, profile).code == code


def test_a_guarded_dimension_needs_a_declared_domain() -> None:
    assert refusal(bind, "SELECT COUNT(*) FROM d GROUP BY code", Profile.GUARDED).code == "column_not_dimension"


def test_open_counts_the_distinct_values_of_any_column() -> None:
    for name in ("carrier", "delay", "tailnum"):
        assert bind(f"SELECT COUNT(DISTINCT {name}) FROM d").query.measures[0].column == name


def test_a_guarded_product_without_its_entity_is_not_queried() -> None:
    schema = DELAYS.only({"carrier"})
    assert refusal(bind, "SELECT COUNT(*) FROM d", Profile.GUARDED, schema).code == "product_not_queryable"


def test_too_many_measures_dimensions_and_cells_are_refused() -> None:
    columns = tuple(Column(f"c{i}", Kind.INTEGER, Role.DIMENSION, tuple(range(99))) for i in range(20))
    schema = Schema((*columns, Column("e", Kind.STRING, Role.ENTITY)))
    many = ", ".join(f"COUNT(c{i})" for i in range(17))
    assert refusal(bind, f"SELECT {many} FROM d", Profile.OPEN, schema).code == "query_too_large"
    seven = ", ".join(f"c{i}" for i in range(7))
    assert refusal(bind, f"SELECT COUNT(*) FROM d GROUP BY {seven}", Profile.OPEN, schema).code == "query_too_large"
    assert (
        refusal(bind, "SELECT COUNT(*) FROM d GROUP BY c1, c2, c3", Profile.GUARDED, schema).code == "query_too_large"
    )
    narrowed = "SELECT COUNT(*) FROM d WHERE c1 = 1 AND c2 IN (1, 2) GROUP BY c1, c2, c3"
    assert bind(narrowed, Profile.GUARDED, schema).query.dimensions == ("c1", "c2", "c3")


def test_a_long_list_of_filters_on_a_huge_domain_is_refused() -> None:
    schema = Schema((Column("c", Kind.INTEGER, Role.DIMENSION, tuple(range(90_000))),))
    text = "SELECT COUNT(*) FROM d WHERE " + " OR ".join(f"c <> {n}" for n in range(12))
    assert refusal(bind, text, Profile.OPEN, schema).code == "query_too_large"


def test_names_of_dimensions_and_measures_do_not_clash() -> None:
    schema = Schema((Column("count", Kind.INTEGER, Role.DIMENSION, (1, 2)),))
    assert refusal(bind, 'SELECT COUNT(*) FROM d GROUP BY "count"', Profile.OPEN, schema).code == "sql_unsupported"


# --- One value for one meaning

SAME = [
    ("carrier <> 'AA'", "carrier IN ('UA', 'B6')"),
    ("NOT (carrier = 'AA' OR carrier = 'B6')", "carrier = 'UA'"),
    ("carrier > 'AB'", "carrier BETWEEN 'B' AND 'UZ'"),
    ("month < 3.5", "month IN (1, 2, 3)"),
    ("month = 1 AND carrier = 'AA'", "carrier = 'AA' AND month = 1 AND month <= 6"),
    ("delay > 14.5", "NOT delay < 15"),
    ("delay <> 3", "delay < 3 OR delay > 3"),
    ("fare = 1.5", "fare BETWEEN 1.495 AND 1.505"),
    ("fare < 0.01", "fare = 0"),
    ("delay < 99999", "delay IS NOT NULL"),
    ("late", "NOT late = FALSE"),
    ("day = '2013-01-02'", "day > DATE '2013-01-01'"),
    ("carrier IN ('AA', 'ZZ')", "carrier = 'AA'"),
    ("carrier IS NULL OR carrier = 'AA'", "carrier = 'AA' OR carrier IS NULL OR carrier = 'AA'"),
    ("carrier = 'AA' AND carrier = 'UA'", "delay > 5000"),
    ("carrier = 'ZZ'", "delay = 0.5"),
    ("carrier = 'AA' OR month IS NOT NULL", "carrier IS NULL OR carrier IS NOT NULL"),
]


@pytest.mark.parametrize(("left", "right"), SAME)
def test_filters_that_mean_the_same_are_the_same(left: str, right: str) -> None:
    assert where(left) == where(right)


def test_a_filter_that_always_or_never_holds_is_known_as_such() -> None:
    assert where("month IS NOT NULL") is None  # no row without a required value is taken in
    assert where("month IS NULL") == Or(())
    assert where("carrier = 'AA' OR NOT carrier = 'AA'") == IsNull("carrier", negated=True)


def test_values_stand_in_the_order_of_the_domain() -> None:
    assert where("carrier IN ('UA', 'AA')") == In("carrier", ("AA", "UA"))


def test_counting_what_is_never_null_is_counting_rows() -> None:
    assert bind("SELECT COUNT(tailnum), COUNT(month) FROM d").query.measures == (Measure(Function.COUNT),)


LEAVES = (
    st.builds(Comparison, st.just("month"), st.sampled_from(Op), st.integers(-1, 14).map(Decimal))
    | st.builds(Among, st.just("month"), st.lists(st.integers(0, 13).map(Decimal), min_size=1).map(tuple))
    | st.builds(Missing, st.just("month"))
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(Every, st.lists(inner, min_size=1, max_size=3).map(tuple))
        | st.builds(Some, st.lists(inner, min_size=1, max_size=3).map(tuple))
    ),
    max_leaves=6,
)
MONTHS = Schema((Column("month", Kind.INTEGER, Role.DIMENSION, tuple(range(1, 13))),))


def holds(condition: Condition, month: int | None) -> bool | None:
    """SQL's three-valued logic, None being unknown."""
    match condition:
        case Comparison(_, op, value):
            return None if month is None else eval(f"{month} {PYTHON.get(op, op.value)} {value}")
        case Among(_, values):
            return None if month is None else Decimal(month) in values
        case Missing():
            return month is None
        case Not(part):
            inner = holds(part, month)
            return None if inner is None else not inner
        case Every(parts):
            found = [holds(part, month) for part in parts]
            return False if False in found else None if None in found else True
        case Some(parts):
            found = [holds(part, month) for part in parts]
            return True if True in found else None if None in found else False


PYTHON = {Op.EQ: "==", Op.NE: "!="}


@given(CONDITIONS)
def test_a_filter_on_one_dimension_is_named_by_the_values_that_pass_it(condition: Condition) -> None:
    passing = [month for month in range(1, 13) if holds(condition, month) is True]
    due: list[Condition] = [Among("month", tuple(map(Decimal, passing)))] if passing else []
    due += [Missing("month")] if holds(condition, None) is True else []
    asked, listed = (
        query.bind(Question("d", (Item(Function.COUNT),), (), part), MONTHS, Profile.OPEN).query
        for part in (condition, Some(tuple(due)))
    )
    assert asked == listed


# --- JSON, from the buyer

BODY = {
    "product": "delays",
    "measures": [{"function": "count", "label": "n"}, {"function": "avg", "column": "delay"}],
    "dimensions": ["carrier"],
    "where": {
        "and": [
            {"not": {"column": "carrier", "op": "in", "values": ["AA"]}},
            {"column": "month", "op": "between", "values": [1, 3.5]},
            {"or": [{"column": "day", "op": "is_null"}, {"column": "late", "op": "=", "value": True}]},
        ]
    },
}
TEXT = """SELECT carrier, COUNT(*) AS n, AVG(delay) FROM delays WHERE carrier NOT IN ('AA')
          AND month BETWEEN 1 AND 3.5 AND (day IS NULL OR late) GROUP BY carrier"""


def test_json_says_what_sql_says() -> None:
    assert query.bind(query.parse_json(BODY), DELAYS, Profile.GUARDED) == bind(TEXT, Profile.GUARDED)


def nested(depth: int) -> Any:
    return {"not": nested(depth - 1)} if depth else {"column": "late", "op": "is_null"}


MALFORMED = [
    (None, "field_invalid"),
    ([], "field_invalid"),
    ({"product": "d"}, "field_invalid"),
    (BODY | {"measures": []}, "field_invalid"),
    (BODY | {"product": "../d"}, "field_invalid"),
    (BODY | {"offset": 1}, "field_invalid"),
    (BODY | {"limit": -1}, "value_invalid"),
    (BODY | {"limit": 0.5}, "value_invalid"),
    (BODY | {"limit": "3"}, "value_invalid"),
    (BODY | {"order": [{"by": "n", "descending": 1}]}, "field_invalid"),
    (BODY | {"order": [{"by": None}]}, "field_invalid"),
    (BODY | {"order": ["n"]}, "field_invalid"),
    (BODY | {"having": {"left": "n", "op": "in", "right": 3}}, "field_invalid"),
    (BODY | {"having": {"and": []}}, "field_invalid"),
    (BODY | {"having": {"left": "n", "op": ">", "right": True}}, "field_invalid"),
    (BODY | {"measures": [{"op": "+", "left": 1, "right": 2}]}, "sql_unsupported"),
    (BODY | {"measures": [{"op": "%", "left": {"function": "count"}, "right": 2}]}, "field_invalid"),
    (BODY | {"measures": [{"op": "+", "left": "carrier", "right": 2}]}, "sql_unsupported"),
    (BODY | {"measures": [{"op": "+", "left": {"function": "count"}}]}, "field_invalid"),
    (BODY | {"dimensions": [1]}, "field_invalid"),
    (BODY | {"measures": [{"function": "sum"}]}, "field_invalid"),
    (BODY | {"measures": [{"function": "mode", "column": "delay"}]}, "function_unknown"),
    (BODY | {"measures": [{"function": "median", "column": "delay", "at": 0.5}]}, "function_unknown"),
    (BODY | {"measures": [{"function": "quantile", "column": "delay"}]}, "field_invalid"),
    (BODY | {"measures": [{"function": "sum", "column": "delay", "at": 0.5}]}, "field_invalid"),
    (BODY | {"measures": [{"function": "quantile", "column": "delay", "at": "0.5"}]}, "value_invalid"),
    (BODY | {"measures": [{"function": "quantile", "column": "delay", "at": -0.1}]}, "value_invalid"),
    (BODY | {"measures": [{"function": "count", "where": {"column": "late"}}]}, "field_invalid"),
    (BODY | {"where": {"column": "a", "op": "like", "value": "x"}}, "field_invalid"),
    (BODY | {"where": {"column": "a", "op": "in", "values": []}}, "field_invalid"),
    (BODY | {"where": {"and": [], "or": []}}, "field_invalid"),
    (BODY | {"where": {"column": "a", "op": "=", "value": None}}, "value_invalid"),
    (BODY | {"where": {"column": "a", "op": "=", "value": 1e300}}, "value_invalid"),
    (BODY | {"where": {"column": "a", "op": "=", "value": float("nan")}}, "value_invalid"),
    (BODY | {"where": nested(17)}, "query_too_large"),
]


@pytest.mark.parametrize(("body", "code"), MALFORMED)
def test_json_that_is_no_question_is_refused(body: object, code: str) -> None:
    assert refusal(query.parse_json, body).code == code


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["in", "="]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*BODY, "column", "op", "value", "values", "and", "not", "function"]), inner)
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_a_question_or_a_problem(body: object) -> None:
    parts = ("where", "measures", "having", "order", "rollup", "dimensions")
    for candidate in (body, *(BODY | {part: body} for part in parts), BODY | {"order": [{"by": body}]}):
        try:
            assert isinstance(query.parse_json(candidate), Question)
        except Problem as problem:
            assert problem.status == 400


# --- JSON, from the exchange to the node

MEASURES = [
    {"function": "count", "where": {"column": "month", "op": "<", "value": 3}},
    {"function": "median", "column": "delay"},
    {"function": "quantile", "column": "delay", "at": 0.9},
]


def test_json_says_what_sql_says_of_filters_and_quantiles() -> None:
    text = "SELECT COUNT(*) FILTER (WHERE month < 3), MEDIAN(delay), QUANTILE_CONT(delay, 0.9) FROM delays"
    assert query.parse_json({"product": "delays", "measures": MEASURES}) == sql.parse(text)


SHOWN = {
    "product": "delays",
    "dimensions": ["carrier"],
    "measures": [
        {"function": "count", "label": "n"},
        {
            "op": "/",
            "left": {"op": "*", "left": 100.0, "right": {"function": "sum", "column": "delay"}},
            "right": {"function": "count"},
            "label": "share",
        },
    ],
    "having": {"and": [{"left": "n", "op": ">", "right": 3}, {"not": {"left": "share", "op": "is_null"}}]},
    "order": [{"by": "share", "descending": True}, {"by": {"function": "max_delay"}}, {"by": "carrier"}],
    "limit": 5,
}
SHOWN["order"][1] = {"by": {"function": "avg", "column": "delay"}}
SHOWN_TEXT = """SELECT carrier, COUNT(*) AS n, 100.0 * SUM(delay) / COUNT(*) AS share FROM delays GROUP BY carrier
    HAVING n > 3 AND NOT share IS NULL ORDER BY share DESC, AVG(delay), carrier LIMIT 5"""


def test_json_says_what_sql_says_of_calculations_and_views() -> None:
    bound = bind(SHOWN_TEXT)
    assert query.bind(query.parse_json(SHOWN), DELAYS, Profile.OPEN) == bound
    assert [m.name for m in bound.query.measures] == ["avg_delay", "count", "sum_delay"]
    assert query.shown_from_json(json.loads(json.dumps(query.shown_json(bound)))) == (bound.outputs, bound.view)


def test_how_an_answer_is_shown_is_no_part_of_the_query() -> None:
    plain = bind("SELECT carrier, COUNT(*), SUM(delay), AVG(delay) FROM d GROUP BY carrier")
    assert bind(SHOWN_TEXT).query == plain.query


def test_columns_stored_before_there_were_views_are_shown_whole() -> None:
    outputs, view = query.shown_from_json([{"label": "n", "source": "count"}])
    assert (outputs, view) == ((query.Output("n", "count"),), query.View())


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SELECT COUNT(*) FROM d ORDER BY carrier", "column_unknown"),
        ("SELECT COUNT(*) FROM d HAVING delay > 1", "column_unknown"),
        ("SELECT carrier, COUNT(*) FROM d GROUP BY carrier HAVING carrier > 1", "sql_unsupported"),
        ("SELECT carrier AS c, COUNT(*) FROM d GROUP BY carrier ORDER BY c + 1", "sql_unsupported"),
        ("SELECT COUNT(*) / 2, COUNT(*) / 3 FROM d", "sql_unsupported"),
        ("SELECT COUNT(*) FROM d ORDER BY SUM(carrier)", "column_not_measure"),
        ("SELECT COUNT(*) FROM d HAVING COUNT(*) FILTER (WHERE tailnum = 'N') > 1", "filter_not_allowed"),
        ("SELECT COUNT(*) FROM d ORDER BY " + ", ".join(["1"] * 17), "query_too_large"),
        ("SELECT COUNT(*) FROM d HAVING " + " AND ".join(["COUNT(*) > 1"] * 101), "query_too_large"),
    ],
)
def test_a_view_of_what_is_not_in_the_answer_is_refused(text: str, code: str) -> None:
    assert refusal(bind, text).code == code


def test_calculating_too_many_values_is_refused() -> None:
    schema = Schema(tuple(Column(f"c{i}", Kind.INTEGER, Role.DIMENSION, tuple(range(99))) for i in range(1, 4)))
    text = "SELECT COUNT(*) + 1 AS n FROM d GROUP BY c1, c2, c3"
    assert bind(text, schema=schema).query.dimensions == ("c1", "c2", "c3")
    assert refusal(bind, text + " HAVING n > 1", Profile.OPEN, schema).code == "query_too_large"


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("SUM(delay) FILTER (WHERE carrier <> 'AA')", "SUM(CASE WHEN carrier IN ('UA', 'B6') THEN delay END)"),
        ("COUNT(month) FILTER (WHERE late)", "SUM(CASE WHEN NOT late = FALSE THEN 1 ELSE 0 END)"),
        ("COUNT(*) FILTER (WHERE month IS NOT NULL)", "COUNT(*)"),
        ("COUNT(*) FILTER (WHERE month < 0)", "COUNT(*) FILTER (WHERE carrier = 'ZZ')"),
    ],
)
def test_filtered_aggregates_that_mean_the_same_are_the_same(left: str, right: str) -> None:
    asked = bind(f"SELECT {left} FROM d").query
    assert asked == bind(f"SELECT {right} FROM d").query
    assert query.from_json(query.to_json(asked), DELAYS, OPEN) == asked


def test_filters_are_told_apart_by_name() -> None:
    bound = bind("SELECT COUNT(*), COUNT(*) FILTER (WHERE month = 1), COUNT(*) FILTER (WHERE month = 2) FROM d")
    assert len({output.source for output in bound.outputs}) == 3
    assert all(output.source.isidentifier() for output in bound.outputs)


def test_two_filters_of_one_digest_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Digest:
        def hexdigest(self) -> str:
            return "0" * 64

    monkeypatch.setattr("exchange.sandbox.query.model.hashlib.sha256", lambda data: Digest())
    text = "SELECT AVG(delay) FILTER (WHERE month = 1), SUM(delay) FILTER (WHERE month = 2) FROM d"
    assert refusal(bind, text).code == "sql_unsupported"


WIRE = query.to_json(bind(TEXT, Profile.GUARDED).query)


def test_a_query_survives_the_wire() -> None:
    assert query.from_json(WIRE, DELAYS, GUARDED) == bind(TEXT, Profile.GUARDED).query


FORGED = [
    (WIRE | {"measures": [{"function": "count", "column": None, "x": 1}]}, "field_invalid"),
    (WIRE | {"measures": [{"function": "count", "column": None, "where": None}]}, "field_invalid"),
    (WIRE | {"measures": [{"function": "count", "column": None, "at": 5000}]}, "field_invalid"),
    (WIRE | {"measures": [{"function": "quantile", "column": "delay"}]}, "field_invalid"),
    (WIRE | {"measures": [{"function": "quantile", "column": "delay", "at": True}]}, "field_invalid"),
    (WIRE | {"measures": [{"function": "quantile", "column": "delay", "at": 10_001}]}, "field_invalid"),
    (WIRE | {"measures": [{"function": "quantile", "column": "delay", "at": 5000}]}, "function_unknown"),
    (
        WIRE | {"measures": [{"function": "count", "column": None, "where": {"column": "delay", "op": "is_null"}}]},
        "filter_not_allowed",
    ),
    (
        WIRE | {"measures": [{"function": "count", "column": None, "where": {"column": "no", "op": "is_null"}}]},
        "column_unknown",
    ),
    (
        WIRE | {"measures": [{"function": "count", "column": None, "where": {"and": []}}]},  # true: no filter at all
        "field_invalid",
    ),
    (WIRE | {"where": {"column": "carrier", "op": "is_null", "x": 1}}, "field_invalid"),
    ({}, "field_invalid"),
    (WIRE | {"sql": "SELECT 1"}, "field_invalid"),
    (WIRE | {"measures": [{"function": "sum"}]}, "field_invalid"),
    (WIRE | {"measures": list(reversed(WIRE["measures"]))}, "field_invalid"),
    (WIRE | {"dimensions": ["carrier", "carrier"]}, "field_invalid"),
    (WIRE | {"dimensions": ["tailnum"]}, "column_not_dimension"),
    (WIRE | {"dimensions": ["nothing"]}, "column_unknown"),
    (WIRE | {"dimensions": [""]}, "column_unknown"),
    (WIRE | {"measures": [{"function": "count_distinct", "column": "delay"}]}, "column_not_measure"),
    (WIRE | {"where": {"column": "delay", "op": ">=", "value": 1}}, "filter_not_allowed"),
    (WIRE | {"where": {"column": "carrier", "op": "in", "values": ["ZZ"]}}, "value_invalid"),
    (WIRE | {"where": {"column": "late", "op": "in", "values": [1]}}, "value_invalid"),
    (WIRE | {"where": {"column": "carrier", "op": "in", "values": ["UA", "AA"]}}, "field_invalid"),
    (WIRE | {"where": {"and": [{"column": "carrier", "op": "in", "values": ["AA"]}]}}, "field_invalid"),
    (WIRE | {"where": {"column": "carrier", "op": "in", "values": list(CARRIERS)}}, "field_invalid"),
]


@pytest.mark.parametrize(("value", "code"), FORGED)
def test_the_node_refuses_what_is_not_allowed_or_not_in_normal_form(value: object, code: str) -> None:
    assert refusal(query.from_json, value, DELAYS, GUARDED).code == code


@given(JSON)
@example([""])
def test_any_json_from_an_exchange_is_a_query_or_a_problem(body: object) -> None:
    measure = {"function": "count", "column": None}
    filtered = [WIRE | {"measures": [measure | {part: body}]} for part in ("where", "at", "column")]
    parts = [WIRE | {part: body} for part in ("where", "measures", "dimensions", "rollup")]
    for candidate in (body, *parts, *filtered):
        try:
            assert isinstance(query.from_json(candidate, DELAYS, OPEN), AggregateQuery)
        except Problem as problem:
            assert problem.status in (400, 403)


# --- The declaration

UNSOUND = [
    (Column("level", Kind.STRING, Role.DIMENSION), "every answer has"),
    (Column("status", Kind.STRING, Role.DIMENSION), "every answer has"),
    (Column("Upper", Kind.STRING, Role.DIMENSION), "lower-case"),
    (Column("m", Kind.INTEGER, Role.MEASURE), "needs bounds"),
    (Column("m", Kind.STRING, Role.MEASURE, low=0, high=1), "integer or a decimal"),
    (Column("m", Kind.INTEGER, Role.MEASURE, low=0, high=2**53), "2**53"),
    (Column("d", Kind.INTEGER, Role.DIMENSION, (2**53,)), "of the column's kind"),
    (Column("d", Kind.BOOLEAN, Role.DIMENSION, (1,)), "of the column's kind"),
    (Column("d", Kind.STRING, Role.DIMENSION, ("a", "a")), "repeat"),
]


@pytest.mark.parametrize(("column", "says"), UNSOUND)
def test_a_declaration_that_is_not_sound_is_refused(column: Column, says: str) -> None:
    with pytest.raises(SchemaError, match=says.replace("**", r"\*\*")):
        Schema((column,))
