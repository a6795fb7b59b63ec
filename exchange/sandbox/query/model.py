"""The query type itself: closed, typed, frozen. Pure: no Django, no I/O."""

from dataclasses import dataclass
from enum import StrEnum

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
}
"""The totals of each function."""


class Op(StrEnum):
    EQ = "="
    NE = "<>"
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="


@dataclass(frozen=True, slots=True)
class Measure:
    """One aggregate; `column` is None only for COUNT(*)."""

    function: Function
    column: str | None = None

    @property
    def name(self) -> str:
        """The measure's canonical name: `count`, `count_tailnum`, `sum_dep_delay`."""
        return self.function.value if self.column is None else f"{self.function.value}_{self.column}"


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


@dataclass(frozen=True, slots=True)
class AggregateQuery:
    """A normalized query: measures and dimensions sorted and without repeats, filters normalized.

    Two questions that mean the same are the same `AggregateQuery`, hence the same stored release.
    """

    measures: tuple[Measure, ...]
    dimensions: tuple[str, ...] = ()
    where: Predicate | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """One column of the answer as the buyer asked for it: `source` is a dimension or a `Measure.name`."""

    label: str
    source: str


@dataclass(frozen=True, slots=True)
class Bound:
    """A question bound to a schema: the query, and how the buyer wants to see the answer."""

    query: AggregateQuery
    outputs: tuple[Output, ...]
