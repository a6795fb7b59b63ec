"""Columns to integers, batch by batch: by kernels where they fit, else only distinct values are parsed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from exchange.sandbox.intake import kernels
from exchange.sandbox.intake.keys import Keys
from exchange.sandbox.intake.refused import IntakeRefused
from exchange.sandbox.intake.siphash import Words
from exchange.sandbox.intake.values import Misfit, constant, number, plain
from exchange.sandbox.schema import Column, Kind, Value

MAX_DOMAIN = 100_000  # values collected for one dimension of an open resource

Array = npt.NDArray[np.generic]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Parse = Callable[[Any], Any]


class BadValue(Exception):
    """The value in row `row` of the batch does not fit; `reason` names no value."""

    def __init__(self, row: int, reason: str) -> None:
        super().__init__(reason)
        self.row, self.reason = row, reason


@dataclass(frozen=True, slots=True)
class Encoded:
    """A column of a batch: what is stored, where it is null, and a word per row that stands for its content."""

    stored: Array
    missing: Mask
    words: Words


def distinct(values: pa.Array, parse: Parse) -> tuple[npt.NDArray[np.intp], list[Any]]:
    """Each row's index into the parsed distinct values; null has the last one. Raises BadValue, IntakeRefused."""
    if pa.types.is_decimal(values.type) and values.type.bit_width < 128:
        values = values.cast(pa.decimal128(38, values.type.scale))  # Arrow has no dictionaries of the narrow ones
    try:
        encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
        listed = [*encoded.dictionary.to_pylist(), None]
    except (pa.ArrowException, UnicodeDecodeError):
        raise IntakeRefused("the column's type is not read here, or its text is not UTF-8") from None
    index = encoded.indices.fill_null(len(listed) - 1).to_numpy(zero_copy_only=False).astype(np.intp)
    used = np.zeros(len(listed), bool)
    used[index] = True
    used[-1] = True
    parsed, misfits = [], {}
    for place, value in enumerate(listed):
        try:
            parsed.append(parse(value) if used[place] else None)
        except Misfit as misfit:
            parsed.append(None)
            misfits[place] = str(misfit)
    if misfits:
        row = int(np.isin(index, list(misfits)).argmax())
        raise BadValue(row, misfits[int(index[row])])
    return index, parsed


class Measure:
    """A measure: scaled, clamped to its bounds, nulls kept apart."""

    def __init__(self, column: Column, keys: Keys) -> None:
        self.column, self.keys, self.clamped, self.nulled = column, keys, 0, 0
        self.type = integer(max(abs(column.low), abs(column.high)), signed=True)

    def encode(self, values: pa.Array) -> Encoded:
        """Raises BadValue, IntakeRefused."""
        column = self.column
        found, missing, odd = kernels.units(values, column.scale, column.kind is Kind.INTEGER)
        words = found.view(np.uint64)
        if odd.any():
            found, words, missing = self._singly(values, found, missing, odd)
        self.clamped += int((((found < column.low) | (found > column.high)) & ~missing).sum())
        return Encoded(np.clip(found, column.low, column.high).astype(self.type), missing, words)

    def _singly(self, values: pa.Array, found: Integers, missing: Mask, odd: Mask) -> tuple[Integers, Words, Mask]:
        """The same with the odd values parsed; what exceeds 64 bits is beyond every bound, and stays so."""
        rows = np.flatnonzero(odd)
        try:
            index, parsed = distinct(values.take(pa.array(rows)), lambda value: number(value, self.column))
        except BadValue as bad:
            raise BadValue(int(rows[bad.row]), bad.reason) from None
        short = [v or 0 if abs(v or 0) < 2**63 else (2**63 - 1 if v > 0 else -(2**63)) for v in parsed]
        found, missing = found.copy(), missing.copy()
        found[rows] = np.array(short, np.int64)[index]
        missing[rows] = np.array([v is None for v in parsed])[index]
        words = found.view(np.uint64).copy()
        if short != [v or 0 for v in parsed]:
            hashed = self.keys.texts(pa.array([plain(v) for v in parsed], pa.string()))
            exact = np.array([v or 0 for v in short], np.int64).view(np.uint64)
            same = np.array([s == (v or 0) for s, v in zip(short, parsed, strict=True)])
            words[rows] = np.where(same, exact, hashed)[index]
        return found, words, missing


class Dimension:
    """A dimension: codes from 1 in domain order, 0 for null and for what its domain does not list.

    Where no domain is declared, values are collected, after those `known` already; `domain` and `order` settle
    the codes at the end.
    """

    def __init__(self, column: Column, keys: Keys, known: tuple[Value, ...] = ()) -> None:
        self.column, self.keys, self.clamped, self.nulled = column, keys, 0, 0
        self._codes: dict[tuple[type, Value], int] = {}
        for value in column.domain or known:
            self._code(value)

    @property
    def type(self) -> np.dtype[np.generic]:
        """Of the codes handed out so far; a collected domain may yet grow."""
        return integer(len(self._codes)) if self.column.domain else np.dtype(np.uint32)

    def encode(self, values: pa.Array) -> Encoded:
        """Raises BadValue, IntakeRefused."""
        index, parsed = distinct(values, lambda value: constant(value, self.column))
        present = np.array([value is not None for value in parsed])
        codes = np.array([self._lookup(value) for value in parsed], np.int64)
        self.nulled += int((present & (codes == 0))[index].sum())
        words = self.keys.texts(pa.array([plain(value) for value in parsed], pa.string()))
        return Encoded(codes.astype(self.type)[index], ~present[index], words[index])

    @property
    def domain(self) -> tuple[Value, ...]:
        """Declared, or collected and sorted."""
        values = [value for _, value in self._codes]
        return tuple(values if self.column.domain else sorted(values, key=_sortable))

    def order(self) -> Array:
        """The final code of each code handed out so far."""
        final = {value: code for code, value in enumerate(self.domain, 1)}
        found = np.array([0, *(final[value] for _, value in self._codes)], np.int64)
        return found.astype(integer(len(self._codes)))

    def _lookup(self, value: Value) -> int:
        if value is None:
            return 0
        return self._codes.get((type(value), value), 0) if self.column.domain else self._code(value)

    def _code(self, value: Value) -> int:
        if (type(value), value) in self._codes:
            return self._codes[type(value), value]
        if len(self._codes) == MAX_DOMAIN and not self.column.domain:
            raise IntakeRefused(f"more than {MAX_DOMAIN} distinct values", column=self.column.name)
        return self._codes.setdefault((type(value), value), len(self._codes) + 1)


class Entities:
    """The protected units: hashes of their original ids, HASH; no table of them is kept."""

    def __init__(self, column: Column, keys: Keys) -> None:
        self.column, self.keys, self.clamped, self.nulled = column, keys, 0, 0

    def encode(self, values: pa.Array) -> Encoded:
        """Raises BadValue, IntakeRefused."""
        names = self._names(values)
        missing = names.is_null().to_numpy(zero_copy_only=False)
        listed = names.dictionary.cast(pa.large_string()).cast(pa.large_binary()).to_pylist()
        hashes = self.keys.entities([*listed, b""])
        index = names.indices.fill_null(len(names.dictionary)).to_numpy(zero_copy_only=False)
        return Encoded(hashes[index], missing, np.zeros(0, np.uint64))

    def _names(self, values: pa.Array) -> pa.DictionaryArray:
        """The ids as a dictionary of texts that are the same from CSV and from Parquet."""
        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        if self.column.kind is Kind.STRING and kernels.is_text(values.type):
            return values.dictionary_encode()
        if self.column.kind is Kind.INTEGER:
            found, missing, odd = kernels.units(values, 0, whole=True)
            if not odd.any():
                numbers = pa.array(found, mask=missing).dictionary_encode()
                return pa.DictionaryArray.from_arrays(numbers.indices, numbers.dictionary.cast(pa.string()))
        index, texts = distinct(values, lambda value: _text(constant(value, self.column)))
        return pa.array(texts, pa.string()).take(pa.array(index)).dictionary_encode()


def content(values: pa.Array, keys: Keys) -> tuple[Words, Mask]:
    """A word per row, and where it is null, of a column that is only a part of the row key."""
    if pa.types.is_integer(values.type) or pa.types.is_date32(values.type):
        values = values.cast(pa.string())
    if kernels.is_text(values.type):
        return keys.texts(values), values.is_null().to_numpy(zero_copy_only=False)
    index, texts = distinct(values, _text)
    words = keys.texts(pa.array(texts, pa.string()))
    return words[index], np.array([text is None for text in texts])[index]


def _text(value: object) -> str | None:
    """What `plain` says of a value, without its length; None is null."""
    said = plain(value)
    return None if said == "-" else said.partition(":")[2]


def integer(most: int, signed: bool = False) -> np.dtype[np.generic]:
    """The narrowest type for 0 … most, or -most … most: DuckDB groups and adds narrow integers faster."""
    bits = next((bits for bits in (8, 16, 32) if most < 1 << (bits - signed)), 64)
    return np.dtype(f"{'int' if signed else 'uint'}{max(bits, 16) if signed else bits}")


def _sortable(value: Value) -> Any:
    return value
