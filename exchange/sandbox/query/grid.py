"""The public grid of cells that a query asks for: it depends on the query and the schema alone. Pure."""

from math import prod

from exchange.sandbox.query.model import AggregateQuery, And, In, IsNull, Or, Predicate
from exchange.sandbox.schema import Column, Schema, codes

Grid = tuple[tuple[int, ...], ...]
"""For each grouped dimension of one level, in the query's order, the codes it may have; 0 is null."""


def grids(query: AggregateQuery, schema: Schema) -> tuple[Grid, ...]:
    """For each level of the query, the codes of each dimension, narrowed by the filters that speak of that
    dimension alone.

    A cell's key is the mixed-radix number of its positions in these lists, the last dimension fastest, behind
    all the cells of the levels before it.
    """
    leaves = query.where.parts if isinstance(query.where, And) else (query.where,)
    found = {name: _codes(_dimension(schema, name), leaves) for name in query.dimensions}
    return tuple(tuple(found[name] for name in level.dimensions) for level in query.levels)


def sizes(grids: tuple[Grid, ...]) -> tuple[int, ...]:
    """The number of cells of each level; 1 where nothing is grouped."""
    return tuple(prod(len(positions) for positions in grid) for grid in grids)


def cells(grids: tuple[Grid, ...]) -> int:
    """The number of cells of all levels together."""
    return sum(sizes(grids))


def _codes(column: Column, leaves: tuple[Predicate | None, ...]) -> tuple[int, ...]:
    found = set(range(1 if column.required else 0, len(column.domain) + 1))
    for leaf in leaves:
        allowed = None if leaf is None else _allowed(column, leaf)
        if allowed is not None:
            found &= allowed
    return tuple(sorted(found))


def _allowed(column: Column, leaf: Predicate) -> set[int] | None:
    """The codes that pass `leaf`, or None where it does not speak of `column` alone."""
    match leaf:
        case IsNull(column.name, negated):
            return set(range(1, len(column.domain) + 1)) if negated else {0}
        case In(column.name, values):
            known = codes(column)
            return {known[value] for value in values}
        case Or(parts) if parts:
            sets = [_allowed(column, part) for part in parts]
            return None if None in sets else set().union(*(found for found in sets if found is not None))
        case _:
            return None


def _dimension(schema: Schema, name: str) -> Column:
    column = schema.get(name)
    if column is None:
        raise KeyError(name)
    return column
