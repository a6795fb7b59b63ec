"""`AggregateQuery` as JSON, on its way to the node, which reads it as if the exchange were hostile. Pure."""

from typing import Any

from exchange.errors import Problem
from exchange.sandbox.query.bind import MAX_COMPARISONS, MAX_DIMENSIONS, MAX_MEASURES, Rules, ordered
from exchange.sandbox.query.faults import Faults
from exchange.sandbox.query.joins import MAX_JOINS, joins_from_json, joins_json
from exchange.sandbox.query.model import (
    AggregateQuery,
    And,
    Compare,
    Function,
    In,
    IsNull,
    Measure,
    Op,
    Or,
    Predicate,
    Profile,
    predicate_json,
)
from exchange.sandbox.query.normal import normalize
from exchange.sandbox.query.question import BASIS_POINTS, MAX_DEPTH
from exchange.sandbox.schema import Schema
from exchange.sandbox.terms import Terms

MAX_LEAVES = 4_000  # a NOT IN on a measure has a range before and behind each value


def to_json(query: AggregateQuery) -> dict[str, Any]:
    """`query` as canonical JSON can carry it; equal queries give equal JSON."""
    found: dict[str, Any] = {
        "measures": [_measure_json(measure) for measure in query.measures],
        "dimensions": list(query.dimensions),
        "where": None if query.where is None else predicate_json(query.where),
    }
    found |= {"rollup": list(query.rollup)} if query.rollup else {}
    return found | {"joins": joins_json(query.joins)} if query.joins else found


def from_json(value: object, schema: Schema, terms: Terms) -> AggregateQuery:
    """The query in `value`, checked as `bind` checks it, under `terms.profile`; `schema` has what it joins, which
    was checked before (joins.joined).

    Raises Problem: field_invalid where it is malformed or not in normal form (a query written in two ways
    would draw its noise twice), else the codes of `bind`.
    """
    query = _read(value)
    faults = Faults()
    rules = Rules(schema, Profile(terms.profile), faults)
    for name in query.dimensions:
        rules.dimension(name)
    rules.rollup([name for name in query.dimensions if name not in query.rollup], query.rollup)
    wheres = [query.where, *(measure.where for measure in query.measures)]
    leaves = [leaf for where in wheres if where is not None for leaf in _leaves(where)]
    columns = [rules.filter(leaf.column) for leaf in leaves]
    rules.size("comparisons", sum(len(column.domain) for column in columns if column), 2 * MAX_COMPARISONS)
    rules.size("dimensions", len(query.dimensions), MAX_DIMENSIONS)
    rules.size("measures", len(query.measures), MAX_MEASURES)
    rules.size("conditions", len(leaves), MAX_LEAVES)
    rules.size("joins", len(query.joins), MAX_JOINS)
    faults.settle()
    measures = {rules.measure(m.function, m.column, normalize(m.where, schema), m.at) for m in query.measures}
    faults.settle()
    normal = AggregateQuery(
        ordered({measure for measure in measures if measure}),
        tuple(sorted(set(query.dimensions))),
        normalize(query.where, schema),
        query.rollup,
        tuple(sorted(query.joins, key=lambda join: join.name)),
    )
    if query != normal or to_json(query) != value or not set(query.rollup) <= set(query.dimensions):
        raise Problem("field_invalid", "the query is not in normal form")
    rules.whole(query)
    faults.settle()
    return query


def _read(value: object) -> AggregateQuery:
    if not isinstance(value, dict) or set(value) - {"rollup", "joins"} != {"measures", "dimensions", "where"}:
        raise Problem("field_invalid", "the query is not well formed")
    measures, dimensions, where = value["measures"], value["dimensions"], value["where"]
    try:
        return AggregateQuery(
            tuple(_measure(measure) for measure in measures),
            tuple(_text(name) for name in dimensions),
            None if where is None else _predicate(where, 0),
            tuple(_text(name) for name in value.get("rollup", ())),
            joins_from_json(value),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Problem("field_invalid", "the query is not well formed") from error


def _measure_json(measure: Measure) -> dict[str, Any]:
    found: dict[str, Any] = {"function": measure.function.value, "column": measure.column}
    if measure.where is not None:
        found["where"] = predicate_json(measure.where)
    return found if measure.at is None else found | {"at": measure.at}


def _measure(value: Any) -> Measure:
    function, column, where, at = Function(value["function"]), value["column"], value.get("where"), value.get("at")
    if column is None and function is not Function.COUNT:
        raise ValueError("a column is required")
    points = type(at) is int and 0 <= at <= BASIS_POINTS
    if points is not (function is Function.QUANTILE) or (at is not None and not points):
        raise ValueError("a quantile, and nothing else, is at some basis points")
    return Measure(
        function, None if column is None else _text(column), None if where is None else _predicate(where, 0), at
    )


def _predicate(value: Any, depth: int) -> Predicate:
    if depth > 2 * MAX_DEPTH:  # normal forms add an OR where a condition needs several leaves
        raise ValueError("nested too deep")
    match value:
        case {"and": [*parts]} if len(value) == 1:
            return And(tuple(_predicate(part, depth + 1) for part in parts))
        case {"or": [*parts]} if len(value) == 1:
            return Or(tuple(_predicate(part, depth + 1) for part in parts))
        case {"column": str(name), "op": "in", "values": [*values]} if all(map(_scalar, values)):
            return In(name, tuple(values))
        case {"column": str(name), "op": "is_null" | "is_not_null" as op}:
            return IsNull(name, negated=op == "is_not_null")
        case {"column": str(name), "op": str(op), "value": int(number)} if not isinstance(number, bool):
            return Compare(name, Op(op), number)
    raise ValueError("no condition")


def _leaves(predicate: Predicate) -> list[In | Compare | IsNull]:
    if isinstance(predicate, And | Or):
        return [leaf for part in predicate.parts for leaf in _leaves(part)]
    return [predicate]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("no name")
    return value


def _scalar(value: object) -> bool:
    return isinstance(value, str | int)
