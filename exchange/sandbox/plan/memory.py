"""How much memory a plan may need, whatever the data. Pure: no Django, no I/O.

A plan that fits in memory with some data and not with other data would tell which it is by failing. So the node
refuses one for which it might not suffice, by public figures alone. Measured on DuckDB 2.0 with 0.3 and 1 million
entities: grouping by entity takes 90 to 101 bytes a group for one total, 141 for four and 221 for ten, with one thread
or two; what is reckoned with here is half as much again. A key of a joined table takes 44 to 73 bytes with one of its
columns and 80 to 105 with six; an entity or row of a table joined by the entity, with two columns, less than 90.
"""

from dataclasses import replace

from exchange.sandbox.plan.exact import BITMAP_BITS, values
from exchange.sandbox.plan.totals import parts
from exchange.sandbox.query import AggregateQuery, Profile, Total
from exchange.sandbox.query.grid import grids, sizes
from exchange.sandbox.schema import Column, Manifest
from exchange.sandbox.terms import Terms

GROUP, STATE = 128, 24  # bytes of a group, and of each total in it
VALUE = 8  # the most of a stored value


def needed(query: AggregateQuery, manifest: Manifest, terms: Terms, threads: int) -> int:
    """The most bytes, beside the snapshot's own table, that a query of `guarded` or `private` may take; 0 on `open`,
    which has nothing to hide. `manifest.rows` is public, on `private` the declared number. What quantiles count has
    a bound of its own (ranks.MOST_COUNTS)."""
    profile = Profile(terms.profile)
    if profile is Profile.OPEN:
        return 0
    totals, most = parts(query, manifest.schema, terms), 0
    manifest = replace(manifest, entities=manifest.entities or manifest.rows)
    for size in sizes(grids(query, manifest.schema)):
        counted = [part.column for part in totals if part.total is Total.ENTITIES]
        sets = sum(_set(column, manifest, size, len(counted), threads) for column in counted)
        looked = min(manifest.rows, manifest.entities * size) if profile is Profile.GUARDED else 0
        most = max(most, sets + (size + looked) * (GROUP + STATE * len(totals)))
    return most + _lookups(manifest)


def _lookups(manifest: Manifest) -> int:
    """Of what is joined: a group for each key or entity, and its table, which may be beyond what snapshots have room
    for."""
    columns = sum(column.joined and column.derived is None for column in manifest.schema.columns)
    return (manifest.looked_up + manifest.matched) * (GROUP + (STATE + VALUE) * columns)


def _set(column: Column | None, manifest: Manifest, size: int, number: int, threads: int) -> int:
    """Of one of a `number` of distinct counts: a bitmap for each cell and thread where all of them together are small
    enough (exact.distinct), or else an entry for each value met.

    How many entities `private` data have is not known here: they may be few enough for a bitmap after all.
    """
    if column is None:
        return 0
    low, high = values(column, manifest)
    bits = (high - low + 1) * size
    bitmaps = min(bits, BITMAP_BITS // number) // 8 * threads
    return bitmaps if bits * number <= BITMAP_BITS else max(bitmaps, min(manifest.rows, bits) * GROUP)
