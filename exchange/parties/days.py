"""The table of working days: seeded from a library, edited by people, read as one value.

The State Council announces a year's days in the November before. Until then the library gives the statutory
holidays without the weekends worked in exchange, and the year is provisional.
"""

from collections.abc import Iterable
from datetime import date
from importlib.metadata import version
from typing import Any

from django.db import transaction
from django.utils import timezone

from exchange.audit import log
from exchange.days import Calendar
from exchange.parties.models import Day

YEARS_AHEAD = 2


def calendar() -> Calendar:
    """The calendar as the table says; one SQL query."""
    rows = list(Day.objects.values_list("day", "worked", "provisional"))
    forecast = [day for day, _, provisional in rows if provisional]
    known = date(min(forecast).year - 1, 12, 31) if forecast else date.max
    return Calendar({day: worked for day, worked, _ in rows}, known)


def seed(today: date | None = None) -> int:
    """Take what the library knows into the table, for this year, the last and those ahead; how many days changed.

    A day that somebody edited stays as it is. Called after every migration, and daily by the worker.
    """
    year = (today or timezone.localdate()).year
    wanted = {row.day: row for row in _days(range(year - 1, year + YEARS_AHEAD + 1))}
    with transaction.atomic():
        there = Day.objects.filter(day__gte=date(year - 1, 1, 1), edited=False).in_bulk()
        edited = set(Day.objects.filter(edited=True).values_list("day", flat=True))
        gone = [day for day in there if day not in wanted]
        changed = [row for day, row in wanted.items() if day not in edited and _facts(there.get(day)) != _facts(row)]
        if not changed and not gone:
            return 0
        Day.objects.filter(day__in=gone).delete()
        fields = ["worked", "name", "provisional"]
        Day.objects.bulk_create(changed, update_conflicts=True, unique_fields=["day"], update_fields=fields)
        if not there and not edited:  # a new exchange: nothing was due yet
            return len(changed)
        log.append("days.seeded", {"v": 1, "library": f"holidays {version('holidays')}", "days": len(changed)})
    return len(changed) + len(gone)


def do_edit(day: Day, actor: str) -> None:
    """Save a day as a person says it is, and log it."""
    with transaction.atomic():
        day.edited, day.provisional = True, False
        day.save()
        body = {"v": 1, "day": day.day.isoformat(), "worked": day.worked, "name": day.name, "actor": actor}
        log.append("days.edited", body)


def seed_after_migrate(**_signal: Any) -> None:
    seed()


def _days(years: Iterable[int]) -> list[Day]:
    """The exceptions of `years`, as the library knows them."""
    import holidays  # takes longer to import than most processes here need

    found = []
    for year in years:
        known = holidays.country_holidays("CN", years=year, language="zh_CN")
        worked = {day for day in known.weekend_workdays if day.year == year}
        off = {day for day in known if day.weekday() < 5 and not known.is_working_day(day)}
        for day in worked | off:
            name = known.get(day, "") or "调休上班"
            found.append(Day(day=day, worked=day in worked, name=name[:60], provisional=not worked))
    return found


def _facts(day: Day | None) -> tuple[Any, ...] | None:
    return None if day is None else (day.worked, day.name, day.provisional)
