"""`open`: exact totals in one pass. Pure: no Django, no I/O."""

from collections.abc import Sequence

from exchange.sandbox.plan.totals import Part
from exchange.sandbox.plan.words import only, present, rows, select, source, square, stored, test, where
from exchange.sandbox.query import AggregateQuery, Total
from exchange.sandbox.schema import Column, Manifest, Role

BITMAP_BITS = 1 << 29  # of all groups' and totals' bitmaps together, in each thread: 64 MiB


def sql(query: AggregateQuery, totals: Sequence[Part], manifest: Manifest, sets: int, table: str) -> str:
    names = [f'"{name}"' for name in query.dimensions]
    keys = [f"{name} AS d{i}" for i, name in enumerate(names)]
    values = [f"{_exact(part, manifest, sets)} AS v{i}" for i, part in enumerate(totals)]
    return select(keys + values, f"{source(query, manifest.schema, table)}{where(query, manifest.schema)}", names)


def _exact(part: Part, manifest: Manifest, sets: int) -> str:
    """One exact total; it is null only where SQL says so, a SUM of nothing."""
    condition = "" if part.where is None else test(part.where, manifest.schema)
    if part.column is None or part.total is Total.ROWS:
        return rows(part.column, condition)
    match part.total:
        case Total.SUM:
            return f"sum({only(condition, stored(part.column))})::BIGINT"
        case Total.SQUARES:
            return f"sum({only(condition, square(part.column, part.about))})::BIGINT"
        case Total.ENTITIES:
            return distinct(part.column, condition, manifest, sets)


def distinct(column: Column, condition: str, manifest: Manifest, sets: int) -> str:
    """Exact COUNT(DISTINCT). A bitmap per group is several times faster than DuckDB's set per group, where
    the public range of values is small enough for `sets` of them, one for each group and each such total;
    which form is taken does not depend on the data."""
    low, high = values(column, manifest)
    if (high - low + 1) * sets > BITMAP_BITS:
        return f"count(DISTINCT {only(condition, stored(column))}) FILTER (WHERE {present(column)})"
    name = only(condition, stored(column))
    found = f"coalesce(bit_count(bitstring_agg({name}, {low}, {high})), 0)"
    if column.role is not Role.DIMENSION:
        return found
    return f"{found} - coalesce(max({only(condition, f'{stored(column)} = 0')})::INTEGER, 0)"


def values(column: Column, manifest: Manifest) -> tuple[int, int]:
    """The least and the largest number that may be stored of a column."""
    match column.role:
        case Role.DIMENSION:
            return 0, max(1, len(column.domain))
        case Role.MEASURE:
            return column.low, column.high
        case Role.ENTITY:
            return 0, max(1, manifest.entities)
