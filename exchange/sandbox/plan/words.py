"""Fixed words, declared names and integers: all that a plan's SQL is made of. Pure: no Django, no I/O."""

from itertools import pairwise
from typing import assert_never

from exchange.sandbox.derived import coarser
from exchange.sandbox.query import AggregateQuery, And, Compare, In, IsNull, Or, Predicate
from exchange.sandbox.query.model import columns_of
from exchange.sandbox.query.regions import joined
from exchange.sandbox.schema import Column, Role, Schema, codes

MOST_CASES = 64  # of a CASE; above it a list is looked up


def select(columns: list[str], source: str, groups: list[str]) -> str:
    grouped = f"\nGROUP BY {', '.join(groups)}" if groups else ""
    shown = ",\n  ".join(columns)
    return f"SELECT {shown}\nFROM {source}{grouped}"


def where(query: AggregateQuery, schema: Schema, also: str = "") -> str:
    """The query's filter, and `also`, SQL of our own."""
    tests = [] if query.where is None else [test(query.where, schema)]
    tests += [f"({also})"] if also else []
    return f"\nWHERE {' AND '.join(tests)}" if tests else ""


def source(query: AggregateQuery, schema: Schema, table: str) -> str:
    """`table`, with the derived columns that the query uses."""
    derived = [column_of(schema, name) for name in sorted(columns_of(query))]
    computed = [f'{code(column, schema)} AS "{column.name}"' for column in derived if column.derived]
    return f"(\nSELECT *, {', '.join(computed)}\nFROM {table}\n)" if computed else table


def code(column: Column, schema: Schema) -> str:
    """The code of a dimension in each row of the stored table; of a derived one, as its rule has it."""
    if column.derived is None:
        return stored(column)
    origin = column_of(schema, column.derived.of)
    if column.derived.edges:
        lows = column.derived.edges
        spans = [(low, high - 1, number) for number, (low, high) in enumerate(pairwise(lows), 1)]
        return _cases(stored(origin), spans)
    known = codes(column)
    found = [known.get(value, 0) for value in coarser(column.derived, origin.domain)]
    return recoded(code(origin, schema), found)


def recoded(inner: str, found: list[int]) -> str:
    """For the code `inner` the code that `found` has for it, from 1; 0 stays 0."""
    spans = _runs(found)
    if len(spans) <= MOST_CASES:
        return _cases(inner, spans)
    # A text of numbers that is cast once is read ten times faster than a list of as many literals.
    return f"('[{', '.join(map(str, [0, *found]))}]'::UINTEGER[])[{inner} + 1]"


def _runs(found: list[int]) -> list[tuple[int, int, int]]:
    """(first, last, to): runs of a source's codes, from 1, that have the same code; 0 is left out."""
    spans: list[tuple[int, int, int]] = []
    for number, to in enumerate(found, 1):
        if to and spans and spans[-1][1:] == (number - 1, to):
            spans[-1] = (spans[-1][0], number, to)
        elif to:
            spans.append((number, number, to))
    return spans


def _cases(value: str, spans: list[tuple[int, int, int]]) -> str:
    cases = " ".join(f"WHEN {value} BETWEEN {low} AND {high} THEN {to}" for low, high, to in spans)
    return f"CASE {cases} ELSE 0 END" if cases else "0"


def only(condition: str, value: str) -> str:
    """`value` where `condition` is true, else null, which no aggregate takes; "" is always true."""
    return f"CASE WHEN {condition} THEN {value} END" if condition else value


def test(predicate: Predicate, schema: Schema) -> str:
    match predicate:
        case And(parts):
            return _chain("AND", [test(part, schema) for part in parts], "TRUE")
        case Or(parts):
            return _chain("OR", [test(part, schema) for part in parts], "FALSE")
        case IsNull(name, negated):
            there = present(column_of(schema, name))
            return there if negated else f"NOT ({there})"
        case Compare(name, op, value):
            return f"{stored(column_of(schema, name))} {op.value} {value:d}"
        case In(name, values):
            column = column_of(schema, name)
            known = codes(column)
            return _chain("OR", _spans(column, [known[value] for value in values]), "FALSE")
        case _:
            assert_never(predicate)


def _spans(column: Column, wanted: list[int]) -> list[str]:
    """Ranges and single codes: a few comparisons are faster than a long IN list."""
    spans = joined([(code, code) for code in wanted])
    name = stored(column)
    alone = [str(low) for low, high in spans if low == high]
    ranges = [f"{name} BETWEEN {low} AND {high}" for low, high in spans if low < high]
    return ([f"{name} IN ({', '.join(alone)})"] if alone else []) + ranges


def _chain(word: str, terms: list[str], empty: str) -> str:
    """`terms` joined as a balanced tree: DuckDB limits the depth of an expression to 1,000."""
    if len(terms) < 2:
        return terms[0] if terms else empty
    half = len(terms) // 2
    return f"({_chain(word, terms[:half], empty)} {word} {_chain(word, terms[half:], empty)})"


def present(column: Column) -> str:
    name = stored(column)
    return f"{name} <> 0" if column.role is Role.DIMENSION else f"{name} IS NOT NULL"


def stored(column: Column) -> str:
    return "_entity" if column.role is Role.ENTITY else f'"{column.name}"'


def square(column: Column, centre: int) -> str:
    """The square of a measure about `centre`; 64 bits before it is multiplied, for measures are stored narrow."""
    distance = f"({stored(column)}::BIGINT - {centre})" if centre else f"{stored(column)}::BIGINT"
    return f"{distance} * {distance}"


def column_of(schema: Schema, name: str | None) -> Column:
    column = None if name is None else schema.get(name)
    if column is None:
        raise KeyError(name)
    return column


def rows(column: Column | None, condition: str = "") -> str:
    """How many rows there are, or how many where `column` is not null; on two levels a FILTER would be slower."""
    if column is None:
        return f"count({only(condition, '1')})" if condition else "count(*)"
    value = f"nullif({stored(column)}, 0)" if column.role is Role.DIMENSION else stored(column)
    return f"count({only(condition, value)})"
