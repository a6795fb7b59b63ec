"""Questions as JSON, from the buyer, and queries as JSON, from the exchange to the node."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exchange.errors import Problem
from exchange.sandbox import query, sql
from exchange.sandbox.query import AggregateQuery, Profile
from exchange.sandbox.query.question import Question
from exchange.sandbox.schema import Column, Kind, Role, Schema
from tests.sandbox.delays import CARRIERS, DELAYS, GUARDED, OPEN, bind, refusal

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
