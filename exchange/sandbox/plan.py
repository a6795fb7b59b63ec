"""From a query to DuckDB SQL over integers. Pure: no Django, no I/O, and no buyer text ever.

The SQL is made of declared column names, integers and fixed words. Dimensions are codes (0 is null), measures
scaled integers; the grid of cells, the bounds of every value and the deadline follow from the query, the
schema and the number of rows, which are public.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_never

from exchange.sandbox.frames import Shape
from exchange.sandbox.query import (
    AggregateQuery,
    And,
    Compare,
    Function,
    In,
    IsNull,
    Measure,
    Or,
    Predicate,
    Profile,
)
from exchange.sandbox.query.grid import Grid, cells, grid
from exchange.sandbox.query.regions import joined
from exchange.sandbox.schema import Column, Manifest, Role, Schema, codes
from exchange.sandbox.terms import Terms

BITMAP_BITS = 1 << 26  # of all groups' bitmaps together: 8 MiB
CELL_WORK = 100  # a cell of a guarded answer costs as much as this many rows: its noise is an HMAC per total


@dataclass(frozen=True, slots=True)
class Plan:
    """What the engine runs, and how its small result becomes cells.

    The result has columns d0, d1 … (codes of the dimensions) and, on `open`, v0, v1 … (one per part of
    `parts`). On `guarded` it has `entities` and for part i: v (total), a (sum of entities' absolute
    contributions), t and u (the two largest of them), n (how many entities contribute, where that can be fewer
    than `entities`) and k (sum of the row keys that contribute), each with i.
    """

    sql: str
    parts: tuple[Measure, ...]
    grid: Grid
    shape: Shape


def parts(query: AggregateQuery) -> tuple[Measure, ...]:
    """The totals a query is made of, in the order of a frame's values: AVG is a SUM and a COUNT."""
    found = {part for measure in query.measures for part in _parts(measure)}
    return tuple(sorted(found, key=lambda part: part.name))


def shape(query: AggregateQuery, manifest: Manifest, terms: Terms) -> Shape:
    """The frame an honest vault answers with; a guarded grid, and a lone cell, are sent whole."""
    bounds = [_bounds(part, manifest, terms) for part in parts(query)]
    guarded = Profile(terms.profile) is not Profile.OPEN
    size = cells(grid(query, manifest.schema))
    complete = guarded or not query.dimensions
    return Shape(size, complete, tuple(low for low, _ in bounds), tuple(high for _, high in bounds))


def most_cells(query: AggregateQuery, manifest: Manifest, terms: Terms) -> int:
    """The most cells that can be charged: the grid; on `open` only cells with rows are answered.

    A query that was bound has no more of them than bind.MAX_CELLS.
    """
    size = cells(grid(query, manifest.schema))
    if Profile(terms.profile) is Profile.OPEN and query.dimensions:
        return min(size, manifest.rows)
    return size


def deadline(query: AggregateQuery, manifest: Manifest, terms: Terms, rows_per_second: int, start_ms: int) -> float:
    """Seconds from receipt to answer; 0.0 for `open`, which has no deadline.

    `rows_per_second` is the declared capacity for one total, `start_ms` what any plan takes. A deadline is the
    same for every snapshot with as many rows, whatever is in them.
    """
    if Profile(terms.profile) is Profile.OPEN:
        return 0.0
    work = manifest.rows + CELL_WORK * cells(grid(query, manifest.schema))
    return start_ms / 1000 + work * (1 + len(parts(query))) / rows_per_second


def compile(query: AggregateQuery, manifest: Manifest, terms: Terms, table: str = "snapshot") -> Plan:
    """The plan of `query` over the native table `table`, a name the engine chose."""
    keys = grid(query, manifest.schema)
    if Profile(terms.profile) is Profile.OPEN:
        sql = _open(query, manifest, cells(keys), table)
    else:
        sql = _guarded(query, manifest.schema, table)
    return Plan(sql, parts(query), keys, shape(query, manifest, terms))


def _parts(measure: Measure) -> Iterable[Measure]:
    if measure.function is Function.AVG:
        return (Measure(Function.SUM, measure.column), Measure(Function.COUNT, measure.column))
    return (measure,)


def _bounds(part: Measure, manifest: Manifest, terms: Terms) -> tuple[int, int]:
    """The least and largest value `part` can have, noise included (see disclosure.magnitude_noise).

    Intake holds 3 × rows × the largest absolute value below 2**63, so these are int64.
    """
    noisy = Profile(terms.profile) is not Profile.OPEN
    rows = manifest.rows
    if part.function is Function.SUM:
        column = _column(manifest.schema, part.column)
        spread = 2 * rows * max(abs(column.low), abs(column.high)) if noisy else 0
        return min(0, rows * column.low) - spread, max(0, rows * column.high) + spread
    if part.function is Function.COUNT_DISTINCT and noisy:
        return 0, manifest.entities + 4
    return 0, 3 * rows if noisy else rows


def _open(query: AggregateQuery, manifest: Manifest, groups: int, table: str) -> str:
    names = [f'"{name}"' for name in query.dimensions]
    keys = [f"{name} AS d{i}" for i, name in enumerate(names)]
    values = [f"{_exact(part, manifest, groups)} AS v{i}" for i, part in enumerate(parts(query))]
    return _select(keys + values, f"{table}{_where(query, manifest.schema)}", names)


def _exact(part: Measure, manifest: Manifest, groups: int) -> str:
    """One exact total; it is null only where SQL says so, a SUM of nothing."""
    if part.column is None:
        return "count(*)"
    column = _column(manifest.schema, part.column)
    name = _stored(column)
    match part.function:
        case Function.COUNT:
            return _rows(column)
        case Function.SUM:
            return f"sum({name})::BIGINT"
        case Function.COUNT_DISTINCT:
            return _distinct(column, manifest, groups)
        case _:
            raise ValueError(part.function)


def _distinct(column: Column, manifest: Manifest, groups: int) -> str:
    """Exact COUNT(DISTINCT). A bitmap per group is several times faster than DuckDB's set per group, where
    the public range of values is small enough; which form is taken does not depend on the data."""
    low, high = _range(column, manifest)
    name = _stored(column)
    if (high - low + 1) * groups > BITMAP_BITS:
        return f"count(DISTINCT {name}) FILTER (WHERE {_present(column)})"
    bitmap = f"coalesce(bit_count(bitstring_agg({name}, {low}, {high})), 0)"
    return f"{bitmap} - coalesce(max({name} = 0)::INTEGER, 0)" if column.role is Role.DIMENSION else bitmap


def _range(column: Column, manifest: Manifest) -> tuple[int, int]:
    match column.role:
        case Role.DIMENSION:
            return 0, max(1, len(column.domain))
        case Role.MEASURE:
            return column.low, column.high
        case Role.ENTITY:
            return 0, max(1, manifest.entities)


def _guarded(query: AggregateQuery, schema: Schema, table: str) -> str:
    """Two exact levels: what each entity contributes to each cell, then the cells."""
    names = [f'"{name}"' for name in query.dimensions]
    inner, outer = [], ["count(*) AS entities"]
    for i, part in enumerate(parts(query)):
        for name, row, cell in _contributions(part, schema):
            inner += [f"{row} AS {name}{i}"] if row else []
            outer.append(f"{cell.replace('#', str(i))} AS {name}{i}")
    source = _select([*names, *inner], f"{table}{_where(query, schema)}", [*names, "_entity"])
    keys = [f"{name} AS d{i}" for i, name in enumerate(names)]
    return _select(keys + outer, f"(\n{source}\n)", names)


def _contributions(part: Measure, schema: Schema) -> list[tuple[str, str, str]]:
    """(name, per entity, per cell) of what disclosure control needs of `part`; # is its number.

    The key adds up the rows that contribute, so a COUNT(column) without nulls is noised as COUNT(*) is.
    """
    if part.function is Function.COUNT_DISTINCT:
        return [("v", "", "count(*)"), ("k", "sum(_key::BIGINT)::BIGINT", "coalesce(sum(k#), 0)::BIGINT")]
    column = None if part.column is None else _column(schema, part.column)
    key = "_key::BIGINT" if column is None else f"CASE WHEN {_present(column)} THEN _key::BIGINT END"
    value, mass, magnitude = _rows(column), "", "v#"
    if part.function is Function.SUM and column is not None:
        value, mass = (f"coalesce(sum({x}), 0)::BIGINT" for x in (_stored(column), f"abs({_stored(column)})"))
        magnitude = "a#"
    return [
        *([] if column is None else [("n", _rows(column), "count(nullif(n#, 0))")]),
        ("v", value, "coalesce(sum(v#), 0)::BIGINT"),
        ("a", mass, f"coalesce(sum({magnitude}), 0)::BIGINT"),
        ("t", "", f"coalesce(max({magnitude}, 2)[1], 0)"),
        ("u", "", f"coalesce(max({magnitude}, 2)[2], 0)"),
        ("k", f"coalesce(sum({key}), 0)::BIGINT", "coalesce(sum(k#), 0)::BIGINT"),
    ]


def _rows(column: Column | None) -> str:
    """How many rows there are, or how many where `column` is not null; on two levels a FILTER would be slower."""
    if column is None:
        return "count(*)"
    return f"count(nullif({_stored(column)}, 0))" if column.role is Role.DIMENSION else f"count({_stored(column)})"


def _select(columns: list[str], source: str, groups: list[str]) -> str:
    grouped = f"\nGROUP BY {', '.join(groups)}" if groups else ""
    shown = ",\n  ".join(columns)
    return f"SELECT {shown}\nFROM {source}{grouped}"


def _where(query: AggregateQuery, schema: Schema) -> str:
    return "" if query.where is None else f"\nWHERE {_test(query.where, schema)}"


def _test(predicate: Predicate, schema: Schema) -> str:
    match predicate:
        case And(parts):
            return _chain("AND", [_test(part, schema) for part in parts], "TRUE")
        case Or(parts):
            return _chain("OR", [_test(part, schema) for part in parts], "FALSE")
        case IsNull(name, negated):
            present = _present(_column(schema, name))
            return present if negated else f"NOT ({present})"
        case Compare(name, op, value):
            return f"{_stored(_column(schema, name))} {op.value} {value:d}"
        case In(name, values):
            column = _column(schema, name)
            known = codes(column)
            return _chain("OR", _spans(column, [known[value] for value in values]), "FALSE")
        case _:
            assert_never(predicate)


def _spans(column: Column, wanted: list[int]) -> list[str]:
    """Ranges and single codes: a few comparisons are faster than a long IN list."""
    spans = joined([(code, code) for code in wanted])
    name = _stored(column)
    alone = [str(low) for low, high in spans if low == high]
    ranges = [f"{name} BETWEEN {low} AND {high}" for low, high in spans if low < high]
    return ([f"{name} IN ({', '.join(alone)})"] if alone else []) + ranges


def _chain(word: str, terms: list[str], empty: str) -> str:
    """`terms` joined as a balanced tree: DuckDB limits the depth of an expression to 1,000."""
    if len(terms) < 2:
        return terms[0] if terms else empty
    half = len(terms) // 2
    return f"({_chain(word, terms[:half], empty)} {word} {_chain(word, terms[half:], empty)})"


def _present(column: Column) -> str:
    name = _stored(column)
    return f"{name} <> 0" if column.role is Role.DIMENSION else f"{name} IS NOT NULL"


def _stored(column: Column) -> str:
    return "_entity" if column.role is Role.ENTITY else f'"{column.name}"'


def _column(schema: Schema, name: str | None) -> Column:
    column = None if name is None else schema.get(name)
    if column is None:
        raise KeyError(name)
    return column
