"""The public grid of cells that a query asks for: it depends on the query and the schema alone. Pure."""

from collections.abc import Mapping
from math import prod

from exchange.sandbox.query.model import AggregateQuery, And, In, IsNull, Or, Predicate
from exchange.sandbox.schema import Column, Schema, codes, nested_codes, nests

Grid = tuple[tuple[int, ...], ...]
"""For each axis of one level, in the query's order, the codes it may have; 0 is null."""


def grids(query: AggregateQuery, schema: Schema) -> tuple[Grid, ...]:
    """For each level of the query, the codes of each of its axes, narrowed by the filters that speak of that
    axis alone, or of a dimension that follows from it.

    A cell's key is the mixed-radix number of its positions in these lists, the last axis fastest, behind all
    the cells of the levels before it.
    """
    leaves = query.where.parts if isinstance(query.where, And) else (query.where,)
    found = []
    for level in query.levels:
        along, coarse = axes(level, schema), followers(level, schema)
        found.append(tuple(_axis(name, coarse, leaves, schema) for name in along))
    return tuple(found)


def axes(level: AggregateQuery, schema: Schema) -> tuple[str, ...]:
    """The dimensions of one level that follow from no other: months, where it has years as well.

    A level of a hierarchy spans no cells that cannot be, such as a month of another year.
    """
    coarse = followers(level, schema)
    return tuple(name for name in level.dimensions if name not in coarse)


def followers(level: AggregateQuery, schema: Schema) -> dict[str, str]:
    """The dimensions of one level that follow from another, with the one they follow from."""
    columns = [_dimension(schema, name) for name in level.dimensions]
    found: dict[str, str] = {}
    for coarse in columns:
        finer = (fine.name for fine in columns if coarse.derived and fine is not coarse and nests(schema, coarse, fine))
        if first := next(finer, None):
            found[coarse.name] = first
    return found


def followed(name: str, coarse: Mapping[str, str], schema: Schema) -> tuple[str, tuple[int, ...]]:
    """The axis that a dimension follows from, and its code for each code of that axis, from 0."""
    if name not in coarse:
        return name, tuple(range(len(_dimension(schema, name).domain) + 1))
    axis, codes_of = followed(coarse[name], coarse, schema)
    step = nested_codes(schema, _dimension(schema, name), _dimension(schema, coarse[name]))
    return axis, tuple(step[code] for code in codes_of)


def _axis(
    axis: str, coarse: Mapping[str, str], leaves: tuple[Predicate | None, ...], schema: Schema
) -> tuple[int, ...]:
    found = set(_codes(_dimension(schema, axis), leaves))
    for name in coarse:
        of, codes_of = followed(name, coarse, schema)
        if of == axis:
            allowed = set(_codes(_dimension(schema, name), leaves))
            found = {code for code in found if codes_of[code] in allowed}
    return tuple(sorted(found))


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
