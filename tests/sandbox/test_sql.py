"""SQL to a Question: what the language says, and that nothing else gets through."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.errors import Problem
from exchange.sandbox import sql
from exchange.sandbox.query import Function, Op
from exchange.sandbox.query.question import Among, Every, Item, Missing, Not, Question, Some
from exchange.sandbox.query.question import Test as Comparison


def where(text: str) -> object:
    return sql.parse(f"SELECT COUNT(*) FROM flights WHERE {text}").where


def refusal(text: str) -> Problem:
    with pytest.raises(Problem) as caught:
        sql.parse(text)
    return caught.value


def test_a_query_becomes_a_question() -> None:
    text = """SELECT carrier, COUNT(*) AS n, COUNT(DISTINCT tailnum), AVG(dep_delay) "mean delay"
              FROM flights GROUP BY carrier, month"""
    assert sql.parse(text) == Question(
        "flights",
        (
            Item(None, "carrier", "carrier"),
            Item(Function.COUNT, None, "n"),
            Item(Function.COUNT_DISTINCT, "tailnum"),
            Item(Function.AVG, "dep_delay", "mean delay"),
        ),
        ("carrier", "month"),
    )


CONDITIONS = [
    ("a = 'x'", Comparison("a", Op.EQ, "x")),
    ("a != 1", Comparison("a", Op.NE, Decimal(1))),
    ("3 < a", Comparison("a", Op.GT, Decimal(3))),
    ("a >= -1.50", Comparison("a", Op.GE, Decimal("-1.5"))),
    ("a = TRUE", Comparison("a", Op.EQ, True)),
    ("NOT a", Not(Comparison("a", Op.EQ, True))),
    ("a <= DATE '2013-01-31'", Comparison("a", Op.LE, date(2013, 1, 31))),
    ("a IN ('x', 'y''s')", Among("a", ("x", "y's"))),
    ("a NOT IN (1)", Not(Among("a", (Decimal(1),)))),
    ("a BETWEEN 1 AND 2", Every((Comparison("a", Op.GE, Decimal(1)), Comparison("a", Op.LE, Decimal(2))))),
    ("a IS NULL", Missing("a")),
    ("a IS NOT NULL", Not(Missing("a"))),
    ("(a IS NULL OR b IS NULL) AND c IS NULL", Every((Some((Missing("a"), Missing("b"))), Missing("c")))),
]


@pytest.mark.parametrize(("text", "condition"), CONDITIONS)
def test_each_kind_of_condition_is_read(text: str, condition: object) -> None:
    assert where(text) == condition


FILTERED = Item(Function.SUM, "b", where=Comparison("a", Op.EQ, Decimal(1)))
COUNTED = Item(Function.COUNT, where=Comparison("a", Op.EQ, Decimal(1)))
AGGREGATES = [
    ("SUM(b) FILTER (WHERE a = 1)", FILTERED),
    ("SUM(CASE WHEN a = 1 THEN b END)", FILTERED),
    ("SUM((CASE WHEN (a = 1) THEN (b) ELSE NULL END))", FILTERED),
    ("COUNT(*) FILTER (WHERE a = 1)", COUNTED),
    ("COUNT(CASE WHEN a = 1 THEN 1 END)", COUNTED),
    ("SUM(CASE WHEN a = 1 THEN 1 ELSE 0 END)", COUNTED),
    ("COUNT(DISTINCT CASE WHEN a = 1 THEN b END)", replace(FILTERED, function=Function.COUNT_DISTINCT)),
    ("VAR_SAMP(b)", Item(Function.VARIANCE, "b")),
    ("STDDEV_SAMP(b)", Item(Function.STDDEV, "b")),
    ("MEDIAN(b)", Item(Function.QUANTILE, "b", at=5000)),
    ("QUANTILE_CONT(b, 0.9)", Item(Function.QUANTILE, "b", at=9000)),
    ("PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY b)", Item(Function.QUANTILE, "b", at=9000)),
    ("QUANTILE_CONT(.0001) WITHIN GROUP (ORDER BY b ASC)", Item(Function.QUANTILE, "b", at=1)),
]


@pytest.mark.parametrize(("text", "item"), AGGREGATES)
def test_each_kind_of_aggregate_is_read(text: str, item: Item) -> None:
    assert sql.parse(f"SELECT {text} FROM x").select == (item,)


def test_names_are_folded_unless_quoted() -> None:
    question = sql.parse('SELECT Carrier, SUM("Delay") FROM "air-2" GROUP BY CARRIER')
    assert question.product == "air-2"
    assert [item.column for item in question.select] == ["carrier", "Delay"]


@pytest.mark.parametrize("text", ["SELECT COUNT(*) FROM x;", "/* a */ SELECT COUNT(*) -- b\nFROM x; -- c"])
def test_comments_and_a_last_semicolon_are_harmless(text: str) -> None:
    assert sql.parse(text) == sql.parse("SELECT COUNT(*) FROM x")


REFUSALS = [
    ("", "sql_malformed"),
    ("-- nothing", "sql_malformed"),
    ("SELEC COUNT(*) FROM x", "sql_malformed"),
    ("SELECT COUNT(*) FROM", "sql_malformed"),
    ("SELECT COUNT(*) FROM x WHERE a = 'open", "sql_malformed"),
    ("SELECT COUNT(*) FROM x WHERE a = '\0'", "sql_malformed"),
    ("SELECT COUNT(*) FROM x WHERE a = '\ud800'", "sql_malformed"),
    ("SELECT 1; SELECT 2", "sql_several_statements"),
    ("SELECT COUNT(*) FROM x; DROP TABLE x", "sql_several_statements"),
    ("DROP TABLE x", "sql_unsupported"),
    ("PRAGMA version", "sql_unsupported"),
    ("COPY x TO 'y'", "sql_unsupported"),
    ("ATTACH 'x.db'", "sql_malformed"),
    ("EXPLAIN SELECT COUNT(*) FROM x", "sql_unsupported"),
    ("WITH a AS (SELECT 1) SELECT COUNT(*) FROM a", "sql_unsupported"),
    ("SELECT COUNT(*) FROM (SELECT 1)", "sql_unsupported"),
    ("SELECT COUNT(*) FROM x, y", "sql_unsupported"),
    ("SELECT COUNT(*) FROM x UNION SELECT COUNT(*) FROM y", "sql_unsupported"),
    ("SELECT COUNT(*) FROM 'flights.csv'", "sql_unsupported"),
    ('SELECT COUNT(*) FROM "/etc/passwd"', "sql_unsupported"),
    ("SELECT COUNT(*) FROM a.b", "sql_unsupported"),
    ("SELECT COUNT(*) FROM x TABLESAMPLE (10)", "sql_unsupported"),
    ("SELECT COUNT(*)", "sql_unsupported"),
    ("SELECT * FROM x", "sql_unsupported"),
    ("SELECT a FROM x GROUP BY a", "sql_unsupported"),
    ("SELECT a, COUNT(*) FROM x", "sql_unsupported"),
    ("SELECT x.y.a, COUNT(*) FROM x GROUP BY x.y.a", "sql_unsupported"),
    ("SELECT DISTINCT COUNT(*) FROM x", "sql_unsupported"),
    ("SELECT COUNT() FROM x", "sql_unsupported"),
    ("SELECT COUNT(DISTINCT a, b) FROM x", "sql_unsupported"),
    ("SELECT SUM(DISTINCT a) FROM x", "sql_unsupported"),
    ("SELECT SUM(*) FROM x", "sql_unsupported"),
    ("SELECT SUM(a) FILTER (WHERE b = c) FROM x", "sql_unsupported"),
    ("SELECT SUM(a) FILTER (WHERE SUM(b) > 1) FROM x", "sql_unsupported"),
    ("SELECT COUNT(*) FROM x WHERE COUNT(*) FILTER (WHERE a = 1) > 2", "sql_unsupported"),
    ("SELECT SUM(CASE WHEN a = 1 THEN b ELSE 0 END) FROM x", "sql_unsupported"),
    ("SELECT SUM(CASE WHEN a = 1 THEN 1 END) FROM x", "sql_unsupported"),
    ("SELECT COUNT(CASE WHEN a = 1 THEN 1 ELSE 0 END) FROM x", "sql_unsupported"),
    ("SELECT AVG(CASE WHEN a = 1 THEN 1 ELSE 0 END) FROM x", "sql_unsupported"),
    ("SELECT SUM(CASE WHEN a = 1 THEN b WHEN a = 2 THEN c END) FROM x", "sql_unsupported"),
    ("SELECT SUM(CASE a WHEN 1 THEN b END) FROM x", "sql_unsupported"),
    ("SELECT SUM(CASE WHEN a = 1 THEN b + 1 END) FROM x", "sql_unsupported"),
    ("SELECT SUM(IF(a = 1, b, NULL)) FROM x", "sql_unsupported"),
    ("SELECT QUANTILE_CONT(a, 1.5) FROM x", "value_invalid"),
    ("SELECT QUANTILE_CONT(a, 0.12345) FROM x", "value_invalid"),
    ("SELECT QUANTILE_CONT(a, 'half') FROM x", "value_invalid"),
    ("SELECT QUANTILE_CONT(a) FROM x", "function_unknown"),
    ("SELECT PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY a DESC) FROM x", "function_unknown"),
    ("SELECT PERCENTILE_DISC(0.5) WITHIN GROUP (ORDER BY a) FROM x", "function_unknown"),
    ("SELECT SUM(a) OVER () FROM x", "sql_unsupported"),
    ("SELECT SUM(a + 1) FROM x", "sql_unsupported"),
    ("SELECT SUM(CAST(a AS INT)) FROM x", "sql_unsupported"),
    ("SELECT COUNT(*) FROM x GROUP BY 1", "sql_unsupported"),
    ("SELECT COUNT(*) FROM x GROUP BY ALL", "sql_unsupported"),
    ("SELECT COUNT(*) FROM x GROUP BY CUBE (a)", "sql_unsupported"),
    ("SELECT COUNT(*) FROM x HAVING COUNT(*) > 'a'", "sql_unsupported"),
    ("SELECT COUNT(*) FROM x HAVING COUNT(*)", "sql_unsupported"),
    ("SELECT COUNT(*) FROM x HAVING COUNT(*) IN (SELECT 1)", "sql_unsupported"),
    ("SELECT COUNT(*) FROM x HAVING sqrt(COUNT(*)) > 1", "function_unknown"),
    ("SELECT COUNT(*) FROM x HAVING COUNT(*) IS TRUE", "sql_unsupported"),
    ("SELECT 1 FROM x", "sql_unsupported"),
    ("SELECT 1 + 1 FROM x", "sql_unsupported"),
    ("SELECT a + COUNT(*) FROM x GROUP BY a", "sql_unsupported"),
    ("SELECT COUNT(*) % 2 FROM x", "sql_unsupported"),
    ("SELECT COUNT(*) || 'a' FROM x", "sql_unsupported"),
    ("SELECT COUNT(*) + 'a' FROM x", "sql_unsupported"),
    ("SELECT COUNT(*) + 1e9 FROM x", "value_invalid"),
    ("SELECT COUNT(*) + SUM(a) OVER () FROM x", "sql_unsupported"),
    ("SELECT " + " + ".join(["COUNT(*)"] * 99) + " FROM x", "query_too_large"),
    ("SELECT COUNT(*) FROM x ORDER BY 2", "sql_unsupported"),
    ("SELECT COUNT(*) FROM x ORDER BY 0", "sql_unsupported"),
    ("SELECT COUNT(*) FROM x ORDER BY 1.0", "sql_unsupported"),
    ("SELECT COUNT(*) FROM x ORDER BY 1 NULLS FIRST", "sql_unsupported"),
    ("SELECT COUNT(*) FROM x ORDER BY ALL (SELECT 1)", "sql_unsupported"),
    ("SELECT COUNT(*) FROM x LIMIT 1 OFFSET 1", "sql_unsupported"),
    ("SELECT COUNT(*) FROM x LIMIT 1.5", "value_invalid"),
    ("SELECT COUNT(*) FROM x LIMIT -1", "value_invalid"),
    ("SELECT COUNT(*) FROM x LIMIT 9999999", "value_invalid"),
    ("SELECT COUNT(*) FROM x LIMIT 5 PERCENT", "sql_unsupported"),
    ("SELECT COUNT(*) FROM x FETCH FIRST 5 ROWS ONLY", "sql_unsupported"),
    ("SELECT COUNT(*) FROM x LIMIT (SELECT 1)", "sql_unsupported"),
    ("SELECT COUNT(*) FROM x WHERE a = b", "sql_unsupported"),
    ("SELECT COUNT(*) FROM x WHERE a = NULL", "sql_unsupported"),
    ("SELECT COUNT(*) FROM x WHERE a = ?", "sql_unsupported"),
    ("SELECT COUNT(*) FROM x WHERE a LIKE 'b%'", "sql_unsupported"),
    ("SELECT COUNT(*) FROM x WHERE a IN (SELECT 1)", "sql_unsupported"),
    ("SELECT COUNT(*) FROM x WHERE EXISTS (SELECT 1)", "sql_unsupported"),
    ("SELECT COUNT(*) FROM x WHERE CASE WHEN a = 1 THEN TRUE END", "sql_unsupported"),
    ("SELECT COUNT(*) FROM x WHERE a::INT = 1", "sql_unsupported"),
    ("SELECT COUNT(*) FROM read_csv('x.csv')", "function_unknown"),
    ("SELECT COUNT(*) FROM query('SELECT 1')", "function_unknown"),
    ("SELECT COUNT(*), MIN(a) FROM x", "function_unknown"),
    ("SELECT COUNT(*), ts_rewrite(a) FROM x", "function_unknown"),
    ("SELECT COUNT(*) FROM x WHERE sqrt(a) = 2", "function_unknown"),
    ("SELECT COUNT(*) FROM x WHERE a = 1e5", "value_invalid"),
    ("SELECT COUNT(*) FROM x WHERE a = DATE '2013-02-30'", "value_invalid"),
]


@pytest.mark.parametrize(("text", "code"), REFUSALS)
def test_what_is_not_in_the_language_is_refused(text: str, code: str) -> None:
    problem = refusal(text)
    assert problem.code == code
    assert problem.detail


def test_the_refusal_that_takes_precedence_is_told_whatever_comes_first() -> None:
    assert refusal("SELECT COUNT(*), foo(a) FROM x WHERE a = 1e5").code == "function_unknown"
    assert refusal("SELECT COUNT(*), foo(a) FROM x OFFSET 2").code == "sql_unsupported"


def test_line_and_column_say_where_a_word_begins() -> None:
    assert refusal("SELECT COUNT(*),\n  mode(delay) FROM x").detail.endswith("at line 2, column 3")
    assert refusal("SELECT COUNT(*) FROM x\nWHERE a = )").detail.endswith("at line 2, column 11")
    assert refusal("SELECT COUNT(*) FROM x OFFSET 2").detail.startswith("OFFSET is not offered")


DEEP = {
    "parentheses": "(" * 3000 + "a = 1" + ")" * 3000,
    "open parentheses": "(" * 8000,
    "nots": "NOT " * 1900 + "a",
    "signs": "a = " + "- " * 3000 + "1",
    "tildes": "~ " * 3000 + "a",
    "brackets": "a = " + "[" * 1900 + "1" + "]" * 1900,
    "cases": "CASE WHEN " * 750,
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP)
def test_deep_nesting_is_refused_not_followed(text: str) -> None:
    assert refusal(f"SELECT COUNT(*) FROM x WHERE {text}").code == "query_too_large"


def test_ten_thousand_parentheses_are_refused() -> None:
    assert refusal("SELECT COUNT(*) FROM x WHERE " + "(" * 10_000 + "a" + ")" * 10_000).code == "query_too_large"


def test_a_long_chain_is_read_flat() -> None:
    condition = where(" AND ".join(["a = 1"] * 500))
    assert isinstance(condition, Every)
    assert len(condition.parts) == 500


def test_no_message_repeats_what_sqlglot_says(caplog: pytest.LogCaptureFixture) -> None:
    problem = refusal("SHOW secret_word")
    assert "secret_word" not in f"{problem.detail} {problem.hint} {caplog.text}"
    assert "secret_word" not in refusal("SELECT COUNT(*) FROM x WHERE a = secret_word)").detail


SOUP = """SELECT COUNT SUM AVG DISTINCT FROM WHERE GROUP BY AND OR NOT IN BETWEEN IS NULL TRUE DATE AS a b x
CAST OVER FILTER HAVING ORDER LIMIT CASE WHEN THEN ELSE END MEDIAN WITHIN STDDEV ROLLUP DESC + - /
UNION WITH JOIN VALUES INTERVAL ARRAY EXISTS ( ) * , = <> <
'x' '2013-01-01' 1 -1 2.5 "c-d" ; -- /* */ [ ] { } :: ? $1 :p @x . -> || + ! e'x' `q`"""


@given(st.lists(st.sampled_from(SOUP.split()), max_size=25).map(" ".join) | st.text(max_size=60))
def test_any_text_is_a_question_or_a_problem(text: str) -> None:
    for candidate in (text, f"SELECT {text} FROM x", f"SELECT COUNT(*) FROM x WHERE {text}", f"SELECT COUNT({text}) n"):
        try:
            assert isinstance(sql.parse(candidate), Question)
        except Problem as problem:
            assert problem.status == 400 or problem.code == "query_too_large"
