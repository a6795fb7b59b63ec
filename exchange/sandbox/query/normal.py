"""Filters in their one normal form: conditions and predicates to regions, and regions to predicates. Pure."""

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor
from typing import Any, assert_never

from exchange.errors import Problem
from exchange.sandbox.query.model import And, Compare, In, IsNull, Op, Or, Predicate, order
from exchange.sandbox.query.question import Among, Condition, Every, Literal, Missing, Not, Some, Test
from exchange.sandbox.query.regions import TRUE, Line, Node, Region, Span, Tree, joined, others, simplify
from exchange.sandbox.schema import Column, Kind, Role, Schema, codes, fits

_TESTS: dict[Op, Callable[[Any, Any], bool]] = {
    Op.EQ: lambda a, b: a == b,
    Op.NE: lambda a, b: a != b,
    Op.LT: lambda a, b: a < b,
    Op.LE: lambda a, b: a <= b,
    Op.GT: lambda a, b: a > b,
    Op.GE: lambda a, b: a >= b,
}


def normalize(predicate: Predicate | None, schema: Schema) -> Predicate | None:
    """The normal form of `predicate`; None where it holds for every row, `Or(())` where for none.

    Raises Problem column_unknown or value_invalid where a leaf does not fit `schema`.
    """
    return None if predicate is None else render(region_of(predicate, schema), schema)


def render(node: Node, schema: Schema) -> Predicate | None:
    """The predicate of a tree of regions, sorted, so that equal trees are equal values."""
    simple = simplify(node, lines(schema))
    return None if simple == TRUE else _predicate(simple, schema)


def lines(schema: Schema) -> dict[str, Line]:
    """Where the values of each filterable column lie."""
    columns = schema.columns
    dimensions = {c.name: Line(1, len(c.domain), not c.required) for c in columns if c.role is Role.DIMENSION}
    return dimensions | {c.name: Line(c.low, c.high) for c in columns if c.role is Role.MEASURE}


def tree(condition: Condition, schema: Schema, negated: bool = False) -> Node:
    """Where `condition` (or NOT `condition`) is true, by Kleene's laws. Raises Problem value_invalid."""
    match condition:
        case Not(part):
            return tree(part, schema, not negated)
        case Every(parts):
            return Tree(not negated, tuple(tree(part, schema, negated) for part in parts))
        case Some(parts):
            return Tree(negated, tuple(tree(part, schema, negated) for part in parts))
        case Missing(name):
            line = lines(schema)[name]
            return Region(name, joined([(line.low, line.high)]) if negated else (), not negated)
        case Test(name, op, value):
            return _side(name, _spans(_column(schema, name), op, value), schema, negated)
        case Among(name, values):
            return _side(name, _listed(_column(schema, name), values), schema, negated)
        case _:
            assert_never(condition)


def region_of(predicate: Predicate, schema: Schema) -> Node:
    """The tree of regions of a predicate, trusting nothing. Raises Problem column_unknown, value_invalid."""
    match predicate:
        case And(parts):
            return Tree(True, tuple(region_of(part, schema) for part in parts))
        case Or(parts):
            return Tree(False, tuple(region_of(part, schema) for part in parts))
        case IsNull(name, negated):
            return tree(Missing(_column(schema, name).name), schema, negated)
        case In(name, values):
            column = _column(schema, name)
            known = codes(column) if column.role is Role.DIMENSION else {}
            if not all(fits(column.kind, value) and value in known for value in values):
                raise Problem("value_invalid", f"{name}: a value is not in its domain")
            return Region(name, joined([(known[value], known[value]) for value in values]))
        case Compare(name, op, value):
            column = _column(schema, name)
            if column.role is not Role.MEASURE:
                raise Problem("value_invalid", f"{name}: compared by value, it is a dimension")
            return Region(name, _between(column, op, Fraction(value)))
        case _:
            assert_never(predicate)


def _side(name: str, spans: tuple[Span, ...], schema: Schema, negated: bool) -> Region:
    # Kleene: a comparison with null is unknown, and so is its negation; neither lets the row pass.
    line = lines(schema)[name]
    return Region(name, others(spans, line.low, line.high) if negated else spans)


def _column(schema: Schema, name: str) -> Column:
    column = schema.get(name)
    if column is None or column.role is Role.ENTITY:
        raise Problem("column_unknown", f"{name[:63]!r} is not a column to filter by")
    return column


def _spans(column: Column, op: Op, value: Literal) -> tuple[Span, ...]:
    """The values of `column` for which `column op value` is true."""
    if column.role is Role.MEASURE:
        if not isinstance(value, Decimal):
            raise _misfit(column)
        return _between(column, op, Fraction(value) * 10**column.scale)
    if op is Op.EQ:
        return _listed(column, (value,))
    known = _constant(column, value)
    return joined([(code, code) for item, code in codes(column).items() if _TESTS[op](item, known)])


def _listed(column: Column, values: tuple[Literal, ...]) -> tuple[Span, ...]:
    """The values of `column` that are one of `values`."""
    if column.role is Role.MEASURE:
        return joined([span for value in values for span in _spans(column, Op.EQ, value)])
    known = codes(column)
    found = [known.get(_constant(column, value)) for value in values]
    return joined([(code, code) for code in found if code is not None])


def _between(column: Column, op: Op, value: Fraction) -> tuple[Span, ...]:
    """The units of a measure, within its bounds, for which `unit op value` is true."""
    low, high = column.low, column.high
    match op:
        case Op.EQ | Op.NE:
            equal = joined([(max(low, ceil(value)), min(high, floor(value)))])
            return equal if op is Op.EQ else others(equal, low, high)
        case Op.LT:
            return joined([(low, min(high, ceil(value) - 1))])
        case Op.LE:
            return joined([(low, min(high, floor(value)))])
        case Op.GT:
            return joined([(max(low, floor(value) + 1), high)])
        case Op.GE:
            return joined([(max(low, ceil(value)), high)])


def _constant(column: Column, value: Literal) -> Any:
    """`value` as it compares with the domain of `column`; a number is equal to its integer, also as a key."""
    match column.kind, value:
        case Kind.STRING, str():
            return value
        case Kind.DATE, date():
            return value.isoformat()
        case Kind.DATE, str() if fits(Kind.DATE, value):
            return value
        case Kind.BOOLEAN, bool():
            return value
        case Kind.INTEGER, Decimal():
            return value
        case _:
            raise _misfit(column)


def _misfit(column: Column) -> Problem:
    hints = {
        Kind.DATE: "write DATE '2013-01-31'",
        Kind.STRING: "write 'text'",
        Kind.BOOLEAN: "write TRUE or FALSE",
    }
    hint = hints.get(column.kind, "write a plain number")
    return Problem("value_invalid", f"{column.name}: the value is no {column.kind.value}", hint)


def _predicate(node: Node, schema: Schema) -> Predicate:
    if isinstance(node, Region):
        column = _column(schema, node.column)
        pieces = _values(node, column) if column.role is Role.DIMENSION else _ranges(node, column)
        return _sorted(Or, pieces + ([IsNull(node.column)] if node.null else []))
    return _sorted(And if node.every else Or, [_predicate(part, schema) for part in node.parts])


def _values(region: Region, column: Column) -> list[Predicate]:
    if region.spans == ((1, len(column.domain)),):
        return [IsNull(column.name, negated=True)]
    values = tuple(column.domain[code - 1] for low, high in region.spans for code in range(low, high + 1))
    return [In(column.name, values)] if values else []


def _ranges(region: Region, column: Column) -> list[Predicate]:
    if region.spans == ((column.low, column.high),):
        return [IsNull(column.name, negated=True)]
    return [_range(column, *span) for span in region.spans]


def _range(column: Column, low: int, high: int) -> Predicate:
    if low == high:
        return Compare(column.name, Op.EQ, low)
    least = [Compare(column.name, Op.GE, low)] if low > column.low else []
    most = [Compare(column.name, Op.LE, high)] if high < column.high else []
    return _sorted(And, [*least, *most])


def _sorted(kind: type[And] | type[Or], parts: Sequence[Predicate]) -> Predicate:
    """`kind` of `parts`, flattened and sorted; of a single part, the part itself."""
    flat = (piece for part in parts for piece in (part.parts if isinstance(part, kind) else (part,)))
    unique = {order(piece): piece for piece in flat}
    ordered = tuple(unique[key] for key in sorted(unique))
    return ordered[0] if len(ordered) == 1 else kind(ordered)
