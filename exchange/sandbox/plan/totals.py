"""The totals that a query is made of, and how large each can be. Pure: no Django, no I/O."""

from collections.abc import Iterable
from dataclasses import dataclass

from exchange.errors import Problem
from exchange.sandbox.frames import INT64
from exchange.sandbox.plan.words import column_of
from exchange.sandbox.query import AggregateQuery, Measure, Predicate, Profile, Total, made_of
from exchange.sandbox.query.model import named
from exchange.sandbox.schema import Column, Manifest, Schema
from exchange.sandbox.terms import Terms


@dataclass(frozen=True, slots=True)
class Part:
    """One total of a query: what a frame has one value for in every cell."""

    total: Total
    column: Column | None = None  # None: rows
    where: Predicate | None = None  # only of rows for which this is true
    about: int = 0  # what a sum's values, or a square's, are measured from, in the column's units

    @property
    def name(self) -> str:
        return named(self.total.value, None if self.column is None else self.column.name, self.where)

    @property
    def drawn(self) -> str:
        """What of the part its noise follows from, beside the records: not the words that chose them, for the
        same records under another filter must not be a second draw to average with; nor, of a number of rows,
        the column that is not null in them."""
        if self.total is Total.ROWS or self.column is None:
            return self.total.value
        return named(self.total.value, self.column.name, None)


def parts(query: AggregateQuery, schema: Schema, terms: Terms) -> tuple[Part, ...]:
    """The totals a query is made of, in the order of a frame's values."""
    found = {part.name: part for measure in query.measures for part in parts_of(measure, schema, terms)}
    return tuple(found[name] for name in sorted(found))


def parts_of(measure: Measure, schema: Schema, terms: Terms) -> Iterable[Part]:
    """The totals of one measure, in the order of query.made_of: AVG is a SUM and a COUNT.

    Under `private` sums are about the middle of the bounds, which halves what one entity can move.
    """
    column = None if measure.column is None else column_of(schema, measure.column)
    totals = made_of(measure.function, Profile(terms.profile))
    private = Profile(terms.profile) is Profile.PRIVATE
    return tuple(Part(total, column, measure.where, _about(total, column, private)) for total in totals)


def _about(total: Total, column: Column | None, private: bool) -> int:
    if column is None or total not in (Total.SUM, Total.SQUARES):
        return 0
    if private:
        return (column.low + column.high) // 2
    return centre(column) if total is Total.SQUARES else 0


def centre(column: Column) -> int:
    """What squares of a measure are taken about, in its units: of all it can be, the value nearest to zero.

    A variance is the same about any centre. About this one no square is larger than about zero, and fewer bits
    are needed where the values lie far from zero. The middle of the bounds would need fewer still, but it may
    lie far from the values (delays of -60 to 1,440 minutes), and on `guarded` the noise of the count would then
    be multiplied by that distance.
    """
    return min(max(0, column.low), column.high)


def widest(column: Column) -> int:
    """The largest square of a measure about its centre, in units**2."""
    return max(column.high - centre(column), centre(column) - column.low) ** 2


def bounds(part: Part, manifest: Manifest, terms: Terms) -> tuple[int, int]:
    """The least and largest value `part` can have, noise included (see disclosure.magnitude_noise).

    Intake holds 5 × rows × the largest absolute value below 2**63, so these are int64. Squares, and sums of joined
    columns, can be larger: raises Problem column_not_measure, which follows from public figures alone, where theirs
    would not be.
    """
    if part.total is Total.SUM and part.column is not None and part.column.joined:
        largest = max(abs(part.column.low), abs(part.column.high))
        _check_size("sum", part.column, 5 * manifest.rows * largest)
    if Profile(terms.profile) is Profile.PRIVATE:
        if part.total is Total.SQUARES and part.column is not None:
            reach = max(part.column.high - part.about, part.about - part.column.low)
            _check_size("variance", part.column, manifest.rows * reach**2)
        return -INT64, INT64  # the number of rows is no public figure, and the noise has no bound
    noisy = Profile(terms.profile) is not Profile.OPEN
    rows, column = manifest.rows, part.column
    match part.total:
        case Total.SUM if column is not None:
            spread = 4 * rows * max(abs(column.low), abs(column.high)) if noisy else 0
            return min(0, rows * column.low) - spread, max(0, rows * column.high) + spread
        case Total.SQUARES if column is not None:
            most = (5 if noisy else 1) * rows * widest(column)
            _check_size("variance", column, most)
            return 0, most
        case Total.ENTITIES if noisy:
            return 0, manifest.entities + 4
        case _:
            return 0, 5 * rows if noisy else rows


def _check_size(what: str, column: Column, most: int) -> None:
    if most > INT64:
        raise Problem(
            "column_not_measure",
            f"the {what} of {column.name} is not answered: its bounds are too wide for so many rows",
            "ask for COUNT" if what == "sum" else "ask for SUM, AVG or COUNT",
        )
