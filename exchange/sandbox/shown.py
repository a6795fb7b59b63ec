"""A release's table as its buyer asked to see it: calculated columns, rows chosen, ordered and cut.

Everything is computed from released values, exactly, and rounded once where a column is float64.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, assert_never

import pyarrow as pa

from exchange.sandbox.query import Op, Output
from exchange.sandbox.query.view import Arithmetic, Blank, Calculation, Having, Holds, Joined, Negated, Term, View

LEVEL, STATUS = "level", "status"
MOST_DIGITS = 18  # after the point, of a calculated decimal; beyond that it is a float64

Number = int | Fraction
_COMPARISONS: dict[Op, Callable[[Number, Number], bool]] = {
    Op.EQ: lambda a, b: a == b,
    Op.NE: lambda a, b: a != b,
    Op.LT: lambda a, b: a < b,
    Op.LE: lambda a, b: a <= b,
    Op.GT: lambda a, b: a > b,
    Op.GE: lambda a, b: a >= b,
}


def shown(table: pa.Table, outputs: Sequence[Output], view: View[str]) -> pa.Table:
    """`outputs` of the rows of a release's `table` that `view` chooses, then its `level` if it has one, and `status`.

    A calculated column is float64 where it divides or a part of it is float64; else int64, or decimal128 with
    the digits after the point that its parts have. It is null where a part is null, where it divides by zero,
    and where its value does not fit its type. A measure that is not calculated with is followed by its interval,
    where the release has one.
    """
    numbers = Numbers(table)
    chosen = _chosen(numbers, view)
    if chosen is not None:
        table = table.take(pa.array(chosen, pa.int64()))
        numbers = Numbers(table)
    columns: list[Any] = []
    labels: list[str] = []
    for output in outputs:
        columns.append(_column(numbers, output.source))
        labels.append(output.label)
        for end in ("low", "high"):  # of the interval, which a private answer has for each measure
            if f"{output.source}_{end}" in table.column_names:
                columns.append(table[f"{output.source}_{end}"])
                labels.append(f"{output.label}_{end}")
    also = [name for name in (LEVEL, STATUS) if name in table.column_names]
    return pa.table([*columns, *(table[name] for name in also)], names=[*labels, *also])


class Numbers:
    """The columns of a table, and what is calculated of them, as exact numbers, each once; null is None."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self._known: dict[Term[str], list[Number | None]] = {}

    def values(self, term: Term[str]) -> list[Number | None]:
        """The value of `term` in each row."""
        if term not in self._known:
            self._known[term] = self._calculate(term)
        return self._known[term]

    def _calculate(self, term: Term[str]) -> list[Number | None]:
        match term:
            case Decimal():
                return [Fraction(term)] * self.table.num_rows
            case Calculation(op, left, right):
                pairs = zip(self.values(left), self.values(right), strict=True)
                return [None if a is None or b is None else calculated(op, a, b) for a, b in pairs]
            case _:
                return [_exact(value) for value in self.table[term].to_pylist()]


def calculated(op: Arithmetic, left: Number, right: Number) -> Number | None:
    """`left op right`, exactly; None where it divides by zero."""
    match op:
        case Arithmetic.ADD:
            return left + right
        case Arithmetic.SUB:
            return left - right
        case Arithmetic.MUL:
            return left * right
        case Arithmetic.DIV:
            return Fraction(left) / right if right else None
        case _:
            assert_never(op)


def _exact(value: Any) -> Number | None:
    return value if value is None or isinstance(value, int) else Fraction(value)


def _column(numbers: Numbers, term: Term[str]) -> pa.ChunkedArray | pa.Array:
    if isinstance(term, str):
        return numbers.table[term]
    digits, values = _digits(term, numbers.table), numbers.values(term)
    if digits is None:
        return pa.array([None if value is None else _float(value) for value in values], pa.float64())
    units = [None if value is None else int(value * 10**digits) for value in values]
    if digits == 0:
        return pa.array([_within(unit, 2**63) for unit in units], pa.int64())
    fitting = [_within(unit, 10**38) for unit in units]
    scaled = [None if unit is None else Decimal(f"{unit}e-{digits}") for unit in fitting]
    return pa.array(scaled, pa.decimal128(38, digits))


def _digits(term: Term[str], table: pa.Table) -> int | None:
    """The digits after the point that `term` can have, None where it is a float64; it follows from the types."""
    match term:
        case Decimal():
            return max(0, -int(term.as_tuple().exponent))
        case Calculation(op, left, right):
            both = _digits(left, table), _digits(right, table)
            if op is Arithmetic.DIV or both[0] is None or both[1] is None:
                return None
            found = both[0] + both[1] if op is Arithmetic.MUL else max(both[0], both[1])
            return found if found <= MOST_DIGITS else None
        case _:
            kind = table.schema.field(term).type
            if pa.types.is_decimal(kind):
                return int(kind.scale)
            return 0 if pa.types.is_integer(kind) else None


def _within(value: int | None, most: int) -> int | None:
    return value if value is not None and -most < value < most else None


def _float(value: Number) -> float | None:
    """The float nearest to `value`; None beyond the largest."""
    try:
        return float(value)
    except OverflowError:
        return None


def _chosen(numbers: Numbers, view: View[str]) -> list[int] | None:
    """The rows shown, in order; None for all of them as they are."""
    if view == View():
        return None
    rows = list(range(numbers.table.num_rows))
    if view.having is not None:
        passed = _truths(numbers, view.having)
        rows = [row for row in rows if passed[row] is True]
    for key in reversed(view.order):  # sorts are stable: the last key first
        values = _sortable(numbers, key.term)
        there = sorted((row for row in rows if values[row] is not None), key=values.__getitem__, reverse=key.descending)
        rows = there + [row for row in rows if values[row] is None]
    return rows if view.limit is None else rows[: view.limit]


def _sortable(numbers: Numbers, term: Term[str]) -> list[Any]:
    """What each row is ordered by: dimensions by value, as WHERE compares them."""
    if isinstance(term, str) and not _is_number(numbers.table, term):
        return list(numbers.table[term].to_pylist())
    return list(numbers.values(term))


def _is_number(table: pa.Table, name: str) -> bool:
    kind = table.schema.field(name).type
    return bool(pa.types.is_decimal(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _truths(numbers: Numbers, having: Having[str]) -> list[bool | None]:
    """Whether `having` is true in each row; None is unknown."""
    match having:
        case Holds(left, op, right):
            test = _COMPARISONS[op]
            pairs = zip(numbers.values(left), numbers.values(right), strict=True)
            return [None if a is None or b is None else test(a, b) for a, b in pairs]
        case Blank(term):
            return [value is None for value in numbers.values(term)]
        case Negated(part):
            return [None if truth is None else not truth for truth in _truths(numbers, part)]
        case Joined(every, parts):
            found = zip(*(_truths(numbers, part) for part in parts), strict=True)
            return [_joined(every, row) for row in found]
        case _:
            assert_never(having)


def _joined(every: bool, truths: tuple[bool | None, ...]) -> bool | None:
    if (not every) in truths:
        return not every
    return None if None in truths else every
