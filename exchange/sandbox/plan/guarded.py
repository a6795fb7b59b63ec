"""`guarded`: what disclosure control needs of every cell. Pure: no Django, no I/O.

Exact figures of every entity in every cell take two levels of grouping, several times the bare aggregate. Most
cells don't need them: `look` finds totals in one pass, and with them bounds that are free, from the largest
value of a row and the largest number of rows of one entity. What these leave open (disclosure.settled) is asked
again by `exact`, of those cells only. Which cells those are shows in no time: an answer leaves at its deadline.
"""

from collections.abc import Sequence

from exchange.sandbox.plan.exact import bitmap, fits_bitmap
from exchange.sandbox.plan.totals import Part, Total, parts
from exchange.sandbox.plan.words import present, rows, select, stored, where
from exchange.sandbox.query import AggregateQuery
from exchange.sandbox.schema import Manifest, Schema

FEW = 32  # cells that are named one by one, so that the engine can skip what lies elsewhere

Codes = tuple[int, ...]
"""A cell as the codes of its dimensions, in the query's order."""


def look(query: AggregateQuery, manifest: Manifest, groups: int, table: str) -> str:
    """One pass: `rows` in the cell; `most`, the largest number of rows that an entity of the cell has in the
    snapshot; and for part i: v (total) and k (sum of the contributing rows' keys); of a sum also n (rows that
    contribute), x (largest absolute value of a row) and, where values may be negative, a (sum of absolute values).
    """
    names = [f'"{name}"' for name in query.dimensions]
    columns = [f"{name} AS d{i}" for i, name in enumerate(names)]
    columns += ["count(*) AS rows", "coalesce(max(_rows), 0)::BIGINT AS most"]
    for i, part in enumerate(parts(query, manifest.schema)):
        columns += [f"{text} AS {name}{i}" for name, text in _seen(part, manifest, groups).items()]
    return select(columns, f"{table}{where(query, manifest.schema)}", names)


def exact(query: AggregateQuery, schema: Schema, table: str, only: Sequence[Codes] | None = None) -> str:
    """Two levels: what each entity contributes to each cell, then the cells; of the cells `only` if given.

    `entities` in the cell, and for part i: v (total), a (sum of entities' absolute contributions), t and u (the
    two largest of them), n (how many entities contribute, where that can be fewer than `entities`) and k (sum
    of the row keys that contribute).
    """
    names = [f'"{name}"' for name in query.dimensions]
    inner, outer = [], ["count(*) AS entities"]
    for i, part in enumerate(parts(query, schema)):
        for name, row, cell in _contributions(part):
            inner += [f"{row} AS {name}{i}"] if row else []
            outer.append(f"{cell.replace('#', str(i))} AS {name}{i}")
    wanted = where(query, schema, "" if only is None else _among(names, only))
    source = select([*names, *inner], f"{table}{wanted}", [*names, "_entity"])
    keys = [f"{name} AS d{i}" for i, name in enumerate(names)]
    return select(keys + outer, f"(\n{source}\n)", names)


def _seen(part: Part, manifest: Manifest, groups: int) -> dict[str, str]:
    """What one pass can tell of `part`."""
    column = part.column
    if part.total is Total.ENTITIES and column is not None:
        small = fits_bitmap(column, manifest, groups)
        value = bitmap(column, manifest) if small else f"count(DISTINCT {stored(column)})"
        return {"v": value, "k": "coalesce(sum(_key::BIGINT), 0)::BIGINT"}
    key = "_key::BIGINT" if column is None else f"CASE WHEN {present(column)} THEN _key::BIGINT END"
    seen = {"v": rows(column), "k": f"coalesce(sum({key}), 0)::BIGINT"}
    if part.total is not Total.SUM or column is None:
        return seen
    name = stored(column)
    seen |= {"n": seen["v"], "v": f"coalesce(sum({name}), 0)::BIGINT"}
    if column.low >= 0:
        return seen | {"x": f"coalesce(max({name}), 0)::BIGINT"}
    return seen | {
        "a": f"coalesce(sum(abs({name}::BIGINT)), 0)::BIGINT",
        "x": f"coalesce(greatest(max({name}), -min({name})::BIGINT), 0)::BIGINT",
    }


def _among(names: list[str], only: Sequence[Codes]) -> str:
    """SQL: the row lies in one of the cells `only`."""
    if len(only) <= FEW:
        each = (" AND ".join(f"{name} = {code}" for name, code in zip(names, codes, strict=True)) for codes in only)
        return " OR ".join(f"({cell})" for cell in each)
    radix = [max(codes[i] for codes in only) + 1 for i in range(len(names))]
    index, numbers = "0", [0] * len(only)
    for i, name in enumerate(names):
        index = f"({index} * {radix[i]} + {name}::BIGINT)"
        numbers = [number * radix[i] + codes[i] for number, codes in zip(numbers, only, strict=True)]
    inside = " AND ".join(f"{name} < {most}" for name, most in zip(names, radix, strict=True))
    return f"{inside} AND {index} IN ({', '.join(map(str, numbers))})"


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
    return [
        *([] if column is None else [("n", rows(column), "count(nullif(n#, 0))")]),
        ("v", value, "coalesce(sum(v#), 0)::BIGINT"),
        ("a", mass, f"coalesce(sum({magnitude}), 0)::BIGINT"),
        ("t", "", f"coalesce(max({magnitude}, 2)[1], 0)"),
        ("u", "", f"coalesce(max({magnitude}, 2)[2], 0)"),
        ("k", f"coalesce(sum({key}), 0)::BIGINT", "coalesce(sum(k#), 0)::BIGINT"),
    ]
