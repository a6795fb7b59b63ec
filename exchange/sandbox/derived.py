"""Dimensions that are not stored: a public function of a stored column, declared by the holder. Pure.

Bins of a measure, periods of a date, coarser values of a dimension. Codes of the derived dimension follow from
codes, or values, of the stored column, so a plan's SQL can compute them and intake never sees them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Any

Value = str | int | bool | None


class Period(StrEnum):
    WEEK = "week"  # from Monday
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class Rule:
    """How a dimension follows from the column `of`; one of `edges`, `by` and `map` is given.

    `edges` cut a measure, in its units, into ranges that hold their lower edge and not their upper one;
    what lies outside is null. `labels` name the ranges. `by` truncates a date to the first day of its period.
    `map` gives for values of a dimension coarser ones; what it does not list is null.
    """

    of: str
    edges: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()
    by: Period | None = None
    map: tuple[tuple[Value, Value], ...] = ()

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {"of": self.of}
        if self.edges:
            found |= {"edges": list(self.edges), "labels": list(self.labels)}
        if self.by:
            found |= {"by": self.by.value}
        return found | {"map": [list(pair) for pair in self.map]} if self.map else found


def rule_from_json(value: Mapping[str, Any]) -> Rule:
    """`map` is a list of pairs, or an object where the values are strings. Raises KeyError, TypeError, ValueError."""
    if unknown := set(value) - {"of", "edges", "labels", "by", "map"}:
        raise ValueError(f"{min(unknown)!r} is no part of a derived dimension")
    pairs = value.get("map", ())
    pairs = pairs.items() if isinstance(pairs, Mapping) else pairs
    edges = tuple(value.get("edges", ()))
    if not all(type(edge) is int for edge in edges):
        raise TypeError("edges are whole numbers, in units of the measure")
    return Rule(
        of=str(value["of"]),
        edges=edges,
        labels=tuple(map(str, value.get("labels", ()))),
        by=Period(value["by"]) if value.get("by") else None,
        map=tuple((fine, coarse) for fine, coarse in pairs),
    )


def ranges(rule: Rule, scale: int) -> tuple[str, ...]:
    """The labels of a rule's bins: given, or as `[0, 18)` in the measure's own values."""
    if rule.labels:
        return rule.labels
    shown = [_decimal(edge, scale) for edge in rule.edges]
    return tuple(f"[{low}, {high})" for low, high in pairwise(shown))


def coarser(rule: Rule, source: Iterable[Value]) -> list[Value]:
    """What a period or a mapping gives for each value of the source."""
    by = rule.by
    if by is not None:
        return [first_day(date.fromisoformat(str(value)), by).isoformat() for value in source]
    known = dict(rule.map)
    return [known.get(value) for value in source]


def domain_of(rule: Rule, source: Iterable[Value]) -> tuple[Value, ...]:
    """The values a period or mapping can give: days in order, or as the mapping first lists them."""
    if rule.by is not None:
        return tuple(sorted(set(map(str, coarser(rule, source)))))
    return tuple(dict.fromkeys(coarse for _, coarse in rule.map))


def first_day(day: date, by: Period) -> date:
    """The first day of the week, month, quarter or year of `day`."""
    match by:
        case Period.WEEK:
            return day - timedelta(days=min(day.weekday(), day.toordinal() - 1))
        case Period.MONTH:
            return day.replace(day=1)
        case Period.QUARTER:
            return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
        case Period.YEAR:
            return day.replace(month=1, day=1)


def within(fine: Period | None, coarse: Period | None) -> bool:
    """Whether every `fine` period lies in one `coarse` one; weeks lie in none."""
    order = (Period.MONTH, Period.QUARTER, Period.YEAR)
    return fine in order and coarse in order and order.index(fine) < order.index(coarse)


def _decimal(units: int, scale: int) -> str:
    digits = f"{abs(units):0{scale + 1}}"
    text = digits[: len(digits) - scale] + (f".{digits[len(digits) - scale :]}" if scale else "")
    return ("-" if units < 0 else "") + (text.rstrip("0").rstrip(".") if scale else text)
