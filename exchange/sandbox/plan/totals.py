"""The totals that a query is made of, and how large each can be. Pure: no Django, no I/O."""

from collections.abc import Iterable

from exchange.sandbox.plan.words import column_of
from exchange.sandbox.query import AggregateQuery, Function, Measure, Profile
from exchange.sandbox.schema import Manifest
from exchange.sandbox.terms import Terms


def parts(query: AggregateQuery) -> tuple[Measure, ...]:
    """The totals a query is made of, in the order of a frame's values: AVG is a SUM and a COUNT."""
    found = {part for measure in query.measures for part in _parts(measure)}
    return tuple(sorted(found, key=lambda part: part.name))


def bounds(part: Measure, manifest: Manifest, terms: Terms) -> tuple[int, int]:
    """The least and largest value `part` can have, noise included (see disclosure.magnitude_noise).

    Intake holds 3 × rows × the largest absolute value below 2**63, so these are int64.
    """
    noisy = Profile(terms.profile) is not Profile.OPEN
    rows = manifest.rows
    if part.function is Function.SUM:
        column = column_of(manifest.schema, part.column)
        spread = 2 * rows * max(abs(column.low), abs(column.high)) if noisy else 0
        return min(0, rows * column.low) - spread, max(0, rows * column.high) + spread
    if part.function is Function.COUNT_DISTINCT and noisy:
        return 0, manifest.entities + 4
    return 0, 3 * rows if noisy else rows


def _parts(measure: Measure) -> Iterable[Measure]:
    if measure.function is Function.AVG:
        return (Measure(Function.SUM, measure.column), Measure(Function.COUNT, measure.column))
    return (measure,)
