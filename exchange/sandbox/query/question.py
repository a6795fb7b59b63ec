"""What a buyer asked, before it is bound to a schema; and its JSON form. Pure: no Django, no I/O.

JSON: `{"product", "measures": [measure], "dimensions": [dimension], "rollup": [dimension], "where": condition}`. A
dimension is a name, or `{"column", "by": "week | month | quarter | year"}`. A measure is
`{"function", "column", "where": condition, "at": fraction of a quantile, "label"}`. A condition is
`{"column", "op": "= <> < <= > >=", "value"}`, `{"column", "op": "in | between", "values"}`,
`{"column", "op": "is_null"}`, `{"and": [condition]}`, `{"or": [condition]}` or `{"not": condition}`.

`"join": [{"product", "on": {column: key}, "keep": "matched | all", "as"}]` joins others, whose columns are then called
`product.column`, or by what is said in `as`.

A measure may also be calculated, `{"op": "+ - * /", "left": term, "right": term, "label"}`. A term is a number or a
measure; in `"having": {"left": term, "op", "right": term}` (also `{"left", "op": "is_null"}`, and, or, not),
and in `"order": [{"by": term, "descending"}]` it may be a string too: a label, or a dimension. `"limit"` is a number.
"""

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from exchange.errors import Problem
from exchange.sandbox.query.joins import Asked, check_number
from exchange.sandbox.query.model import Function, Op
from exchange.sandbox.query.view import (
    WHOLE,
    Arithmetic,
    Blank,
    Calculation,
    Having,
    Holds,
    Joined,
    Key,
    Negated,
    Term,
    View,
    calculation,
    leaves,
)

MAX_DEPTH = 16
MAX_LIMIT = 1_000_000
BASIS_POINTS = 10_000
_QUESTION = {"product", "join", "measures", "dimensions", "rollup", "where", "having", "order", "limit"}
_CODE = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_NUMBER = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?|-?\.[0-9]{1,30}|-?[0-9]{1,30}\.")

Literal = str | bool | Decimal | date
"""A constant; a date may also be written as an ISO string."""


@dataclass(frozen=True, slots=True)
class Test:
    """`column op value`."""

    column: str
    op: Op
    value: Literal


@dataclass(frozen=True, slots=True)
class Among:
    """`column IN (values)`."""

    column: str
    values: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Missing:
    """`column IS NULL`."""

    column: str


@dataclass(frozen=True, slots=True)
class Not:
    part: "Condition"


@dataclass(frozen=True, slots=True)
class Every:
    parts: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class Some:
    parts: "tuple[Condition, ...]"


Condition = Test | Among | Missing | Not | Every | Some


@dataclass(frozen=True, slots=True)
class Truncated:
    """`DATE_TRUNC(by, column)`: stands for the dimension that is declared so."""

    column: str
    by: str


@dataclass(frozen=True, slots=True)
class Item:
    """One column asked for: an aggregate of `column`, or a grouped column where there is no function.

    The aggregate is of the rows for which `where` is true. `at` is a quantile's, in basis points.
    """

    function: Function | None = None
    column: str | None = None
    label: str = ""
    where: Condition | None = None
    at: int | None = None
    truncated: Truncated | None = None  # in the place of a grouped column's name


@dataclass(frozen=True, slots=True)
class Formula:
    """One column asked for that is calculated from aggregates."""

    term: Calculation[Item]
    label: str = ""


Named = Item | str
"""What HAVING and ORDER BY speak of: an aggregate, or a label or dimension by its name."""


@dataclass(frozen=True, slots=True)
class Question:
    """A query as asked: `product` is a product's code, not yet looked up; nothing is checked but its form.

    Columns may have the name of their table before them: a product's code, or an alias.
    """

    product: str
    select: tuple[Item | Formula, ...]
    group_by: tuple[str | Truncated, ...] = ()
    where: Condition | None = None
    view: View[Named] = WHOLE
    rollup: tuple[str | Truncated, ...] = ()  # grouped by too, coarse to fine
    joins: tuple[Asked, ...] = ()
    alias: str = ""  # of `product`


def product_code(text: str) -> str | None:
    """`text` if it could be a product's code."""
    return text if _CODE.fullmatch(text) else None


def number(text: str) -> Decimal:
    """A plain decimal number. Raises Problem value_invalid for exponents, NaN and more than 30 digits."""
    if not _NUMBER.fullmatch(text):
        raise Problem("value_invalid", "a number is not plain", "write digits with at most one decimal point")
    return Decimal(text)


def iso_date(text: str) -> date | None:
    """The day `text` names as YYYY-MM-DD, or None."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if found.isoformat() == text else None


def parse_json(value: object) -> Question:
    """The question in a decoded JSON body. Raises Problem field_invalid, value_invalid, query_too_large."""
    body = _members(value, _QUESTION, "the query")
    product = _product(body)
    groups = tuple(_dimension(name) for name in _list(body.get("dimensions", []), "dimensions"))
    measures = tuple(_output(item) for item in _list(body.get("measures"), "measures"))
    if not measures:
        raise Problem("field_invalid", "measures: at least one is required")
    where = body.get("where")
    condition = None if where is None else _condition(where, 0)
    rollup = tuple(_dimension(name) for name in _list(body.get("rollup", []), "rollup"))
    shown = tuple(dimension_item(group) for group in groups + rollup) + measures
    joins = tuple(_asked(join, product) for join in _list(body.get("join", []), "join"))
    check_number(len(joins))
    return Question(product, shown, groups, condition, _view(body), rollup, joins)


def _product(body: dict[str, object]) -> str:
    product = product_code(_text(body.get("product"), "product"))
    if product is None:
        raise Problem("field_invalid", "product: not a product's code")
    return product


def _asked(value: object, main: str) -> Asked:
    body = _members(value, {"product", "on", "keep", "as"}, "a join")
    product, on, keep = _product(body), body.get("on"), body.get("keep", "matched")
    name = _text(body.get("as", product), "as")
    if not isinstance(on, dict) or len(on) != 1 or keep not in ("matched", "all"):
        raise Problem("field_invalid", "join: on is one column and its key, keep is matched or all")
    column, key = next(iter(on.items()))
    sides = ((main, column), (name, _text(key, "on")))
    one, other = (column if "." in column else f"{table}.{column}" for table, column in sides)
    return Asked(product, name, (one, other), keep == "matched")


def dimension_item(group: str | Truncated, label: str = "") -> Item:
    """A grouped column among those asked for."""
    if isinstance(group, Truncated):
        return Item(label=label, truncated=group)
    return Item(column=group, label=label or group)


def _dimension(value: object) -> str | Truncated:
    if isinstance(value, str):
        return value
    body = _members(value, {"column", "by"}, "a dimension")
    return Truncated(_text(body.get("column"), "column"), _text(body.get("by"), "by"))


def _view(body: dict[str, object]) -> View[Named]:
    having = None if body.get("having") is None else _having(body["having"], 0)
    order = tuple(_key(key) for key in _list(body.get("order", []), "order"))
    return View(having, order, None if body.get("limit") is None else limit(_literal(body["limit"])))


def limit(number: Literal) -> int:
    """A number of rows. Raises Problem value_invalid."""
    if not isinstance(number, Decimal) or number != int(number) or not 0 <= number <= MAX_LIMIT:
        raise Problem("value_invalid", f"the limit is a whole number of 0 to {MAX_LIMIT}")
    return int(number)


def _key(value: object) -> Key[Named]:
    body = _members(value, {"by", "descending"}, "order")
    descending = body.get("descending", False)
    if not isinstance(descending, bool):
        raise Problem("field_invalid", "descending: true or false is required")
    return Key(_term(body.get("by"), 0), descending)


def _having(value: object, depth: int) -> Having[Named]:
    _check_depth(depth)
    body = _members(value, {"left", "op", "right", "and", "or", "not"}, "having")
    match sorted(body):
        case ["and" | "or" as word]:
            parts = tuple(_having(part, depth + 1) for part in _list(body[word], word))
            if parts:
                return Joined(word == "and", parts)
        case ["not"]:
            return Negated(_having(body["not"], depth + 1))
        case ["left", "op", "right"] if _text(body["op"], "op") in set(Op):
            return Holds(_term(body["left"], 0), Op(_text(body["op"], "op")), _term(body["right"], 0))
        case ["left", "op"] if body["op"] == "is_null":
            return Blank(_term(body["left"], 0))
    raise Problem("field_invalid", "having: a condition is not well formed", "see the API's page on queries")


def _term(value: object, depth: int) -> Term[Named]:
    """A number, a measure, a name, or what is calculated of these."""
    _check_depth(depth)
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(repr(value))
    if isinstance(value, dict) and "op" in value:
        return _calculation(_members(value, {"op", "left", "right"}, "a calculation"), depth)
    return _item(value)


def _calculation(body: dict[str, object], depth: int) -> Calculation[Named]:
    op = _text(body["op"], "op")
    if op not in set(Arithmetic):
        raise Problem("field_invalid", "op: a calculation is one of + - * /")
    return Calculation(Arithmetic(op), _term(body.get("left"), depth + 1), _term(body.get("right"), depth + 1))


def _output(value: object) -> Item | Formula:
    """A measure, or one calculated of measures and numbers."""
    if not isinstance(value, dict) or "op" not in value:
        return _item(value)
    body = _members(value, {"op", "left", "right", "label"}, "a calculation")
    term = _calculation({name: part for name, part in body.items() if name != "label"}, 0)
    label = "" if body.get("label") is None else _text(body["label"], "label")
    return Formula(of_aggregates(term), label)


def of_aggregates(term: Calculation[Named]) -> Calculation[Item]:
    """`term`, of which every leaf is an aggregate. Raises Problem sql_unsupported."""

    def aggregate(leaf: Named) -> Term[Item]:
        if isinstance(leaf, str) or leaf.function is None:
            raise Problem("sql_unsupported", "a column is calculated with as an aggregate only", "write SUM(column)")
        return leaf

    whole: Term[Named] = term
    if next(leaves(whole), None) is None:
        raise Problem("sql_unsupported", "a number alone is no column of the answer", "calculate with aggregates")
    return calculation(term, aggregate)


def quantile(fraction: Decimal) -> int:
    """Basis points of a quantile. Raises Problem value_invalid unless it is within 0 … 1 in four digits."""
    points = fraction * BASIS_POINTS
    if not 0 <= points <= BASIS_POINTS or points != int(points):
        raise Problem(
            "value_invalid", "a quantile is a fraction of 0 to 1 with at most four digits", "the median is 0.5"
        )
    return int(points)


def _item(value: object) -> Item:
    body = _members(value, {"function", "column", "label", "where", "at"}, "a measure")
    function, at = _function(_text(body.get("function"), "function"), body.get("at"))
    column = None if body.get("column") is None else _text(body["column"], "column")
    if column is None and function is not Function.COUNT:
        raise Problem("field_invalid", f"{function}: a column is required")
    where = None if body.get("where") is None else _condition(body["where"], 0)
    return Item(function, column, "" if body.get("label") is None else _text(body["label"], "label"), where, at)


def _function(name: str, at: object) -> tuple[Function, int | None]:
    """The function called `name`, and the basis points of a quantile."""
    if name == "median" and at is None:
        return Function.QUANTILE, BASIS_POINTS // 2
    try:
        function = Function(name)
    except ValueError:
        raise Problem("function_unknown", "a function is not offered", _functions()) from None
    if (function is Function.QUANTILE) != (at is not None):
        raise Problem("field_invalid", "at: a quantile has it, and nothing else has")
    if at is None:
        return function, None
    fraction = _literal(at)
    if not isinstance(fraction, Decimal):
        raise Problem("value_invalid", "at: a number is required")
    return function, quantile(fraction)


def _condition(value: object, depth: int) -> Condition:
    _check_depth(depth)
    body = _members(value, {"column", "op", "value", "values", "and", "or", "not"}, "a condition")
    match sorted(body):
        case ["and"]:
            return Every(tuple(_condition(part, depth + 1) for part in _list(body["and"], "and")))
        case ["or"]:
            return Some(tuple(_condition(part, depth + 1) for part in _list(body["or"], "or")))
        case ["not"]:
            return Not(_condition(body["not"], depth + 1))
        case _:
            return _leaf(body)


def _check_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise Problem("query_too_large", f"the query is nested more than {MAX_DEPTH} deep")


def _leaf(body: dict[str, object]) -> Condition:
    column, op = _text(body.get("column"), "column"), _text(body.get("op"), "op")
    members = set(body) - {"column", "op"}
    if op == "is_null" and not members:
        return Missing(column)
    if op in ("in", "between") and members == {"values"}:
        values = tuple(_literal(item) for item in _list(body["values"], "values"))
        if op == "in" and values:
            return Among(column, values)
        if op == "between" and len(values) == 2:
            return Every((Test(column, Op.GE, values[0]), Test(column, Op.LE, values[1])))
    if op in set(Op) and members == {"value"}:
        return Test(column, Op(op), _literal(body["value"]))
    raise Problem("field_invalid", "where: a condition is not well formed", "see the API's page on queries")


def _literal(value: object) -> Literal:
    if isinstance(value, str | bool):
        return value
    if isinstance(value, int | float):
        return number(repr(value))
    raise Problem("value_invalid", "a value is a string, a number or a boolean", "ask for nulls with is_null")


def _members(value: object, allowed: set[str], what: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise Problem("field_invalid", f"{what}: an object is required")
    if unknown := [str(name)[:40] for name in value if name not in allowed]:
        raise Problem("field_invalid", f"{what}: {unknown[0]!r} is not a member of it")
    return value


def _list(value: object, what: str) -> list[object]:
    if not isinstance(value, list):
        raise Problem("field_invalid", f"{what}: a list is required")
    return value


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise Problem("field_invalid", f"{what}: a string is required")
    return value


def _functions() -> str:
    return "offered are median, " + ", ".join(function.value for function in Function)
