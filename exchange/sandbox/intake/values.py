"""One source value as the integer, or domain value, that its column stores. Pure: no Django, no I/O."""

import re
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact

from exchange.sandbox.schema import Column, Kind, Value, fits

_NUMBER = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,2})?")
_EXACT = Context(prec=300, traps=[Inexact])
_BOOLEANS = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}


class Misfit(ValueError):
    """The value is not of its column's kind."""


def number(value: object, column: Column) -> int | None:
    """A measure's value in units of 10**-scale, not yet clamped; None is null. Raises Misfit.

    Exact from text and decimals. A float stands for its shortest decimal text, as people read it. Digits
    beyond the column's scale round half to even; an INTEGER column takes whole numbers only.
    """
    found = _decimal(value)
    if found is None:
        return None
    scaled = found.scaleb(column.scale, _EXACT)
    whole = scaled.to_integral_value(ROUND_HALF_EVEN)
    if column.kind is Kind.INTEGER and whole != scaled:
        raise Misfit("not a whole number")
    return int(whole)


def constant(value: object, column: Column) -> Value:
    """A dimension's or entity's value as its domain lists it; None is null. Raises Misfit."""
    match column.kind:
        case Kind.STRING:
            if value is None or isinstance(value, str):
                return value
        case Kind.INTEGER | Kind.DECIMAL:
            return number(value, column)
        case Kind.BOOLEAN:
            return _boolean(value)
        case Kind.DATE:
            return _date(value)
    raise Misfit("not a string")


def plain(value: object) -> str:
    """Any source value as text that is the same from CSV and from Parquet, for row keys; null is distinct."""
    if value is None or value != value:
        return "-"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, datetime | date):
        value = value.isoformat()
    text = str(value)
    return f"{len(text)}:{text}"


def _decimal(value: object) -> Decimal | None:
    if value is None or value != value:  # NaN is how dataframes write null
        return None
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return Decimal(value.strip())
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        found = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
        if found.is_finite() and abs(found.adjusted()) < 100:
            return found
    raise Misfit("not a number")


def _boolean(value: object) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    found = _BOOLEANS.get(str(value).strip().lower())
    if found is None:
        raise Misfit("not a boolean")
    return found


def _date(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        if value.timetz().replace(tzinfo=None) != datetime.min.time():
            raise Misfit("not a date: it has a time of day")
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str) and fits(Kind.DATE, value.strip()):
        return value.strip()
    raise Misfit("not an ISO date")
