"""The query type itself: closed, typed, frozen. Pure: no Django, no I/O."""

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, assert_never

from exchange.sandbox.schema import Value


class Profile(StrEnum):
    """Disclosure profiles, from soft to strict."""

    OPEN = "open"
    GUARDED = "guarded"
    PRIVATE = "private"

    @property
    def strictness(self) -> int:
        return list(Profile).index(self)


class Function(StrEnum):
    COUNT = "count"  # rows; of a column: rows where it is not null
    COUNT_DISTINCT = "count_distinct"
    SUM = "sum"
    AVG = "avg"
    VARIANCE = "variance"  # of the sample: divided by n - 1
    STDDEV = "stddev"  # its square root
    QUANTILE = "quantile"  # `private` only: an exact one is somebody's value


class Total(StrEnum):
    """What is added up. Their names are part of the noise's key: a renamed one would be drawn anew."""

    ROWS = "count"  # rows; of a column: rows where it is not null
    ENTITIES = "count_distinct"  # distinct values
    SUM = "sum"
    SQUARES = "squares"  # of the distances from a public centre, see plan.totals.centre


MADE_OF: dict[Function, tuple[Total, ...]] = {
    Function.COUNT: (Total.ROWS,),
    Function.COUNT_DISTINCT: (Total.ENTITIES,),
    Function.SUM: (Total.SUM,),
    Function.AVG: (Total.SUM, Total.ROWS),
    Function.VARIANCE: (Total.SQUARES, Total.SUM, Total.ROWS),
    Function.STDDEV: (Total.SQUARES, Total.SUM, Total.ROWS),
    Function.QUANTILE: (),
}
"""The totals of each function; a quantile is none of totals. See made_of."""

FIGURES = 3  # of a quantile in a frame: itself and the ends of its interval


def made_of(function: Function, profile: Profile) -> tuple[Total, ...]:
    """The totals of a function under `profile`: a private SUM is about a centre, and needs the number of rows too."""
    if function is Function.SUM and profile is Profile.PRIVATE:
        return Total.SUM, Total.ROWS
    return MADE_OF[function]


class Op(StrEnum):
    EQ = "="
    NE = "<>"
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="


@dataclass(frozen=True, slots=True)
class In:
    """The column's value is one of `values` (never null). On dimensions with a domain every comparison is
    normalized to this, so equivalent filters are the same value."""

    column: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Compare:
    """A measure column against a number, in units of 10**-scale (`open` only)."""

    column: str
    op: Op
    value: int


@dataclass(frozen=True, slots=True)
class IsNull:
    column: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class And:
    parts: "tuple[Predicate, ...]"


@dataclass(frozen=True, slots=True)
class Or:
    parts: "tuple[Predicate, ...]"


Predicate = In | Compare | IsNull | And | Or
"""Negation normal form: NOT is pushed into the leaves by Kleene's laws, so a row passes where the
predicate is true and no leaf needs a third value."""


def predicate_json(predicate: Predicate) -> dict[str, Any]:
    """`predicate` as JSON, in the form of the question's conditions, numbers in the column's units."""
    match predicate:
        case And(parts):
            return {"and": [predicate_json(part) for part in parts]}
        case Or(parts):
            return {"or": [predicate_json(part) for part in parts]}
        case IsNull(name, negated):
            return {"column": name, "op": "is_not_null" if negated else "is_null"}
        case In(name, values):
            return {"column": name, "op": "in", "values": list(values)}
        case Compare(name, op, value):
            return {"column": name, "op": op.value, "value": value}
        case _:
            assert_never(predicate)


def names_of(predicate: Predicate) -> set[str]:
    """Every column a predicate names."""
    if isinstance(predicate, And | Or):
        return {name for part in predicate.parts for name in names_of(part)}
    return {predicate.column}


def order(predicate: Predicate) -> str:
    """A text that sorts predicates the same on every machine: their JSON."""
    return json.dumps(predicate_json(predicate), sort_keys=True)


def named(name: str, column: str | None, where: Predicate | None) -> str:
    """The canonical name of a total or function of a column: `count`, `sum_dep_delay`, `count_where_3c1f0a92b7`.

    A filter is told by ten digits of its digest; `bind` refuses a query in which two filters share them.
    """
    parts = [name] if column is None else [name, column]
    if where is not None:
        parts += ["where", hashlib.sha256(order(where).encode()).hexdigest()[:10]]
    return "_".join(parts)


@dataclass(frozen=True, slots=True)
class Measure:
    """One aggregate of the rows for which `where` is true; `column` is None only for COUNT(*).

    `at` is given for a QUANTILE only, in basis points: 5000 is the median.
    """

    function: Function
    column: str | None = None
    where: Predicate | None = None
    at: int | None = None

    @property
    def name(self) -> str:
        """The measure's canonical name, see `named`."""
        function = self.function.value if self.at is None else f"{self.function.value}_{self.at}"
        return named(function, self.column, self.where)


@dataclass(frozen=True, slots=True)
class Join:
    """To each row, the one row of another table whose `key` has the value that `on` has; see query.joins.

    Its columns are called `name.column`. `inner` leaves rows out that find none, else the columns are null in them.
    """

    name: str
    on: str
    key: str
    inner: bool = True


@dataclass(frozen=True, slots=True)
class AggregateQuery:
    """A normalized query: measures and dimensions sorted and without repeats, filters normalized.

    `rollup` are those of the dimensions that are rolled up, coarse to fine: after the cells of all dimensions
    come those without the finest of them, and so on. `joins` are sorted by name. Two questions that mean the same
    are the same `AggregateQuery`, hence the same stored release.
    """

    measures: tuple[Measure, ...]
    dimensions: tuple[str, ...] = ()
    where: Predicate | None = None
    rollup: tuple[str, ...] = ()
    joins: tuple[Join, ...] = ()

    @property
    def levels(self) -> "tuple[AggregateQuery, ...]":
        """The query of each level of a ROLLUP, the finest first; itself alone where nothing is rolled up."""
        gone = [set(self.rollup[len(self.rollup) - level :]) for level in range(len(self.rollup) + 1)]
        kept = [tuple(name for name in self.dimensions if name not in names) for names in gone]
        return tuple(AggregateQuery(self.measures, names, self.where, joins=self.joins) for names in kept)


def columns_of(query: AggregateQuery) -> set[str]:
    """Every column a query names."""
    wheres = [query.where, *(measure.where for measure in query.measures)]
    named = {name for where in wheres if where is not None for name in names_of(where)}
    return named | set(query.dimensions) | {measure.column for measure in query.measures if measure.column}
