"""How an answer is shown: arithmetic on what was released, and which rows in what order. Pure: no Django, no I/O.

Nothing of this reaches a node. It chooses and combines what is in a release already, so it can tell nothing
that the release does not, and one release serves every view of it. `L` is what a term is made of: aggregates
and names in a question, columns of the release's table (`str`) once it is bound.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Generic, Never, TypeVar, Union, assert_never

from exchange.sandbox.query.model import AggregateQuery, Op

L = TypeVar("L", covariant=True)
M = TypeVar("M")


class Arithmetic(StrEnum):
    ADD = "+"
    SUB = "-"
    MUL = "*"
    DIV = "/"  # of numbers, never whole


@dataclass(frozen=True, slots=True)
class Calculation(Generic[L]):
    op: Arithmetic
    left: "Term[L]"
    right: "Term[L]"


Term = Union[L, Decimal, Calculation[L]]  # noqa: UP007 mypy takes no alias that begins with a variable
"""A number for each row, or null."""


@dataclass(frozen=True, slots=True)
class Holds(Generic[L]):
    """`left op right`; unknown where either is null."""

    left: "Term[L]"
    op: Op
    right: "Term[L]"


@dataclass(frozen=True, slots=True)
class Blank(Generic[L]):
    """`term IS NULL`."""

    term: "Term[L]"


@dataclass(frozen=True, slots=True)
class Negated(Generic[L]):
    part: "Having[L]"


@dataclass(frozen=True, slots=True)
class Joined(Generic[L]):
    """All of `parts` (`every`), or any of them."""

    every: bool
    parts: "tuple[Having[L], ...]"


Having = Holds[L] | Blank[L] | Negated[L] | Joined[L]
"""A condition on released values, by Kleene's logic; a row is shown where it is true."""


@dataclass(frozen=True, slots=True)
class Key(Generic[L]):
    """Rows are ordered by `term`, nulls last whichever way."""

    term: "Term[L]"
    descending: bool = False


@dataclass(frozen=True, slots=True)
class View(Generic[L]):
    """Which rows of the answer are shown, and in what order; what `order` leaves open is in the grid's order."""

    having: "Having[L] | None" = None
    order: tuple[Key[L], ...] = ()
    limit: int | None = None


WHOLE: View[Never] = View()
"""Every row, in the grid's order."""


def leaves(term: Term[L]) -> Iterator[L]:
    """What `term` is made of, constants left out."""
    if isinstance(term, Calculation):
        yield from leaves(term.left)
        yield from leaves(term.right)
    elif not isinstance(term, Decimal):
        yield term


def size(term: Term[L]) -> int:
    """How many numbers a row needs to have `term`."""
    return 1 + size(term.left) + size(term.right) if isinstance(term, Calculation) else 1


def terms(view: View[L]) -> Iterator[Term[L]]:
    """Every term of a view: those HAVING compares, then those of the order."""
    if view.having is not None:
        yield from compared(view.having)
    for key in view.order:
        yield key.term


def compared(having: Having[L]) -> Iterator[Term[L]]:
    match having:
        case Holds(left, _, right):
            yield left
            yield right
        case Blank(term):
            yield term
        case Negated(part):
            yield from compared(part)
        case Joined(_, parts):
            for part in parts:
                yield from compared(part)


def changed(term: Term[L], change: "Callable[[L], Term[M]]") -> Term[M]:
    """`term` with each leaf replaced."""
    if isinstance(term, Calculation):
        return calculation(term, change)
    return term if isinstance(term, Decimal) else change(term)


def calculation(term: Calculation[L], change: "Callable[[L], Term[M]]") -> Calculation[M]:
    """As `changed`, of what stays a calculation."""
    return Calculation(term.op, changed(term.left, change), changed(term.right, change))


def changed_view(view: View[L], change: "Callable[[L], Term[M]]") -> View[M]:
    """`view` with each leaf replaced."""
    having = None if view.having is None else _changed(view.having, change)
    return View(having, tuple(Key(changed(key.term, change), key.descending) for key in view.order), view.limit)


def _changed(having: Having[L], change: "Callable[[L], Term[M]]") -> Having[M]:
    match having:
        case Holds(left, op, right):
            return Holds(changed(left, change), op, changed(right, change))
        case Blank(term):
            return Blank(changed(term, change))
        case Negated(part):
            return Negated(_changed(part, change))
        case Joined(every, parts):
            return Joined(every, tuple(_changed(part, change) for part in parts))
        case _:
            assert_never(having)


@dataclass(frozen=True, slots=True)
class Output:
    """One column of the answer as the buyer asked for it: a dimension or a `Measure.name`, or calculated of these."""

    label: str
    source: Term[str]


@dataclass(frozen=True, slots=True)
class Bound:
    """A question bound to a schema: the query, and how the buyer wants to see the answer."""

    query: AggregateQuery
    outputs: tuple[Output, ...]
    view: View[str] = WHOLE


# --- As JSON, in the row of a query


def shown_json(bound: Bound) -> dict[str, Any]:
    """How the answer of `bound` is shown."""
    columns = [{"label": output.label, "source": term_json(output.source)} for output in bound.outputs]
    return {"columns": columns, **_view_json(bound.view)}


def shown_from_json(value: Any) -> tuple[tuple[Output, ...], View[str]]:
    """The outputs and view of `shown_json`; a list is one of columns alone. Raises ValueError, KeyError."""
    columns = value if isinstance(value, list) else value["columns"]
    outputs = tuple(Output(column["label"], term_from_json(column["source"])) for column in columns)
    return outputs, View() if isinstance(value, list) else _view_from_json(value)


def term_json(term: Term[str]) -> Any:
    """A column by its name, a constant as {"number"}, a calculation as {"op", "left", "right"}."""
    match term:
        case Calculation(op, left, right):
            return {"op": op.value, "left": term_json(left), "right": term_json(right)}
        case Decimal():
            return {"number": f"{term:f}"}
        case _:
            return term


def term_from_json(value: Any) -> Term[str]:
    """Raises ValueError, KeyError where `value` is no term."""
    match value:
        case str():
            return value
        case {"number": str(digits)}:
            return Decimal(digits)
        case {"op": str(op), "left": left, "right": right}:
            return Calculation(Arithmetic(op), term_from_json(left), term_from_json(right))
    raise ValueError("no term")


def _view_json(view: View[str]) -> dict[str, Any]:
    return {
        "having": None if view.having is None else _having_json(view.having),
        "order": [{"by": term_json(key.term), "descending": key.descending} for key in view.order],
        "limit": view.limit,
    }


def _view_from_json(value: Any) -> View[str]:
    """Raises ValueError, KeyError where `value` is no view."""
    order = tuple(Key(term_from_json(key["by"]), bool(key["descending"])) for key in value["order"])
    return View(None if value["having"] is None else _having_from_json(value["having"]), order, value["limit"])


def _having_json(having: Having[str]) -> dict[str, Any]:
    match having:
        case Holds(left, op, right):
            return {"left": term_json(left), "op": op.value, "right": term_json(right)}
        case Blank(term):
            return {"blank": term_json(term)}
        case Negated(part):
            return {"not": _having_json(part)}
        case Joined(every, parts):
            return {"and" if every else "or": [_having_json(part) for part in parts]}
        case _:
            assert_never(having)


def _having_from_json(value: Any) -> Having[str]:
    match value:
        case {"left": left, "op": str(op), "right": right}:
            return Holds(term_from_json(left), Op(op), term_from_json(right))
        case {"blank": term}:
            return Blank(term_from_json(term))
        case {"not": part}:
            return Negated(_having_from_json(part))
        case {"and": [*parts]}:
            return Joined(True, tuple(_having_from_json(part) for part in parts))
        case {"or": [*parts]}:
            return Joined(False, tuple(_having_from_json(part) for part in parts))
    raise ValueError("no condition")
