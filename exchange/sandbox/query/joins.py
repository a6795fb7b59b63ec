"""Joins: a product with others that have one row for each value of a key, or for each entity. Pure: no Django, no I/O.

An `open` table with one row for each value of a key is a public function of its key. So a joined column is to the main
product what a derived dimension is: its domain is public, no row is multiplied or seen twice, and grid, sensitivity,
threshold and deadline hold as they do without the join. A table about the same population with one row for each entity
is a function of the entity: a joined column is what it would be if it stood in every row of the entity. Which tables
those are is known before any query: intake finds out, and the manifest says it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from exchange.errors import Problem
from exchange.sandbox.query.model import Join
from exchange.sandbox.schema import Column, Manifest, Role, Schema, codes

MAX_JOINS = 4
MAX_LOOKED_UP = 1_000_000  # rows and keys of what one query joins: some ten seconds of a deadline
HINT = "a product is joined ON one of its dimensions = the key of an open product that has one row for each key"
ENTITY_HINT = (
    "two products about one population are joined ON the entity of both, if the holder's policy names the joined one, "
    "which has one row for each entity"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A product that is joined, under the name its columns are written with; `on` are the two columns compared."""

    product: str
    name: str
    on: tuple[str, str]
    inner: bool = True


def check_number(joins: int) -> None:
    """Raises Problem query_too_large."""
    if joins > MAX_JOINS:
        raise Problem("query_too_large", f"{joins} joins, at most {MAX_JOINS} are answered")


def joined(manifest: Manifest, joins: Sequence[Join], others: Mapping[str, Manifest]) -> Manifest:
    """`manifest` with the columns of `others`, by the names of the joins. Raises Problem join_not_allowed."""
    if not joins:
        return manifest
    schema = joined_schema(manifest.schema, joins, others)
    with_nulls = manifest.with_nulls
    if with_nulls is not None:
        with_nulls += tuple(c.name for c in schema.columns if c.joined and c.role is Role.MEASURE)
    matched = 0
    for join in (join for join in joins if by_entity(join, schema)):
        if others[join.name].population != manifest.population:
            raise Problem("join_not_allowed", f"{product_of(join)} is about another population", ENTITY_HINT)
        matched = others[join.name].rows + (manifest.entities or manifest.rows)
    keyed = [join for join in joins if not by_entity(join, schema)]
    looked_up = sum(others[join.name].rows + _keys(schema, join) for join in keyed)
    if looked_up > MAX_LOOKED_UP:
        detail = f"{looked_up} rows and keys are too many to be joined, at most {MAX_LOOKED_UP} are"
        raise Problem("join_not_allowed", detail, HINT)
    return replace(manifest, schema=schema, with_nulls=with_nulls, looked_up=looked_up, matched=matched)


def joined_schema(schema: Schema, joins: Sequence[Join], others: Mapping[str, Manifest]) -> Schema:
    """As `joined`, of the columns alone."""
    if not joins:
        return schema
    for join in joins:
        _check(schema, join, others)
    if sum(by_entity(join, schema) for join in joins) > 1:
        raise Problem("join_not_allowed", "more than one product is joined by the entity", ENTITY_HINT)
    added = [column for join in joins for column in _columns(join, others[join.name].schema)]
    return Schema((*schema.columns, *added), schema.row_key, whole=False)


def by_entity(join: Join, schema: Schema) -> bool:
    """Whether a join is with a table about the same entities; `schema` is the main product's, or the joined one."""
    entity = schema.entity
    return entity is not None and entity.name == join.on


def product_of(join: Join) -> str:
    """The product a join is with: its name is the product's, or `on.product` where one is joined several times."""
    return join.name.rpartition(".")[2]


def own(column: Column) -> str:
    """The name of a joined column in its own table."""
    return column.name.rpartition(".")[2]


def matches(key: Column, on: Column) -> list[int]:
    """For each code of `key`, from 1, the code of the equal value of `on`; 0 where it has none."""
    known = codes(on)
    return [known.get(value, 0) for value in key.domain]


def joins_json(joins: Sequence[Join]) -> list[dict[str, str | bool]]:
    return [{"name": join.name, "on": join.on, "key": join.key, "inner": join.inner} for join in joins]


def joins_from_json(value: object) -> tuple[Join, ...]:
    """The joins in a query's JSON, `[]` where it has none. Raises Problem field_invalid."""
    match value:
        case {"joins": [*listed]}:
            return tuple(_join(each) for each in listed)
        case {"joins": _}:
            raise Problem("field_invalid", "the query is not well formed")
    return ()


def _keys(schema: Schema, join: Join) -> int:
    """How many values the two columns have that a join compares."""
    columns = (schema.get(join.on), schema.get(f"{join.name}.{join.key}"))
    return sum(len(column.domain) for column in columns if column)


def _join(value: object) -> Join:
    match value:
        case {"name": str(name), "on": str(on), "key": str(key), "inner": bool(inner), **more} if not more:
            return Join(name, on, key, inner)
    raise Problem("field_invalid", "the query is not well formed")


def _columns(join: Join, schema: Schema) -> Iterator[Column]:
    for column in schema.columns:
        if column.role is not Role.ENTITY:
            rule = column.derived and replace(column.derived, of=f"{join.name}.{column.derived.of}")
            name, required = f"{join.name}.{column.name}", column.required and join.inner
            yield replace(column, name=name, required=required, derived=rule)


def _check(schema: Schema, join: Join, others: Mapping[str, Manifest]) -> None:
    """Raises Problem unless `join` finds at most one row, by what is public."""
    other = others.get(join.name)
    if other is None:
        raise Problem("join_not_allowed", "a join names no table", HINT)
    on, key = schema.get(join.on), other.schema.get(join.key)
    if on is not None and on.role is Role.ENTITY:
        _check_entity(join, key, other)
        return
    if on is None or on.role is not Role.DIMENSION or on.joined:
        raise Problem("join_not_allowed", f"{join.on[:63]!r} is no dimension of the product to join on", HINT)
    unique = [name for name in other.unique if other.schema.get(name)]
    if key is None or join.key not in unique:
        found = f"{product_of(join)} can be joined by {', '.join(unique)}" if unique else HINT
        detail = f"{join.key[:63]!r} is no key of {product_of(join)}, with no value in two rows"
        raise Problem("join_not_allowed", detail, found)
    if on.kind is not key.kind:
        raise Problem("join_not_allowed", f"{join.on} and {join.key} are of different kinds", HINT)


def _check_entity(join: Join, key: Column | None, other: Manifest) -> None:
    """Raises Problem unless `join` finds at most one row of the same entity, by what is public."""
    product = product_of(join)
    if key is None or key.role is not Role.ENTITY:
        raise Problem("join_not_allowed", f"{join.key[:63]!r} is not the entity of {product}", ENTITY_HINT)
    if not other.population:
        hint = "open data are about nobody; where it protects somebody, its holder takes the data in again"
        raise Problem("join_not_allowed", f"the snapshot of {product} does not tell its entities", hint)
    if not other.one_row:
        detail = f"{product} is not declared to have one row for each entity"
        raise Problem("join_not_allowed", detail, "ask FROM it, and join the one that has")
