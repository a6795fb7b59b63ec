"""Columns to integers, batch by batch: only distinct values are parsed, so it costs little per row."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from exchange.sandbox.intake.refused import IntakeRefused
from exchange.sandbox.intake.values import Misfit, constant, number, plain
from exchange.sandbox.schema import Column, Kind, Value

MAX_DOMAIN = 100_000  # values collected for one dimension of an open resource

Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Parse = Callable[[Any], Any]


class BadValue(Exception):
    """The value in row `row` of the batch does not fit; `reason` names no value."""

    def __init__(self, row: int, reason: str) -> None:
        super().__init__(reason)
        self.row, self.reason = row, reason


def distinct(values: pa.Array, parse: Parse) -> tuple[npt.NDArray[np.intp], list[Any]]:
    """Each row's index into the parsed distinct values; null has the last one. Raises BadValue, IntakeRefused."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    try:
        encoded = values.dictionary_encode()
    except pa.ArrowException:
        raise IntakeRefused("the column's type is not read here") from None
    index = encoded.indices.fill_null(len(encoded.dictionary)).to_numpy(zero_copy_only=False)
    parsed = []
    for place, value in enumerate([*encoded.dictionary.to_pylist(), None]):
        try:
            parsed.append(parse(value))
        except Misfit as misfit:
            raise BadValue(int(np.argmax(index == place)), str(misfit)) from None
    return index, parsed


class Measure:
    """A measure: scaled, clamped to its bounds, nulls kept apart."""

    def __init__(self, column: Column) -> None:
        self.column, self.clamped, self.nulled = column, 0, 0

    def encode(self, values: pa.Array) -> tuple[Integers, Mask]:
        """(units, null mask); zero where null."""
        index, parsed = distinct(values, lambda value: number(value, self.column))
        low, high = self.column.low, self.column.high
        units = np.array([min(max(v, low), high) if v is not None else 0 for v in parsed], np.int64)
        outside = np.array([v is not None and not low <= v <= high for v in parsed])
        missing = np.array([v is None for v in parsed])
        self.clamped += int(outside[index].sum())
        return units[index], missing[index]


class Dimension:
    """A dimension: codes from 1 in domain order, 0 for null and for what its domain does not list.

    Where no domain is declared, values are collected; `domain` and `order` settle the codes at the end.
    """

    def __init__(self, column: Column) -> None:
        self.column, self.clamped, self.nulled = column, 0, 0
        self._codes: dict[tuple[type, Value], int] = {}
        for value in column.domain:
            self._code(value)

    def encode(self, values: pa.Array) -> Integers:
        index, parsed = distinct(values, lambda value: constant(value, self.column))
        codes = np.array([self._lookup(value) for value in parsed], np.int64)
        missing = np.array([value is not None for value in parsed]) & (codes == 0)
        self.nulled += int(missing[index].sum())
        return codes[index]

    @property
    def domain(self) -> tuple[Value, ...]:
        """Declared, or collected and sorted."""
        values = [value for _, value in self._codes]
        return tuple(values if self.column.domain else sorted(values, key=_sortable))

    def order(self) -> Integers:
        """The final code of each code handed out so far."""
        final = {value: code for code, value in enumerate(self.domain, 1)}
        return np.array([0, *(final[value] for _, value in self._codes)], np.int64)

    def _lookup(self, value: Value) -> int:
        if value is None:
            return 0
        return self._codes.get((type(value), value), 0) if self.column.domain else self._code(value)

    def _code(self, value: Value) -> int:
        if len(self._codes) == MAX_DOMAIN and not self.column.domain:
            raise IntakeRefused(f"more than {MAX_DOMAIN} distinct values", column=self.column.name)
        return self._codes.setdefault((type(value), value), len(self._codes) + 1)


class Entities:
    """The protected units: dense integers from 1 in order of appearance, 0 for null."""

    def __init__(self, column: Column) -> None:
        self.column, self.clamped, self.nulled = column, 0, 0
        self._ids: dict[Value, int] = {}

    def encode(self, values: pa.Array) -> Integers:
        index, parsed = distinct(values, lambda value: constant(value, self.column))
        ids = [0 if value is None else self._ids.setdefault(value, len(self._ids) + 1) for value in parsed]
        return np.array(ids, np.int64)[index]

    @property
    def names(self) -> list[str]:
        """The original ids by dense id; at 0 nothing."""
        return ["", *(plain(value) for value in self._ids)]


def content(values: pa.Array, column: Column | None) -> npt.NDArray[np.object_]:
    """Each row's value as text for its row key; `column` is None for a column that is only a key."""
    parse = plain if column is None else lambda value: plain(_known(value, column))
    index, parsed = distinct(values, parse)
    return np.array(parsed, object)[index]


def _known(value: object, column: Column) -> Value:
    return number(value, column) if column.kind is Kind.DECIMAL else constant(value, column)


def _sortable(value: Value) -> Any:
    return value
