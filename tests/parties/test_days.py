"""Working days: what the law's periods are counted in, and the table that says which days are worked."""

from datetime import date

import pytest
from django.core.management import call_command
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from exchange.audit.models import Record
from exchange.days import Calendar, years_after
from exchange.parties import days
from exchange.parties.models import Day

DAYS = st.dates(date(2020, 1, 1), date(2030, 12, 31))
CALENDARS = st.builds(Calendar, st.dictionaries(DAYS, st.booleans(), max_size=400))
TODAY = date(2026, 2, 13)  # the Friday before the Spring Festival of 2026


@given(CALENDARS, DAYS, st.integers(1, 60))
def test_a_period_of_so_many_working_days_has_so_many_left_on_its_first_day(
    calendar: Calendar, start: date, number: int
) -> None:
    end = calendar.end(start, number)
    assert calendar.is_worked(end)
    assert calendar.left(start, end) == number
    assert calendar.left(end, end) == 0
    assert calendar.left(end, start) == -calendar.left(start, end)


@given(CALENDARS, DAYS, st.integers(1, 30), st.integers(1, 30))
def test_two_periods_in_a_row_end_where_the_sum_of_both_does(
    calendar: Calendar, start: date, one: int, other: int
) -> None:
    assert calendar.end(calendar.end(start, one), other) == calendar.end(start, one + other)


@pytest.mark.parametrize(
    ("day", "years", "last"),
    [
        (date(2026, 3, 1), 3, date(2029, 2, 28)),
        (date(2024, 2, 29), 1, date(2025, 2, 28)),
        (date(2024, 2, 29), 4, date(2028, 2, 28)),
        (date(2026, 1, 1), 5, date(2030, 12, 31)),
    ],
)
def test_years_end_on_the_day_before_their_return(day: date, years: int, last: date) -> None:
    assert years_after(day, years) == last


def test_a_new_exchange_knows_the_announced_days(db: str) -> None:
    days.seed(TODAY)
    calendar = days.calendar()
    assert calendar.is_worked(date(2026, 2, 14))  # a Saturday
    assert not calendar.is_worked(date(2026, 2, 23))  # a Monday
    assert calendar.end(TODAY, 3) == date(2026, 2, 25)
    assert not calendar.is_provisional(date(2026, 12, 31))


def test_a_year_that_is_not_announced_has_its_statutory_holidays_and_is_provisional(db: str) -> None:
    days.seed(TODAY)
    calendar = days.calendar()
    assert not calendar.is_worked(date(2028, 5, 1))
    assert calendar.is_provisional(calendar.end(date(2028, 4, 28), 1))


def test_what_is_announced_later_replaces_the_forecast_and_is_logged(db: str) -> None:
    days.seed(TODAY)
    Day.objects.filter(day__year=2026).delete()
    Day.objects.create(day=date(2026, 2, 16), worked=False, name="春节", provisional=True)
    assert days.calendar().is_provisional(TODAY)
    before = Record.objects.count()
    assert days.seed(TODAY) > 20
    assert not days.calendar().is_provisional(TODAY)
    assert Record.objects.filter(kind="days.seeded").count() == 1 == Record.objects.count() - before
    assert days.seed(TODAY) == 0  # and nothing is logged that changes nothing
    assert Record.objects.count() - before == 1


def test_a_day_that_a_person_changed_stays_as_it_is_and_is_logged(db: str) -> None:
    days.seed(TODAY)
    days.do_edit(Day(day=date(2026, 2, 14), worked=False, name="停工"), actor="registrar")
    days.do_edit(Day(day=date(2026, 3, 3), worked=False, name="停工"), actor="registrar")
    call_command("migrate", verbosity=0, interactive=False)
    days.seed(TODAY)
    calendar = days.calendar()
    assert not calendar.is_worked(date(2026, 2, 14))
    assert not calendar.is_worked(date(2026, 3, 3))
    assert calendar.end(TODAY, 3) == date(2026, 2, 26)
    assert Record.objects.filter(kind="days.edited").count() == 2


def test_the_table_seeds_itself_when_the_database_is_made(db: str) -> None:
    year = timezone.localdate().year
    assert Day.objects.filter(day__year=year, worked=False).exists()
