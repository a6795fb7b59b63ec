"""Columns of numbers to scaled integers, many at once, where that is exact. Pure: no Django, no I/O.

What does not fit is left to `values`, which says what a value means; the tests hold the two to each other.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from exchange.sandbox.intake.keys import texts

Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_POWERS = 10 ** np.arange(19, dtype=np.int64)
_LARGEST = np.iinfo(np.int64).max
_DIGITS = 18  # decimal digits that always fit int64
_SIGNS = (ord("-"), ord("+"))


class Units(NamedTuple):
    """Numbers in units of 10**-scale: exact where neither `missing` nor `odd`; odd ones are to be parsed singly."""

    values: Integers
    missing: Mask
    odd: Mask


def units(values: pa.Array, scale: int, whole: bool) -> Units:
    """The column's numbers; beyond the scale they round half to even, or are odd where they must be `whole`."""
    missing = values.is_null().to_numpy(zero_copy_only=False)
    kind = values.type
    if pa.types.is_dictionary(kind):
        return units(values.dictionary_decode(), scale, whole)
    if pa.types.is_integer(kind):
        found = _integers(values, scale)
    elif pa.types.is_decimal(kind):
        found = _decimals(values, scale, whole)
    elif pa.types.is_floating(kind):
        return _floats(values, missing, scale, whole)
    elif is_text(kind):
        found = _texts(values, scale, whole)
    else:
        found = np.zeros(len(values), np.int64), np.ones(len(values), bool)
    return Units(np.where(missing, 0, found[0]), missing, found[1] & ~missing)


def is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _integers(values: pa.Array, scale: int) -> tuple[Integers, Mask]:
    if pa.types.is_uint64(values.type):
        big = pc.fill_null(pc.greater(values, pa.scalar(_LARGEST, pa.uint64())), False)
        values = pc.if_else(big, pa.scalar(0, pa.uint64()), values)
        odd = big.to_numpy(zero_copy_only=False)
    else:
        odd = np.zeros(len(values), bool)
    found = pc.fill_null(values.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    scaled, misfit = _rescaled(found, np.zeros(1, np.int64), scale, whole=True)
    return scaled, odd | misfit


def _decimals(values: pa.Array, scale: int, whole: bool) -> tuple[Integers, Mask]:
    """From the decimal's two words of 64 bits; it fits where the upper one only extends the sign."""
    places = values.type.scale
    if pa.types.is_decimal256(values.type) or not 0 <= places <= _DIGITS:
        return np.zeros(len(values), np.int64), np.ones(len(values), bool)
    if not pa.types.is_decimal128(values.type):
        values = values.cast(pa.decimal128(38, places))
    words = np.frombuffer(values.buffers()[1] or b"", np.int64).reshape(-1, 2)
    words = words[values.offset : values.offset + len(values)]
    fits = (words[:, 1] == words[:, 0] >> 63) & (words[:, 0] < _POWERS[_DIGITS]) & (words[:, 0] > -_POWERS[_DIGITS])
    scaled, misfit = _rescaled(np.where(fits, words[:, 0], 0), np.full(1, places), scale, whole)
    return scaled, ~fits | misfit


def _floats(values: pa.Array, missing: Mask, scale: int, whole: bool) -> Units:
    """Whole floats as they are, others by their shortest text; NaN is null."""
    found = pc.fill_null(values.cast(pa.float64()), np.nan).to_numpy(zero_copy_only=False)
    missing = missing | np.isnan(found)
    simple = np.abs(found) < 2**53
    simple[simple] = found[simple] == np.rint(found[simple])
    scaled, misfit = _rescaled(np.where(simple, found, 0).astype(np.int64), np.zeros(1, np.int64), scale, whole)
    odd = ~simple | misfit
    rest = np.flatnonzero(~simple & ~missing)
    if len(rest):
        scaled[rest], odd[rest] = _texts(pa.array(found[rest]).cast(pa.string()), scale, whole)
    return Units(np.where(missing, 0, scaled), missing, odd & ~missing)


def _texts(values: pa.Array, scale: int, whole: bool) -> tuple[Integers, Mask]:
    """Texts like -12.50, character by character over all rows; whatever else a number may look like is odd."""
    found, offsets = texts(values)
    starts, lengths = offsets[:-1], np.diff(offsets)
    data = np.append(found, np.uint8(0))
    number, digits, places = (np.zeros(len(values), np.int64) for _ in range(3))
    odd, dotted, negative = lengths > _DIGITS + 2, np.zeros(len(values), bool), np.zeros(len(values), bool)
    for place in range(min(int(lengths.max(initial=0)), _DIGITS + 2)):
        inside = place < lengths
        character = data[np.where(inside, starts + place, len(data) - 1)]
        value = character - np.uint8(ord("0"))
        digit = inside & (value < 10)
        number = np.where(digit, number * 10 + value, number)
        digits += digit
        places += digit & dotted
        dot = inside & (character == ord("."))
        sign = inside & np.isin(character, _SIGNS) if place == 0 else np.zeros(1, bool)
        negative |= sign & (character == ord("-"))
        odd |= inside & ~digit & ~sign & ~(dot & ~dotted) | (digits > _DIGITS)
        dotted |= dot
    odd |= digits == 0
    number, places = np.where(odd, 0, np.where(negative, -number, number)), np.where(odd, 0, places)
    scaled, misfit = _rescaled(number, places, scale, whole)
    return scaled, odd | misfit


def _rescaled(number: Integers, places: Integers, scale: int, whole: bool) -> tuple[Integers, Mask]:
    """`number` × 10**(scale - places), rounded half to even, and where that does not fit, or is not `whole`."""
    shift = scale - places
    power = _POWERS[np.maximum(shift, 0)]
    most = _LARGEST // power
    odd = (number > most) | (number < -most)
    scaled = np.where(odd, 0, number) * power
    if not (shift < 0).any():
        return scaled, odd
    divisor = _POWERS[np.maximum(-shift, 0)]
    quotient = scaled // divisor
    rest = scaled - quotient * divisor
    up = (2 * rest > divisor) | ((2 * rest == divisor) & (quotient % 2 == 1))
    return quotient + up, odd | (whole & (rest != 0))
