"""`guarded`: what disclosure control needs of every cell. Pure: no Django, no I/O.

Exact figures of every entity in every cell take two levels of grouping, several times the bare aggregate. Most
cells don't need them: `look` finds totals in one pass, and with them bounds that are free, from the largest
value of a row and the largest number of rows of one entity. What these leave open (disclosure.settled) is asked
again by `exact`, of those cells only. Which cells those are shows in no time: an answer leaves at its deadline.
"""

from collections.abc import Sequence

from exchange.sandbox.plan.exact import distinct
from exchange.sandbox.plan.totals import Part
from exchange.sandbox.plan.words import only, present, rows, select, source, square, stored, test, where
from exchange.sandbox.query import AggregateQuery, Total
from exchange.sandbox.schema import Manifest, Role, Schema

FEW = 32  # cells that are named one by one, so that the engine can skip what lies elsewhere

Codes = tuple[int, ...]
"""A cell as the codes of its dimensions, in the query's order."""


def look(query: AggregateQuery, totals: Sequence[Part], manifest: Manifest, sets: int, table: str) -> str:
    """One pass: `rows` in the cell, `most`, the largest number of rows that an entity of the cell has in the
    snapshot, and for part i: v (total), n (rows that contribute), m (`most` of them), k (sum of their keys) and,
    but for a number of rows or entities, x (largest absolute value of a row) and a (sum of absolute values)."""
    names = [f'"{name}"' for name in query.dimensions]
    columns = [f"{name} AS d{i}" for i, name in enumerate(names)]
    columns += ["count(*) AS rows", "coalesce(max(_rows), 0)::BIGINT AS most"]
    for i, part in enumerate(totals):
        columns += [f"{text} AS {name}{i}" for name, text in _seen(part, manifest, sets).items()]
    rows_of = f"{source(query, manifest.schema, table)}{where(query, manifest.schema)}"
    return select(columns, rows_of, names)


def exact(
    query: AggregateQuery, totals: Sequence[Part], schema: Schema, table: str, cells: Sequence[Codes] | None = None
) -> str:
    """Two levels: what each entity contributes to each cell, then the cells; of `cells` only if given.

    `entities` in the cell, and for part i: v (total), a (sum of entities' absolute contributions), t and u (the
    two largest of them), n (how many entities contribute, where that can be fewer than `entities`) and k (sum
    of the row keys that contribute).
    """
    names = [f'"{name}"' for name in query.dimensions]
    inner, outer = [], ["count(*) AS entities"]
    for i, part in enumerate(totals):
        for name, row, cell in _contributions(part, schema):
            inner += [f"{row} AS {name}{i}"] if row else []
            outer.append(f"{cell.replace('#', str(i))} AS {name}{i}")
    rows_of = f"{source(query, schema, table)}{where(query, schema, '' if cells is None else _among(names, cells))}"
    contributions = select([*names, *inner], rows_of, [*names, "_entity"])
    keys = [f"{name} AS d{i}" for i, name in enumerate(names)]
    return select(keys + outer, f"(\n{contributions}\n)", names)


def _seen(part: Part, manifest: Manifest, sets: int) -> dict[str, str]:
    """What one pass can tell of `part`."""
    column, condition, passing = part.column, _condition(part, manifest.schema), _passing(part, manifest.schema)
    if manifest.with_nulls is not None and column and column.role is Role.MEASURE:
        passing = passing if column.name in manifest.with_nulls else condition  # shorter, and true of the same rows
    seen = {
        "n": rows(column, condition),
        "m": f"coalesce(max({only(passing, '_rows')}), 0)::BIGINT",
        "k": f"coalesce(sum({only(passing, '_key::BIGINT')}), 0)::BIGINT",
    }
    match part.total:
        case Total.ENTITIES if column is not None:
            return seen | {"v": distinct(column, passing, manifest, sets)}
        case Total.SUM if column is not None:
            value = only(condition, f"{stored(column)}::BIGINT")
            largest = f"max({value})" if column.low >= 0 else f"greatest(max({value}), -min({value}))"
            mass = {} if column.low >= 0 else {"a": f"coalesce(sum(abs({value})), 0)::BIGINT"}
        case Total.SQUARES if column is not None:
            value = only(condition, square(column, part.about))
            largest, mass = f"max({value})", {}
        case _:
            return seen | {"v": seen["n"]}
    return seen | {"v": f"coalesce(sum({value}), 0)::BIGINT", "x": f"coalesce({largest}, 0)::BIGINT"} | mass


def _condition(part: Part, schema: Schema) -> str:
    return "" if part.where is None else test(part.where, schema)


def _passing(part: Part, schema: Schema) -> str:
    """SQL: the row contributes: it passes the part's filter, and its column is not null."""
    tests = [_condition(part, schema)] if part.where else []
    tests += [present(part.column)] if part.column and part.total is not Total.ENTITIES else []
    return " AND ".join(tests)


def _among(names: list[str], cells: Sequence[Codes]) -> str:
    """SQL: the row lies in one of `cells`."""
    if len(cells) <= FEW:
        each = (" AND ".join(f"{name} = {code}" for name, code in zip(names, codes, strict=True)) for codes in cells)
        return " OR ".join(f"({cell})" for cell in each)
    radix = [max(codes[i] for codes in cells) + 1 for i in range(len(names))]
    index, numbers = "0", [0] * len(cells)
    for i, name in enumerate(names):
        index = f"({index} * {radix[i]} + {name}::BIGINT)"
        numbers = [number * radix[i] + codes[i] for number, codes in zip(numbers, cells, strict=True)]
    inside = " AND ".join(f"{name} < {most}" for name, most in zip(names, radix, strict=True))
    return f"{inside} AND {index} IN ({', '.join(map(str, numbers))})"


def _contributions(part: Part, schema: Schema) -> list[tuple[str, str, str]]:
    """(name, per entity, per cell) of what disclosure control needs of `part`; # is its number.

    All of it is of the rows that contribute: that pass the part's filter and where its column is not null. So
    a filtered COUNT is as enough, as dominated and as noised as the same rows are when they are a cell.
    """
    condition, column = _condition(part, schema), part.column
    if part.total is Total.ENTITIES:
        return _entities(condition)
    key = only(_passing(part, schema), "_key::BIGINT")
    value, mass, magnitude = rows(column, condition), "", "v#"
    if part.total is Total.SUM and column is not None:
        mass = f"coalesce(sum({only(condition, f'abs({stored(column)})')}), 0)::BIGINT"
        value, magnitude = f"coalesce(sum({only(condition, stored(column))}), 0)::BIGINT", "a#"
    if part.total is Total.SQUARES and column is not None:  # never negative: a total is its own magnitude
        value = f"coalesce(sum({only(condition, square(column, part.about))}), 0)::BIGINT"
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
