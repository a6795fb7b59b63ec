"""The table a joined query is run on. Pure: no Django, no I/O.

Of each joined table one row is made for each value of its key, whatever the table holds: so a join multiplies no row
by the form of its SQL, and not only because intake found the key to be unique. A table joined by the entity comes
with its entities under the numbers that they have in the main one (engine).
"""

from collections.abc import Mapping

from exchange.sandbox.plan.words import code, column_of, recoded, stored
from exchange.sandbox.query import AggregateQuery, Join
from exchange.sandbox.query.joins import matches, own
from exchange.sandbox.query.model import columns_of
from exchange.sandbox.schema import Column, Role, Schema


def source(query: AggregateQuery, schema: Schema, table: str, tables: Mapping[str, str]) -> str:
    """`table`, and in each of its rows the stored columns that the query needs of each of `tables`, by join."""
    if not query.joins:
        return table
    columns, found = ["main.*"], [f"{table} AS main"]
    for number, join in enumerate(query.joins):
        used = _used(query, join, schema)
        columns += [_shown(column) for column in used]
        found.append(_side(join, number, used, schema, tables[join.name]))
    rows = "\n".join(found)
    return f"(\nSELECT {', '.join(columns)}\nFROM {rows}\n)"


def _side(join: Join, number: int, used: list[Column], schema: Schema, table: str) -> str:
    """A join with the other table's keys as codes of the column joined on: its rows are few, the main one's many.

    A key that the main table cannot have is null, and equals nothing.
    """
    on, name = column_of(schema, join.on), f'"{number}.key"'
    value = stored(on) if on.role is Role.ENTITY else _recoded(column_of(schema, f"{join.name}.{join.key}"), on)
    keyed = f"SELECT *, nullif({value}, 0) AS {name} FROM {table}"  # noqa: S608 declared names
    held = [name, *(f'max("{own(column)}") AS {stored(column)}' for column in used)]
    rows = f"SELECT {', '.join(held)} FROM ({keyed}) GROUP BY {name}"  # noqa: S608
    return f"{'' if join.inner else 'LEFT '}JOIN ({rows}) ON {code(on, schema)} = {name}"


def _recoded(key: Column, on: Column) -> str:
    same, value = matches(key, on), f'"{own(key)}"'
    return value if same == list(range(1, len(same) + 1)) else recoded(value, same)


def _shown(column: Column) -> str:
    """A joined column; a dimension is 0 where it has no value, also for want of a row."""
    name = stored(column)
    return f"coalesce({name}, 0) AS {name}" if column.role is Role.DIMENSION else name


def _used(query: AggregateQuery, join: Join, schema: Schema) -> list[Column]:
    """The stored columns that the query needs of a joined table: those it names, or what these are derived of."""
    found: dict[str, Column] = {}
    for name in sorted(columns_of(query)):
        column = column_of(schema, name)
        while column.derived is not None:
            column = column_of(schema, column.derived.of)
        if column.name.rpartition(".")[0] == join.name:
            found[column.name] = column
    return list(found.values())
