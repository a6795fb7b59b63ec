"""What a buyer asked, before it is bound to a schema; and its JSON form. Pure: no Django, no I/O.

JSON: `{"product", "measures": [measure], "dimensions": [name], "where": condition}`. A measure is
`{"function", "column", "where": condition, "at": fraction of a quantile, "label"}`. A condition is
`{"column", "op": "= <> < <= > >=", "value"}`, `{"column", "op": "in | between", "values"}`,
`{"column", "op": "is_null"}`, `{"and": [condition]}`, `{"or": [condition]}` or `{"not": condition}`.
"""

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from exchange.errors import Problem
from exchange.sandbox.query.model import Function, Op

MAX_DEPTH = 16
BASIS_POINTS = 10_000
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
class Item:
    """One column asked for: an aggregate of `column`, or a grouped column where there is no function.

    The aggregate is of the rows for which `where` is true. `at` is a quantile's, in basis points.
    """

    function: Function | None = None
    column: str | None = None
    label: str = ""
    where: Condition | None = None
    at: int | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A query as asked: `product` is a product's code, not yet looked up; nothing is checked but its form."""

    product: str
    select: tuple[Item, ...]
    group_by: tuple[str, ...] = ()
    where: Condition | None = None


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
    body = _members(value, {"product", "measures", "dimensions", "where"}, "the query")
    product = product_code(_text(body.get("product"), "product"))
    if product is None:
        raise Problem("field_invalid", "product: not a product's code")
    groups = tuple(_text(name, "dimensions") for name in _list(body.get("dimensions", []), "dimensions"))
    measures = tuple(_item(item) for item in _list(body.get("measures"), "measures"))
    if not measures:
        raise Problem("field_invalid", "measures: at least one is required")
    where = body.get("where")
    condition = None if where is None else _condition(where, 0)
    return Question(product, tuple(Item(column=name, label=name) for name in groups) + measures, groups, condition)


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
    if depth > MAX_DEPTH:
        raise Problem("query_too_large", f"conditions are nested more than {MAX_DEPTH} deep")
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
    return "offered are " + ", ".join(function.value for function in Function if function is not Function.QUANTILE)
