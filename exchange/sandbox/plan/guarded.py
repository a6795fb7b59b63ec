"""`guarded`: what disclosure control needs of every cell. Pure: no Django, no I/O."""

from exchange.sandbox.plan.totals import Part, centre, parts
from exchange.sandbox.plan.words import only, present, rows, select, source, square, stored, test, where
from exchange.sandbox.query import AggregateQuery, Total
from exchange.sandbox.schema import Schema


def sql(query: AggregateQuery, schema: Schema, table: str) -> str:
    """Two exact levels: what each entity contributes to each cell, then the cells."""
    names = [f'"{name}"' for name in query.dimensions]
    inner, outer = [], ["count(*) AS entities"]
    for i, part in enumerate(parts(query, schema)):
        for name, row, cell in _contributions(part, schema):
            inner += [f"{row} AS {name}{i}"] if row else []
            outer.append(f"{cell.replace('#', str(i))} AS {name}{i}")
    rows_of = f"{source(query, schema, table)}{where(query, schema)}"
    contributions = select([*names, *inner], rows_of, [*names, "_entity"])
    keys = [f"{name} AS d{i}" for i, name in enumerate(names)]
    return select(keys + outer, f"(\n{contributions}\n)", names)


def _contributions(part: Part, schema: Schema) -> list[tuple[str, str, str]]:
    """(name, per entity, per cell) of what disclosure control needs of `part`; # is its number.

    All of it is of the rows that contribute: that pass the part's filter and where its column is not null. So
    a filtered COUNT is as enough, as dominated and as noised as the same rows are when they are a cell.
    """
    condition = "" if part.where is None else test(part.where, schema)
    if part.total is Total.ENTITIES:
        return _entities(condition)
    column = part.column
    passing = [condition] if condition else []
    key = only(" AND ".join(passing + ([] if column is None else [present(column)])), "_key::BIGINT")
    value, mass, magnitude = rows(column, condition), "", "v#"
    if part.total is Total.SUM and column is not None:
        mass = f"coalesce(sum({only(condition, f'abs({stored(column)})')}), 0)::BIGINT"
        value, magnitude = f"coalesce(sum({only(condition, stored(column))}), 0)::BIGINT", "a#"
    if part.total is Total.SQUARES and column is not None:  # never negative: a total is its own magnitude
        value = f"coalesce(sum({only(condition, square(column, centre(column)))}), 0)::BIGINT"
    fewer = column is not None or condition
    return [
        *([("n", rows(column, condition), "count(nullif(n#, 0))")] if fewer else []),
        ("v", value, "coalesce(sum(v#), 0)::BIGINT"),
        ("a", mass, f"coalesce(sum({magnitude}), 0)::BIGINT"),
        ("t", "", f"coalesce(max({magnitude}, 2)[1], 0)"),
        ("u", "", f"coalesce(max({magnitude}, 2)[2], 0)"),
        ("k", f"coalesce(sum({key}), 0)::BIGINT", "coalesce(sum(k#), 0)::BIGINT"),
    ]


def _entities(condition: str) -> list[tuple[str, str, str]]:
    """Of a number of entities: those with a row that passes the filter, and the keys of these rows."""
    key = f"sum({only(condition, '_key::BIGINT')})::BIGINT"
    if not condition:
        return [("v", "", "count(*)"), ("k", key, "coalesce(sum(k#), 0)::BIGINT")]
    return [
        ("n", rows(None, condition), "count(nullif(n#, 0))"),
        ("v", "", "count(nullif(n#, 0))"),
        ("k", key, "coalesce(sum(k#), 0)::BIGINT"),
    ]
