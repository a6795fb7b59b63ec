"""Questions bound to a product: what each profile allows, and one value for one meaning."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.sandbox import query
from exchange.sandbox.query import AggregateQuery, Function, In, IsNull, Measure, Op, Or, Profile
from exchange.sandbox.query.question import Among, Condition, Every, Item, Missing, Not, Question, Some
from exchange.sandbox.query.question import Test as Comparison
from exchange.sandbox.schema import Column, Kind, Role, Schema, SchemaError
from tests.sandbox.delays import DELAYS, bind, refusal, where


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
