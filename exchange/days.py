"""Working days and periods of the law. Pure: no Django, no I/O.

The rules count periods in working days 工作日. Which days are worked is decided each year by the State Council:
holidays on weekdays, and weekends worked in exchange. Days are Asia/Shanghai's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

ONE = timedelta(days=1)
SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Calendar:
    """`exceptions` says of some days whether they are worked; all others are from Monday to Friday.

    Of days after `known_until` the exceptions are a forecast: a period that ends there is provisional.
    """

    exceptions: Mapping[date, bool] = field(default_factory=dict)
    known_until: date = date.max

    def is_worked(self, day: date) -> bool:
        return self.exceptions.get(day, day.weekday() < SATURDAY)

    def end(self, start: date, number: int) -> date:
        """The last day of a period of `number` working days: the day it starts on does not count (民法典 §201)."""
        day = start
        for _ in range(number):
            day += ONE
            while not self.is_worked(day):
                day += ONE
        return day

    def left(self, today: date, end: date) -> int:
        """How many working days are left after today until `end`; below zero, how many it is overdue."""
        if end < today:
            return -self.left(end, today)
        days = (today + i * ONE for i in range(1, (end - today).days + 1))
        return sum(map(self.is_worked, days))

    def is_provisional(self, end: date) -> bool:
        return end > self.known_until


def years_after(day: date, years: int) -> date:
    """The last day of a period of `years` that begins on `day`: the day before its return (民法典 §202)."""
    try:
        back = day.replace(year=day.year + years)
    except ValueError:  # from 29 February: that month's last day
        return day.replace(year=day.year + years, day=28)
    return back - ONE
