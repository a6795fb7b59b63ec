"""`guarded`: what disclosure control needs of every cell. Pure: no Django, no I/O."""

from exchange.sandbox.plan.totals import Part, centre, parts
from exchange.sandbox.plan.words import present, rows, select, square, stored, where
from exchange.sandbox.query import AggregateQuery, Total
from exchange.sandbox.schema import Schema


def sql(query: AggregateQuery, schema: Schema, table: str) -> str:
    """Two exact levels: what each entity contributes to each cell, then the cells."""
    names = [f'"{name}"' for name in query.dimensions]
    inner, outer = [], ["count(*) AS entities"]
    for i, part in enumerate(parts(query, schema)):
        for name, row, cell in _contributions(part):
            inner += [f"{row} AS {name}{i}"] if row else []
            outer.append(f"{cell.replace('#', str(i))} AS {name}{i}")
    source = select([*names, *inner], f"{table}{where(query, schema)}", [*names, "_entity"])
    keys = [f"{name} AS d{i}" for i, name in enumerate(names)]
    return select(keys + outer, f"(\n{source}\n)", names)


def _contributions(part: Part) -> list[tuple[str, str, str]]:
    """(name, per entity, per cell) of what disclosure control needs of `part`; # is its number.

    The key adds up the rows that contribute, so a COUNT(column) without nulls is noised as COUNT(*) is.
    """
    if part.total is Total.ENTITIES:
        return [("v", "", "count(*)"), ("k", "sum(_key::BIGINT)::BIGINT", "coalesce(sum(k#), 0)::BIGINT")]
    column = part.column
    key = "_key::BIGINT" if column is None else f"CASE WHEN {present(column)} THEN _key::BIGINT END"
    value, mass, magnitude = rows(column), "", "v#"
    if part.total is Total.SUM and column is not None:
        value, mass = (f"coalesce(sum({x}), 0)::BIGINT" for x in (stored(column), f"abs({stored(column)})"))
        magnitude = "a#"
    if part.total is Total.SQUARES and column is not None:  # never negative: a total is its own magnitude
        value = f"coalesce(sum({square(column, centre(column))}), 0)::BIGINT"
    return [
        *([] if column is None else [("n", rows(column), "count(nullif(n#, 0))")]),
        ("v", value, "coalesce(sum(v#), 0)::BIGINT"),
        ("a", mass, f"coalesce(sum({magnitude}), 0)::BIGINT"),
        ("t", "", f"coalesce(max({magnitude}, 2)[1], 0)"),
        ("u", "", f"coalesce(max({magnitude}, 2)[2], 0)"),
        ("k", f"coalesce(sum({key}), 0)::BIGINT", "coalesce(sum(k#), 0)::BIGINT"),
    ]
