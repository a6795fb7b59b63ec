"""The fast ways through intake mean the same as the exact ones, and its keyed function is the published one."""

import hmac
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exchange.sandbox.intake import siphash
from exchange.sandbox.intake.encode import BadValue, Entities, Measure, content
from exchange.sandbox.intake.keys import Keys
from exchange.sandbox.intake.values import Misfit, number
from exchange.sandbox.schema import LARGEST, Column, Kind, Role

KEYS = Keys(b"r" * 32)
UNHURRIED = settings(deadline=None)  # a busy machine is no fault

# SipHash-2-4

KEY = bytes(range(16))
# The authors' vectors, of the texts of 0 to 63 bytes 00 01 02 …: github.com/veorq/SipHash, vectors.h
VECTORS = bytes.fromhex("""
310e0edd47db6f72 fd67dc93c539f874 5a4fa9d909806c0d 2d7efbd796666785 b7877127e09427cf 8da699cd64557618
cee3fe586e46c9cb 37d1018bf50002ab 6224939a79f5f593 b0e4a90bdf82009e f3b9dd94c5bb5d7a a7ad6b22462fb3f4
fbe50e86bc8f1e75 903d84c02756ea14 eef27a8e90ca23f7 e545be4961ca29a1 db9bc2577fcc2a3f 9447be2cf5e99a69
9cd38d96f0b3c14b bd6179a71dc96dbb 98eea21af25cd6be c7673b2eb0cbf2d0 883ea3e395675393 c8ce5ccd8c030ca8
94af49f6c650adb8 eab8858ade92e1bc f315bb5bb835d817 adcf6b0763612e2f a5c91da7acaa4dde 716595876650a2a6
28ef495c53a387ad 42c341d8fa92d832 ce7cf2722f512771 e37859f94623f3a7 381205bb1ab0e012 ae97a10fd434e015
b4a31508beff4d31 81396229f0907902 4d0cf49ee5d4dcca 5c73336a76d8bf9a d0a704536ba93e0e 925958fcd6420cad
a915c29bc8067318 952b79f3bc0aa6d4 f21df2e41d4535f9 87577519048f53a9 10a56cf5dfcd9adb eb75095ccd986cd0
51a9cb9ecba312e6 96afadfc2ce666c7 72fe52975a4364ee 5a1645b276d592a1 b274cb8ebf87870a 6f9bb4203de7b381
eaecb2a30b22a87f 9924a43cc1315724 bd838d3aafbf8db7 0b1a2a3265d51aea 135079a3231ce660 932b2846e4d70666
e1915f5cb1eca46c f325965ca16d629f 575ff28e60381be5 724506eb4c328a95
""")


def test_texts_of_every_length_hash_as_the_authors_say() -> None:
    texts = [bytes(range(length)) for length in range(64)]
    places = np.cumsum([0, *map(len, texts)])
    found = siphash.of_texts(KEY, np.frombuffer(b"".join(texts), np.uint8), places)
    assert found.astype("<u8").tobytes() == VECTORS


def test_words_hash_as_the_texts_of_their_bytes_do() -> None:
    columns = [np.full(3, int.from_bytes(bytes(range(8 * i, 8 * i + 8)), "little"), np.uint64) for i in range(7)]
    for size in range(1, 8):
        found = siphash.of_words(KEY, columns[:size])
        assert found.astype("<u8").tobytes() == 3 * VECTORS[64 * size : 64 * size + 8]


@UNHURRIED
@given(st.lists(st.text(max_size=40), min_size=1, max_size=50))
def test_a_text_hashes_the_same_whatever_stands_beside_it(texts: list[str]) -> None:
    alone = [int(KEYS.texts(pa.array([text]))[0]) for text in texts]
    assert KEYS.texts(pa.array(["before", *texts]).slice(1)).tolist() == alone


@UNHURRIED
@given(st.lists(st.binary(max_size=200), min_size=1, max_size=5))
def test_an_entity_is_hashed_by_hmac_sha256(names: list[bytes]) -> None:
    key = hmac.digest(KEYS.secret, b"sluice intake entity", "sha256")
    assert KEYS.entities(names).tobytes() == b"".join(hmac.digest(key, name, "sha256")[:12] for name in names)


# Kernels and exact parsing

_texts = st.one_of(
    st.from_regex(r"[+-]?[0-9]{0,21}(\.[0-9]{0,14})?([eE][+-]?[0-9]{1,2})?", fullmatch=True),
    st.decimals(allow_nan=False, allow_infinity=False, places=4).map(str),
    st.integers().map(str),
    st.text("0123456789.-+eE x٣", max_size=8),
)
_values = {
    pa.string(): _texts,
    pa.large_string(): _texts,
    pa.dictionary(pa.int32(), pa.string()): _texts,
    pa.int8(): st.integers(-128, 127),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float64(): st.floats() | st.integers(-(10**6), 10**6).map(lambda n: n / 1000),
    pa.float32(): st.floats(width=32),
    pa.decimal128(38, 6): st.decimals(min_value=-(10**31), max_value=10**31, places=6),
    pa.decimal128(12, 0): st.integers(-(10**11), 10**11).map(Decimal),
    pa.decimal64(18, 18): st.integers(1 - 10**17, 10**17 - 1).map(lambda n: Decimal(n).scaleb(-18)),
    pa.decimal256(60, 3): st.decimals(min_value=-(10**50), max_value=10**50, places=3),
    pa.bool_(): st.booleans(),
    pa.date32(): st.dates(),
}
_columns = st.builds(
    lambda whole, scale, low, high: Column(
        "x", Kind.INTEGER if whole else Kind.DECIMAL, Role.MEASURE, low=low, high=high, scale=0 if whole else scale
    ),
    st.booleans(), st.integers(0, 12), st.integers(-LARGEST, 0), st.integers(1, LARGEST),
)  # fmt: skip


def one_by_one(values: list[Any], column: Column) -> tuple[list[int | None], int] | int:
    """What is stored and how many values were clamped, or the first row that does not fit, by `values.number`."""
    found = []
    for row, value in enumerate(values):
        try:
            found.append(number(value, column))
        except Misfit:
            return row
    clamped = [None if v is None else min(max(v, column.low), column.high) for v in found]
    return clamped, sum(v != c for v, c in zip(found, clamped, strict=True))


def at_once(values: pa.Array, column: Column) -> tuple[list[int | None], int] | int:
    measure = Measure(column, KEYS)
    try:
        found = measure.encode(values)
    except BadValue as bad:
        return bad.row
    stored = [None if m else int(v) for v, m in zip(found.stored, found.missing, strict=True)]
    return stored, measure.clamped


@pytest.mark.parametrize("kind", _values, ids=str)
def test_a_column_at_once_is_what_its_values_are_one_by_one(kind: pa.DataType) -> None:
    @UNHURRIED
    @given(st.lists(st.none() | _values[kind], min_size=1, max_size=12), _columns, st.integers(0, 3))
    def check(values: list[Any], column: Column, skipped: int) -> None:
        array = pa.array([*values[:skipped], *values], kind)[len(values[:skipped]) :]
        assert at_once(array, column) == one_by_one(array.to_pylist(), column)

    check()


@UNHURRIED
@given(st.integers(-(10**9), 10**9), st.integers(0, 6), st.integers(0, 6))
@example(5, 1, 0)
@example(-15, 1, 0)
@example(25, 1, 0)
def test_what_lies_beyond_the_scale_rounds_half_to_even(units: int, places: int, scale: int) -> None:
    value = Decimal(units).scaleb(-places)
    column = Column("x", Kind.DECIMAL, Role.MEASURE, low=-LARGEST, high=LARGEST, scale=scale)
    expected = int((value.scaleb(scale)).to_integral_value("ROUND_HALF_EVEN"))
    for array in (pa.array([f"{value:f}"]), pa.array([value], pa.decimal128(20, 6))):
        assert at_once(array, column) == ([expected], 0)


@UNHURRIED
@given(st.lists(st.integers(-(2**70), 2**70), min_size=1, max_size=8, unique=True))
def test_different_numbers_stand_for_different_rows_however_far_they_lie_out_of_bounds(values: list[int]) -> None:
    column = Column("x", Kind.INTEGER, Role.MEASURE, low=0, high=1)
    words = Measure(column, KEYS).encode(pa.array(map(str, values))).words
    assert len(set(words.tolist())) == len(values)


# The same from CSV and from Parquet


@UNHURRIED
@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=10))
def test_integers_are_the_same_content_and_the_same_entities_as_their_texts(values: list[int | None]) -> None:
    texts = pa.array([None if v is None else str(v) for v in values], pa.string())
    entities = Entities(Column("x", Kind.INTEGER, Role.ENTITY), KEYS)
    numbers = pa.array(values, pa.int64())
    assert entities.encode(numbers).stored.tobytes() == entities.encode(texts).stored.tobytes()
    assert [part.tolist() for part in content(numbers, KEYS)] == [part.tolist() for part in content(texts, KEYS)]


@UNHURRIED
@given(st.lists(st.none() | st.text(max_size=9), min_size=1, max_size=10))
def test_an_id_is_the_same_entity_in_every_form_of_text(names: list[str | None]) -> None:
    forms = (pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string()))
    entities = Entities(Column("x", Kind.STRING, Role.ENTITY), KEYS)
    found = [entities.encode(pa.array(names, form)) for form in forms]
    assert len({each.stored.tobytes() for each in found}) == 1
    assert [each.missing.tolist() for each in found] == 3 * [[name is None for name in names]]


@UNHURRIED
@given(st.lists(st.none() | st.dates(date(1, 1, 1), date(9999, 12, 31)), min_size=1, max_size=10))
def test_dates_are_the_same_content_as_their_texts(values: list[date | None]) -> None:
    texts = pa.array([None if v is None else v.isoformat() for v in values], pa.string())
    dates = pa.array(values, pa.date32())
    words, missing = content(dates, KEYS)
    assert missing.tolist() == [v is None for v in values]
    assert words[~missing].tolist() == content(texts, KEYS)[0][~missing].tolist()
